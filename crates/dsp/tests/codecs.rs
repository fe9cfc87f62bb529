//! A tone through every pair of codecs, and what Opus adds: FEC, stereo senders, its own idea of length.

mod common;

use common::{Call, assert_no_click, frequency, level_at};
use offhook_dsp::{
    Codec, CodecError, Decoder, Encoder, EncoderOptions, MAX_FRAME_BYTES, Tone, ToneSpec, level,
    opus,
};

const CODECS: [Codec; 4] = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];

fn check_tone(pcm: &[i16], rate: u32, what: &str) {
    let hertz = frequency(pcm, rate, 1_000.0);
    assert!((hertz - 1_000.0).abs() < 10.0, "{what}: {hertz:.1} Hz");
    let level = level_at(pcm, rate, 1_000.0);
    assert!((level + 10.0).abs() < 3.0, "{what}: {level:.1} dBFS");
    assert_no_click(pcm, rate, 1_000.0, what);
}

#[test]
fn a_tone_survives_every_pair() {
    for from in CODECS {
        for to in CODECS {
            let (rate, far) = (from.common_rate(to), to.native_rate());
            let mut tone = Tone::new(ToneSpec::TEST, rate);
            let mut call = Call::new(from, rate, EncoderOptions::default());
            let mut frame = vec![0; rate as usize / 50];
            for i in 0..100 {
                tone.fill(&mut frame);
                call.send(&frame, Some(i * 20_000));
            }
            call.run_to(99 * 20_000);
            let mut encoder = Encoder::new(to, rate, EncoderOptions::default()).unwrap();
            let mut decoder = Decoder::new(to, far).unwrap();
            let (mut packet, mut out, mut all) = ([0; 1_500], [0; 5_760], Vec::new());
            for frame in call.heard.chunks_exact(frame.len()) {
                let size = encoder.encode(frame, &mut packet).unwrap();
                let size = decoder.decode(&packet[..size], &mut out).unwrap();
                assert_eq!(size as u32, far / 50);
                all.extend_from_slice(&out[..size]);
            }
            check_tone(
                &all[far as usize / 2..far as usize * 3 / 2],
                far,
                &format!("{from:?} -> {to:?}"),
            );
        }
    }
}

#[test]
fn every_codec_serves_every_rate() {
    for codec in CODECS {
        for rate in [8_000, 16_000, 24_000, 48_000] {
            let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
            let mut decoder = Decoder::new(codec, rate).unwrap();
            let mut tone = Tone::new(ToneSpec::TEST, rate);
            let (mut frame, mut packet, mut out, mut all) = (
                vec![0; rate as usize / 50],
                [0; 1_500],
                [0; 5_760],
                Vec::new(),
            );
            for _ in 0..75 {
                tone.fill(&mut frame);
                let size = encoder.encode(&frame, &mut packet).unwrap();
                assert_eq!(
                    codec.payload_ticks(&packet[..size]),
                    Some(20 * codec.ticks_per_ms())
                );
                let size = decoder.decode(&packet[..size], &mut out).unwrap();
                assert_eq!(size, frame.len());
                all.extend_from_slice(&out[..size]);
            }
            check_tone(
                &all[rate as usize / 2..],
                rate,
                &format!("{codec:?} at {rate}"),
            );
        }
    }
}

/// Voiced enough for SILK to spend bits on FEC.
fn buzz(rate: u32, frames: usize) -> Vec<Vec<i16>> {
    let spec = ToneSpec {
        hertz: [150.0, 450.0],
        dbfs: -12.0,
        on_ms: 1_000,
        off_ms: 0,
    };
    let mut tone = Tone::new(spec, rate);
    (0..frames)
        .map(|_| {
            let mut frame = vec![0; rate as usize / 50];
            tone.fill(&mut frame);
            frame
        })
        .collect()
}

