//! Reception statistics against RFC 3550 A.1, A.3, A.8.

use std::time::{Duration, Instant};

use offhook_rtp::statistics::{Arrival, ReceiveStatistics};

const TICK: Duration = Duration::from_millis(20);

/// 8 kHz stream, packet n sent at n × 20 ms.
struct Stream {
    statistics: ReceiveStatistics,
    start: Instant,
}

impl Stream {
    fn new() -> Self {
        Self {
            statistics: ReceiveStatistics::new(8000),
            start: Instant::now(),
        }
    }

    /// Packet `n` arrives so many milliseconds late.
    fn arrives(&mut self, n: u32, late_ms: u64) -> Arrival {
        let now = self.start + TICK * n + Duration::from_millis(late_ms);
        self.statistics.packet(n as u16, n * 160, now)
    }
}

#[test]
fn loss_and_expectation_over_a_wrap() {
    let mut stream = Stream::new();
    for n in (65_500..65_600).filter(|n| n % 10 != 5) {
        assert_eq!(stream.arrives(n, 0), Arrival::InOrder);
    }
    let statistics = &mut stream.statistics;
    assert_eq!(
        (
            statistics.expected(),
            statistics.received(),
            statistics.lost()
        ),
        (100, 90, 10)
    );
    assert_eq!(statistics.extended_highest(), 65_599);
    let report = statistics.report(7, 1, 2);
    assert_eq!(
        (
            report.fraction_lost,
            report.cumulative_lost,
            report.extended_highest
        ),
        (25, 10, 65_599)
    );
    assert_eq!((report.ssrc, report.lsr, report.dlsr), (7, 1, 2));
}

/// A.3: the fraction is of the interval, never negative; the total may be.
#[test]
fn fraction_of_each_interval() {
    let mut stream = Stream::new();
    for n in [0, 1, 2, 3] {
        stream.arrives(n, 0);
    }
    assert_eq!(stream.statistics.report(1, 0, 0).fraction_lost, 0);
    for n in [6, 7] {
        stream.arrives(n, 0);
    }
    assert_eq!(
        stream.statistics.report(1, 0, 0).fraction_lost,
        128,
        "two of four"
    );
    for n in [7, 7, 7, 8] {
        stream.arrives(n, 0);
    }
    let report = stream.statistics.report(1, 0, 0);
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, -1));
    assert_eq!(
        stream.statistics.report(1, 0, 0).fraction_lost,
        0,
        "nothing expected, nothing lost"
    );
}

#[test]
fn duplicates_and_reordering() {
    let mut stream = Stream::new();
    let arrivals = [0, 2, 1, 1, 2, 3].map(|n| stream.arrives(n, 0));
    use Arrival::{Duplicate, InOrder, Reordered};
    assert_eq!(
        arrivals,
        [InOrder, InOrder, Reordered, Duplicate, Duplicate, InOrder]
    );
    let statistics = &stream.statistics;
    assert_eq!(
        (
            statistics.duplicates(),
            statistics.reordered(),
            statistics.lost()
        ),
        (2, 1, -2)
    );
}

/// A.1: a jump is believed at its second packet in sequence.
#[test]
fn a_restart_needs_two_packets_in_sequence() {
    let mut stream = Stream::new();
    let now = stream.start;
    for n in 0..10 {
        stream.arrives(n, 0);
    }
    let statistics = &mut stream.statistics;
    assert_eq!(
        statistics.packet(2999 + 9, 0, now),
        Arrival::InOrder,
        "MAX_DROPOUT is not reached"
    );
    assert_eq!(statistics.packet(40_000, 0, now), Arrival::Jumped);
    assert_eq!(
        statistics.packet(50_000, 0, now),
        Arrival::Jumped,
        "not in sequence"
    );
    assert_eq!(
        statistics.packet(3009, 0, now),
        Arrival::InOrder,
        "the old stream goes on"
    );
    assert_eq!(
        statistics.packet(50_001, 0, now),
        Arrival::Jumped,
        "which forgets the jump"
    );
    assert_eq!(statistics.packet(50_002, 0, now), Arrival::Restarted);
    assert_eq!(
        (
            statistics.expected(),
            statistics.received(),
            statistics.restarts()
        ),
        (1, 1, 1)
    );
    assert_eq!(
        statistics.packet(49_902, 0, now),
        Arrival::Jumped,
        "MAX_MISORDER behind"
    );
    assert_eq!(statistics.packet(49_903, 0, now), Arrival::Reordered);
}

