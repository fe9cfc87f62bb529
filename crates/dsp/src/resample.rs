//! Polyphase FIR resampler for the ratios between 8, 16, 24 and 48 kHz: 1:2, 1:3, 1:6 and 2:3, both ways.
//!
//! State crosses frames. The prototype is a Kaiser-windowed sinc: flat to 0.85, down 60 dB from 1.03 of the lower Nyquist
//! frequency. The delay is half the filter, 3 ms at 8 kHz.

use std::f64::consts::PI;

use crate::error::CodecError;

/// Taps that meet samples of the lower rate; fewer let images through, more cost delay and time.
pub const TAPS: usize = 48;
/// Middle of the transition band, as a share of the lower Nyquist frequency.
const CUTOFF: f64 = 0.94;
/// Kaiser's beta for about 75 dB.
const BETA: f64 = 7.3;
/// Longest input of one call, 120 ms at 48 kHz; longer input is worked through in pieces of this size.
const CHUNK: usize = 5_760;

/// One direction of one stream. Input and output rates are fixed.
#[derive(Clone)]
pub struct Resampler {
    up: usize,
    down: usize,
    /// `up` phases, each reversed so that it multiplies the history in order.
    phases: Vec<Vec<f32>>,
    /// The last `taps - 1` samples, then the input of the call.
    line: Vec<f32>,
    taps: usize,
    /// Position of the next output on the upsampled line, counted from the first new sample.
    position: usize,
}

