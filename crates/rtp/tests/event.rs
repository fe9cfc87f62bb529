//! telephone-event: one press is one digit, whatever is lost.

use std::time::{Duration, Instant};

use offhook_rtp::event::{
    Change, Digit, EventPacket, EventPayload, EventReceiver, EventSender, character, code,
};
use proptest::collection::vec;
use proptest::prelude::*;

const TICK: Duration = Duration::from_millis(20);
const CLOCKS: [u32; 2] = [8000, 48_000];

/// All packets of a press with the times they leave at.
fn press(
    clock_rate: u32,
    event: u8,
    timestamp: u32,
    held: Duration,
    start: Instant,
) -> Vec<(Instant, EventPacket)> {
    let mut sender = EventSender::new(clock_rate);
    sender.start(event, timestamp, Some(held), start);
    let mut packets = Vec::new();
    while let Some(due) = sender.deadline() {
        packets.push((due, sender.poll(due).unwrap()));
    }
    packets
}

/// Delivers packets in order of time, letting timeouts happen when they are due.
fn receive(receiver: &mut EventReceiver, packets: &[(Instant, EventPacket)]) -> Vec<Change> {
    let mut changes = Vec::new();
    for (at, packet) in packets {
        if let Some(deadline) = receiver.deadline().filter(|deadline| deadline < at) {
            changes.extend(receiver.timeout(deadline));
        }
        changes.extend(receiver.packet(packet.timestamp, packet.marker, packet.payload, *at));
    }
    if let Some(deadline) = receiver.deadline() {
        changes.extend(receiver.timeout(deadline));
    }
    changes
}

fn digits(changes: &[Change]) -> Vec<Digit> {
    changes
        .iter()
        .filter_map(|change| {
            if let Change::Ended(digit) = change {
                Some(*digit)
            } else {
                None
            }
        })
        .collect()
}

/// A start for every end, in turn.
fn assert_alternating(changes: &[Change]) {
    for pair in changes.chunks(2) {
        assert!(
            matches!(pair, [Change::Started(a), Change::Ended(Digit { event: b, .. })] if a == b),
            "{changes:?}"
        );
    }
}

#[test]
fn payload_and_names() {
    let payload = EventPayload {
        event: 11,
        end: true,
        volume: 10,
        duration: 0x0320,
    };
    assert_eq!(payload.to_bytes(), [11, 0x8a, 3, 0x20]);
    assert_eq!(
        EventPayload::parse(&[11, 0xca, 3, 0x20, 99]),
        Some(payload),
        "the reserved bit is ignored"
    );
    assert_eq!(EventPayload::parse(&[1, 2, 3]), None);
    for event in 0..=16 {
        assert_eq!(
            character(event).and_then(code),
            (event < 16).then_some(event)
        );
    }
    assert_eq!((code('d'), code('x'), code('é')), (Some(15), None, None));
}

#[test]
fn a_press_on_the_wire() {
    for clock_rate in CLOCKS {
        let step = (clock_rate / 50) as u16;
        let start = Instant::now();
        let packets = press(clock_rate, 5, 1000, Duration::from_millis(100), start);
        let expected: Vec<_> = [1, 2, 3, 4, 5, 5, 5]
            .into_iter()
            .enumerate()
            .map(|(at, steps)| {
                let payload = EventPayload {
                    event: 5,
                    end: at >= 4,
                    volume: 10,
                    duration: steps * step,
                };
                (
                    start + TICK * at as u32,
                    EventPacket {
                        marker: at == 0,
                        timestamp: 1000,
                        payload,
                    },
                )
            })
            .collect();
        assert_eq!(packets, expected);
    }
}

#[test]
fn a_held_press_ends_when_released() {
    let start = Instant::now();
    let mut sender = EventSender::new(8000);
    sender.start(1, 0, None, start);
    for tick in 0..10 {
        assert!(!sender.poll(start + TICK * tick).unwrap().payload.end);
        assert_eq!(
            sender.poll(start + TICK * tick),
            None,
            "one packet an interval"
        );
    }
    sender.release(None);
    let ends: Vec<_> = (10..20)
        .filter_map(|tick| sender.poll(start + TICK * tick))
        .collect();
    assert_eq!(ends.len(), 3);
    assert!(
        ends.iter()
            .all(|packet| packet.payload.end && packet.payload.duration == 11 * 160)
    );
    assert_eq!(sender.deadline(), None);
}

