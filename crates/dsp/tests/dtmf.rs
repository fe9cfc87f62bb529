//! Digits in the audio: what must be taken (ITU-T Q.24), what must not, and speech.

use std::process::Command;

use offhook_dsp::dtmf::{DtmfDetector, Heard, RATE};
use offhook_dsp::g711;

const KEYS: [(u8, f64, f64); 16] = [
    (1, 697.0, 1_209.0),
    (2, 697.0, 1_336.0),
    (3, 697.0, 1_477.0),
    (12, 697.0, 1_633.0),
    (4, 770.0, 1_209.0),
    (5, 770.0, 1_336.0),
    (6, 770.0, 1_477.0),
    (13, 770.0, 1_633.0),
    (7, 852.0, 1_209.0),
    (8, 852.0, 1_336.0),
    (9, 852.0, 1_477.0),
    (14, 852.0, 1_633.0),
    (10, 941.0, 1_209.0),
    (0, 941.0, 1_336.0),
    (11, 941.0, 1_477.0),
    (15, 941.0, 1_633.0),
];

/// Two sines: amplitudes as shares of full scale.
fn tones(ms: usize, low: (f64, f64), high: (f64, f64), from: usize) -> Vec<i16> {
    let sine = |at: usize, (hertz, amplitude): (f64, f64)| {
        amplitude * (std::f64::consts::TAU * hertz * at as f64 / f64::from(RATE)).sin()
    };
    (0..ms * 8)
        .map(|at| ((sine(at + from, low) + sine(at + from, high)) * 32_767.0) as i16)
        .collect()
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

fn heard(samples: &[i16]) -> Vec<(u8, u32)> {
    let mut detector = DtmfDetector::default();
    let mut ends = Vec::new();
    let mut open = None;
    let mut take = |heard: Heard| match heard {
        Heard::Started(event) => {
            assert_eq!(open, None, "one press at a time");
            open = Some(event);
        }
        Heard::Ended { event, duration_ms } => {
            assert_eq!(open.take(), Some(event));
            ends.push((event, duration_ms));
        }
    };
    // Packets of 20 ms, through G.711 as on the wire.
    for packet in samples.chunks(160) {
        let decoded: Vec<i16> = packet
            .iter()
            .map(|sample| g711::ulaw_decode(g711::ulaw_encode(*sample)))
            .collect();
        detector.push(&decoded, &mut take);
    }
    if let Some(end) = detector.finish() {
        take(end);
    }
    ends
}

fn press(key: (u8, f64, f64), ms: usize, amplitude: f64) -> Vec<i16> {
    tones(ms, (key.1, amplitude), (key.2, amplitude), 0)
}

#[test]
fn every_key_is_heard_once_with_its_length() {
    for key in KEYS {
        let mut sound = silence(50);
        sound.extend(press(key, 100, 0.25));
        sound.extend(silence(60));
        let found = heard(&sound);
        assert_eq!(found.len(), 1, "{key:?}");
        assert_eq!(found[0].0, key.0);
        assert!((80..=120).contains(&found[0].1), "{found:?}");
    }
}

#[test]
fn q_24_forty_milliseconds_are_taken_and_twenty_three_are_not() {
    for offset in 0..20 {
        let mut sound = vec![0; 400 + offset * 7];
        sound.extend(press(KEYS[5], 40, 0.2));
        sound.extend(silence(60));
        assert_eq!(heard(&sound).len(), 1, "40 ms at offset {offset}");
        let mut sound = vec![0; 400 + offset * 7];
        sound.extend(press(KEYS[5], 23, 0.2));
        sound.extend(silence(60));
        assert_eq!(heard(&sound), [], "23 ms at offset {offset}");
    }
}

#[test]
fn q_24_frequencies_levels_and_twist() {
    let key = KEYS[9];
    for off in [-0.015, 0.015] {
        let sound = tones(
            100,
            (key.1 * (1.0 + off), 0.2),
            (key.2 * (1.0 + off), 0.2),
            0,
        );
        assert_eq!(heard(&sound).len(), 1, "off by {off}");
    }
    for off in [-0.04, 0.04] {
        let sound = tones(
            100,
            (key.1 * (1.0 + off), 0.2),
            (key.2 * (1.0 + off), 0.2),
            0,
        );
        assert_eq!(heard(&sound), [], "off by {off}");
    }
    // From -3 to -29 dBm0 (a full-scale sine is about +3 dBm0).
    for amplitude in [0.45, 0.2, 0.05, 0.025] {
        assert_eq!(heard(&press(key, 100, amplitude)).len(), 1, "{amplitude}");
    }
    for (low, high, taken) in [
        (0.2, 0.1, 1),
        (0.12, 0.2, 1),
        (0.3, 0.05, 0),
        (0.05, 0.3, 0),
    ] {
        let sound = tones(100, (key.1, low), (key.2, high), 0);
        assert_eq!(heard(&sound).len(), taken, "{low} {high}");
    }
}

#[test]
fn a_short_break_is_one_press_and_a_pause_makes_two() {
    let key = KEYS[0];
    for (pause, presses) in [(8, 1), (40, 2)] {
        let mut sound = press(key, 80, 0.2);
        sound.extend(silence(pause));
        sound.extend(press(key, 80, 0.2));
        sound.extend(silence(60));
        assert_eq!(heard(&sound).len(), presses, "a pause of {pause} ms");
    }
}

#[test]
fn ten_thousand_presses_among_noise_are_exact() {
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let mut sound = Vec::new();
    let mut expected = Vec::new();
    for _ in 0..10_000 {
        let key = KEYS[random(16) as usize];
        expected.push(key.0);
        let from = random(8_000) as usize;
        let amplitude = 0.05 + random(100) as f64 / 400.0;
        let ms = 50 + random(100) as usize;
        sound.extend(tones(ms, (key.1, amplitude), (key.2, amplitude), from));
        sound.extend(silence(45 + random(60) as usize));
    }
    for sample in &mut sound {
        // White noise some 26 dB below the faintest press.
        *sample = sample.saturating_add(random(160) as i16 - 80);
    }
    let found: Vec<u8> = heard(&sound).into_iter().map(|(event, _)| event).collect();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "a digit differs");
}

