//! A member who is heard in his room: decoded, as loud as he shall be, for each rate at which somebody hears.

use std::time::{Duration, Instant};

use offhook_dsp::{Codec, level};

use crate::ids::LegId;
use crate::receive::Incoming;
use crate::transcode::{Decoding, MAX_TICK_SAMPLES};
use crate::voice::{FULL, Rates, Voice};

/// Who was not loud for so long makes room for another.
pub(crate) const HANG: Duration = Duration::from_millis(300);
/// Softest speech, dBov: breathing and line noise lie below.
pub(crate) const SPEECH: f32 = -55.0;
/// What a packet counts for whose loudness nothing tells: softer than speech that is known.
const UNTOLD: f32 = -50.0;

/// What a tick weighs against the level before it, and the lowest that counts, dBov: 200 ms of silence are no speech.
const NEWS: f32 = 0.1;
const QUIET: f32 = -70.0;

/// A member who is heard.
pub(crate) struct Speaker {
    pub(crate) leg: LegId,
    decoding: Box<Decoding>,
    /// For the first who hear full band though he spoke already: nobody else shall notice that they came.
    fuller: Option<Box<Decoding>>,
    pub(crate) voice: Voice,
    pub(crate) loud: Instant,
    pub(crate) level: f32,
    /// Of the last fifth of a second or so, dBov.
    pub(crate) lately: f32,
    /// What its samples are multiplied by.
    factor: f32,
    /// Is heard no more after the next tick, in which it fades.
    pub(crate) leaves: bool,
    /// What it hears is made for it alone.
    pub(crate) apart: bool,
}

impl Speaker {
    /// `None` when the codec cannot be decoded: a bug of the tables above it.
    pub(crate) fn new(
        leg: LegId,
        codec: Codec,
        rate: u32,
        level: f32,
        now: Instant,
    ) -> Option<Self> {
        Some(Self {
            leg,
            decoding: Box::new(Decoding::new(leg, codec, rate)?),
            fuller: None,
            voice: Voice::new(rate),
            loud: now,
            level,
            lately: QUIET,
            factor: 1.0,
            leaves: false,
            apart: false,
        })
    }

    /// The next 20 ms, for listeners at these rates, `gain` dB louder.
    pub(crate) fn pull(&mut self, gain: i8, rates: &Rates, now: Instant) {
        let factor = match gain {
            _ if self.leaves => 0.0,
            0 => 1.0,
            gain => 10f32.powf(f32::from(gain) / 20.0),
        };
        // Over a tick, so that no change clicks.
        let ramp = (std::mem::replace(&mut self.factor, factor), factor);
        let mut louder = [0i16; MAX_TICK_SAMPLES];
        let pulled = self.decoding.pull(now);
        self.level = level::rms_dbov(pulled);
        if self.level >= SPEECH {
            self.loud = now;
        }
        self.lately += (self.level.max(QUIET) - self.lately) * NEWS;
        self.voice.take(amplified(pulled, ramp, &mut louder), rates);
        let codec = self.decoding.codec();
        let fuller = codec.native_rate() == FULL && self.decoding.rate() != FULL;
        if !fuller || !rates.contains(&FULL) {
            self.fuller = None;
            return;
        }
        if self.fuller.is_none() {
            self.fuller = Decoding::new(self.leg, codec, FULL).map(Box::new);
        }
        if let Some(fuller) = &mut self.fuller {
            let pulled = fuller.pull(now);
            self.voice.put(FULL, amplified(pulled, ramp, &mut louder));
        }
    }

    /// A packet. Only another codec makes another decoder: a speaker keeps his rate as long as he speaks.
    pub(crate) fn hear(
        &mut self,
        codec: Codec,
        rate: u32,
        packet: (&Incoming, &[u8]),
        now: Instant,
    ) {
        if self.decoding.codec() != codec {
            let Some(fresh) = Decoding::new(self.leg, codec, rate) else {
                return;
            };
            (*self.decoding, self.voice, self.fuller) = (fresh, Voice::new(rate), None);
        }
        let (incoming, payload) = packet;
        for one in self.decodings() {
            one.push(incoming, payload, now);
        }
    }

    pub(crate) fn decodings(&mut self) -> impl Iterator<Item = &mut Decoding> {
        let fuller = self.fuller.as_deref_mut();
        std::iter::once(self.decoding.as_mut()).chain(fuller)
    }

    /// How its decoder gets on with its packets.
    pub(crate) fn counters(&self) -> offhook_dsp::Counters {
        self.decoding.counters()
    }

    /// Whether it goes on being decoded.
    pub(crate) fn stays(&self, now: Instant) -> bool {
        !self.leaves && now.saturating_duration_since(self.loud) < 2 * HANG
    }
}

/// 20 ms multiplied by what grows or falls from one factor to another; as they are where that is 1.
fn amplified<'a>(pcm: &'a [i16], (from, to): (f32, f32), out: &'a mut [i16]) -> &'a [i16] {
    if (from, to) == (1.0, 1.0) {
        return pcm;
    }
    let step = (to - from) / pcm.len().max(1) as f32;
    let mut factor = from;
    for (sample, one) in out.iter_mut().zip(pcm) {
        factor += step;
        // Saturates: a sum of loud voices is bent, a single one is not.
        *sample = (f32::from(*one) * factor) as i16;
    }
    out.get(..pcm.len()).unwrap_or_default()
}

/// How loud a packet is, dBov, as far as it tells without being decoded.
pub(crate) fn loudness(codec: Codec, incoming: &Incoming, payload: &[u8]) -> f32 {
    if let Some(told) = incoming.level {
        return -f32::from(told.level);
    }
    match codec {
        Codec::Pcmu | Codec::Pcma => level::companded_dbov(codec, payload),
        Codec::Opus | Codec::G722 if incoming.lone || codec.is_silence_hint(payload) => {
            level::FLOOR_DBOV
        }
        Codec::Opus | Codec::G722 => UNTOLD,
    }
}
