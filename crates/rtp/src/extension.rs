//! RTP header extensions: the one-byte and two-byte forms (RFC 8285), audio level (RFC 6464), MID (RFC 9143).

use core::fmt;

use arrayvec::ArrayVec;

use crate::header::{Header, set_extension_flag};
use crate::wire::put;

/// Bytes of extensions a packet of ours may carry, without the four-byte header; more is nothing we negotiate.
pub const MAX_DATA_LEN: usize = 256;
/// Extensions a leg may map; SDP offers of browsers carry about a dozen.
pub const MAX_MAPPED: usize = 16;

const ONE_BYTE_PROFILE: u16 = 0xbede;
const TWO_BYTE_PROFILE: u16 = 0x1000;
/// The low four bits of the two-byte profile are "appbits" (RFC 8285 4.3).
const TWO_BYTE_MASK: u16 = 0xfff0;
/// RFC 8285 4.2: id 15 of the one-byte form ends the parsing.
const ONE_BYTE_STOP: u8 = 15;

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Ids 1..=14, 1..=16 bytes each (RFC 8285 4.2).
    OneByte,
    /// Ids 1..=255, 0..=255 bytes each (RFC 8285 4.3).
    TwoByte,
}

impl Form {
    /// The form that a profile field announces; `None` for extensions that are not RFC 8285.
    #[must_use]
    pub fn of_profile(profile: u16) -> Option<Self> {
        match profile {
            ONE_BYTE_PROFILE => Some(Self::OneByte),
            _ if profile & TWO_BYTE_MASK == TWO_BYTE_PROFILE => Some(Self::TwoByte),
            _ => None,
        }
    }
}

/// One extension element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Local identifier, as negotiated by `extmap`.
    pub id: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// Iterates the elements of one extension block; stops at the first that does not fit.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Elements of a block's data (without its four-byte header).
    #[must_use]
    pub fn new(form: Form, data: &'a [u8]) -> Self {
        Self { form, rest: data }
    }

    /// Elements of a packet; none when it has no RFC 8285 extension.
    #[must_use]
    pub fn of(header: &Header, packet: &'a [u8]) -> Self {
        match header
            .extension
            .and_then(|span| Form::of_profile(span.profile))
        {
            Some(form) => Self::new(form, header.extension_data(packet)),
            None => Self::new(Form::OneByte, &[]),
        }
    }

    fn step(&mut self) -> Option<Element<'a>> {
        while let Some((0, rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        let (id, len, rest) = match (self.form, self.rest) {
            (Form::OneByte, [head, rest @ ..]) => (head >> 4, usize::from(head & 0x0f) + 1, rest),
            (Form::TwoByte, [id, len, rest @ ..]) => (*id, usize::from(*len), rest),
            _ => return None,
        };
        if self.form == Form::OneByte && id == ONE_BYTE_STOP {
            return None;
        }
        let (data, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Element { id, data })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let element = self.step();
        if element.is_none() {
            self.rest = &[];
        }
        // Id 0 of the one-byte form with a length is padding with data (RFC 8285 4.2): skipped, not an element.
        match element {
            Some(Element { id: 0, .. }) => self.next(),
            other => other,
        }
    }
}

/// An element that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionError {
    /// The id or the length does not fit the form.
    Unrepresentable,
    /// The block would exceed `MAX_DATA_LEN`.
    Full,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unrepresentable => "extension id or length does not fit its form",
            Self::Full => "header extensions too long",
        })
    }
}

impl std::error::Error for ExtensionError {}

/// Writes one extension block.
#[derive(Clone, Debug)]
pub struct ExtensionWriter {
    form: Form,
    block: ArrayVec<u8, { 4 + MAX_DATA_LEN }>,
}

impl ExtensionWriter {
    /// An empty block.
    #[must_use]
    pub fn new(form: Form) -> Self {
        let profile = match form {
            Form::OneByte => ONE_BYTE_PROFILE,
            Form::TwoByte => TWO_BYTE_PROFILE,
        };
        let [high, low] = profile.to_be_bytes();
        let mut block = ArrayVec::new();
        block.extend([high, low, 0, 0]);
        Self { form, block }
    }