#[test]
fn fec_rebuilds_a_lost_frame() {
    let options = EncoderOptions {
        loss_percent: 20,
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new(Codec::Opus, 16_000, options).unwrap();
    let packets: Vec<Vec<u8>> = buzz(16_000, 40)
        .iter()
        .map(|frame| {
            let mut packet = vec![0; 1_275];
            let size = encoder.encode(frame, &mut packet).unwrap();
            packet.truncate(size);
            packet
        })
        .collect();
    assert!(packets[30..].iter().any(|packet| opus::has_fec(packet)));
    let mut decoder = Decoder::new(Codec::Opus, 16_000).unwrap();
    let mut out = [0; 5_760];
    for packet in &packets[..29] {
        decoder.decode(packet, &mut out).unwrap();
    }
    let mut rebuilt = [0; 320];
    assert!(decoder.decode_fec(&packets[30], &mut rebuilt));
    assert!(level::rms_dbov(&rebuilt) > -20.0);
}

#[test]
fn a_stereo_sender_is_heard_in_mono() {
    let mut packet = [0u8; 400];
    let mut state = stereo::Sender::new();
    let mut decoder = Decoder::new(Codec::Opus, 48_000).unwrap();
    let (mut out, mut all) = ([0; 5_760], Vec::new());
    let mut tone = Tone::new(ToneSpec::TEST, 48_000);
    let mut frame = [0; 960];
    for _ in 0..75 {
        tone.fill(&mut frame);
        let size = state.encode(&frame, &mut packet);
        assert!(opus::is_stereo(&packet[..size]));
        let size = decoder.decode(&packet[..size], &mut out).unwrap();
        assert_eq!(size, 960);
        all.extend_from_slice(&out[..size]);
    }
    check_tone(&all[24_000..], 48_000, "stereo");
}

/// libopus asked for two channels directly: our encoder never sends stereo.
mod stereo {
    #![allow(unsafe_code)]

    use opusic_sys as ffi;

    pub struct Sender(*mut ffi::OpusEncoder);

    impl Sender {
        pub fn new() -> Self {
            let mut code = 0;
            // SAFETY: `code` outlives the call.
            let state = unsafe {
                ffi::opus_encoder_create(48_000, 2, ffi::OPUS_APPLICATION_AUDIO, &mut code)
            };
            assert_eq!(code, 0);
            // SAFETY: the state is valid; both requests take one int.
            unsafe {
                ffi::opus_encoder_ctl(state, ffi::OPUS_SET_BITRATE_REQUEST, 96_000);
                ffi::opus_encoder_ctl(state, ffi::OPUS_SET_FORCE_CHANNELS_REQUEST, 2);
            }
            Self(state)
        }

        pub fn encode(&mut self, mono: &[i16], out: &mut [u8]) -> usize {
            let both: Vec<i16> = mono.iter().flat_map(|sample| [*sample, *sample]).collect();
            // SAFETY: `both` holds mono.len() samples per channel, `out` the bytes announced.
            let size = unsafe {
                ffi::opus_encode(
                    self.0,
                    both.as_ptr(),
                    mono.len() as i32,
                    out.as_mut_ptr(),
                    out.len() as i32,
                )
            };
            usize::try_from(size).unwrap()
        }
    }

    impl Drop for Sender {
        fn drop(&mut self) {
            // SAFETY: created above, freed once.
            unsafe { ffi::opus_encoder_destroy(self.0) }
        }
    }
}

#[test]
fn the_toc_byte_tells_the_length() {
    // RFC 6716 table 2: config 3 is SILK 60 ms, 15 hybrid 20 ms, 16 CELT 2.5 ms, 31 CELT 20 ms.
    for (packet, ticks) in [
        (&[3 << 3][..], Some(2_880)),
        (&[15 << 3], Some(960)),
        (&[16 << 3], Some(120)),
        (&[31 << 3 | 1, 0], Some(1_920)),
        (&[31 << 3 | 3, 6], Some(5_760)),
        (&[31 << 3 | 3, 7], None),
        (&[31 << 3 | 3, 0], None),
        (&[31 << 3 | 3], None),
        (&[], None),
    ] {
        assert_eq!(opus::packet_ticks(packet), ticks, "{packet:?}");
    }
    assert!(opus::is_dtx(&[0x08]) && opus::is_dtx(&[0x08, 1]) && !opus::is_dtx(&[0x08, 1, 2]));
}

#[test]
fn misuse_and_noise_are_errors_of_different_kinds() {
    let mut encoder = Encoder::new(Codec::Opus, 48_000, EncoderOptions::default()).unwrap();
    assert_eq!(
        encoder.encode(&[0; 100], &mut [0; 100]),
        Err(CodecError::BadFrame(100))
    );
    let mut decoder = Decoder::new(Codec::Opus, 48_000).unwrap();
    assert_eq!(
        decoder.decode(&[], &mut [0; 5_760]),
        Err(CodecError::BadPacket)
    );
    assert_eq!(
        decoder.decode(&[0xFF, 0x3F, 1, 2], &mut [0; 5_760]),
        Err(CodecError::BadPacket)
    );
    assert!(Decoder::new(Codec::Opus, 44_100).is_err());
    let mut pcmu = Encoder::new(Codec::Pcmu, 8_000, EncoderOptions::default()).unwrap();
    assert_eq!(
        pcmu.encode(&[0; 160], &mut [0; 100]),
        Err(CodecError::OutputTooSmall)
    );
}

#[test]
fn names_are_read_in_any_case() {
    assert_eq!(Codec::from_name("OPUS"), Some(Codec::Opus));
    assert_eq!(Codec::from_name("pcmu"), Some(Codec::Pcmu));
    assert_eq!(Codec::from_name("G729"), None);
}

/// How much later a decoder plays what an encoder took, samples: where both resemble each other most.
fn measured_delay(codec: Codec, rate: u32) -> usize {
    let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
    let mut decoder = Decoder::new(codec, rate).unwrap();
    let (mut dice, mut last) = (common::Dice(7), 0.0);
    let noise = |_| {
        // Without the highest tones, which narrow bands leave out.
        last = 0.8 * last + 0.2 * (dice.below(40_001) as f64 - 20_000.0);
        last as i16
    };
    let sound: Vec<i16> = (0..rate / 2).map(noise).collect();
    let (mut packet, mut out, mut heard) = ([0; MAX_FRAME_BYTES], [0; 5_760], Vec::new());
    for frame in sound.chunks_exact(rate as usize / 50) {
        let size = encoder.encode(frame, &mut packet).unwrap();
        let size = decoder.decode(&packet[..size], &mut out).unwrap();
        heard.extend_from_slice(&out[..size]);
    }
    let part = sound.len() / 4..sound.len() * 3 / 4;
    let likeness = |late: usize| -> f64 {
        let later = heard[part.start + late..].iter();
        let pairs = sound[part.clone()].iter().zip(later);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    (0..rate as usize / 50)
        .max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)))
        .unwrap()
}