/// Trap 7: every loss pattern that leaves one packet of a 10-packet event gives exactly one digit.
#[test]
fn trap_7_every_loss_pattern_gives_one_digit() {
    for clock_rate in CLOCKS {
        let start = Instant::now();
        let packets = press(
            clock_rate,
            7,
            4_294_967_000,
            Duration::from_millis(160),
            start,
        );
        assert_eq!(packets.len(), 10);
        for pattern in 1..1024_u32 {
            let left: Vec<_> = (0..10)
                .filter(|at| pattern >> at & 1 == 1)
                .map(|at| packets[at])
                .collect();
            let changes = receive(&mut EventReceiver::new(clock_rate), &left);
            assert_alternating(&changes);
            let digits = digits(&changes);
            assert_eq!(digits.len(), 1, "pattern {pattern:010b}");
            assert_eq!(digits[0].event, 7);
            // As long as the packets before the first 100 ms of quiet tell.
            let quiet = left
                .windows(2)
                .position(|pair| pair[1].0 - pair[0].0 >= TICK * 5);
            let last = left[quiet.unwrap_or(left.len() - 1)].1;
            let told = u32::from(last.payload.duration) * 1000 / clock_rate;
            assert_eq!(digits[0].duration_ms, told, "pattern {pattern:010b}");
        }
    }
}

