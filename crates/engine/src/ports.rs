//! Port pairs for phones: even for RTP, the next one for RTCP (RFC 3550 section 11), from a shuffled pool.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::sys;

/// How long a freed pair rests: late packets of the old call must not reach a new one.
const REST: Duration = Duration::from_secs(10);
/// How long before a pair that another program had is tried again.
const TAKEN: Duration = Duration::from_secs(60);
/// Receive buffer of a phone's socket in bytes: 800 packets, 16 s of one stream.
const RECEIVE_BUFFER: i32 = 128 * 1024;

/// Free pairs by their even port.
pub struct Ports {
    free: VecDeque<u16>,
    /// Freed pairs with the end of their rest.
    resting: VecDeque<(Instant, u16)>,
    /// Pairs that another program had, with the time to ask again.
    taken: VecDeque<(Instant, u16)>,
}

/// Why there are no sockets: a code of `Refused` and a sentence.
pub type Refusal = (&'static str, String);

/// Two bound sockets; no RTCP socket when it is multiplexed.
pub struct Pair {
    /// Even port.
    pub rtp: UdpSocket,
    /// The next port.
    pub rtcp: Option<UdpSocket>,
}

impl Ports {
    /// All pairs of the range, in an order nobody can guess from a few of them.
    pub fn new(range: (u16, u16), mut random: impl FnMut() -> u32) -> Self {
        let first = range.0 + range.0 % 2;
        let mut free: Vec<u16> = (first..range.1).step_by(2).collect();
        for index in (1..free.len()).rev() {
            free.swap(index, random() as usize % (index + 1));
        }
        Self {
            free: free.into(),
            resting: VecDeque::new(),
            taken: VecDeque::new(),
        }
    }

    /// Binds the next free pair on `address`; refuses with `ports_exhausted` when every pair is in use or resting.
    pub fn bind(&mut self, address: IpAddr, mux: bool, now: Instant) -> Result<Pair, Refusal> {
        for queue in [&mut self.resting, &mut self.taken] {
            while queue.front().is_some_and(|(at, _)| *at <= now) {
                self.free.extend(queue.pop_front().map(|(_, port)| port));
            }
        }
        while let Some(port) = self.free.pop_front() {
            let error = match bind_pair(address, port, mux) {
                Ok(pair) => return Ok(pair),
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => {
                    self.taken.push_back((now + TAKEN, port));
                    continue;
                }
                _ => self.free.push_front(port),
            }
            // Not this pair's fault: the next one would fail too.
            let code = match error.kind() {
                io::ErrorKind::AddrNotAvailable => "bad_address",
                _ => "engine_busy",
            };
            return Err((code, format!("no socket on {address}: {error}")));
        }
        Err((
            "ports_exhausted",
            "every port for phones is in use or rests after a call".to_owned(),
        ))
    }

    /// A pair comes back.
    pub fn release(&mut self, port: u16, now: Instant) {
        self.resting.push_back((now + REST, port));
    }
}

fn bind_pair(address: IpAddr, port: u16, mux: bool) -> io::Result<Pair> {
    let bind = |port| -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(SocketAddr::new(address, port))?;
        socket.set_nonblocking(true)?;
        sys::prepare(&socket, RECEIVE_BUFFER, true);
        Ok(socket)
    };
    let rtp = bind(port)?;
    let rtcp = if mux { None } else { Some(bind(port + 1)?) };
    Ok(Pair { rtp, rtcp })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn ports(first: u16) -> Ports {
        let mut seed = 7u32;
        Ports::new((first, first + 9), move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        })
    }

    #[test]
    fn pairs_are_even_and_odd_and_all_are_handed_out_once() {
        let (mut ports, now) = (ports(25_101), Instant::now());
        let mut held = Vec::new();
        while let Ok(pair) = ports.bind(HERE, false, now) {
            let port = pair.rtp.local_addr().expect("bound").port();
            assert_eq!(port % 2, 0);
            let odd = pair.rtcp.as_ref().expect("not multiplexed");
            assert_eq!(odd.local_addr().expect("bound").port(), port + 1);
            held.push(pair);
        }
        assert_eq!(held.len(), 4);
    }

    #[test]
    fn a_freed_pair_rests() {
        let (mut ports, now) = (ports(25_201), Instant::now());
        let mut last = 0;
        while let Ok(pair) = ports.bind(HERE, true, now) {
            last = pair.rtp.local_addr().expect("bound").port();
            std::mem::forget(pair.rtcp);
        }
        ports.release(last, now);
        let early = ports.bind(HERE, true, now + REST / 2);
        assert_eq!(early.err().expect("rests").0, "ports_exhausted");
        assert!(ports.bind(HERE, true, now + REST).is_ok());
    }

    #[test]
    fn an_address_of_another_machine_costs_no_pair() {
        let (mut ports, now) = (ports(25_301), Instant::now());
        let elsewhere = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
        let refusal = ports.bind(elsewhere, true, now).err().expect("not ours");
        assert_eq!(refusal.0, "bad_address");
        assert_eq!(ports.free.len(), 4);
    }

    #[test]
    fn a_pair_of_another_program_is_left_out_for_a_while() {
        let (mut ports, now) = (ports(25_401), Instant::now());
        let _theirs = UdpSocket::bind((HERE, 25_403)).expect("free");
        let ours = std::iter::from_fn(|| ports.bind(HERE, false, now).ok());
        assert_eq!(ours.collect::<Vec<_>>().len(), 3);
        assert_eq!(ports.taken, [(now + TAKEN, 25_402)]);
    }
}
