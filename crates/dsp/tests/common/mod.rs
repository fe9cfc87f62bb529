//! Measuring instruments shared by the tests: level, frequency and residual of a tone, and a bad network.
#![allow(dead_code)]

mod residual;

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use offhook_dsp::{Codec, Encoder, EncoderOptions, MAX_FRAME_BYTES, Playout};
pub use residual::residuals;

/// Complex amplitude of one frequency, under a Hann window; 1.0 is a full-scale sine.
fn project(pcm: &[i16], rate: u32, hertz: f64) -> (f64, f64) {
    let n = pcm.len() as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in pcm.iter().enumerate() {
        let window = 1.0 - (TAU * (i as f64 + 0.5) / n).cos();
        let phase = TAU * hertz * i as f64 / f64::from(rate);
        re += window * f64::from(*sample) * phase.cos();
        im -= window * f64::from(*sample) * phase.sin();
    }
    (2.0 * re / n / 32_768.0, 2.0 * im / n / 32_768.0)
}

/// Level of one frequency, dBFS.
pub fn level_at(pcm: &[i16], rate: u32, hertz: f64) -> f64 {
    let (re, im) = project(pcm, rate, hertz);
    20.0 * (re.hypot(im) + 1e-9).log10()
}

/// The frequency near `guess`, from the phase between the two halves.
pub fn frequency(pcm: &[i16], rate: u32, guess: f64) -> f64 {
    let half = pcm.len() / 2;
    let (a, b) = (
        project(&pcm[..half], rate, guess),
        project(&pcm[half..2 * half], rate, guess),
    );
    let shift = b.1.atan2(b.0) - a.1.atan2(a.0);
    let seconds = half as f64 / f64::from(rate);
    let turns = (guess * seconds - shift / TAU).round();
    (shift / TAU + turns) / seconds
}

/// The highest level, dBFS, on a grid of `step` Hz outside `keep` Hz around `except`.
pub fn worst_elsewhere(pcm: &[i16], rate: u32, step: f64, except: f64, keep: f64) -> f64 {
    let count = (f64::from(rate) / 2.0 / step) as usize;
    (1..count)
        .map(|i| i as f64 * step)
        .filter(|hertz| (hertz - except).abs() > keep)
        .map(|hertz| level_at(pcm, rate, hertz))
        .fold(f64::MIN, f64::max)
}

/// Asserts that no piece stands out of the codec's own steady noise: above -60 dBFS and over six times the median.
pub fn assert_no_click(pcm: &[i16], rate: u32, hertz: f64, what: &str) {
    assert_noise_within(pcm, rate, hertz, 6.0, what);
}

/// The same with another multiple of the median.
pub fn assert_noise_within(pcm: &[i16], rate: u32, hertz: f64, times: f64, what: &str) {
    let pieces = residuals(pcm, rate, hertz);
    let mut sorted = pieces.clone();
    sorted.sort_by(f64::total_cmp);
    let limit = (times * sorted[sorted.len() / 2]).max(0.001);
    for (i, piece) in pieces.iter().enumerate() {
        assert!(
            *piece <= limit,
            "{what}: click of {piece:.4} at {} ms, limit {limit:.4}",
            i * 5
        );
    }
}

/// A sender, a wire and a playout on one virtual clock.
pub struct Call {
    pub codec: Codec,
    pub play: Playout,
    pub start: Instant,
    encoder: Encoder,
    rate: u32,
    sequence: u64,
    timestamp: u32,
    /// Packets under way: arrival in microseconds, sequence, time stamp, payload.
    wire: Vec<(u64, u64, u32, Vec<u8>)>,
    pulled: u64,
    pub heard: Vec<i16>,
}

impl Call {
    pub fn new(codec: Codec, rate: u32, options: EncoderOptions) -> Self {
        Self {
            codec,
            play: Playout::new(codec, rate).unwrap(),
            start: Instant::now(),
            encoder: Encoder::new(codec, rate, options).unwrap(),
            rate,
            sequence: 40_000,
            timestamp: u32::MAX - 5_000,
            wire: Vec::new(),
            pulled: 0,
            heard: Vec::new(),
        }
    }

    /// Encodes a frame and puts it on the wire to arrive at `arrival` microseconds, or loses it.
    pub fn send(&mut self, pcm: &[i16], arrival: Option<u64>) {
        let mut out = [0; MAX_FRAME_BYTES];
        let size = self.encoder.encode(pcm, &mut out).unwrap();
        if let Some(arrival) = arrival {
            self.wire
                .push((arrival, self.sequence, self.timestamp, out[..size].to_vec()));
        }
        self.sequence += 1;
        self.skip(pcm.len());
    }

    /// Sends a frame unless the encoder says that it may be left out (RFC 7587 3.1.3); whether it was sent.
    pub fn send_unless_dtx(&mut self, pcm: &[i16], arrival: u64) -> bool {
        self.send(pcm, Some(arrival));
        let pause = self.wire.last().is_some_and(|packet| packet.3.len() <= 1);
        if pause {
            self.wire.pop();
            self.sequence -= 1;
        }
        !pause
    }

    /// Goes on as another source: new sequence and time stamp.
    pub fn restart(&mut self, sequence: u64, timestamp: u32) {
        (self.sequence, self.timestamp) = (sequence, timestamp);
    }

    /// Lets media time pass without a packet: silence that is not sent.
    pub fn skip(&mut self, samples: usize) {
        let ticks = samples as u64 * u64::from(self.codec.rtp_clock()) / u64::from(self.rate);
        self.timestamp = self.timestamp.wrapping_add(ticks as u32);
    }

    /// Pulls every 20 ms up to `micros`, feeding what arrives on the way.
    pub fn run_to(&mut self, micros: u64) {
        self.wire.sort_by_key(|packet| packet.0);
        while self.pulled <= micros {
            let due = self.wire.partition_point(|packet| packet.0 <= self.pulled);
            for (at, sequence, timestamp, payload) in self.wire.drain(..due) {
                self.play.push(
                    sequence,
                    timestamp,
                    &payload,
                    self.start + Duration::from_micros(at),
                );
            }
            let frame = self
                .play
                .pull(self.start + Duration::from_micros(self.pulled));
            self.heard.extend_from_slice(frame);
            self.pulled += 20_000;
        }
    }
}

/// A small deterministic generator, so that a failing test fails again.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn the_click_detector_sees_a_click() {
    let mut pcm = vec![0; 8_000];
    offhook_dsp::Tone::new(offhook_dsp::ToneSpec::TEST, 8_000).fill(&mut pcm);
    assert_no_click(&pcm, 8_000, 1_000.0, "clean");
    pcm.drain(4_001..4_004);
    let clicks = std::panic::catch_unwind(|| assert_no_click(&pcm, 8_000, 1_000.0, "cut"));
    assert!(clicks.is_err());
}
