//! Loudness of PCM, and silence told from bytes without decoding.

use crate::codec::Codec;
use crate::g711;

/// The lowest level reported, dBov: digital silence (RFC 6464 3 uses the same floor).
pub const FLOOR_DBOV: f32 = -127.0;

/// Root mean square of the samples in dBov, 0 being a full-scale square wave; [`FLOOR_DBOV`] for silence or no samples.
#[must_use]
pub fn rms_dbov(pcm: &[i16]) -> f32 {
    if pcm.is_empty() {
        return FLOOR_DBOV;
    }
    let energy: i64 = pcm
        .iter()
        .map(|sample| i64::from(*sample) * i64::from(*sample))
        .sum();
    let mean = energy as f64 / pcm.len() as f64 / (32_768.0 * 32_768.0);
    if mean > 0.0 {
        (10.0 * mean.log10()).max(f64::from(FLOOR_DBOV)) as f32
    } else {
        FLOOR_DBOV
    }
}

/// Whether every byte of the payload is the same and there is at least one: a stuck source, or silence.
#[must_use]
pub fn all_equal(payload: &[u8]) -> bool {
    payload
        .first()
        .is_some_and(|first| uniform(payload, 0xff, *first))
}

/// Whether a G.711 payload holds only the two smallest magnitudes of its law: no microphone is this quiet.
#[must_use]
pub fn g711_is_digital_silence(codec: Codec, payload: &[u8]) -> bool {
    let (mask, quiet) = match codec {
        // Sign and lowest bit aside: 0xFF and 0x7F are zero, 0xFE and 0x7E the first step.
        Codec::Pcmu => (0x7E, g711::PCMU_SILENCE & 0x7E),
        Codec::Pcma => (0x7E, g711::PCMA_SILENCE & 0x7E),
        Codec::G722 | Codec::Opus => return false,
    };
    !payload.is_empty() && uniform(payload, mask, quiet)
}

/// Whether all bytes are equal under a mask. By pieces: speech differs in the first, and silence is read as vectors.
fn uniform(payload: &[u8], mask: u8, wanted: u8) -> bool {
    const PIECE: usize = 32;
    payload.chunks(PIECE).all(|piece| {
        let differing = piece
            .iter()
            .fold(0, |found, byte| found | ((byte & mask) ^ wanted));
        differing == 0
    })
}

/// Whether the bytes alone say that the payload carries no sound: G.711 silence, an Opus DTX frame, one repeated byte.
#[must_use]
pub fn is_silent_payload(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Pcmu | Codec::Pcma => g711_is_digital_silence(codec, payload) || all_equal(payload),
        Codec::G722 => all_equal(payload),
        Codec::Opus => codec.is_silence_hint(payload),
    }
}

/// Loudness of a G.711 payload in dBov; [`FLOOR_DBOV`] for silence or no bytes.
#[must_use]
pub fn companded_dbov(codec: Codec, payload: &[u8]) -> f32 {
    let decode = match codec {
        Codec::Pcma => g711::alaw_decode,
        _ => g711::ulaw_decode,
    };
    let square = |byte: &u8| i64::from(decode(*byte)).pow(2);
    let energy: i64 = payload.iter().map(square).sum();
    if energy == 0 {
        return FLOOR_DBOV;
    }
    let mean = energy as f64 / payload.len() as f64 / (32_768.0 * 32_768.0);
    (10.0 * mean.log10()) as f32
}
