//! What is left of a DTLS association that has done its work: a peer that did not hear its end is answered from here.
//!
//! An association costs some 16 KB, its last flight less than 100 bytes. Copies repeat the records as they were, which is
//! what the network may do too: whoever has one of them already takes the next for a replay (RFC 6347 section 4.1.2.6).

use std::net::SocketAddr;
use std::time::Instant;

use arrayvec::ArrayVec;

/// Datagrams of a last flight: `dimpl` writes one, with ChangeCipherSpec and Finished.
const MAX_FLIGHT: usize = 2;
/// Header of a record: type, version, epoch, sequence number, length (RFC 6347 section 4.1).
const RECORD_HEADER: usize = 13;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Where the first fragment of a ClientHello has its random, behind both headers and the version.
const RANDOM: std::ops::Range<usize> = 27..59;
const FRAGMENT_OFFSET: std::ops::Range<usize> = 19..22;

/// A ClientHello's random: its repetitions have the same, another handshake has another.
pub(crate) type HelloRandom = [u8; 32];

/// The datagrams of a last flight.
pub(crate) type Flight = ArrayVec<Box<[u8]>, MAX_FLIGHT>;

/// The end of a handshake, for a peer that asks for it again.
pub(crate) struct Farewell {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) hello: Option<HelloRandom>,
    pub(crate) flight: Flight,
    /// A peer that has not heard us by then has given up.
    pub(crate) until: Instant,
    asked: bool,
}

impl Farewell {
    pub(crate) fn new(
        peer: Option<SocketAddr>,
        hello: Option<HelloRandom>,
        flight: Flight,
        until: Instant,
    ) -> Self {
        Self {
            peer,
            hello,
            flight,
            until,
            asked: false,
        }
    }

    /// A datagram of the peer: only its Finished, repeated, asks for ours again.
    pub(crate) fn datagram(&mut self, bytes: &[u8]) {
        self.asked |= has_finished(bytes);
    }

    /// The flight, once for each datagram that asked.
    pub(crate) fn answer(&mut self) -> &[Box<[u8]>] {
        if std::mem::take(&mut self.asked) {
            &self.flight
        } else {
            &[]
        }
    }
}

/// Whether a datagram begins a handshake: only then may it build an association. What is encrypted begins none, so a
/// renegotiation finds nobody.
pub(crate) fn is_client_hello(bytes: &[u8]) -> bool {
    bytes.first() == Some(&HANDSHAKE)
        && epoch(bytes) == Some([0, 0])
        && bytes.get(RECORD_HEADER) == Some(&CLIENT_HELLO)
}

/// The random of a ClientHello's first fragment.
pub(crate) fn hello_random(bytes: &[u8]) -> Option<HelloRandom> {
    let first = bytes.get(FRAGMENT_OFFSET) == Some(&[0, 0, 0]);
    bytes
        .get(RANDOM)
        .filter(|_| first && is_client_hello(bytes))?
        .try_into()
        .ok()
}

/// Whether a datagram has an encrypted record of a handshake: under the first keys that is the Finished.
fn has_finished(mut bytes: &[u8]) -> bool {
    while let Some(&[high, low]) = bytes.get(RECORD_HEADER - 2..RECORD_HEADER) {
        if bytes.first() == Some(&HANDSHAKE) && epoch(bytes) == Some([0, 1]) {
            return true;
        }
        let end = RECORD_HEADER + usize::from(u16::from_be_bytes([high, low]));
        bytes = bytes.get(end..).unwrap_or_default();
    }
    false
}

fn epoch(record: &[u8]) -> Option<[u8; 2]> {
    record.get(3..5)?.try_into().ok()
}
