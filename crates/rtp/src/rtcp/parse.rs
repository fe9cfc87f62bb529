//! Reading a compound in place.

use super::{
    BLOCK_LEN, FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, GOODBYE, HEADER_LEN,
    MAX_PACKETS, PAYLOAD_FEEDBACK, RECEIVER_REPORT, REMB, REMB_MANTISSA_BITS, ReportBlock,
    RtcpError, SENDER_INFO_LEN, SENDER_REPORT, SenderInfo, TRANSPORT_FEEDBACK,
};
use crate::wire::{u16_at, u32_at, u64_at};

/// One packet of a compound. What we do not act on is `Other`.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    /// SR.
    SenderReport(SenderInfo, ReportBlocks<'a>),
    /// RR: the reporter and its blocks.
    ReceiverReport(u32, ReportBlocks<'a>),
    /// BYE: the sources that end.
    Goodbye(Ssrcs<'a>),
    /// PLI: the stream a key frame is asked of.
    Pli {
        /// Who asks.
        sender: u32,
        /// Whose key frame.
        media: u32,
    },
    /// FIR: a key frame is asked of each entry.
    Fir {
        /// Who asks.
        sender: u32,
        /// (source, command sequence) pairs.
        entries: FirEntries<'a>,
    },
    /// Generic NACK.
    Nack {
        /// Who asks.
        sender: u32,
        /// The stream with losses.
        media: u32,
        /// (first lost, bit mask of the 16 after it) pairs.
        lost: NackEntries<'a>,
    },
    /// How many bits a second the peer can take for the streams named.
    Remb(Remb<'a>),
    /// SDES, APP, XR and feedback of other formats: the packet type, and the count or format field.
    Other(u8, u8),
}

/// A compound whose structure was checked: every packet of it can be read.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks version, lengths and padding of every packet (RFC 3550 A.2). Reduced-size compounds, which begin with
    /// something else than a report, are taken too (RFC 5506).
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        let mut rest = bytes;
        let mut packets = 0;
        while !rest.is_empty() {
            let (sub, after) = split_packet(rest).ok_or(RtcpError::Malformed)?;
            read(sub).ok_or(RtcpError::Malformed)?;
            packets += 1;
            // RFC 3550 6.4.1: only the last packet of a compound may be padded.
            if packets > MAX_PACKETS || (sub.padded && !after.is_empty()) {
                return Err(RtcpError::Malformed);
            }
            rest = after;
        }
        if packets == 0 {
            return Err(RtcpError::Malformed);
        }
        Ok(Self { bytes })
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'a>> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (sub, after) = split_packet(rest)?;
            rest = after;
            read(sub)
        })
    }
}

#[derive(Clone, Copy)]
struct Sub<'a> {
    kind: u8,
    count: u8,
    padded: bool,
    /// After the four-byte header, without padding.
    body: &'a [u8],
}

fn split_packet(bytes: &[u8]) -> Option<(Sub<'_>, &[u8])> {
    let [first, kind, ..] = *bytes.first_chunk::<HEADER_LEN>()?;
    if first & 0xc0 != 0x80 {
        return None;
    }
    let len = HEADER_LEN + 4 * usize::from(u16_at(bytes, 2)?);
    let (packet, after) = bytes.split_at_checked(len)?;
    let padded = first & 0x20 != 0;
    let padding = if padded {
        usize::from(*packet.last()?)
    } else {
        0
    };
    if padded && (padding == 0 || padding % 4 != 0) {
        return None;
    }
    let body = packet.get(HEADER_LEN..len.checked_sub(padding)?)?;
    Some((
        Sub {
            kind,
            count: first & 0x1f,
            padded,
            body,
        },
        after,
    ))
}

