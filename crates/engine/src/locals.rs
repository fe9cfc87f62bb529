//! The addresses of this machine that browsers reach a shared port at. Each has a number, as if it were a socket of its own:
//! the engine keeps it with a path, and what leaves under it leaves from that address. Browsers take an answer to a check from
//! no other one (RFC 8445 section 7.2.5.2.1).

use std::net::{IpAddr, SocketAddr};

use offhook_media::{SocketId, WebRtcSocket};

/// Addresses of a shard. A machine may hold whole networks: at what is beyond, the system chooses where answers come from.
const MOST: usize = 64;
/// The first number; those of real sockets begin at 0.
const FIRST: u32 = u32::MAX - MOST as u32;

/// Real sockets and addresses, by their numbers.
pub struct Locals {
    numbers: Vec<(SocketId, IpAddr)>,
    /// What the machine had at the start, and what it was reached at.
    known: Vec<IpAddr>,
    /// Whether those of IPv4 and of IPv6 are several. Naming the only one would cost a twentieth of the sending for nothing.
    several: [bool; 2],
}

impl Locals {
    /// Of a machine whose interfaces have these addresses.
    pub fn new(mut known: Vec<IpAddr>) -> Self {
        known.retain(|address| !address.is_loopback());
        known.sort_unstable();
        known.dedup();
        let mut locals = Self {
            numbers: Vec::new(),
            known,
            several: [false; 2],
        };
        locals.count();
        locals
    }

    fn count(&mut self) {
        let v4 = self.known.iter().filter(|one| one.is_ipv4()).count();
        self.several = [v4 > 1, self.known.len() - v4 > 1];
    }

    /// The number of what came to `address` at `socket`.
    pub fn number(&self, socket: SocketId, address: IpAddr) -> Option<SocketId> {
        let mut numbers = self.numbers.iter();
        let index = numbers.position(|one| *one == (socket, address))?;
        numbered(index)
    }

    /// Gives a number to an address that has none, if there is one left.
    pub fn add(&mut self, socket: SocketId, local: SocketAddr) -> Option<WebRtcSocket> {
        // Nothing leaves from a group, and an address that needs an interface with it is announced to nobody.
        let leaves = match local.ip() {
            IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_unspecified(),
            IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unicast_link_local(),
        };
        if !leaves || self.numbers.len() >= MOST {
            return None;
        }
        let id = numbered(self.numbers.len())?;
        self.numbers.push((socket, local.ip()));
        if !self.known.contains(&local.ip()) {
            self.known.push(local.ip());
            self.count();
        }
        Some(WebRtcSocket {
            id,
            local,
            candidates: Vec::new(),
            tcp: false,
        })
    }

    /// The real socket of a number, and the address to send from where the system has a choice.
    pub fn of(&self, id: SocketId) -> (SocketId, Option<IpAddr>) {
        let index = id.0.checked_sub(FIRST).map(|index| index as usize);
        let Some((socket, address)) = index.and_then(|index| self.numbers.get(index)) else {
            return (id, None);
        };
        let chosen = self.several[usize::from(address.is_ipv6())];
        (*socket, chosen.then_some(*address))
    }
}

fn numbered(index: usize) -> Option<SocketId> {
    u32::try_from(index)
        .ok()
        .map(|index| SocketId(FIRST + index))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const SOCKET: SocketId = SocketId(0);

    fn at(ip: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.into(), 40_000)
    }

    #[test]
    fn each_address_of_each_socket_has_one_number_that_leads_back() {
        let mut locals = Locals::new(Vec::new());
        let (one, two) = (at([10, 0, 0, 1]), at([10, 0, 0, 2]));
        let all = [(SOCKET, one), (SOCKET, two), (SocketId(1), one)];
        let numbers = all.map(|(socket, local)| {
            assert_eq!(locals.number(socket, local.ip()), None);
            let added = locals.add(socket, local).expect("room");
            assert_eq!((added.local, added.candidates.len()), (local, 0));
            added.id
        });
        for ((socket, local), id) in all.into_iter().zip(numbers) {
            assert_eq!(locals.number(socket, local.ip()), Some(id));
            assert_eq!(locals.of(id), (socket, Some(local.ip())));
        }
        assert_eq!(locals.of(SocketId(1)), (SocketId(1), None));
    }

    #[test]
    fn the_only_address_of_a_machine_is_not_named() {
        let only: IpAddr = [10, 0, 0, 1].into();
        let loopback = at(Ipv4Addr::LOCALHOST);
        let mut locals = Locals::new(vec![loopback.ip(), only, only]);
        let id = locals.add(SOCKET, at(only)).expect("room").id;
        assert_eq!(locals.of(id), (SOCKET, None));
        // The other IP version is another choice.
        let v6 = locals
            .add(SocketId(1), at(Ipv6Addr::LOCALHOST))
            .expect("room")
            .id;
        assert_eq!(locals.of(v6), (SocketId(1), None));
        assert_eq!(locals.of(id), (SOCKET, None));
        // Reached at a second one, it has a choice for both.
        let second = locals.add(SOCKET, loopback).expect("room").id;
        assert_eq!(locals.of(id), (SOCKET, Some(only)));
        assert_eq!(locals.of(second), (SOCKET, Some(loopback.ip())));
    }

    #[test]
    fn of_two_addresses_of_a_machine_each_is_named() {
        let (one, two): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut locals = Locals::new(vec![one, two]);
        let id = locals.add(SOCKET, at(two)).expect("room").id;
        assert_eq!(locals.of(id), (SOCKET, Some(two)));
    }

    #[test]
    fn a_machine_that_holds_a_network_fills_no_table() {
        let mut locals = Locals::new(Vec::new());
        for last in 0..MOST as u16 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
            assert!(locals.add(SOCKET, at(address)).is_some());
        }
        assert!(locals.add(SOCKET, at([10, 0, 0, 1])).is_none());
        assert!(locals.number(SOCKET, [10, 0, 0, 1].into()).is_none());
    }

    #[test]
    fn nothing_leaves_from_a_group_or_a_link() {
        let mut locals = Locals::new(Vec::new());
        let groups: [IpAddr; 3] = [
            Ipv4Addr::new(224, 0, 0, 1).into(),
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(),
        ];
        assert!(
            groups
                .iter()
                .all(|ip| locals.add(SOCKET, at(*ip)).is_none())
        );
    }
}
