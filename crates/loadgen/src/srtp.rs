//! What SRTP costs by suite: thread time to seal and to open a packet, with one key and with those of many legs in turn.
//!
//! The best of some passes: other work on the machine only ever adds. The time to copy a packet into place is taken off.

use std::time::Instant;

use offhook_rtp::header::Fields;
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{MAX_OVERHEAD, SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::sys;

const SUITES: [Suite; 4] = [
    Suite::AesCm128HmacSha1_80,
    Suite::Aes256CmHmacSha1_80,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];
/// A packet of G.711: 160 samples behind the header.
const PACKET: usize = 172;
const ROOM: usize = PACKET + MAX_OVERHEAD;
const SSRC: u32 = 0x0ff4_0000;

/// One row: nanoseconds for a packet.
#[derive(Debug, Serialize)]
struct Row {
    suite: &'static str,
    legs: u32,
    seal_ns: f64,
    open_ns: f64,
}

/// `offhook-loadgen srtp`: one JSON line, a list of rows.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let legs: u32 = arguments.or("legs", 500)?;
    let packets: u32 = arguments.or("packets", 20_000)?;
    let passes: u32 = arguments.or("passes", 9)?;
    let mut rows = Vec::new();
    for suite in SUITES {
        for legs in [1, legs.max(1)] {
            rows.push(measure(suite, legs, packets, passes)?);
        }
    }
    println!(
        "{}",
        serde_json::to_string(&rows).map_err(|e| e.to_string())?
    );
    Ok(())
}

fn measure(suite: Suite, legs: u32, packets: u32, passes: u32) -> Result<Row, String> {
    let each = packets.div_ceil(legs).max(1);
    let mut plain = vec![[0u8; ROOM]; (each * legs) as usize];
    let mut work = plain.clone();
    for (number, packet) in (0..).zip(&mut plain) {
        voice(number / legs, packet);
    }
    let (mut copy, mut seal, mut open) = (u64::MAX, u64::MAX, u64::MAX);
    for _ in 0..passes.max(1) {
        let mut keys = (0..legs)
            .map(|leg| pair(suite, leg))
            .collect::<Result<Vec<_>, _>>()?;
        copy = copy.min(timed(|| {
            for (from, to) in plain.iter().zip(&mut work) {
                to.copy_from_slice(std::hint::black_box(from));
            }
            Ok(())
        })?);
        let len = PACKET + suite.rtp_tag_len();
        seal = seal.min(timed(|| {
            for (number, (from, to)) in plain.iter().zip(&mut work).enumerate() {
                to.copy_from_slice(from);
                let (out, _) = &mut keys[number % legs as usize];
                out.seal(to, PACKET).map_err(|e| e.to_string())?;
            }
            Ok(())
        })?);
        let (sealed, now) = (work.clone(), Instant::now());
        open = open.min(timed(|| {
            for (number, (from, to)) in sealed.iter().zip(&mut work).enumerate() {
                to.copy_from_slice(from);
                let (_, inward) = &mut keys[number % legs as usize];
                inward
                    .open(&mut to[..len], now)
                    .map_err(|e| e.to_string())?;
            }
            Ok(())
        })?);
    }
    let each = |time: u64| time.saturating_sub(copy) as f64 / plain.len() as f64;
    Ok(Row {
        suite: suite.name(),
        legs,
        seal_ns: each(seal),
        open_ns: each(open),
    })
}

fn timed(work: impl FnOnce() -> Result<(), String>) -> Result<u64, String> {
    let start = sys::thread_time();
    work()?;
    Ok(sys::thread_time() - start)
}

fn voice(sequence: u32, packet: &mut [u8; ROOM]) {
    let fields = Fields {
        marker: false,
        payload_type: 0,
        // Truncation is the point.
        sequence: sequence as u16,
        timestamp: sequence.wrapping_mul(160),
        ssrc: SSRC,
    };
    fields.write(packet);
    for (place, byte) in packet[12..PACKET].iter_mut().enumerate() {
        *byte = (place * 7) as u8;
    }
}

/// Both ends of one leg.
fn pair(suite: Suite, leg: u32) -> Result<(SrtpOut, SrtpIn), String> {
    let mut key = vec![0x5a; suite.key_len()];
    key[..4].copy_from_slice(&leg.to_be_bytes());
    let salt = vec![0xa5; suite.salt_len()];
    let keys = MasterKeys::new(suite, &key, &salt).map_err(|e| e.to_string())?;
    let both = (SrtpOut::new(&keys), SrtpIn::new(&keys));
    match both {
        (Ok(out), Ok(inward)) => Ok((out, inward)),
        _ => Err("the keys were refused".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_seals_and_opens_for_one_leg_and_for_many() {
        for suite in SUITES {
            for legs in [1, 3] {
                let row = measure(suite, legs, 30, 1).expect("every packet opens");
                assert_eq!(row.legs, legs);
                assert!(row.seal_ns >= 0.0 && row.open_ns >= 0.0, "{row:?}");
            }
        }
    }
}