#[test]
fn encoders_know_their_delay() {
    for codec in CODECS {
        for rate in [8_000, 16_000, 48_000] {
            let known = Encoder::new(codec, rate, EncoderOptions::default())
                .unwrap()
                .delay();
            let measured = measured_delay(codec, rate);
            assert!(
                known.abs_diff(measured) <= rate as usize / 8_000,
                "{codec:?} at {rate}: {known}, {measured}"
            );
        }
    }
}

/// A tone through a fresh encoder and a fresh decoder, with or without a lead: the level of its first 10 ms, dB.
fn first_of_a_tone(codec: Codec, rate: u32, leads: bool) -> f32 {
    let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
    let mut tone = Tone::new(ToneSpec::TEST, rate);
    let mut lead = vec![0; rate as usize / 25 + encoder.delay()];
    tone.fill(&mut lead);
    if leads {
        encoder.lead_in(&lead).unwrap();
    }
    let (mut frame, mut packet) = (vec![0; rate as usize / 50], [0; MAX_FRAME_BYTES]);
    tone.fill(&mut frame);
    let size = encoder.encode(&frame, &mut packet).unwrap();
    let native = codec.native_rate().min(16_000);
    let mut out = [0; 5_760];
    Decoder::new(codec, native)
        .unwrap()
        .decode(&packet[..size], &mut out)
        .unwrap();
    level::rms_dbov(&out[..native as usize / 100]) - level::rms_dbov(&frame)
}

#[test]
fn an_encoder_with_a_lead_begins_with_sound() {
    for (codec, rate) in [
        (Codec::Opus, 8_000),
        (Codec::Opus, 16_000),
        (Codec::G722, 8_000),
    ] {
        let (bare, led) = (
            first_of_a_tone(codec, rate, false),
            first_of_a_tone(codec, rate, true),
        );
        assert!(bare < -2.5, "{codec:?} at {rate} without: {bare:.1} dB");
        assert!(led > -1.5, "{codec:?} at {rate} with one: {led:.1} dB");
    }
}
