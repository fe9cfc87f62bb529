//! Tones, hold music and level measurement.

mod common;

use common::{frequency, level_at};
use offhook_dsp::level::{
    FLOOR_DBOV, all_equal, g711_is_digital_silence, is_silent_payload, peak_dbov, rms_dbov,
};
use offhook_dsp::{Codec, Music, Tone, ToneSpec, g711};

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

#[test]
fn ringback_rings_two_seconds_in_six() {
    let mut tone = Tone::new(ToneSpec::RINGBACK_US, 8_000);
    let mut second = [0; 8_000];
    for cycle in 0..3 {
        for at in 0..6 {
            tone.fill(&mut second);
            if at < 2 {
                assert!(
                    (level_at(&second, 8_000, 440.0) + 19.0).abs() < 0.5,
                    "cycle {cycle} second {at}"
                );
                assert!((level_at(&second, 8_000, 480.0) + 19.0).abs() < 0.5);
            } else {
                assert_eq!(peak_dbov(&second), FLOOR_DBOV, "cycle {cycle} second {at}");
            }
        }
    }
}

#[test]
fn frames_of_a_tone_join() {
    let (mut whole, mut parts) = (vec![0; 1_600], vec![0; 1_600]);
    Tone::new(ToneSpec::BUSY_US, 8_000).fill(&mut whole);
    let mut tone = Tone::new(ToneSpec::BUSY_US, 8_000);
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
    assert!((peak_dbov(&[0, -16_384, 3]) + 6.02).abs() < 0.01);
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
