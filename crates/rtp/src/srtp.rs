//! SRTP and SRTCP in place: `SrtpIn` opens, `SrtpOut` seals (RFC 3711 3, RFC 6188, RFC 7714).
//!
//! Nothing a packet claims changes any state before the packet has authenticated, except a count of failures.

mod inbound;
mod outbound;

use core::fmt;

pub use inbound::{InCounters, SrtpIn};
pub use outbound::SrtpOut;

/// Most bytes sealing adds to a packet: GCM tag and SRTCP index.
pub const MAX_OVERHEAD: usize = 20;
/// SSRCs remembered per direction; the least recently used gives way to a ninth.
pub const MAX_STREAMS: usize = 8;

/// Why a packet was not opened or not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpError {
    /// Not an RTP or RTCP packet, or shorter than header and tag.
    TooShort,
    /// The tag does not match: wrong key, wrong rollover counter, or a changed packet.
    Auth,
    /// This index was opened (or sealed) before.
    Replayed,
    /// 128 or more packets behind the newest.
    TooOld,
    /// No room for the tag behind the packet.
    NoRoom,
    /// The key has sealed as much as it may (2^48 RTP, 2^31 RTCP), or too many SSRCs: re-key.
    Exhausted,
    /// The crypto library refused; a bug.
    Crypto,
}

impl fmt::Display for SrtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "packet too short for SRTP",
            Self::Auth => "SRTP authentication failed",
            Self::Replayed => "SRTP packet replayed",
            Self::TooOld => "SRTP packet behind the replay window",
            Self::NoRoom => "no room for the SRTP tag",
            Self::Exhausted => "SRTP key exhausted",
            Self::Crypto => "crypto library refused",
        })
    }
}

impl std::error::Error for SrtpError {}

/// Adds what is rare to have many of: a list that grows by one keeps no room for the others.
fn add<T>(list: &mut Vec<T>, entry: T) {
    list.reserve_exact(1);
    list.push(entry);
}

/// The 48-bit index with the low 16 bits `sequence` that lies closest to `highest` (RFC 3711 3.3.1, appendix A).
fn nearest_index(highest: u64, sequence: u16) -> u64 {
    // Lossless: the low half of a 16-bit distance, read as signed.
    let distance = i64::from(sequence.wrapping_sub(highest as u16) as i16);
    highest
        .checked_add_signed(distance)
        .unwrap_or(u64::from(sequence))
}
