//! The resampler keeps tones, makes no images or aliases above -60 dB, and does not notice where frames end.

mod common;

use common::{frequency, level_at, worst_elsewhere};
use offhook_dsp::{Tone, ToneSpec, resample::Resampler};

const PAIRS: [(u32, u32); 12] = [
    (8_000, 16_000),
    (8_000, 24_000),
    (8_000, 48_000),
    (16_000, 24_000),
    (16_000, 48_000),
    (24_000, 48_000),
    (16_000, 8_000),
    (24_000, 8_000),
    (48_000, 8_000),
    (24_000, 16_000),
    (48_000, 16_000),
    (48_000, 24_000),
];

fn sine(hertz: f32, rate: u32, samples: usize) -> Vec<i16> {
    let mut pcm = vec![0; samples];
    Tone::new(
        ToneSpec {
            hertz: [hertz, 0.0],
            dbfs: -3.0,
            on_ms: 1_000,
            off_ms: 0,
        },
        rate,
    )
    .fill(&mut pcm);
    pcm
}

fn convert(from: u32, to: u32, pcm: &[i16], frame: usize) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to).unwrap();
    let mut out = vec![0; pcm.len() * 6 + 6];
    let mut all = Vec::new();
    for frame in pcm.chunks(frame) {
        let size = resampler.process(frame, &mut out).unwrap();
        all.extend_from_slice(&out[..size]);
    }
    all
}

#[test]
fn a_tone_in_the_band_stays_itself_and_alone() {
    for (from, to) in PAIRS {
        let lower = from.min(to) as f32;
        for hertz in [300.0, 1_000.0, 0.42 * lower] {
            let out = convert(
                from,
                to,
                &sine(hertz, from, from as usize * 3 / 20),
                from as usize / 50,
            );
            let out = &out[to as usize / 20..];
            let hertz = f64::from(hertz);
            let level = level_at(out, to, hertz);
            assert!(
                (level + 3.0).abs() < 0.5,
                "{from}->{to} {hertz} Hz came out at {level:.2} dBFS"
            );
            assert!((frequency(out, to, hertz) / hertz - 1.0).abs() < 0.001);
            let worst = worst_elsewhere(out, to, 20.0, hertz, 60.0);
            assert!(
                worst < -63.0,
                "{from}->{to} {hertz} Hz: {worst:.1} dBFS elsewhere"
            );
        }
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_removed() {
    for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
        for share in [0.53, 0.6, 0.7, 0.9] {
            let hertz = share * to as f32;
            if hertz >= from as f32 * 0.49 {
                continue;
            }
            let out = convert(
                from,
                to,
                &sine(hertz, from, from as usize * 3 / 20),
                from as usize / 50,
            );
            let worst = worst_elsewhere(&out[to as usize / 20..], to, 20.0, 0.0, 0.0);
            assert!(
                worst < -63.0,
                "{from}->{to}: {hertz} Hz left {worst:.1} dBFS"
            );
        }
    }
}

#[test]
fn frames_leave_no_trace() {
    for (from, to) in PAIRS {
        let pcm = sine(1_234.0, from, 48 * 100);
        let whole = convert(from, to, &pcm, pcm.len());
        for frame in [1, 7, 48, 480] {
            assert_eq!(
                convert(from, to, &pcm, frame),
                whole,
                "{from}->{to} in frames of {frame}"
            );
        }
        assert_eq!(whole.len(), pcm.len() * to as usize / from as usize);
    }
}

#[test]
fn other_ratios_are_refused() {
    for (from, to) in [(8_000, 44_100), (0, 8_000), (8_000, 0), (8_000, 12_000 * 7)] {
        assert!(Resampler::new(from, to).is_err());
    }
}
