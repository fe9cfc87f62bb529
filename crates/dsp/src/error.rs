//! Errors of the codecs. Wire noise (`BadPacket`) is told apart from our own misuse (`UnsupportedRate`, `BadFrame`).

use std::fmt;

/// Why a codec or resampler refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecError {
    /// The codec or resampler does not run at this rate (Hz) or ratio: our misuse.
    UnsupportedRate {
        /// Rate of the input, Hz.
        from: u32,
        /// Rate of the output, Hz.
        to: u32,
    },
    /// The frame handed to an encoder has a length (samples) the codec cannot take: our misuse.
    BadFrame(usize),
    /// The output slice is too small for the result: our misuse.
    OutputTooSmall,
    /// The payload is not a valid packet of this codec: the peer's fault. Conceal it.
    BadPacket,
    /// libopus refused for another reason; the value is its error code.
    Opus(i32),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedRate { from, to } => {
                write!(f, "no conversion from {from} Hz to {to} Hz")
            }
            Self::BadFrame(samples) => write!(f, "the codec takes no frame of {samples} samples"),
            Self::OutputTooSmall => f.write_str("the output slice is too small"),
            Self::BadPacket => f.write_str("the payload is not a packet of this codec"),
            Self::Opus(code) => write!(f, "libopus error {code}"),
        }
    }
}

impl std::error::Error for CodecError {}
