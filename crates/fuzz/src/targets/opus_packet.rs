//! Invariant: any payload is an error or sound of the length it announces, and the decoder goes on with the next good packet.

use offhook_dsp::{
    Codec, Decoder, Encoder, EncoderOptions, MAX_FRAME_BYTES, MAX_SAMPLES, level, opus,
};

use crate::bytes::{Bytes, piece};

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let rate = [8_000u32, 16_000, 24_000, 48_000][usize::from(script.u8() % 4)];
    let codec = [
        Codec::Opus,
        Codec::Opus,
        Codec::Pcmu,
        Codec::Pcma,
        Codec::G722,
    ][usize::from(script.u8() % 5)];
    let mut decoder = Decoder::new(codec, rate).expect("a rate that all serve");
    let mut out = vec![0; MAX_SAMPLES];
    while !script.is_empty() {
        let how = script.u8();
        let payload = script.piece(1_500);
        let _ = (
            opus::is_stereo(payload),
            opus::is_dtx(payload),
            opus::has_fec(payload),
        );
        let _ = level::is_silent_payload(codec, payload);
        let announced = codec
            .payload_ticks(payload)
            .map(|ticks| ticks / codec.ticks_per_ms() * rate / 1_000);
        match how % 4 {
            0 => assert!(
                !decoder.decode_fec(payload, &mut out[..rate as usize / 50])
                    || codec == Codec::Opus
            ),
            1 => drop(decoder.conceal(&mut out[..rate as usize / 50])),
            _ => {
                if let Ok(len) = decoder.decode(payload, &mut out) {
                    assert!(len <= MAX_SAMPLES);
                    // A packet shorter than a millisecond has no length in whole ones.
                    let odd = codec
                        .payload_ticks(payload)
                        .is_none_or(|ticks| ticks % codec.ticks_per_ms() != 0);
                    assert!(
                        odd || Some(len as u32) == announced,
                        "{len} samples, {announced:?} announced"
                    );
                }
            }
        }
    }
    let good = tone(codec);
    let len = decoder.decode(&good, &mut out).expect("a good packet");
    assert_eq!(len as u32, rate / 50);
}

fn tone(codec: Codec) -> Vec<u8> {
    let rate = codec.native_rate().min(16_000);
    let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).expect("an encoder");
    let samples: Vec<i16> = (0..rate / 50)
        .map(|at| ((at % 16) as i16 - 8) * 1_000)
        .collect();
    let mut payload = [0; MAX_FRAME_BYTES];
    let len = encoder.encode(&samples, &mut payload).expect("encoded");
    payload[..len].to_vec()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let packet = tone(Codec::Opus);
    let of = |how: u8, payload: &[u8]| [&[how][..], &piece(payload)].concat();
    // TOC bytes of every mode and frame count, with a little data.
    let odd: Vec<u8> = (0..32)
        .flat_map(|config: u8| {
            (0..4).flat_map(move |count: u8| of(2, &[config << 3 | count, 0x82, 1, 2, 3, 4, 5]))
        })
        .collect();
    let codecs = (0..5u8).map(|codec| {
        [
            vec![1, codec],
            of(2, &packet),
            of(1, &[]),
            of(0, &packet),
            of(2, &packet),
        ]
        .concat()
    });
    codecs.chain([[vec![3, 0], odd].concat()]).collect()
}
