//! Which leg a datagram belongs to, and what it is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::ids::LegId;
use crate::io::SocketId;

/// STUN requests with an unknown user name that are looked at in a second, per shard: beyond it a flood of strangers
/// is dropped unread.
const MAX_STRANGERS_PER_SECOND: u32 = 2_000;

/// What a datagram is by its first bytes (RFC 7983 section 7, RFC 5761 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

/// Classifies a datagram.
pub(crate) fn classify(datagram: &[u8]) -> Class {
    match datagram.first() {
        Some(0..=3) => Class::Stun,
        Some(20..=63) => Class::Dtls,
        Some(128..=191) if offhook_rtp::rtcp::is_rtcp(datagram) => Class::Rtcp,
        Some(128..=191) => Class::Rtp,
        _ => Class::Other,
    }
}

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A leg's RTP socket.
    Rtp(LegId),
    /// A leg's RTCP socket.
    Rtcp(LegId),
    /// The shard's WebRTC socket with this place in the configuration.
    WebRtc(usize),
}

/// Sockets and authenticated addresses of the shard.
pub(crate) struct Demux {
    sockets: HashMap<SocketId, Owner, foldhash::fast::RandomState>,
    addresses: HashMap<(SocketId, SocketAddr), LegId, foldhash::quality::RandomState>,
    strangers: u32,
    second: Option<Instant>,
    dropped: u64,
}

impl Demux {
    pub(crate) fn new() -> Self {
        Self {
            sockets: HashMap::default(),
            addresses: HashMap::default(),
            strangers: 0,
            second: None,
            dropped: 0,
        }
    }

    pub(crate) fn own(&mut self, socket: SocketId, owner: Owner) {
        self.sockets.insert(socket, owner);
    }

    pub(crate) fn disown(&mut self, socket: SocketId) {
        self.sockets.remove(&socket);
    }

    pub(crate) fn owner(&self, socket: SocketId) -> Option<Owner> {
        self.sockets.get(&socket).copied()
    }

    /// The leg that authenticated this source on a shared socket.
    pub(crate) fn leg_of(&self, socket: SocketId, source: SocketAddr) -> Option<LegId> {
        self.addresses.get(&(socket, source)).copied()
    }

    /// Enters an address; only after authenticated STUN from it.
    pub(crate) fn enter(&mut self, socket: SocketId, source: SocketAddr, leg: LegId) {
        self.addresses.insert((socket, source), leg);
    }

    /// Forgets an address, unless another leg has authenticated it since.
    pub(crate) fn leave(&mut self, socket: SocketId, source: SocketAddr, leg: LegId) {
        if self.leg_of(socket, source) == Some(leg) {
            self.addresses.remove(&(socket, source));
        }
    }

    /// Whether one more request of unknown origin may be looked at now.
    pub(crate) fn admits_stranger(&mut self, now: Instant) -> bool {
        let fresh = self
            .second
            .is_none_or(|second| now.saturating_duration_since(second) >= Duration::from_secs(1));
        if fresh {
            self.second = Some(now);
            self.strangers = 0;
        }
        self.strangers < MAX_STRANGERS_PER_SECOND
    }

    pub(crate) fn count_stranger(&mut self) {
        self.strangers += 1;
        self.dropped += 1;
    }

    /// Count a datagram that belongs to nobody.
    pub(crate) fn count_dropped(&mut self) {
        self.dropped += 1;
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Entries left: what leaks if legs close and this does not fall.
    pub(crate) fn entries(&self) -> usize {
        self.addresses.len()
    }
}
