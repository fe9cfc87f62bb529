//! Packet loss concealment for codecs without their own (G.711, G.722): repeat the last pitch period, full for 10 ms, fading to
//! silence at 60 ms, and cross-fade back into real sound.

use crate::pitch::{self, best_lag, blend};

/// The repeated period keeps its level this long, milliseconds.
const HOLD_MS: usize = 10;
/// Silence is reached after this long, milliseconds.
const FADE_END_MS: usize = 60;
/// Cross-fade into the first real sound, milliseconds.
const MERGE_MS: usize = 5;
/// Comparison window of the pitch search, microseconds.
const WINDOW_US: usize = 15_000;
/// Sound kept beyond that, of which the end may still be taken back, microseconds.
const SPARE_US: usize = 60_000;
/// The step at the joint, if any, dies away over this time, microseconds.
const DECLICK_US: usize = 2_000;

/// Concealment of one stream at one rate.
#[derive(Clone)]
pub struct Concealer {
    rate: u32,
    /// The last real sound: one search window and the longest period, and some more.
    history: Vec<i16>,
    kept: usize,
    reach: usize,
    /// The period being repeated; empty while the sound is real.
    period: Vec<i16>,
    /// Samples concealed in this run.
    elapsed: usize,
    /// Step between the last real sample and the repeated period.
    step: f32,
}

impl Concealer {
    /// A concealer of PCM at `rate` Hz.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let reach = pitch::samples(rate, WINDOW_US + pitch::MAX_US);
        let kept = reach + pitch::samples(rate, SPARE_US);
        Self {
            rate,
            history: Vec::with_capacity(kept),
            kept,
            reach,
            period: Vec::new(),
            elapsed: 0,
            step: 0.0,
        }
    }

    /// Takes real sound. Straight after concealment its first 5 ms are blended with the continued concealment, in place.
    pub fn real(&mut self, pcm: &mut [i16]) {
        if !self.period.is_empty() {
            self.merge(pcm);
        }
        let keep = self.kept.saturating_sub(pcm.len()).min(self.history.len());
        self.history.drain(..self.history.len() - keep);
        self.history
            .extend_from_slice(&pcm[pcm.len() - pcm.len().min(self.kept)..]);
    }

    /// The last real sound without the `later` samples of it that were not heard yet.
    #[must_use]
    pub fn heard(&self, later: usize) -> &[i16] {
        &self.history[..self.history.len().saturating_sub(later)]
    }

    /// The next `length` samples of concealment, which are still to come.
    #[must_use]
    pub fn ahead(&self, length: usize) -> Vec<i16> {
        let mut ahead = vec![0; length];
        self.clone().conceal(&mut ahead);
        ahead
    }

    /// Samples of whole periods that conceal at least `length`; no more than that when there is no period.
    pub fn whole_periods(&mut self, length: usize) -> usize {
        if self.period.is_empty() {
            self.start();
        }
        length.next_multiple_of(self.period.len())
    }

    /// Fills `out` with concealment.
    pub fn conceal(&mut self, out: &mut [i16]) {
        if self.period.is_empty() {
            self.start();
        }
        for sample in out {
            *sample = self.next();
        }
    }

    /// Forgets the signal so far: for a source switch.
    pub fn reset(&mut self) {
        self.history.clear();
        self.period.clear();
    }

    fn start(&mut self) {
        self.elapsed = 0;
        self.step = 0.0;
        let end = self.history.len();
        if end < self.reach {
            // Too little sound to know its pitch: silence, with the last step smoothed.
            self.step = self.history.last().map_or(0.0, |last| f32::from(*last));
            self.period.push(0);
            return;
        }
        let window = pitch::samples(self.rate, WINDOW_US);
        let (shortest, longest) = (
            pitch::samples(self.rate, pitch::MIN_US),
            pitch::samples(self.rate, pitch::MAX_US),
        );
        let history = &self.history;
        let (lag, _) = best_lag(self.rate, shortest, longest, |lag| {
            (
                &history[end - window..],
                &history[end - window - lag..end - lag],
            )
        });
        self.period.extend_from_slice(&history[end - lag..]);
        self.step = f32::from(history[end - 1]) - f32::from(history[end - lag - 1]);
        // The end of the period leans towards what came before its start, so that repeating it has no seam.
        let lean = (lag / 4).min(end - lag);
        for i in 0..lean {
            let share = (i + 1) as f32 / lean as f32;
            let at = lag - lean + i;
            self.period[at] = blend(self.period[at], history[end - lag - lean + i], share);
        }
    }

    fn next(&mut self) -> i16 {
        let at = self.elapsed;
        self.elapsed += 1;
        let per_ms = self.rate as usize / 1_000;
        let (hold, end) = (HOLD_MS * per_ms, FADE_END_MS * per_ms);
        if at >= end {
            return 0;
        }
        let gain = if at < hold {
            1.0
        } else {
            (end - at) as f32 / (end - hold) as f32
        };
        let declick = pitch::samples(self.rate, DECLICK_US);
        let step = if at < declick {
            self.step * (declick - at) as f32 / declick as f32
        } else {
            0.0
        };
        let sample = f32::from(self.period[at % self.period.len()]) * gain + step;
        sample.round().clamp(-32_768.0, 32_767.0) as i16
    }

    fn merge(&mut self, pcm: &mut [i16]) {
        let length = (MERGE_MS * self.rate as usize / 1_000).min(pcm.len());
        for (i, sample) in pcm[..length].iter_mut().enumerate() {
            *sample = blend(self.next(), *sample, (i + 1) as f32 / length as f32);
        }
        self.period.clear();
    }
}
