//! Tones and cadences: one or two sines, switched on and off. Deterministic; phase runs through frames.

use std::f64::consts::TAU;

use crate::ringback::Ringback;

/// What a tone sounds like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToneSpec {
    /// Frequencies, Hz; the second may be 0 for a single tone.
    pub hertz: [f32; 2],
    /// Level of each sine, dBFS (0 is a full-scale sine).
    pub dbfs: f32,
    /// Sound of each cycle, milliseconds.
    pub on_ms: u32,
    /// Pause of each cycle, milliseconds; 0 is a steady tone.
    pub off_ms: u32,
}

impl ToneSpec {
    /// What the `tone` destination plays: 1 000 Hz at -10 dBFS, steady.
    pub const TEST: Self = Self {
        hertz: [1_000.0, 0.0],
        dbfs: -10.0,
        on_ms: 1_000,
        off_ms: 0,
    };
}

/// One sine as a rotating phasor: a multiplication per sample instead of a sine.
#[derive(Debug, Clone, Copy)]
struct Oscillator {
    now: (f64, f64),
    step: (f64, f64),
}

impl Oscillator {
    fn new(hertz: f32, amplitude: f64, rate: u32) -> Self {
        let (sin, cos) = (TAU * f64::from(hertz) / f64::from(rate)).sin_cos();
        Self {
            now: (amplitude, 0.0),
            step: (cos, sin),
        }
    }

    fn next(&mut self) -> f64 {
        let ((re, im), (cos, sin)) = (self.now, self.step);
        self.now = (re * cos - im * sin, re * sin + im * cos);
        im
    }
}

/// A running tone at one rate.
#[derive(Debug, Clone)]
pub struct Tone {
    voices: Vec<Oscillator>,
    /// What makes it swell and fade.
    beats: Option<Oscillator>,
    /// Sound, pause, sound, pause of a cycle, samples.
    rhythm: [u64; 4],
    /// Samples of the fade at each edge of a cadence, so that it does not click.
    ramp: u64,
    position: u64,
}

/// Fade at each edge of a cadence, milliseconds.
const RAMP_MS: u64 = 5;
/// Levels of ringback, dBFS: of each of two sines, of one, of the peaks of one that swells and fades. All sound as loud.
const PAIR_DBFS: f32 = -19.0;
const SINGLE_DBFS: f32 = -16.0;
const BEATING_DBFS: f32 = -12.0;

impl Tone {
    /// A tone at `rate` Hz, starting with its sound.
    #[must_use]
    pub fn new(spec: ToneSpec, rate: u32) -> Self {
        let rhythm = [spec.on_ms, spec.off_ms, 0, 0];
        Self::made(spec.hertz, spec.dbfs, rhythm, rate)
    }

    /// A country's ringback at `rate` Hz, starting with its sound.
    #[must_use]
    pub fn ringback(ringback: Ringback, rate: u32) -> Self {
        let dbfs = match ringback {
            Ringback { beats, .. } if beats > 0.0 => BEATING_DBFS,
            Ringback { hertz, .. } if hertz[1] > 0.0 => PAIR_DBFS,
            _ => SINGLE_DBFS,
        };
        let beats = Some(ringback.beats).filter(|beats| *beats > 0.0);
        Self {
            beats: beats.map(|hertz| Oscillator::new(hertz, 1.0, rate)),
            ..Self::made(ringback.hertz, dbfs, ringback.rhythm, rate)
        }
    }

    fn made(hertz: [f32; 2], dbfs: f32, rhythm: [u32; 4], rate: u32) -> Self {
        let amplitude = 32_767.0 * 10f64.powf(f64::from(dbfs) / 20.0);
        let sounds = hertz.iter().filter(|hertz| **hertz > 0.0);
        let per_ms = u64::from(rate / 1_000);
        Self {
            voices: sounds
                .map(|hertz| Oscillator::new(*hertz, amplitude, rate))
                .collect(),
            beats: None,
            rhythm: rhythm.map(|ms| u64::from(ms) * per_ms),
            ramp: RAMP_MS * per_ms,
            position: 0,
        }
    }

    /// Fills `out` with the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        let cycle: u64 = self.rhythm.iter().sum();
        for sample in out {
            let sum: f64 = self.voices.iter_mut().map(Oscillator::next).sum();
            let swell = self
                .beats
                .as_mut()
                .map_or(1.0, |one| (1.0 + one.next()) / 2.0);
            *sample = (sum * swell * self.gain())
                .clamp(-32_768.0, 32_767.0)
                .round() as i16;
            self.position = if self.position + 1 >= cycle {
                0
            } else {
                self.position + 1
            };
        }
    }

    fn gain(&self) -> f64 {
        let [first, pause, second, rest] = self.rhythm;
        if pause + rest == 0 {
            return 1.0;
        }
        let (at, on) = match self.position.checked_sub(first + pause) {
            Some(at) => (at, second),
            None => (self.position, first),
        };
        let edge = at.min(on.saturating_sub(at));
        if edge >= self.ramp {
            1.0
        } else {
            edge as f64 / self.ramp as f64
        }
    }
}
