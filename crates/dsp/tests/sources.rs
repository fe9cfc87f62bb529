//! Tones, hold music and level measurement.

mod common;

use common::{frequency, level_at};
use offhook_dsp::level::{
    FLOOR_DBOV, all_equal, g711_is_digital_silence, is_silent_payload, rms_dbov,
};
use offhook_dsp::{Codec, Music, Ringback, Tone, ToneSpec, g711};

/// Busy tone of North America: 480 + 620 Hz, half a second on and off.
const BUSY_US: ToneSpec = ToneSpec {
    hertz: [480.0, 620.0],
    dbfs: -19.0,
    on_ms: 500,
    off_ms: 500,
};

/// The largest magnitude in dBov.
fn peak_dbov(pcm: &[i16]) -> f32 {
    let peak = pcm
        .iter()
        .map(|sample| sample.unsigned_abs())
        .max()
        .unwrap_or(0);
    if peak == 0 {
        FLOOR_DBOV
    } else {
        20.0 * (f32::from(peak) / 32_768.0).log10()
    }
}

#[test]
fn the_test_tone_is_1000_hz_at_minus_10() {
    for rate in [8_000, 16_000, 48_000] {
        let mut tone = Tone::new(ToneSpec::TEST, rate);
        let mut pcm = vec![0; rate as usize * 60];
        tone.fill(&mut pcm);
        let late = &pcm[rate as usize * 59..];
        assert!((frequency(late, rate, 1_000.0) - 1_000.0).abs() < 0.01);
        assert!((level_at(late, rate, 1_000.0) + 10.0).abs() < 0.02);
    }
}

/// When the sound of a ringback begins and ends, milliseconds, to 10 ms.
fn bursts(pcm: &[i16]) -> Vec<(usize, usize)> {
    let mut bursts = Vec::new();
    let mut since = None;
    for (at, frame) in pcm.chunks(8).enumerate() {
        // Tones that swell and fade are silent for less than this within a burst.
        let around = &pcm[at * 8..(at * 8 + 8 * 32).min(pcm.len())];
        let loud = peak_dbov(frame) > -60.0 || (since.is_some() && peak_dbov(around) > -60.0);
        match (loud, since) {
            (true, None) => since = Some(at),
            (false, Some(begin)) => {
                bursts.push((begin, at));
                since = None;
            }
            _ => {}
        }
    }
    bursts
}

