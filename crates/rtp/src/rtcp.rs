//! RTCP: compounds built into a buffer, compounds read without copying (RFC 3550 6, RFC 4585 6, RFC 5104 4.3.1).

mod build;
mod parse;

pub use build::CompoundBuilder;
pub use parse::{Compound, FirEntries, NackEntries, Packet, Remb, ReportBlocks, Ssrcs};

use core::fmt;

/// Report blocks in one SR or RR: the count field has five bits.
pub const MAX_REPORT_BLOCKS: usize = 31;
/// Sub-packets read of one compound: more in a 2 048-byte datagram is an attack on our time.
pub const MAX_PACKETS: usize = 32;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const FORMAT_NACK: u8 = 1;
const FORMAT_PLI: u8 = 1;
const FORMAT_FIR: u8 = 4;
/// Application layer feedback (RFC 4585 6.4), of which we know REMB (draft-alvestrand-rmcat-remb-03 2.2).
const FORMAT_APPLICATION: u8 = 15;
const REMB: [u8; 4] = *b"REMB";
/// The mantissa of REMB has 18 bits.
const REMB_MANTISSA_BITS: u32 = 18;
const HEADER_LEN: usize = 4;
const BLOCK_LEN: usize = 24;
const SENDER_INFO_LEN: usize = 24;

/// Why bytes are not an RTCP compound, or one cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpError {
    /// Version, length or padding of a sub-packet is wrong (RFC 3550 A.2).
    Malformed,
    /// The buffer is full, or more than 31 blocks or sources.
    Full,
}

impl fmt::Display for RtcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed RTCP compound",
            Self::Full => "RTCP compound does not fit",
        })
    }
}

impl std::error::Error for RtcpError {}

/// The sender's part of an SR (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The stream reported on.
    pub ssrc: u32,
    /// NTP time, 32.32 fixed point.
    pub ntp: u64,
    /// The same instant on the RTP clock.
    pub rtp: u32,
    /// Packets sent, wrapping.
    pub packets: u32,
    /// Payload bytes sent, wrapping.
    pub octets: u32,
}

/// One reception report (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Loss since the beginning: 24 bits, signed.
    pub cumulative_lost: i32,
    /// Cycles and highest sequence number received.
    pub extended_highest: u32,
    /// Interarrival jitter in RTP clock units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR received; 0 for none.
    pub lsr: u32,
    /// Delay since then, in 1/65 536 s.
    pub dlsr: u32,
}

impl ReportBlock {
    /// Round-trip time in 1/65 536 s (RFC 3550 6.4.1). `arrival`: middle 32 bits of the NTP time this report came at.
    /// `None` when the peer has no SR of ours yet, or the clocks make it negative.
    #[must_use]
    pub fn round_trip(&self, arrival: u32) -> Option<u32> {
        let delay = arrival.wrapping_sub(self.lsr).wrapping_sub(self.dlsr);
        (self.lsr != 0 && delay < 1 << 31).then_some(delay)
    }
}

/// The middle 32 bits of an NTP time: what LSR carries.
#[must_use]
pub fn ntp_middle(ntp: u64) -> u32 {
    // Truncation is the point.
    (ntp >> 16) as u32
}

/// Whether a datagram of an RTP port is RTCP (RFC 5761 4): second byte 192..=223.
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram
        .get(1)
        .is_some_and(|kind| (192..=223).contains(kind))
}
