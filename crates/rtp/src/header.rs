//! The RTP header, read and rewritten in place (RFC 3550 5.1).

use core::fmt;
use core::ops::Range;

use crate::wire::{u16_at, u32_at};

/// Length of the fixed part of the header, in bytes.
pub const FIXED_LEN: usize = 12;

const VERSION_2: u8 = 0x80;
const PADDING: u8 = 0x20;
const EXTENSION: u8 = 0x10;
const CSRC_MASK: u8 = 0x0f;
const MARKER: u8 = 0x80;
const PAYLOAD_TYPE_MASK: u8 = 0x7f;

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Shorter than the header it announces.
    TooShort,
    /// The version is not 2.
    Version,
    /// The padding count is zero or larger than the payload.
    Padding,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "RTP packet shorter than its header",
            Self::Version => "RTP version is not 2",
            Self::Padding => "RTP padding count does not fit the payload",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Where a header extension lies in its packet (RFC 3550 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionSpan {
    /// The 16 bits "defined by profile": 0xBEDE or 0x100x for RFC 8285.
    pub profile: u16,
    /// Offset of the extension's data, after its four-byte header.
    pub start: usize,
    /// Offset of the first byte after the data.
    pub end: usize,
}

/// A parsed header: fields by value, variable parts as ranges into the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0..=127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// RTP time stamp in units of the codec's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Number of contributing sources, 0..=15.
    pub csrc_count: u8,
    /// The P bit. In a sealed packet the count itself is still encrypted.
    pub padded: bool,
    /// The header extension, when the X bit is set.
    pub extension: Option<ExtensionSpan>,
    /// Offset of the payload: the length of the whole header.
    pub payload_start: usize,
    /// Offset of the first byte after the payload; padding lies beyond it.
    pub payload_end: usize,
}

impl Header {
    /// Parses an opened (or plain) packet, padding included.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn parse(packet: &[u8]) -> Result<Self, HeaderError> {
        let mut header = Self::parse_sealed(packet)?;
        if header.padded {
            let count = usize::from(*packet.last().ok_or(HeaderError::TooShort)?);
            if count == 0 || count > packet.len() - header.payload_start {
                return Err(HeaderError::Padding);
            }
            header.payload_end -= count;
        }
        Ok(header)
    }

    /// Parses the header of a packet whose payload is still encrypted: padding is not looked at, and the payload range
    /// reaches to the end of the packet, the authentication tag included.
    ///
    /// # Errors
    /// `TooShort` or `Version`.
    pub fn parse_sealed(packet: &[u8]) -> Result<Self, HeaderError> {
        let fixed: &[u8; FIXED_LEN] = packet.first_chunk().ok_or(HeaderError::TooShort)?;
        let [first, second, ..] = *fixed;
        if first & 0xc0 != VERSION_2 {
            return Err(HeaderError::Version);
        }
        let csrc_count = first & CSRC_MASK;
        let mut payload_start = FIXED_LEN + 4 * usize::from(csrc_count);
        let mut extension = None;
        if first & EXTENSION != 0 {
            let span = extension_at(packet, payload_start).ok_or(HeaderError::TooShort)?;
            payload_start = span.end;
            extension = Some(span);
        }
        if payload_start > packet.len() {
            return Err(HeaderError::TooShort);
        }
        Ok(Self {
            marker: second & MARKER != 0,
            payload_type: second & PAYLOAD_TYPE_MASK,
            sequence: u16_at(fixed, 2).unwrap_or_default(),
            timestamp: u32_at(fixed, 4).unwrap_or_default(),
            ssrc: u32_at(fixed, 8).unwrap_or_default(),
            csrc_count,
            padded: first & PADDING != 0,
            extension,
            payload_start,
            payload_end: packet.len(),
        })
    }

    /// The payload's range in the packet, without padding.
    #[must_use]
    pub fn payload_range(&self) -> Range<usize> {
        self.payload_start..self.payload_end
    }

    /// The payload of the packet this header was parsed from; empty for another, shorter one.
    #[must_use]
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(self.payload_range()).unwrap_or_default()
    }

    /// The data of the header extension, without its four-byte header; empty when there is none.
    #[must_use]
    pub fn extension_data<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        self.extension
            .and_then(|span| packet.get(span.start..span.end))
            .unwrap_or_default()
    }
}

fn extension_at(packet: &[u8], at: usize) -> Option<ExtensionSpan> {
    let profile = u16_at(packet, at)?;
    let words = usize::from(u16_at(packet, at + 2)?);
    let start = at + 4;
    Some(ExtensionSpan {
        profile,
        start,
        end: start + 4 * words,
    })
}

/// The fields we decide for a packet we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0..=127; the eighth bit is ignored.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// RTP time stamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Fields {
    /// Overwrites these fields of the packet, everything else stays. `None`, and nothing written, below 12 bytes.
    pub fn rewrite(&self, packet: &mut [u8]) -> Option<()> {
        let fixed: &mut [u8; FIXED_LEN] = packet.first_chunk_mut()?;
        let [first, ..] = *fixed;
        *fixed = self.fixed(first);
        Some(())
    }

    /// Writes a header without sources or extension; returns its length, 12. `None` when the buffer is shorter.
    pub fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        *buffer.first_chunk_mut()? = self.fixed(VERSION_2);
        Some(FIXED_LEN)
    }

    fn fixed(&self, first: u8) -> [u8; FIXED_LEN] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let second = (self.payload_type & PAYLOAD_TYPE_MASK) | if self.marker { MARKER } else { 0 };
        [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }
}

/// Removes padding: clears the P bit and returns the packet's length without it (the same length when there is none).
///
/// # Errors
/// See [`HeaderError`].
pub fn strip_padding(packet: &mut [u8]) -> Result<usize, HeaderError> {
    let header = Header::parse(packet)?;
    clear_flag(packet, PADDING);
    Ok(header.payload_end)
}

pub(crate) fn set_extension_flag(packet: &mut [u8], present: bool) {
    clear_flag(packet, EXTENSION);
    if let Some(first) = packet.first_mut() {
        *first |= if present { EXTENSION } else { 0 };
    }
}

fn clear_flag(packet: &mut [u8], flag: u8) {
    if let Some(first) = packet.first_mut() {
        *first &= !flag;
    }
}