#[test]
fn ringback_has_the_frequency_and_the_cadence_of_its_country() {
    // What ITU-T E.180 supplement 2 and the operators publish, for two cycles.
    type Row = (&'static str, &'static [f64], &'static [(usize, usize)]);
    let rows: [Row; 13] = [
        ("US", &[440.0, 480.0], &[(0, 2_000), (6_000, 8_000)]),
        ("ca", &[440.0, 480.0], &[(0, 2_000), (6_000, 8_000)]),
        (
            "GB",
            &[400.0, 450.0],
            &[(0, 400), (600, 1_000), (3_000, 3_400), (3_600, 4_000)],
        ),
        (
            "IE",
            &[400.0, 450.0],
            &[(0, 400), (600, 1_000), (3_000, 3_400), (3_600, 4_000)],
        ),
        (
            "AU",
            &[413.0, 438.0],
            &[(0, 400), (600, 1_000), (3_000, 3_400), (3_600, 4_000)],
        ),
        (
            "IN",
            &[400.0, 375.0, 425.0],
            &[(0, 400), (600, 1_000), (3_000, 3_400), (3_600, 4_000)],
        ),
        ("JP", &[400.0, 384.0, 416.0], &[(0, 1_000), (3_000, 4_000)]),
        ("FR", &[440.0], &[(0, 1_500), (5_000, 6_500)]),
        ("ES", &[425.0], &[(0, 1_500), (4_500, 6_000)]),
        ("DE", &[425.0], &[(0, 1_000), (5_000, 6_000)]),
        ("CN", &[450.0], &[(0, 1_000), (5_000, 6_000)]),
        ("BR", &[425.0], &[(0, 1_000), (5_000, 6_000)]),
        ("XX", &[425.0], &[(0, 1_000), (5_000, 6_000)]),
    ];
    for (country, hertz, cadence) in rows {
        let mut pcm = vec![0; 8_000 * 14];
        Tone::ringback(Ringback::of(country), 8_000).fill(&mut pcm);
        let heard = bursts(&pcm);
        assert!(heard.len() >= cadence.len(), "{country}: {heard:?}");
        for (one, expected) in heard.iter().zip(cadence) {
            let off = |a: usize, b: usize| a.abs_diff(b) > 35;
            assert!(
                !off(one.0, expected.0) && !off(one.1, expected.1),
                "{country}: {heard:?}"
            );
        }
        let burst = &pcm[..cadence[0].1 * 8];
        for one in hertz {
            let level = level_at(burst, 8_000, *one);
            assert!((-27.0..-14.0).contains(&level), "{country} {one}: {level}");
        }
        // No other tone: half way to the next one and an octave above nothing sounds.
        for other in [350.0, 520.0, 850.0] {
            assert!(level_at(burst, 8_000, other) < -45.0, "{country} {other}");
        }
        // All sound as loud, to 2 dB.
        let loud = rms_dbov(&burst[80..burst.len() - 80]);
        assert!((-22.0..-16.0).contains(&loud), "{country}: {loud}");
    }
}

#[test]
fn frames_of_a_tone_join() {
    let (mut whole, mut parts) = (vec![0; 1_600], vec![0; 1_600]);
    Tone::new(BUSY_US, 8_000).fill(&mut whole);
    let mut tone = Tone::new(BUSY_US, 8_000);
    parts.chunks_mut(160).for_each(|frame| tone.fill(frame));
    assert_eq!(whole, parts);
}

#[test]
fn music_is_always_the_same_never_silent_and_loops_without_a_seam() {
    for rate in [8_000u32, 16_000, 48_000] {
        let second = rate as usize;
        let mut pcm = vec![0; second * 34];
        Music::new(rate).fill(&mut pcm);
        let mut again = vec![0; second * 34];
        let mut music = Music::new(rate);
        again
            .chunks_mut(second / 50)
            .for_each(|frame| music.fill(frame));
        assert_eq!(pcm, again);
        let length = second * 16;
        assert_eq!(pcm[..second], pcm[length..length + second]);
        assert!((-17.0..-15.0).contains(&peak_dbov(&pcm)));
        for piece in pcm.chunks(second / 2) {
            assert!(rms_dbov(piece) > -45.0);
        }
        // A seam would be a step larger than any inside the loop.
        let step = |at: usize| (i32::from(pcm[at]) - i32::from(pcm[at - 1])).abs();
        let largest = (1..length).map(step).max().unwrap();
        assert!(step(length) <= largest);
    }
}

#[test]
fn levels_are_in_dbov() {
    assert_eq!(rms_dbov(&[]), FLOOR_DBOV);
    assert_eq!(rms_dbov(&[0; 160]), FLOOR_DBOV);
    assert!(rms_dbov(&[i16::MIN; 160]).abs() < 0.001);
    assert!((rms_dbov(&[3_277; 160]) + 20.0).abs() < 0.01);
}

#[test]
fn silence_is_told_from_bytes() {
    assert!(g711_is_digital_silence(
        Codec::Pcmu,
        &[0xFF, 0x7F, 0xFE, 0x7E]
    ));
    assert!(!g711_is_digital_silence(Codec::Pcmu, &[0xFF, 0xFD]));
    assert!(g711_is_digital_silence(
        Codec::Pcma,
        &[0xD5, 0x55, 0xD4, 0x54]
    ));
    assert!(!g711_is_digital_silence(Codec::Pcma, &[0xD5, 0xD7]));
    assert!(!g711_is_digital_silence(Codec::Pcmu, &[]));
    for code in 0..=255u8 {
        assert_eq!(
            g711_is_digital_silence(Codec::Pcmu, &[code]),
            g711::ulaw_decode(code).abs() <= 8
        );
        assert_eq!(
            g711_is_digital_silence(Codec::Pcma, &[code]),
            g711::alaw_decode(code).abs() <= 24
        );
    }
    assert!(all_equal(&[7, 7, 7]) && !all_equal(&[7, 8]) && !all_equal(&[]));
    assert!(
        is_silent_payload(Codec::Opus, &[0x08]) && !is_silent_payload(Codec::Opus, &[8, 1, 2, 3])
    );
}
