//! Signal processing of the media engine: codecs, jitter buffer, concealment, resampling, tones.
//!
//! Nothing here knows sockets, clocks or RTP headers: time and sequence numbers are arguments, sound is mono `i16`. The one object
//! a decoding stream needs is [`Playout`]; the one an encoding stream needs is [`Encoder`]. `unsafe` lives in `opus` only.

pub mod codec;
pub mod conceal;
mod decision;
mod delay;
pub mod dtmf;
pub mod error;
pub mod file;
pub mod g711;
pub mod g722;
pub mod jitter;
pub mod level;
pub mod music;
pub mod opus;
mod pitch;
pub mod playout;
pub mod resample;
pub mod ringback;
pub mod stretch;
pub mod tone;

pub use codec::{Codec, Decoder, Encoder, EncoderOptions, MAX_FRAME_BYTES, MAX_SAMPLES};
pub use dtmf::DtmfDetector;
pub use error::CodecError;
pub use jitter::{Counters, Decision, Pushed};
pub use music::Music;
pub use playout::Playout;
pub use ringback::Ringback;
pub use tone::{Tone, ToneSpec};
