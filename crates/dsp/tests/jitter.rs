//! The jitter buffer alone: bounds and order under any script, and what each kind of pause is called.

mod common;

use std::time::{Duration, Instant};

use common::Dice;
use offhook_dsp::jitter::{JitterBuffer, MAX_HELD_US, MAX_PACKETS, MAX_PAYLOAD};
use offhook_dsp::{Codec, Decision, Playout, Pushed};
use proptest::prelude::*;

const SPEECH: [u8; 160] = [0x33; 160];
const DTX_20: Decision = Decision::Dtx { ticks: 160 };
const CONCEAL_20: Decision = Decision::Conceal { ticks: 160 };

/// A PCMU buffer on a virtual clock; packet `n` is sent at `n` x 20 ms and holds 20 ms.
struct Bench {
    buffer: JitterBuffer,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        Self {
            buffer: JitterBuffer::new(Codec::Pcmu),
            start: Instant::now(),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn push(&mut self, n: u64, ms: u64) -> Pushed {
        let at = self.at(ms);
        self.buffer.push(n, n as u32 * 160, &SPEECH, at)
    }

    fn tick(&mut self, ms: u64) -> Decision {
        let at = self.at(ms);
        self.buffer.tick(at)
    }

    /// Packets `range` arrive on time, each followed by a tick.
    fn steady(&mut self, range: std::ops::Range<u64>) -> Vec<Decision> {
        range
            .map(|n| {
                assert_eq!(self.push(n, n * 20), Pushed::Stored);
                self.tick(n * 20)
            })
            .collect()
    }
}

#[test]
fn playing_starts_after_the_starting_target_of_40_ms() {
    let mut bench = Bench::new();
    assert_eq!(bench.tick(0), DTX_20);
    assert_eq!(
        bench.steady(0..4),
        [DTX_20, DTX_20, Decision::Normal, Decision::Normal]
    );
}

#[test]
fn a_lost_packet_is_concealed_once_and_time_goes_on() {
    let mut bench = Bench::new();
    bench.steady(0..10);
    assert_eq!(bench.tick(200), Decision::Normal);
    bench.push(11, 220);
    assert_eq!(bench.tick(220), Decision::Normal);
    bench.push(12, 240);
    assert_eq!(bench.tick(240), CONCEAL_20);
    assert_eq!(bench.push(10, 245), Pushed::Late);
    assert_eq!(bench.tick(260), Decision::Normal);
    let counters = bench.buffer.counters();
    assert_eq!(
        (counters.concealed_ms, counters.late, counters.missing),
        (20, 1, 1)
    );
}

#[test]
fn reordered_packets_are_played_in_order() {
    let mut bench = Bench::new();
    bench.steady(0..10);
    for pair in 5..20 {
        bench.push(2 * pair + 1, 40 * pair);
        assert_eq!(bench.tick(40 * pair), Decision::Normal);
        bench.push(2 * pair, 40 * pair + 5);
        assert_eq!(bench.tick(40 * pair + 20), Decision::Normal);
    }
    assert_eq!(bench.buffer.counters().concealed_ms, 0);
}

#[test]
fn silence_that_was_not_sent_is_not_loss() {
    let mut bench = Bench::new();
    bench.steady(0..10);
    for ms in (200..1_000).step_by(20) {
        bench.tick(ms);
    }
    // Sequence 10 follows 9, its time stamp moved on by the 800 ms of silence.
    let at = bench.at(1_000);
    bench.buffer.push(10, 50 * 160, &SPEECH, at);
    let resumed: Vec<Decision> = (0..3).map(|i| bench.tick(1_000 + 20 * i)).collect();
    assert_eq!(resumed, [DTX_20, DTX_20, Decision::Normal]);
    let counters = bench.buffer.counters();
    assert_eq!(
        (counters.concealed_ms, counters.missing, counters.late),
        (0, 0, 0)
    );
}

#[test]
fn a_stall_of_the_network_is_concealment() {
    let mut bench = Bench::new();
    bench.steady(0..10);
    for ms in (200..300).step_by(20) {
        bench.tick(ms);
    }
    // Two ticks had packets, three had none; then all come at once and none of them is lost.
    for n in 10..16 {
        assert_eq!(bench.push(n, 300), Pushed::Stored);
    }
    bench.tick(300);
    let counters = bench.buffer.counters();
    assert_eq!(
        (counters.concealed_ms, counters.missing, counters.late),
        (60, 0, 0)
    );
}

#[test]
fn soundless_packets_are_not_loss() {
    let mut bench = Bench::new();
    bench.steady(0..10);
    for n in 10..20 {
        let at = bench.at(n * 20);
        bench.buffer.push_gap(n, None, at);
        bench.tick(n * 20);
    }
    for n in 20..30 {
        bench.push(n, n * 20);
        bench.tick(n * 20);
    }
    let counters = bench.buffer.counters();
    assert_eq!(
        (counters.concealed_ms, counters.missing, counters.late),
        (0, 0, 0)
    );
    assert!(counters.played >= 17);
}

#[test]
fn a_new_time_base_costs_nothing() {
    let mut bench = Bench::new();
    bench.steady(0..50);
    for n in 50..100u64 {
        let at = bench.at(n * 20);
        bench
            .buffer
            .push(n, 3_000_000_000 + n as u32 * 160, &SPEECH, at);
        assert_eq!(bench.buffer.tick(at), Decision::Normal, "packet {n}");
    }
}

#[test]
fn a_sender_that_starts_over_is_heard_again() {
    let mut bench = Bench::new();
    for n in 5_000..5_050 {
        bench.push(n, (n - 5_000) * 20);
        bench.tick((n - 5_000) * 20);
    }
    let heard = (0..60).filter(|n| {
        bench.push(*n, 1_000 + n * 20);
        bench.tick(1_000 + n * 20) == Decision::Normal
    });
    assert!(heard.count() >= 40);
}

#[test]
fn a_path_that_becomes_slower_is_followed() {
    let mut bench = Bench::new();
    bench.steady(0..100);
    // All later packets take 300 ms longer: one stall, then sound at once, long before the floor has moved.
    let mut made_up = 0;
    for n in 100..300 {
        if n >= 115 {
            bench.push(n - 15, n * 20);
        }
        made_up += u32::from(!matches!(
            bench.tick(n * 20),
            Decision::Normal | Decision::Expand
        ));
    }
    assert!(made_up <= 16, "{made_up} frames made up");
    assert_eq!(bench.buffer.counters().late, 0);
}

#[test]
fn ticks_that_come_a_little_late_cost_nothing() {
    let mut bench = Bench::new();
    let mut dice = Dice(8);
    bench.steady(0..10);
    for n in 10..3_000 {
        bench.push(n, n * 20);
        let decision = bench.tick(n * 20 + dice.below(8));
        // When the starting target is forgotten, its surplus is cut; nothing is ever put in or made up.
        assert!(
            matches!(decision, Decision::Normal | Decision::Accelerate),
            "packet {n}: {decision:?}"
        );
    }
}

#[test]
fn what_is_not_a_packet_is_refused() {
    let mut bench = Bench::new();
    let at = bench.at(0);
    assert_eq!(bench.buffer.push(0, 0, &[], at), Pushed::Malformed);
    assert_eq!(
        bench.buffer.push(0, 0, &[0; MAX_PAYLOAD + 1], at),
        Pushed::Malformed
    );
    assert_eq!(bench.push(0, 0), Pushed::Stored);
    assert_eq!(bench.push(0, 0), Pushed::Duplicate);
    assert_eq!(bench.buffer.counters().discarded, 3);
}

/// One step of a script: what arrives, how much later.
#[derive(Debug, Clone)]
enum Step {
    Push {
        sequence: u64,
        timestamp: u32,
        size: usize,
    },
    Gap {
        sequence: u64,
    },
    Wait {
        ms: u64,
    },
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u64..40, 0usize..4).prop_map(|(n, i)| {
            Step::Push { sequence: n, timestamp: n as u32 * 160, size: [80, 160, 240, 480][i] }
        }),
        1 => (0u64..2_000, any::<u32>(), 4usize..1_700).prop_map(|(sequence, timestamp, size)| {
            Step::Push { sequence, timestamp, size }
        }),
        1 => (0u64..40).prop_map(|sequence| Step::Gap { sequence }),
        6 => (0u64..60).prop_map(|ms| Step::Wait { ms }),
        1 => (0u64..5_000).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariant: 64 packets and 200 ms (or one packet) at most; what is played has rising sequence numbers between resets.
    #[test]
    fn bound_and_order_hold_under_any_script(steps in prop::collection::vec(step(), 1..300)) {
        let start = Instant::now();
        let (mut now, mut last, mut restarts) = (start, None, 0);
        let mut buffer = JitterBuffer::new(Codec::Pcmu);
        for step in steps {
            match step {
                Step::Push { sequence, timestamp, size } => {
                    // The payload carries its own sequence number.
                    let mut payload = vec![0; size];
                    let tag = (sequence as u32).to_be_bytes();
                    payload.iter_mut().zip(tag).for_each(|(byte, tag)| *byte = tag);
                    buffer.push(sequence, timestamp, &payload, now);
                }
                Step::Gap { sequence } => { buffer.push_gap(sequence, None, now); }
                Step::Wait { ms } => {
                    now += Duration::from_millis(ms);
                    let decision = buffer.tick(now);
                    if matches!(decision, Decision::Normal | Decision::Accelerate | Decision::Expand) {
                        let tag = buffer.payload()[..4].try_into().map(u32::from_be_bytes).unwrap();
                        let since = if buffer.counters().restarts == restarts { last } else { None };
                        prop_assert!(since.is_none_or(|last| tag > last), "{tag} after {last:?}");
                        restarts = buffer.counters().restarts;
                        last = Some(tag);
                    }
                }
                Step::Reset => { buffer.reset(); last = None; }
            }
            prop_assert!(buffer.len() <= MAX_PACKETS);
            prop_assert!(buffer.len() <= 1 || i64::from(buffer.counters().buffer_ms) * 1_000 <= MAX_HELD_US);
        }
    }

    /// Invariant: whatever is pushed, a pull is 20 ms, and no payload panics any codec.
    #[test]
    fn pull_is_always_a_frame(
        packets in prop::collection::vec((0u64..200, any::<u32>(), prop::collection::vec(any::<u8>(), 0..200), 0u64..50), 1..60),
        codec in prop::sample::select(vec![Codec::Pcmu, Codec::G722, Codec::Opus]),
        rate in prop::sample::select(vec![8_000u32, 16_000, 48_000]),
    ) {
        let mut now = Instant::now();
        let mut play = Playout::new(codec, rate).unwrap();
        for (sequence, timestamp, payload, wait) in packets {
            play.push(sequence, timestamp, &payload, now);
            now += Duration::from_millis(wait);
            prop_assert_eq!(play.pull(now).len(), rate as usize / 50);
        }
    }
}
