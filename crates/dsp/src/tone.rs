//! Tones and cadences: one or two sines, switched on and off. Deterministic; phase runs through frames.

use std::f64::consts::TAU;

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
    /// Ringback of North America: 440 + 480 Hz, 2 s on, 4 s off.
    pub const RINGBACK_US: Self = Self {
        hertz: [440.0, 480.0],
        dbfs: -19.0,
        on_ms: 2_000,
        off_ms: 4_000,
    };
    /// Ringback of most of Europe: 425 Hz, 1 s on, 4 s off.
    pub const RINGBACK_EU: Self = Self {
        hertz: [425.0, 0.0],
        dbfs: -16.0,
        on_ms: 1_000,
        off_ms: 4_000,
    };
    /// Busy tone of North America: 480 + 620 Hz, half a second on and off.
    pub const BUSY_US: Self = Self {
        hertz: [480.0, 620.0],
        dbfs: -19.0,
        on_ms: 500,
        off_ms: 500,
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
    on: u64,
    cycle: u64,
    /// Samples of the fade at each edge of a cadence, so that it does not click.
    ramp: u64,
    position: u64,
}

/// Fade at each edge of a cadence, milliseconds.
const RAMP_MS: u64 = 5;

impl Tone {
    /// A tone at `rate` Hz, starting with its sound.
    #[must_use]
    pub fn new(spec: ToneSpec, rate: u32) -> Self {
        let amplitude = 32_767.0 * 10f64.powf(f64::from(spec.dbfs) / 20.0);
        let voices = spec
            .hertz
            .iter()
            .filter(|hertz| **hertz > 0.0)
            .map(|hertz| Oscillator::new(*hertz, amplitude, rate))
            .collect();
        let per_ms = u64::from(rate / 1_000);
        let on = u64::from(spec.on_ms) * per_ms;
        Self {
            voices,
            on,
            cycle: on + u64::from(spec.off_ms) * per_ms,
            ramp: RAMP_MS * per_ms,
            position: 0,
        }
    }

    /// Fills `out` with the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            let sum: f64 = self.voices.iter_mut().map(Oscillator::next).sum();
            *sample = (sum * self.gain()).clamp(-32_768.0, 32_767.0).round() as i16;
            self.position = if self.position + 1 >= self.cycle {
                0
            } else {
                self.position + 1
            };
        }
    }

    fn gain(&self) -> f64 {
        if self.cycle == self.on {
            return 1.0;
        }
        let edge = self.position.min(self.on.saturating_sub(self.position));
        if edge >= self.ramp {
            1.0
        } else {
            edge as f64 / self.ramp as f64
        }
    }
}
