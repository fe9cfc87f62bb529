//! Packets on a stream (RFC 4571): two bytes of length before each.

use std::io;

/// Bytes of the length before each frame.
const LENGTH: usize = 2;
/// Bytes read at once.
const READ: usize = 16 * 1024;

/// What a stream holds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame of so many bytes.
    Frame(usize),
    /// A frame that is not whole yet, or nothing.
    Wait,
    /// A frame that is larger than what it shall go into: the stream cannot go on.
    TooLarge,
}

/// What was read of a stream and is not yet taken.
#[derive(Debug, Default)]
pub struct Frames {
    unread: Vec<u8>,
}

impl Frames {
    /// A stream of which these bytes were read already.
    #[must_use]
    pub fn new(read: Vec<u8>) -> Self {
        Self { unread: read }
    }

    /// Lets `read` fill a part of the stream; how many bytes it read.
    ///
    /// # Errors
    /// Those of `read`; nothing has changed then.
    pub fn read(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        let start = self.unread.len();
        self.unread.resize(start + READ, 0);
        let place = self.unread.get_mut(start..).unwrap_or_default();
        let count = read(place).map(|count| count.min(READ));
        self.unread.truncate(start + *count.as_ref().unwrap_or(&0));
        count
    }

    /// Takes the next whole frame into `buffer`.
    pub fn next(&mut self, buffer: &mut [u8]) -> Next {
        let Some(length) = self.unread.first_chunk().copied() else {
            return Next::Wait;
        };
        let length = usize::from(u16::from_be_bytes(length));
        let Some(place) = buffer.get_mut(..length) else {
            return Next::TooLarge;
        };
        let Some(frame) = self.unread.get(LENGTH..LENGTH + length) else {
            return Next::Wait;
        };
        place.copy_from_slice(frame);
        self.unread.drain(..LENGTH + length);
        Next::Frame(length)
    }

    /// Bytes that are kept of a frame that is not whole.
    #[must_use]
    pub fn len(&self) -> usize {
        self.unread.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }
}

/// The frame of a packet; `None` when it is longer than a length can say.
#[must_use]
pub fn framed(packet: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(packet.len()).ok()?;
    Some([&length.to_be_bytes(), packet].concat())
}
