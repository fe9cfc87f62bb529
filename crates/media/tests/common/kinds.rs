//! Codecs as a description names them and as the test's own coder knows them.

use offhook_dsp::Codec as Speech;
use offhook_media::description::Codec;

use super::codec;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    pub name: &'static str,
    pub payload_type: u8,
    pub clock: u32,
    pub speech: Speech,
    /// Samples a second of the coder.
    pub rate: u32,
}

const fn kind(name: &'static str, payload_type: u8, clock: u32, speech: Speech, rate: u32) -> Kind {
    Kind {
        name,
        payload_type,
        clock,
        speech,
        rate,
    }
}

impl Kind {
    pub fn audio(self) -> Vec<Codec> {
        vec![codec(self.name, self.payload_type, self.clock)]
    }
}

pub const PCMU: Kind = kind("PCMU", 0, 8_000, Speech::Pcmu, 8_000);
pub const PCMA: Kind = kind("PCMA", 8, 8_000, Speech::Pcma, 8_000);
pub const G722: Kind = kind("G722", 9, 8_000, Speech::G722, 16_000);
pub const OPUS: Kind = kind("OPUS", 111, 48_000, Speech::Opus, 16_000);