impl Resampler {
    /// A resampler from one rate to another, Hz.
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`] unless the ratio is one of the eight above (or 1:1).
    pub fn new(from: u32, to: u32) -> Result<Self, CodecError> {
        let unsupported = CodecError::UnsupportedRate { from, to };
        if from == 0 || to == 0 {
            return Err(unsupported);
        }
        let common = gcd(from, to);
        let (up, down) = ((to / common) as usize, (from / common) as usize);
        if !matches!(
            (up, down),
            (1, 1 | 2 | 3 | 6) | (2 | 3 | 6, 1) | (2, 3) | (3, 2)
        ) {
            return Err(unsupported);
        }
        let taps = (TAPS * down.max(up)).div_ceil(up);
        let phases = prototype(up, down, taps);
        Ok(Self {
            up,
            down,
            phases,
            line: vec![0.0; taps - 1],
            taps,
            position: 0,
        })
    }

    /// Samples that come out for `input` samples, when `input` is a multiple of the ratio's denominator.
    #[must_use]
    pub fn output_len(&self, input: usize) -> usize {
        (input * self.up).div_ceil(self.down)
    }

    /// Resamples a frame; the samples written.
    ///
    /// # Errors
    /// [`CodecError::OutputTooSmall`].
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> Result<usize, CodecError> {
        if out.len() < self.output_len(input.len()) {
            return Err(CodecError::OutputTooSmall);
        }
        if self.up == self.down {
            out[..input.len()].copy_from_slice(input);
            return Ok(input.len());
        }
        let mut written = 0;
        for piece in input.chunks(CHUNK) {
            written += self.piece(piece, &mut out[written..]);
        }
        Ok(written)
    }

    /// Forgets the signal so far.
    pub fn reset(&mut self) {
        self.line.fill(0.0);
        self.position = 0;
    }

    fn piece(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        self.line
            .extend(input.iter().map(|sample| f32::from(*sample)));
        let end = input.len() * self.up;
        let mut written = 0;
        while self.position < end {
            let at = self.position / self.up;
            let window = &self.line[at..at + self.taps];
            let phase = &self.phases[self.position % self.up];
            let sum: f32 = dot(window, phase);
            out[written] = sum.round().clamp(-32_768.0, 32_767.0) as i16;
            written += 1;
            self.position += self.down;
        }
        self.position -= end;
        self.line.drain(..input.len());
        written
    }
}

/// Eight sums side by side, so that the compiler may use vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    rest + sums.iter().sum::<f32>()
}

fn prototype(up: usize, down: usize, taps: usize) -> Vec<Vec<f32>> {
    let length = taps * up;
    let centre = (length - 1) as f64 / 2.0;
    // Cutoff in cycles per sample of the upsampled line.
    let cutoff = CUTOFF * 0.5 / up.max(down) as f64;
    let tap = |i: usize| {
        let x = i as f64 - centre;
        let sinc = if x == 0.0 {
            2.0 * cutoff
        } else {
            (2.0 * PI * cutoff * x).sin() / (PI * x)
        };
        let edge = x / (centre + 0.5);
        sinc * bessel0(BETA * (1.0 - edge * edge).sqrt()) / bessel0(BETA)
    };
    let all: Vec<f64> = (0..length).map(tap).collect();
    (0..up)
        .map(|phase| {
            // Unit gain per phase at 0 Hz: a constant must not ripple with the phase.
            let sum: f64 = all.iter().skip(phase).step_by(up).sum();
            all.iter()
                .skip(phase)
                .step_by(up)
                .rev()
                .map(|tap| (tap / sum) as f32)
                .collect()
        })
        .collect()
}

/// Modified Bessel function of the first kind, order 0, by its series.
fn bessel0(x: f64) -> f64 {
    let mut sum = 1.0;
    let mut term = 1.0;
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A whole sound at another rate, whatever the two are (4 to 192 kHz): for files, which come at rates that telephony does not
/// know.
///
/// # Errors
/// [`CodecError::UnsupportedRate`].
pub fn convert(samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>, CodecError> {
    if !(4_000..=192_000).contains(&from) || !(4_000..=192_000).contains(&to) {
        return Err(CodecError::UnsupportedRate { from, to });
    }
    if let Ok(mut resampler) = Resampler::new(from, to) {
        let mut out = vec![0; resampler.output_len(samples.len())];
        let written = resampler.process(samples, &mut out)?;
        out.truncate(written);
        return Ok(out);
    }
    let step = f64::from(from) / f64::from(to);
    let kernel = Kernel::new(1f64.min(1.0 / step));
    let count = (samples.len() as f64 / step).ceil() as usize;
    Ok((0..count)
        .map(|index| kernel.at(samples, index as f64 * step))
        .collect())
}

/// Places of the kernel for each input sample: an error of half a place is 50 dB down, as quiet as the noise of G.711.
const PLACES: usize = 512;

/// A low-pass that is looked up at any place between samples.
struct Kernel {
    half: f64,
    table: Vec<f32>,
}

impl Kernel {
    /// `narrow`: the lower of the two rates as a share of the input's.
    fn new(narrow: f64) -> Self {
        let half = TAPS as f64 / 2.0 / narrow;
        let cutoff = CUTOFF * 0.5 * narrow;
        let edge = bessel0(BETA);
        let tap = |place: usize| {
            let x = place as f64 / PLACES as f64;
            let sinc = if place == 0 {
                2.0 * cutoff
            } else {
                (2.0 * PI * cutoff * x).sin() / (PI * x)
            };
            let inside = (1.0 - (x / half).powi(2)).max(0.0);
            (sinc * bessel0(BETA * inside.sqrt()) / edge) as f32
        };
        let table = (0..=(half * PLACES as f64) as usize).map(tap).collect();
        Self { half, table }
    }

    fn at(&self, samples: &[i16], centre: f64) -> i16 {
        let first = (centre - self.half).ceil().max(0.0) as usize;
        let last = ((centre + self.half) as usize + 1).min(samples.len());
        let (mut sum, mut weight) = (0.0, 0.0);
        for (at, value) in samples.iter().enumerate().take(last).skip(first) {
            let place = ((at as f64 - centre).abs() * PLACES as f64).round() as usize;
            let tap = self.table.get(place).copied().unwrap_or(0.0);
            sum += f32::from(*value) * tap;
            weight += tap;
        }
        // Unit gain at 0 Hz wherever between the samples this is.
        let scale = if weight.abs() > 1e-3 { weight } else { 1.0 };
        (sum / scale).round().clamp(-32_768.0, 32_767.0) as i16
    }
}
