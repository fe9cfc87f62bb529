//! Players: a sound of our own as a leg's source.

use offhook_dsp::{Music, Ringback, Tone, ToneSpec};

use crate::description::SourceKind;

enum Sound {
    Tone(Tone),
    Music(Music),
}

/// What is played, and at which rate it is made.
pub(crate) struct Player {
    kind: SourceKind,
    country: String,
    sound: Option<(u32, Sound)>,
}

impl Player {
    pub(crate) fn new(kind: SourceKind, country: &str) -> Self {
        Self {
            kind,
            country: country.to_ascii_uppercase(),
            sound: None,
        }
    }

    /// tone, music or ringback.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            SourceKind::Tone => "tone",
            SourceKind::Music => "music",
            SourceKind::Ringback => "ringback",
        }
    }

    /// Whether this already plays that.
    pub(crate) fn plays(&self, kind: SourceKind, country: &str) -> bool {
        self.kind == kind && self.country.eq_ignore_ascii_case(country)
    }

    /// Fills `out` with the next samples at `rate` Hz.
    pub(crate) fn fill(&mut self, rate: u32, out: &mut [i16]) {
        if self
            .sound
            .as_ref()
            .is_none_or(|(made_for, _)| *made_for != rate)
        {
            self.sound = Some((rate, self.begin(rate)));
        }
        match &mut self.sound {
            Some((_, Sound::Tone(tone))) => tone.fill(out),
            Some((_, Sound::Music(music))) => music.fill(out),
            None => {}
        }
    }

    fn begin(&self, rate: u32) -> Sound {
        match self.kind {
            SourceKind::Tone => Sound::Tone(Tone::new(ToneSpec::TEST, rate)),
            SourceKind::Music => Sound::Music(Music::new(rate)),
            SourceKind::Ringback => Sound::Tone(Tone::ringback(Ringback::of(&self.country), rate)),
        }
    }
}
