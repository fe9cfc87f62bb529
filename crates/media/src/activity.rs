//! Voice activity of a leg: whether its peer speaks, told when it changes. Only legs that are watched pay for it.

use std::time::{Duration, Instant};

use offhook_dsp::Codec;

use crate::engine::Engine;
use crate::event::Event;
use crate::ids::LegId;
use crate::receive::Incoming;
use crate::speaker::{SPEECH, loudness};

/// So many packets of voice in a row are a word; less is a click.
const BEGINS: u8 = 3;
/// So long without voice is the end of it: longer than the pause before a consonant or a breath.
const ENDS: Duration = Duration::from_millis(500);

/// A peer that is watched.
#[derive(Default)]
pub(crate) struct Activity {
    row: u8,
    last: Option<Instant>,
    active: bool,
}

impl Activity {
    /// A packet of speech; whether it says that the peer speaks now.
    pub(crate) fn packet(
        &mut self,
        codec: Codec,
        incoming: &Incoming,
        payload: &[u8],
        now: Instant,
    ) -> bool {
        if loudness(codec, incoming, payload) < SPEECH {
            self.row = 0;
            return false;
        }
        self.last = Some(now);
        self.row = self.row.saturating_add(1);
        let begins = !self.active && self.row >= BEGINS;
        self.active |= begins;
        begins
    }

    /// Whether what was voice is over.
    fn over(&mut self, now: Instant) -> bool {
        let quiet = |last: Instant| now.saturating_duration_since(last) >= ENDS;
        let over = self.active && self.last.is_none_or(quiet);
        self.active &= !over;
        over
    }
}

impl Engine {
    /// Whether the leg's peer speaks is told from now on, or no more.
    pub(crate) fn watch_voice(&mut self, id: LegId, on: bool) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let watched = leg.taps.voice.take();
        leg.taps.voice = on.then(|| watched.unwrap_or_default());
    }

    /// Four times a second: silence is no packet that would tell of itself.
    pub(crate) fn watch_silence(&mut self, id: LegId, now: Instant) {
        let leg = self.legs.get_mut(id);
        let watched = leg.and_then(|leg| leg.taps.voice.as_mut());
        if watched.is_some_and(|one| one.over(now)) {
            self.out.event(voice(id, false));
        }
    }
}

pub(crate) fn voice(leg: LegId, active: bool) -> Event {
    Event::VoiceActivity { leg: leg.0, active }
}
