//! What Opus costs by rate and complexity: thread time of encoding and decoding 20 ms, over real speech.
//!
//! The best of some passes: other work on the machine only ever adds.

use std::fs;

use offhook_dsp::{
    Codec, Decoder, Encoder, EncoderOptions, MAX_FRAME_BYTES, MAX_SAMPLES, g711, resample,
};
use serde::Serialize;

use crate::arguments::Arguments;
use crate::frames::read_frames;
use crate::sys;

const RATES: [u32; 3] = [8_000, 16_000, 48_000];
const COMPLEXITIES: [u8; 7] = [0, 1, 2, 3, 4, 5, 10];
/// Rate of the speech in the file.
const SPOKEN_RATE: u32 = 8_000;
const FRAMES_A_SECOND: u32 = 50;

/// One row: microseconds for 20 ms, and the bit rate that came out.
#[derive(Debug, Serialize)]
struct Row {
    rate: u32,
    complexity: u8,
    encode_us: f64,
    decode_us: f64,
    kbit_s: f64,
}

/// `offhook-loadgen codecs`: one JSON line, a list of rows.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let path: String = arguments.need("speech")?;
    let passes: u32 = arguments.or("passes", 5)?;
    let data = fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
    let frames = read_frames(&data).ok_or_else(|| format!("{path}: no frames of PCMU"))?;
    let spoken: Vec<i16> = frames
        .iter()
        .flatten()
        .map(|byte| g711::ulaw_decode(*byte))
        .collect();
    let mut rows = Vec::new();
    for rate in RATES {
        let pcm = at_rate(&spoken, rate)?;
        for complexity in COMPLEXITIES {
            rows.push(measure(&pcm, rate, complexity, passes).map_err(|e| e.to_string())?);
        }
    }
    println!(
        "{}",
        serde_json::to_string(&rows).map_err(|e| e.to_string())?
    );
    Ok(())
}

fn at_rate(spoken: &[i16], rate: u32) -> Result<Vec<i16>, String> {
    if rate == SPOKEN_RATE {
        return Ok(spoken.to_vec());
    }
    resample::convert(spoken, SPOKEN_RATE, rate).map_err(|e| e.to_string())
}

fn measure(
    pcm: &[i16],
    rate: u32,
    complexity: u8,
    passes: u32,
) -> Result<Row, offhook_dsp::CodecError> {
    let options = EncoderOptions {
        complexity,
        ..EncoderOptions::default()
    };
    let frame = (rate / FRAMES_A_SECOND) as usize;
    let count = (pcm.len() / frame).max(1);
    let (mut encode, mut decode, mut octets) = (u64::MAX, u64::MAX, 0);
    for _ in 0..passes.max(1) {
        let mut encoder = Encoder::new(Codec::Opus, rate, options)?;
        let mut payload = [0u8; MAX_FRAME_BYTES];
        let mut packets = Vec::with_capacity(count);
        let start = sys::thread_time();
        for samples in pcm.chunks_exact(frame) {
            let size = encoder.encode(samples, &mut payload)?;
            packets.push(payload[..size].to_vec());
        }
        encode = encode.min(sys::thread_time() - start);
        octets = packets.iter().map(Vec::len).sum();
        let mut decoder = Decoder::new(Codec::Opus, rate)?;
        let mut out = [0i16; MAX_SAMPLES];
        let start = sys::thread_time();
        for packet in &packets {
            decoder.decode(packet, &mut out)?;
        }
        decode = decode.min(sys::thread_time() - start);
    }
    let each = |nanoseconds: u64| nanoseconds as f64 / count as f64 / 1_000.0;
    Ok(Row {
        rate,
        complexity,
        encode_us: each(encode),
        decode_us: each(decode),
        kbit_s: octets as f64 * 8.0 * f64::from(FRAMES_A_SECOND) / count as f64 / 1_000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_costs_time_and_bits_at_every_rate() {
        let tone: Vec<i16> = (0..16_000i32).map(|i| ((i * 37) % 9_000) as i16).collect();
        for rate in RATES {
            let pcm = at_rate(&tone, rate).expect("a rate of ours");
            let row = measure(&pcm, rate, 5, 1).expect("encoded");
            assert!(row.encode_us > 0.0 && row.decode_us > 0.0, "{row:?}");
            assert!((4.0..64.0).contains(&row.kbit_s), "{row:?}");
        }
    }
}
