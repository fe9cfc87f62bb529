//! Silence that need not be sent: comfort noise in the place of sound (RFC 3389), and what Opus leaves out (RFC 7587 section 3.1.3).

use offhook_dsp::{Codec, opus};

use crate::description;

/// Comfort noise is described anew so often, ms, as Opus describes its silence: who begins to listen need not wait long.
const AGAIN_MS: u32 = 400;
/// And sooner when its level has changed by so much, dB, though not at once: a level that sways is no news.
const CHANGED: u8 = 6;
const SOONER_MS: u32 = 100;
/// Noise louder than this, -dBov, is not asked for: the silence after a word is measured with its end.
const LOUDEST: u8 = 30;
/// Length of a tick, ms.
const TICK_MS: u32 = 20;

/// What comes of the sound of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made<'a> {
    /// A payload of the codec.
    Sound(&'a [u8]),
    /// A packet of comfort noise of this level, -dBov.
    Noise(u8),
    /// Nothing: its time passes.
    Pause,
}

/// Where an encoder is in announced silence.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Pauses {
    /// The level of the last tick, if it was silence, and how long there has been nothing else, ms.
    silence: Option<u8>,
    quiet_ms: u32,
    /// What the peer was told, -dBov, and how long ago, ms.
    told: Option<(u8, u32)>,
    /// Opus has said that it pauses.
    resting: bool,
}

impl Pauses {
    /// Takes a tick: silence of a level, or sound.
    pub(crate) fn tick(&mut self, silence: Option<u8>) {
        self.quiet_ms = match silence {
            Some(_) => self.quiet_ms.saturating_add(TICK_MS),
            None => 0,
        };
        self.silence = silence;
    }

    /// What is sent in the place of a packet, if all of it is silence; its first tick is sent as sound, so that a press or a
    /// late packet between two words is no pause.
    pub(crate) fn instead(&mut self, packet_ms: u32) -> Option<Made<'static>> {
        let level = self.silence.map(|level| level.clamp(LOUDEST, 127));
        let Some(level) = level.filter(|_| self.quiet_ms >= packet_ms + TICK_MS) else {
            self.told = None;
            return None;
        };
        let (due, ago) = match self.told {
            None => (true, 0),
            Some((before, ago)) => {
                let ago = ago + packet_ms;
                let news = before.abs_diff(level) >= CHANGED && ago >= SOONER_MS;
                (ago >= AGAIN_MS || news, ago)
            }
        };
        if due {
            self.told = Some((level, 0));
            return Some(Made::Noise(level));
        }
        self.told = self.told.map(|(before, _)| (before, ago));
        Some(Made::Pause)
    }

    /// Whether a pause of Opus begins with the packet in hand.
    pub(crate) fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.resting, true)
    }

    /// Whether a packet of Opus is left out: all of a pause but its first, which announces it, and those that describe it.
    pub(crate) fn left_out(&mut self, payload: &[u8]) -> bool {
        let rests = opus::is_dtx(payload);
        std::mem::replace(&mut self.resting, rests) && rests
    }
}

/// Whether a peer that hears a codec by these descriptions wants silence left out.
pub(crate) fn wanted(codec: Codec, audio: &[description::Codec], comfort: bool) -> bool {
    if codec != Codec::Opus {
        return comfort;
    }
    let asks = |one: &description::Codec| {
        let mut parameters = one.fmtp.split(';').map(str::trim);
        Codec::from_name(&one.name) == Some(Codec::Opus)
            && parameters.any(|one| one.eq_ignore_ascii_case("usedtx=1"))
    };
    audio.iter().any(asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(pauses: &mut Pauses, level: u8, ticks: u32) -> Vec<Option<Made<'static>>> {
        (0..ticks)
            .map(|_| {
                pauses.tick(Some(level));
                pauses.instead(TICK_MS)
            })
            .collect()
    }

    #[test]
    fn silence_is_told_once_then_every_400_ms_and_when_it_changes() {
        let mut pauses = Pauses::default();
        pauses.tick(None);
        assert_eq!(pauses.instead(TICK_MS), None);
        let made = quiet(&mut pauses, 60, 45);
        assert_eq!(made[0], None, "one tick is no pause");
        let told: Vec<usize> = (0..45)
            .filter(|at| matches!(made[*at], Some(Made::Noise(60))))
            .collect();
        assert_eq!(told, [1, 21, 41]);
        assert!(made[2..21].iter().all(|one| *one == Some(Made::Pause)));
        // The fourth packet after the last word about it is the first that may tell of a change.
        let made = quiet(&mut pauses, 50, 2);
        assert_eq!(made, [Some(Made::Pause), Some(Made::Noise(50))]);
        let made = quiet(&mut pauses, 10, 6);
        assert_eq!(made[4], Some(Made::Noise(LOUDEST)), "{made:?}");
        pauses.tick(None);
        assert_eq!(pauses.instead(TICK_MS), None);
    }

    #[test]
    fn of_opus_the_first_packet_of_a_pause_and_those_that_describe_it_are_sent() {
        let mut pauses = Pauses::default();
        let sent = |pauses: &mut Pauses, bytes: usize| !pauses.left_out(&vec![8; bytes]);
        let lengths = [40, 1, 1, 1, 12, 1, 1, 40];
        let sent: Vec<bool> = lengths.map(|one| sent(&mut pauses, one)).to_vec();
        assert_eq!(sent, [true, true, false, false, true, true, false, true]);
    }
}
