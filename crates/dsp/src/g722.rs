//! G.722 at 64 kbit/s (ITU-T G.722 mode 1): 16 kHz inside, one byte for two samples. State crosses frames.
//!
//! The RTP clock of G.722 is 8 000 (RFC 3551 4.5.2, a historic error that stays): one byte is one tick.

use ezk_g722::libg722::{self, Bitrate};

use crate::error::CodecError;

/// Encoder: 16 kHz PCM to G.722.
pub struct Encoder(libg722::encoder::Encoder);

/// Decoder: G.722 to 16 kHz PCM.
pub struct Decoder(libg722::decoder::Decoder);

impl Encoder {
    /// A fresh encoder.
    #[must_use]
    pub fn new() -> Self {
        Self(libg722::encoder::Encoder::new(
            Bitrate::Mode1_64000,
            false,
            false,
        ))
    }

    /// Encodes an even number of samples into half as many bytes; the bytes written.
    ///
    /// # Errors
    /// [`CodecError::BadFrame`] for an odd length, [`CodecError::OutputTooSmall`].
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        if pcm.len() % 2 != 0 {
            return Err(CodecError::BadFrame(pcm.len()));
        }
        let size = pcm.len() / 2;
        let out = out.get_mut(..size).ok_or(CodecError::OutputTooSmall)?;
        out.copy_from_slice(&self.0.encode(pcm));
        Ok(size)
    }
}

impl Decoder {
    /// A fresh decoder.
    #[must_use]
    pub fn new() -> Self {
        Self(libg722::decoder::Decoder::new(
            Bitrate::Mode1_64000,
            false,
            false,
        ))
    }

    /// Decodes a payload into twice as many samples; the samples written.
    ///
    /// # Errors
    /// [`CodecError::OutputTooSmall`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let size = payload.len() * 2;
        let out = out.get_mut(..size).ok_or(CodecError::OutputTooSmall)?;
        out.copy_from_slice(&self.0.decode(payload));
        Ok(size)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}