/// Trap 8: a sender that counts on another clock than it named is known by how much its packets grow, whichever are lost
/// and whenever the key is let go.
#[test]
fn trap_8_a_sender_on_the_wrong_clock_is_known_by_the_growth_of_its_packets() {
    for (named, counts) in [(48_000u32, 8_000u32), (8_000, 48_000)] {
        for (sends, told) in [(counts, 160), (named, 160)] {
            // 10 ms of 48 kHz are 60 of 8, which may as well be 20 of which two were lost.
            let ambiguous = (named, sends) == (8_000, 48_000);
            let steps = [10u32, 20, 30, 50].into_iter();
            for step_ms in steps.filter(|ms| *ms > 10 || !ambiguous) {
                for last_ms in [1, 5, step_ms] {
                    let (start, unit) = (Instant::now(), sends / 1_000);
                    let packet = |at: u32, ms: u32, end| {
                        let payload = EventPayload {
                            event: 4,
                            end,
                            volume: 10,
                            duration: u16::try_from(ms * unit).unwrap(),
                        };
                        let packet = EventPacket {
                            marker: at == step_ms,
                            timestamp: 77,
                            payload,
                        };
                        (start + Duration::from_millis(u64::from(at)), packet)
                    };
                    let held: Vec<u32> = (1..=told / step_ms).map(|n| n * step_ms).collect();
                    let length = held[held.len() - 1] + last_ms;
                    let mut packets: Vec<_> =
                        held.iter().map(|at| packet(*at, *at, false)).collect();
                    packets.extend((0..3).map(|n| packet(length + n, length, true)));
                    // Each packet in turn is lost, and none; of three updates none may be that tells.
                    let kept = if step_ms == 50 { held.len() } else { 0 };
                    for lost in kept..=packets.len() {
                        let mut left = packets.clone();
                        if lost < left.len() {
                            left.remove(lost);
                        }
                        let got = digits(&receive(&mut EventReceiver::new(named), &left));
                        let what =
                            format!("{named} named, {sends} sent, {step_ms} {last_ms} {lost}");
                        assert_eq!(got.len(), 1, "{what}");
                        assert_eq!(got[0].duration_ms, length, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn equal_digits_in_a_row_stay_two_under_any_loss() {
    let start = Instant::now();
    let first = press(8000, 1, 0, Duration::from_millis(80), start);
    let second = press(
        8000,
        1,
        160 * 10,
        Duration::from_millis(80),
        start + TICK * 10,
    );
    for (a, b) in (1..1 << first.len()).flat_map(|a| (1..1 << second.len()).map(move |b| (a, b))) {
        let pick = |packets: &[(Instant, EventPacket)], pattern: u32| -> Vec<_> {
            (0..packets.len())
                .filter(|at| pattern >> at & 1 == 1)
                .map(|at| packets[at])
                .collect()
        };
        let left = [pick(&first, a), pick(&second, b)].concat();
        let changes = receive(&mut EventReceiver::new(8000), &left);
        assert_alternating(&changes);
        assert_eq!(digits(&changes).len(), 2, "patterns {a:06b} {b:06b}");
    }
}

#[test]
fn late_packets_of_a_finished_event_are_not_a_digit() {
    let start = Instant::now();
    let mut packets = press(8000, 3, 5000, Duration::from_millis(60), start);
    let straggler = packets.remove(1).1;
    packets.push((start + Duration::from_secs(1), straggler));
    let next = press(
        8000,
        4,
        5000 + 16_000,
        Duration::from_millis(60),
        start + Duration::from_secs(2),
    );
    packets.extend(next);
    packets.push((start + Duration::from_secs(3), straggler));
    let changes = receive(&mut EventReceiver::new(8000), &packets);
    assert_eq!(
        digits(&changes)
            .iter()
            .map(|digit| digit.event)
            .collect::<Vec<_>>(),
        [3, 4]
    );
}

#[test]
fn the_end_comes_100_ms_after_the_last_packet() {
    let start = Instant::now();
    let (_, packet) = press(8000, 3, 5000, Duration::from_millis(60), start)[0];
    let mut receiver = EventReceiver::new(8000);
    receiver.packet(packet.timestamp, packet.marker, packet.payload, start);
    assert_eq!(receiver.timeout(start + Duration::from_millis(99)), None);
    let ended = receiver.timeout(start + Duration::from_millis(100));
    assert_eq!(
        ended,
        Some(Change::Ended(Digit {
            event: 3,
            duration_ms: 20
        }))
    );
    assert_eq!(receiver.deadline(), None);
}

/// RFC 4733 2.5.1.3: beyond 0xFFFF units a press goes on in segments; it stays one press.
#[test]
fn long_presses_are_split_and_stay_one() {
    for (clock_rate, held) in [(8000, 20_000), (48_000, 5000)] {
        let start = Instant::now();
        let packets = press(clock_rate, 9, 7, Duration::from_millis(held), start);
        let segments: std::collections::BTreeSet<_> =
            packets.iter().map(|(_, packet)| packet.timestamp).collect();
        assert_eq!(segments.into_iter().collect::<Vec<_>>(), {
            let count = held as u32 * (clock_rate / 1000) / 0xffff;
            (0..=count).map(|n| 7 + n * 0xffff).collect::<Vec<_>>()
        });
        assert_eq!(
            packets.iter().filter(|(_, packet)| packet.marker).count(),
            1
        );
        assert_eq!(
            packets
                .iter()
                .filter(|(_, packet)| packet.payload.end)
                .count(),
            3
        );

        let changes = receive(&mut EventReceiver::new(clock_rate), &packets);
        assert_eq!(
            digits(&changes),
            [Digit {
                event: 9,
                duration_ms: held as u32
            }]
        );

        // A burst of losses over 100 ms ends it early for us, and what follows is no second press.
        let burst = start + Duration::from_millis(500)..start + Duration::from_millis(700);
        let left: Vec<_> = packets
            .iter()
            .filter(|(at, _)| !burst.contains(at))
            .copied()
            .collect();
        assert_eq!(
            digits(&receive(&mut EventReceiver::new(clock_rate), &left)).len(),
            1
        );
    }
}

proptest! {
    /// No packets, however mad, unbalance starts and ends or overflow what one call returns.
    #[test]
    fn arbitrary_packets_keep_the_balance(
        packets in vec((0..4_u32, any::<bool>(), any::<[u8; 4]>(), 0..200_u64), 0..60),
        spread in prop_oneof![Just(160_u32), Just(65_535), Just(0x3fff_ffff)],
    ) {
        let mut receiver = EventReceiver::new(8000);
        let mut now = Instant::now();
        let mut changes = Vec::new();
        for (timestamp, marker, payload, wait) in packets {
            now += Duration::from_millis(wait);
            let payload = EventPayload::parse(&payload).unwrap();
            changes.extend(receiver.packet(timestamp.wrapping_mul(spread), marker, payload, now));
        }
        changes.extend(receiver.finish());
        assert_alternating(&changes);
    }

    #[test]
    fn payloads_survive(event: u8, end: bool, volume in 0..64_u8, duration: u16) {
        let payload = EventPayload { event, end, volume, duration };
        prop_assert_eq!(EventPayload::parse(&payload.to_bytes()), Some(payload));
    }
}
