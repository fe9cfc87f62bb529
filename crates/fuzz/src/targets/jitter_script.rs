//! Invariant: the buffer holds 64 packets and 200 ms at most (or one packet), and every pull of the player is 20 ms.

use std::time::Duration;

use offhook_dsp::jitter::{JitterBuffer, MAX_HELD_US, MAX_PACKETS};
use offhook_dsp::{Codec, Playout};

use crate::bytes::{Bytes, piece};

#[allow(clippy::disallowed_methods)]
pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let codec = [Codec::Pcmu, Codec::Opus, Codec::G722, Codec::Pcma][usize::from(script.u8() % 4)];
    let rate = [8_000, 16_000, 48_000][usize::from(script.u8() % 3)];
    let mut buffer = JitterBuffer::new(codec);
    let mut player = Playout::new(codec, rate).expect("a rate that all serve");
    let (mut now, mut sequence, mut timestamp) =
        (std::time::Instant::now(), 1_000u64, script.u32());
    while !script.is_empty() {
        let how = script.u8();
        sequence = sequence.saturating_add_signed(i64::from(script.u8() as i8));
        timestamp = match how & 0x30 {
            0x10 => script.u32(),
            0x20 => timestamp.wrapping_add(script.u16().into()),
            _ => timestamp.wrapping_add(20 * codec.ticks_per_ms()),
        };
        match how % 8 {
            0..=2 => {
                let payload = script.piece(1_600);
                buffer.push(sequence, timestamp, payload, now);
                player.push(sequence, timestamp, payload, now);
            }
            3 => {
                buffer.push_gap(sequence, Some(how), now);
                player.push_noise(sequence, how, now);
            }
            4 => {
                buffer.reset();
                player.reset();
            }
            5 => {
                buffer.hurry();
                buffer.take();
            }
            _ => {
                now += Duration::from_millis(u64::from(script.u8()) * u64::from(1 + how % 3));
                buffer.tick(now);
                assert_eq!(player.pull(now).len(), rate as usize / 50);
            }
        }
        assert!(buffer.len() <= MAX_PACKETS);
        let held = i64::from(buffer.counters().buffer_ms) * 1_000;
        assert!(
            buffer.len() <= 1 || held <= MAX_HELD_US,
            "{held} µs in {} packets",
            buffer.len()
        );
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sound = |payload: &[u8]| [&[0, 1][..], &piece(payload), &[6, 0, 20]].concat();
    let pcmu = [
        vec![0, 0, 0xff, 0xff, 0xff, 0],
        sound(&[0x55; 160]).repeat(6),
        vec![3, 1],
        sound(&[0x60; 160]),
    ]
    .concat();
    let burst = [
        vec![0, 1, 0, 0, 0, 0],
        [&[0, 1][..], &piece(&[0x55; 160])].concat().repeat(20),
        vec![6, 0, 250],
    ]
    .concat();
    let opus = [
        vec![1, 2, 0, 0, 0, 0],
        sound(&[0x48, 1, 2, 3, 4]).repeat(4),
        vec![0x10, 5, 9, 9, 9, 9],
        sound(&[0x7b, 3, 1]),
    ]
    .concat();
    vec![pcmu, burst, opus]
}