/// A.8 in the RFC's own integer arithmetic.
fn reference_jitter(late_ms: &[u64]) -> u32 {
    let (mut jitter, mut transit) = (0_i64, None);
    for late in late_ms {
        let now = *late as i64 * 8;
        let difference = transit.map(|last: i64| (now - last).abs());
        if let Some(difference) = difference {
            jitter += difference - ((jitter + 8) >> 4);
        }
        transit = Some(now);
    }
    (jitter >> 4) as u32
}

#[test]
fn jitter_is_that_of_the_rfc() {
    let late: Vec<u64> = (0..200).map(|n: u64| n * n * 7 % 19).collect();
    let mut stream = Stream::new();
    for (n, late) in late.iter().enumerate() {
        stream.arrives(n as u32, *late);
    }
    assert!(reference_jitter(&late) > 8);
    assert_eq!(stream.statistics.jitter(), reference_jitter(&late));
    let expected_ms = f64::from(reference_jitter(&late)) / 8.0;
    assert!((stream.statistics.jitter_ms() - expected_ms).abs() < 1e-9);
}

#[test]
fn silence_and_clock_jumps_are_not_jitter() {
    let mut stream = Stream::new();
    let now = stream.start;
    for n in 0..100 {
        stream.arrives(n, 0);
    }
    let statistics = &mut stream.statistics;
    // DTX: two seconds without packets, sequence continuous, both clocks move on.
    statistics.packet(100, 200 * 160, now + TICK * 200);
    assert_eq!(statistics.jitter(), 0);
    // The source's clock starts over at another value.
    statistics.packet(101, 900_000, now + TICK * 201);
    statistics.packet(102, 900_160, now + TICK * 202);
    assert_eq!(statistics.jitter(), 0);
    // A telephone-event: one time stamp for all its packets.
    for n in 103..113 {
        statistics.packet(n, 900_320, now + TICK * (u32::from(n) + 100));
    }
    statistics.packet(113, 900_160 + 11 * 160, now + TICK * 213);
    assert_eq!(statistics.jitter(), 0);
}

/// Drift after five minutes of a sender whose clock is off, each packet up to `jitter_us` late, all of them by
/// `longer_us` more from the middle on.
fn drift_of(ppm: i64, jitter_us: u64, longer_us: u64) -> f64 {
    let (mut statistics, start) = (ReceiveStatistics::new(8_000), Instant::now());
    let mut random = 1_u64;
    for n in 0_u32..15_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let due = i64::from(n) * 20_000 * 1_000_000 / (1_000_000 + ppm);
        let late = (random >> 33) % (jitter_us + 1) + if n >= 7_500 { longer_us } else { 0 };
        let now = start + Duration::from_micros(u64::try_from(due).unwrap() + late);
        statistics.packet(n as u16, n * 160, now);
    }
    statistics.drift_ppm()
}

#[test]
fn a_clock_that_is_off_is_told_from_jitter_and_a_longer_path() {
    for ppm in [-300, -50, 0, 50, 300] {
        for (jitter_us, longer_us) in [(0, 0), (15_000, 0), (15_000, 40_000)] {
            let found = drift_of(ppm, jitter_us, longer_us);
            assert!(
                (found - ppm as f64).abs() < 20.0,
                "{ppm} ppm, {jitter_us} us, {longer_us} us: {found}"
            );
        }
    }
}

#[test]
fn a_clock_is_not_judged_before_seventy_seconds() {
    let (mut statistics, start) = (ReceiveStatistics::new(8_000), Instant::now());
    for n in 0_u32..3_400 {
        let now = start + Duration::from_micros(u64::from(n) * 20_020);
        statistics.packet(n as u16, n * 160, now);
    }
    assert!(statistics.drift_ppm() == 0.0);
}