#[test]
fn single_tones_ringback_and_music_are_no_digits() {
    let mut sound = tones(2_000, (440.0, 0.2), (480.0, 0.2), 0);
    sound.extend(tones(2_000, (697.0, 0.3), (0.0, 0.0), 0));
    sound.extend(tones(2_000, (1_000.0, 0.3), (2_000.0, 0.1), 0));
    let mut music = vec![0; 8_000 * 60];
    offhook_dsp::Music::new(RATE).fill(&mut music);
    sound.extend(music);
    assert_eq!(heard(&sound), []);
}

/// Speech of a free synthesiser, `minutes` long; the program `espeak-ng` must be installed.
fn speech(minutes: usize) -> Vec<i16> {
    let words = "The quick brown fox jumps over the lazy dog, while seven wizards quietly mix a blue potion. \
                 Please hold the line; your call is important, and somebody will be with you in a moment. \
                 Three hundred and sixty five days, nine thousand eight hundred and twelve hours. ";
    let mut pcm = Vec::new();
    let voices = [
        "en+m1", "en+f1", "en+f3", "en+m7", "de", "fr", "es", "it+f2",
    ];
    for round in 0.. {
        let voice = voices[round % voices.len()];
        let pitch = (20 + 9 * round % 70).to_string();
        let speed = (130 + 17 * round % 120).to_string();
        let out = Command::new("espeak-ng")
            .args([
                "-v",
                voice,
                "-p",
                &pitch,
                "-s",
                &speed,
                "--stdout",
                &words.repeat(4),
            ])
            .output()
            .expect("espeak-ng is needed for this test (Debian package espeak-ng)");
        let wav = out.stdout.get(44..).expect("a WAV file of espeak-ng");
        let full: Vec<i16> = wav
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        // 22,050 Hz to 8 kHz: linear, which leaves more above the voice than a real line does.
        let ratio = 22_050.0 / f64::from(RATE);
        let count = (full.len() as f64 / ratio) as usize;
        pcm.extend((0..count).filter_map(|at| {
            let place = at as f64 * ratio;
            let (left, part) = (place as usize, place.fract());
            let (a, b) = (*full.get(left)?, *full.get(left + 1)?);
            Some((f64::from(a) * (1.0 - part) + f64::from(b) * part) as i16)
        }));
        if pcm.len() >= minutes * 60 * RATE as usize {
            break;
        }
    }
    pcm
}

#[test]
#[ignore = "synthesises half an hour of speech"]
fn half_an_hour_of_speech_has_no_digit() {
    assert_eq!(heard(&speech(30)), []);
}
