//! Hold music of our own, synthesised: four chords, an arpeggio and a soft bass, 16 s, looped without a seam.
//!
//! Rendered once per rate and shared; playing it is a copy. Nothing here is random.

use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, PoisonError};

/// Beats in the loop: four bars of eight.
const BEATS: usize = 32;
/// Length of a beat, milliseconds.
const BEAT_MS: usize = 500;
/// Peak of the loop, dBFS: below speech, so that a caller can talk over it.
const PEAK_DBFS: f64 = -16.0;

/// Am7, Fmaj7, C, G: MIDI note numbers of the arpeggio, lowest first.
const CHORDS: [[u8; 4]; 4] = [
    [57, 60, 64, 67],
    [53, 57, 60, 64],
    [48, 55, 60, 64],
    [55, 59, 62, 67],
];
/// Order in which a bar walks its chord, in steps of the chord.
const WALK: [usize; 8] = [0, 1, 2, 3, 2, 1, 3, 2];

static LOOPS: Mutex<Vec<(u32, Arc<[i16]>)>> = Mutex::new(Vec::new());

/// A listener's place in the loop.
#[derive(Debug, Clone)]
pub struct Music {
    samples: Arc<[i16]>,
    position: usize,
}

impl Music {
    /// The loop at `rate` Hz from its start. The first call at each rate renders it, a few milliseconds.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let mut loops = LOOPS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = loops
            .iter()
            .find(|(known, _)| *known == rate)
            .map(|(_, samples)| Arc::clone(samples));
        let samples = known.unwrap_or_else(|| {
            let samples: Arc<[i16]> = render(rate).into();
            loops.push((rate, Arc::clone(&samples)));
            samples
        });
        Self {
            samples,
            position: 0,
        }
    }

    /// Fills `out` with the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        let mut rest = out;
        while !rest.is_empty() {
            let run = rest.len().min(self.samples.len() - self.position);
            let (now, later) = rest.split_at_mut(run);
            now.copy_from_slice(&self.samples[self.position..self.position + run]);
            self.position = (self.position + run) % self.samples.len();
            rest = later;
        }
    }
}

fn render(rate: u32) -> Vec<i16> {
    let beat = rate as usize * BEAT_MS / 1_000;
    let mut mix = vec![0.0f64; beat * BEATS];
    for index in 0..BEATS {
        let chord = CHORDS[index / WALK.len()];
        let note = chord[WALK[index % WALK.len()]];
        strike(&mut mix, rate, index * beat, beat * 3, note + 12, 0.6);
        if index % WALK.len() == 0 {
            strike(&mut mix, rate, index * beat, beat * 8, chord[0] - 12, 0.8);
            for note in chord {
                strike(&mut mix, rate, index * beat, beat * 8, note, 0.25);
            }
        }
    }
    let peak = mix
        .iter()
        .fold(1e-9, |peak: f64, sample| peak.max(sample.abs()));
    let scale = 32_767.0 * 10f64.powf(PEAK_DBFS / 20.0) / peak;
    mix.iter()
        .map(|sample| (sample * scale).round() as i16)
        .collect()
}

/// Adds one note; its tail wraps to the start of the loop, which is why there is no seam.
fn strike(mix: &mut [f64], rate: u32, start: usize, length: usize, note: u8, gain: f64) {
    let hertz = 440.0 * 2f64.powf((f64::from(note) - 69.0) / 12.0);
    let attack = f64::from(rate) * 0.012;
    for i in 0..length {
        let t = i as f64 / f64::from(rate);
        let rise = (i as f64 / attack).min(1.0);
        // The last tenth fades to nothing, whatever the decay left.
        let tail = ((length - i) as f64 / (length as f64 * 0.1)).min(1.0);
        let envelope = rise * tail * (-2.2 * t * BEAT_MS as f64 / 500.0).exp();
        let phase = TAU * hertz * t;
        let tone = phase.sin() + 0.3 * (2.0 * phase).sin() + 0.08 * (3.0 * phase).sin();
        let at = (start + i) % mix.len();
        mix[at] += gain * envelope * tone;
    }
}
