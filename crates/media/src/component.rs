//! RTCP on a port of its own beside DTLS-SRTP: a second association, with keys of its own (RFC 5764 section 4.2).
//!
//! It is the leg's handshake once more, between other ports: the same certificates, roles and bounds. Only reports need it,
//! so its fate has a verdict of its own (`verdict::reports`) and ends no call; without its keys nothing is sent or heard on
//! that port.

use std::net::SocketAddr;
use std::time::Instant;

use crate::description::LegOffer;
use crate::dtls::{Peer, Phase};
use crate::io::SocketId;
use crate::latch::Latch;
use crate::leg::Keys;
use crate::outbox::Outbox;
use crate::verdict::Told;

/// The port's address of the peer, its keys, and what was told of them.
pub(crate) struct Component {
    pub(crate) socket: SocketId,
    pub(crate) latch: Latch,
    pub(crate) keys: Keys,
    pub(crate) told: Told,
}

impl Component {
    pub(crate) fn new(socket: SocketId, offer: &LegOffer, keys: Keys) -> Self {
        let latch = Latch::new(offer.latch);
        Self {
            socket,
            latch,
            keys,
            told: Told::default(),
        }
    }

    /// Where reports are sent from and to; none before the keys.
    pub(crate) fn outlet(&self) -> Option<(SocketId, SocketAddr)> {
        let ready = self.keys.outbound.is_some();
        let address = self.latch.destination().filter(|_| ready)?;
        Some((self.socket, address))
    }

    /// Begins if it is ours to begin: call when the description is known. Once: phones exist that shake hands for their
    /// sound only, and waiting for them again and again would take the place of others.
    pub(crate) fn start(&mut self, now: Instant) {
        let address = self.latch.destination();
        let (Some(handshake), Some(address)) = (&mut self.keys.handshake, address) else {
            return;
        };
        if handshake.phase() == Phase::Waiting {
            handshake.start(Peer::Believed(address), now);
        }
    }

    /// Sends flights and takes keys; when its handshake has something to do.
    pub(crate) fn pump(&mut self, out: &mut Outbox, now: Instant) -> Option<Instant> {
        let handshake = self.keys.handshake.as_mut()?;
        let socket = self.socket;
        let fresh = handshake.poll(now, |address, record| {
            address
                .into_iter()
                .for_each(|address| out.transmit_bytes(socket, address, record));
        });
        let deadline = handshake.deadline();
        if let Some(fresh) = fresh {
            // Whose certificate matched is the peer, wherever it sends from.
            if let Some(peer) = fresh.peer {
                self.latch.believe(peer);
            }
            self.keys.install(fresh);
        }
        deadline
    }

    /// Length of an authentic compound of the peer once it is opened.
    pub(crate) fn open(&mut self, source: SocketAddr, bytes: &mut [u8]) -> Option<usize> {
        if self.latch.destination() != Some(source) {
            return None;
        }
        let len = self.keys.inbound.as_mut()?.open_rtcp(bytes).ok()?;
        self.keys.prove();
        Some(len)
    }
}
