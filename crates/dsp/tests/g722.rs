//! G.722 octet for octet as its C reference codes it, and an encoder that goes on where a decoder is.

use offhook_dsp::g722::{Decoder, Encoder};

/// Two seconds of noise that swells, with a square wave every other quarter second: both bands at all their scales.
fn sound() -> Vec<i16> {
    let mut state: u32 = 0x9e37_79b9;
    (0..32_000)
        .map(|at: i32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let noise = (state as i32 >> 16) >> (15 - at * 13 / 32_000);
            let high = if at / 20 % 2 == 1 { 9_000 } else { -9_000 };
            (noise + if at / 4_000 % 2 == 1 { high } else { 0 }) as i16
        })
        .collect()
}

fn encoded(encoder: &mut Encoder, pcm: &[i16]) -> Vec<u8> {
    let mut out = vec![0; pcm.len() / 2];
    encoder.encode(pcm, &mut out).unwrap();
    out
}

/// FNV-1a, 64 bits.
fn digest(octets: impl IntoIterator<Item = u8>) -> u64 {
    octets
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3)
        })
}

#[test]
fn what_the_c_reference_makes_of_two_seconds() {
    // Made once by libspandsp 2.0, whose decoder wraps where the recommendation limits: this sound stays within.
    let codes = encoded(&mut Encoder::new(), &sound());
    assert_eq!(digest(codes.iter().copied()), 0x9fc9_f4b2_6a89_2d1f);
    let mut pcm = vec![0; 32_000];
    Decoder::new().decode(&codes, &mut pcm).unwrap();
    let octets = pcm.iter().flat_map(|one| one.to_le_bytes());
    assert_eq!(digest(octets), 0x11b4_ff3f_91bc_7838);
}

#[test]
fn an_encoder_that_resumes_codes_what_the_one_before_would_have() {
    let sound = sound();
    let (heard, rest) = sound.split_at(20_000);
    let mut before = Encoder::new();
    let mut far = Decoder::new();
    let codes = encoded(&mut before, heard);
    far.decode(&codes, &mut vec![0; heard.len()]).unwrap();
    let mut resumed = Encoder::new();
    resumed.resume(&far);
    resumed.listen(&heard[heard.len() - 24..]);
    assert!(encoded(&mut resumed, rest) == encoded(&mut before, rest));
}