    /// Adds an element.
    ///
    /// # Errors
    /// See [`ExtensionError`]; the block is then unchanged.
    pub fn push(&mut self, id: u8, data: &[u8]) -> Result<(), ExtensionError> {
        let len = u8::try_from(data.len()).map_err(|_| ExtensionError::Unrepresentable)?;
        let mut head = ArrayVec::<u8, 2>::new();
        match (self.form, id, len) {
            (Form::OneByte, 1..=14, 1..=16) => head.push(id << 4 | (len - 1)),
            (Form::TwoByte, 1..=255, _) => head.extend([id, len]),
            _ => return Err(ExtensionError::Unrepresentable),
        }
        if self.block.remaining_capacity() < head.len() + data.len() {
            return Err(ExtensionError::Full);
        }
        self.block.extend(head);
        self.block.extend(data.iter().copied());
        Ok(())
    }

    /// The whole block with its header, padded to 32 bits; empty when nothing was pushed.
    pub fn finish(&mut self) -> &[u8] {
        if self.block.len() <= 4 {
            return &[];
        }
        while self.block.len() % 4 != 0 {
            self.block.push(0);
        }
        let words = u16::try_from(self.block.len() / 4 - 1).unwrap_or_default();
        put(&mut self.block, 2, &words.to_be_bytes());
        &self.block
    }
}

/// Which incoming extension ids cross to the other leg, and under which id. Every other is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    pairs: ArrayVec<(u8, u8), MAX_MAPPED>,
}

impl IdMap {
    /// Lets `from` pass as `to`. `false`, and nothing changed, when the map is full or either id is taken.
    pub fn allow(&mut self, from: u8, to: u8) -> bool {
        let taken = self.pairs.iter().any(|pair| pair.0 == from || pair.1 == to);
        !taken && self.pairs.try_push((from, to)).is_ok()
    }

    /// The outgoing id of an incoming one.
    #[must_use]
    pub fn get(&self, from: u8) -> Option<u8> {
        self.pairs
            .iter()
            .find(|pair| pair.0 == from)
            .map(|pair| pair.1)
    }

    /// Copies the elements that may cross into a block; what the block cannot hold is dropped.
    pub fn copy(&self, elements: Elements<'_>, into: &mut ExtensionWriter) {
        for element in elements {
            if let Some(id) = self.get(element.id) {
                // An element that does not fit the outgoing form is of no use there.
                let _ = into.push(id, element.data);
            }
        }
    }
}

/// Replaces the extension of the packet `buffer[start..]` by `block` (as `ExtensionWriter::finish` gives it; empty for
/// none) without moving the payload: the header moves, towards `start` of the buffer when the block is longer.
/// Returns the packet's new start; `None`, and nothing written, when there is no head room for it.
/// `header` must be parsed from this packet.
pub fn replace(buffer: &mut [u8], start: usize, header: &Header, block: &[u8]) -> Option<usize> {
    let fixed = crate::header::FIXED_LEN + 4 * usize::from(header.csrc_count);
    let payload = start.checked_add(header.payload_start)?;
    let block_at = payload.checked_sub(block.len())?;
    let new_start = block_at.checked_sub(fixed)?;
    if payload > buffer.len() {
        return None;
    }
    buffer.copy_within(start..start.checked_add(fixed)?, new_start);
    put(buffer, block_at, block)?;
    set_extension_flag(buffer.get_mut(new_start..)?, !block.is_empty());
    Some(new_start)
}

/// Voice activity and level of a packet's audio (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender believes this is speech.
    pub voice: bool,
    /// Level in −dBov: 0 loudest, 127 silence.
    pub level: u8,
}

impl AudioLevel {
    /// Reads the element's data, in either form (RFC 6464 3).
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let byte = *data.first()?;
        Some(Self {
            voice: byte & 0x80 != 0,
            level: byte & 0x7f,
        })
    }

    /// The element's data.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        (self.level & 0x7f) | if self.voice { 0x80 } else { 0 }
    }
}

/// The MID an element carries; `None` when it is empty or not text (RFC 9143 15).
#[must_use]
pub fn parse_mid(data: &[u8]) -> Option<&str> {
    core::str::from_utf8(data)
        .ok()
        .filter(|mid| !mid.is_empty())
}