fn read(sub: Sub<'_>) -> Option<Packet<'_>> {
    let body = sub.body;
    Some(match (sub.kind, sub.count) {
        (SENDER_REPORT, count) => Packet::SenderReport(
            sender_info(body)?,
            blocks(body.get(SENDER_INFO_LEN..)?, count)?,
        ),
        (RECEIVER_REPORT, count) => {
            Packet::ReceiverReport(u32_at(body, 0)?, blocks(body.get(4..)?, count)?)
        }
        (GOODBYE, count) => Packet::Goodbye(Ssrcs(body.get(..4 * usize::from(count))?)),
        (PAYLOAD_FEEDBACK, FORMAT_PLI) => Packet::Pli {
            sender: u32_at(body, 0)?,
            media: u32_at(body, 4)?,
        },
        (PAYLOAD_FEEDBACK, FORMAT_FIR) => Packet::Fir {
            sender: u32_at(body, 0)?,
            entries: FirEntries(body.get(8..)?),
        },
        (TRANSPORT_FEEDBACK, FORMAT_NACK) => Packet::Nack {
            sender: u32_at(body, 0)?,
            media: u32_at(body, 4)?,
            lost: NackEntries(body.get(8..)?),
        },
        (PAYLOAD_FEEDBACK, FORMAT_APPLICATION) => match remb(body) {
            Some(remb) => Packet::Remb(remb),
            None => Packet::Other(PAYLOAD_FEEDBACK, FORMAT_APPLICATION),
        },
        (kind, count) => Packet::Other(kind, count),
    })
}

fn remb(body: &[u8]) -> Option<Remb<'_>> {
    let sender = u32_at(body, 0)?;
    if body.get(8..12)? != REMB {
        return None;
    }
    let word = u32_at(body, 12)?;
    let count = usize::from(*body.get(12)?);
    let exponent = word >> REMB_MANTISSA_BITS & 0x3f;
    let mantissa = u64::from(word & ((1 << REMB_MANTISSA_BITS) - 1));
    Some(Remb {
        sender,
        bits: mantissa
            .checked_shl(exponent)
            .filter(|bits| bits >> exponent == mantissa)
            .unwrap_or(u64::MAX),
        sources: Ssrcs(body.get(16..16 + 4 * count)?),
    })
}

/// Receiver estimated maximum bit rate (draft-alvestrand-rmcat-remb-03).
#[derive(Clone, Debug)]
pub struct Remb<'a> {
    /// Who says so.
    pub sender: u32,
    /// Bits a second.
    pub bits: u64,
    /// The streams that share it.
    pub sources: Ssrcs<'a>,
}

fn sender_info(body: &[u8]) -> Option<SenderInfo> {
    Some(SenderInfo {
        ssrc: u32_at(body, 0)?,
        ntp: u64_at(body, 4)?,
        rtp: u32_at(body, 12)?,
        packets: u32_at(body, 16)?,
        octets: u32_at(body, 20)?,
    })
}

fn blocks(body: &[u8], count: u8) -> Option<ReportBlocks<'_>> {
    // What follows the blocks is a profile's extension (RFC 3550 6.4.3): not ours.
    body.get(..BLOCK_LEN * usize::from(count)).map(ReportBlocks)
}

/// The report blocks of an SR or RR, at most 31.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_at_checked(BLOCK_LEN)?;
        self.0 = rest;
        let lost = u32_at(block, 4)?;
        Some(ReportBlock {
            ssrc: u32_at(block, 0)?,
            fraction_lost: *block.get(4)?,
            // Shifting left and back extends the sign of the 24-bit field.
            cumulative_lost: (lost << 8) as i32 >> 8,
            extended_highest: u32_at(block, 8)?,
            jitter: u32_at(block, 12)?,
            lsr: u32_at(block, 16)?,
            dlsr: u32_at(block, 20)?,
        })
    }
}

/// Sources of a BYE or REMB.
#[derive(Clone, Debug)]
pub struct Ssrcs<'a>(&'a [u8]);

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (ssrc, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*ssrc))
    }
}

/// Entries of a FIR: source and command sequence number.
#[derive(Clone, Debug)]
pub struct FirEntries<'a>(&'a [u8]);

impl Iterator for FirEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let (entry, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        let [a, b, c, d, sequence, ..] = *entry;
        Some((u32::from_be_bytes([a, b, c, d]), sequence))
    }
}

/// Entries of a NACK: first lost sequence number and the bit mask of the 16 after it.
#[derive(Clone, Debug)]
pub struct NackEntries<'a>(&'a [u8]);

impl Iterator for NackEntries<'_> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        let ([a, b, c, d], rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
    }
}
