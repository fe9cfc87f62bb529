//! An Opus packet that came from outside and was looked at: nothing else reaches a packet of ours without being decoded.

use std::fmt;

use offhook_dsp::{MAX_FRAME_BYTES, opus};

/// Bytes of one, those of one frame at the highest bit rate (RFC 6716 section 3.2.1): more would not fit a datagram with
/// its headers on every network.
pub const MAX_BYTES: usize = MAX_FRAME_BYTES;

/// A whole Opus packet of at most 120 ms.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Box<[u8]>,
    ticks: u32,
}

impl Frame {
    /// Looks at it.
    ///
    /// # Errors
    /// What is wrong with it, in words for its sender.
    pub fn new(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            let length = bytes.len();
            return Err(format!(
                "an Opus packet of {length} bytes is too long: {MAX_BYTES} at most are sent"
            ));
        }
        let ticks = opus::checked_ticks(bytes)
            .ok_or("this is no Opus packet (RFC 6716 section 3.4), or longer than 120 ms")?;
        Ok(Self {
            bytes: bytes.into(),
            ticks,
        })
    }

    /// As it came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its length, in ticks of 48 kHz.
    #[must_use]
    pub fn ticks(&self) -> u32 {
        self.ticks
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<Opus, {} bytes, {} ticks>",
            self.bytes.len(),
            self.ticks
        )
    }
}
