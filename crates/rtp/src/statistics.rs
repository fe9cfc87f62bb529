//! Reception statistics of one stream (RFC 3550 A.1, A.3, A.8).

use std::time::Instant;

use crate::drift::Drift;
use crate::rtcp::ReportBlock;
use crate::window::{Position, WIDE_WINDOW, WINDOW, Window};

/// RFC 3550 A.1: a step forwards as large as this is a jump.
const MAX_DROPOUT: u16 = 3000;
/// RFC 3550 A.1: a packet less late than this is merely reordered.
const MAX_MISORDER: u16 = 100;
/// The same where lost packets are sent again: a round trip of half a second at 2 000 packets a second.
const MAX_REPAIR: u16 = 1_000;
const CYCLE: u64 = 1 << 16;
const LOST_MAX: i64 = 0x7f_ffff;
const LOST_MIN: i64 = -0x80_0000;

/// What a packet was to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first packet, or the next ones, lost packets in between allowed.
    InOrder,
    /// Later than a packet with a higher number.
    Reordered,
    /// Its number was received before.
    Duplicate,
    /// A jump that is believed when the next packet follows it (A.1): not counted.
    Jumped,
    /// The second packet after a jump: the stream started over, counters too.
    Restarted,
}

/// Counters of one received stream. The source is taken as valid from its first packet: authentication and the latch
/// stand in for RFC 3550's probation.
#[derive(Clone, Debug)]
pub struct ReceiveStatistics {
    clock_rate: u32,
    base: u64,
    window: Option<Window>,
    bad_next: Option<u16>,
    received: u64,
    duplicates: u64,
    reordered: u64,
    restarts: u64,
    expected_prior: u64,
    received_prior: u64,
    jitter: Jitter,
    drift: Drift,
    /// Retransmissions come: later packets than `MAX_MISORDER` are no jump.
    repaired: bool,
}

impl ReceiveStatistics {
    /// `clock_rate`: RTP clock in Hz.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            base: 0,
            window: None,
            bad_next: None,
            received: 0,
            duplicates: 0,
            reordered: 0,
            restarts: 0,
            expected_prior: 0,
            received_prior: 0,
            jitter: Jitter::default(),
            drift: Drift::default(),
            repaired: false,
        }
    }

    /// Of a stream whose lost packets are sent again (RFC 4585): they come up to 1 000 packets late.
    #[must_use]
    pub fn repaired(clock_rate: u32) -> Self {
        Self {
            repaired: true,
            ..Self::new(clock_rate)
        }
    }

    /// Counts a packet that was accepted (authenticated, or of the latched source).
    pub fn packet(&mut self, sequence: u16, timestamp: u32, now: Instant) -> Arrival {
        let arrival = self.place(sequence);
        if arrival == Arrival::Restarted {
            self.jitter.forget_transit();
            self.drift = Drift::default();
        }
        if matches!(
            arrival,
            Arrival::InOrder | Arrival::Reordered | Arrival::Restarted
        ) {
            self.jitter.packet(timestamp, now, self.clock_rate);
            self.drift.packet(timestamp, now, self.clock_rate);
        }
        arrival
    }

    /// RFC 3550 A.1 `update_seq`, with a window to tell duplicates.
    fn place(&mut self, sequence: u16) -> Arrival {
        let most = if self.repaired {
            MAX_REPAIR
        } else {
            MAX_MISORDER
        };
        let Some(window) = self.window.as_mut() else {
            self.start(sequence);
            return Arrival::InOrder;
        };
        let highest = window.highest();
        let delta = sequence.wrapping_sub(highest as u16);
        let behind = u64::from(delta.wrapping_neg());
        if delta != 0 && delta < MAX_DROPOUT {
            window.take(highest + u64::from(delta));
            self.bad_next = None;
            self.received += 1;
            return Arrival::InOrder;
        }
        if behind >= u64::from(most) {
            return self.jumped(sequence);
        }
        // RFC 3550 6.4.1: late and duplicate packets count as received.
        self.received += 1;
        let index = highest.saturating_sub(behind);
        if window.position(index) == Position::Seen {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        window.take(index);
        self.reordered += 1;
        Arrival::Reordered
    }

    fn jumped(&mut self, sequence: u16) -> Arrival {
        if self.bad_next == Some(sequence) {
            self.start(sequence);
            self.restarts += 1;
            return Arrival::Restarted;
        }
        self.bad_next = Some(sequence.wrapping_add(1));
        Arrival::Jumped
    }

    /// RFC 3550 A.1 `init_seq`.
    fn start(&mut self, sequence: u16) {
        self.base = CYCLE + u64::from(sequence);
        self.window = Some(if self.repaired {
            Window::wide(self.base)
        } else {
            Window::starting_at(self.base)
        });
        self.bad_next = None;
        self.received = 1;
        self.expected_prior = 0;
        self.received_prior = 0;
    }

    /// Packets received since the stream (re)started, duplicates included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that should have come: highest − first + 1 (A.3).
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.window
            .as_ref()
            .map_or(0, |window| window.highest() + 1 - self.base)
    }

    /// Expected less received (A.3); negative with duplicates.
    #[must_use]
    pub fn lost(&self) -> i64 {
        i64::try_from(self.expected()).unwrap_or(i64::MAX)
            - i64::try_from(self.received).unwrap_or(i64::MAX)
    }

    /// Packets received twice, within the newest 100.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets that came after one with a higher number.
    #[must_use]
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Times the stream started over with other numbers.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Interarrival jitter in RTP clock units (A.8).
    #[must_use]
    pub fn jitter(&self) -> u32 {
        self.jitter.value()
    }

    /// Interarrival jitter in milliseconds.
    #[must_use]
    pub fn jitter_ms(&self) -> f64 {
        f64::from(self.jitter()) * 1000.0 / f64::from(self.clock_rate.max(1))
    }

    /// Parts in a million by which the sender's clock is too fast (below 0: too slow) by ours; 0 in the first 70 seconds.
    #[must_use]
    pub fn drift_ppm(&self) -> f64 {
        self.drift.ppm()
    }

    /// Extended highest sequence number as reports carry it: cycles and number.
    #[must_use]
    pub fn extended_highest(&self) -> u32 {
        // Lossless but for the wrap that the 32-bit field has by itself.
        self.window
            .as_ref()
            .map_or(0, |window| (window.highest() - CYCLE) as u32)
    }

    /// A report block for this stream; closes the interval of its loss fraction. `lsr` and `dlsr` as in RFC 3550 6.4.1.
    pub fn report(&mut self, ssrc: u32, lsr: u32, dlsr: u32) -> ReportBlock {
        let expected = self.expected() - self.expected_prior;
        let received = self.received - self.received_prior;
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        let fraction = match expected.checked_sub(received) {
            Some(lost) if expected > 0 => (lost << 8) / expected,
            _ => 0,
        };
        ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(self.lost().clamp(LOST_MIN, LOST_MAX))
                .unwrap_or_default(),
            extended_highest: self.extended_highest(),
            jitter: self.jitter(),
            lsr,
            dlsr,
        }
    }
}

const _: () = assert!(
    WINDOW > MAX_MISORDER as u64 && WIDE_WINDOW > MAX_REPAIR as u64,
    "the window tells duplicates among all packets that are not jumps"
);

/// RFC 3550 A.8, in sixteenths as there.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    scaled: u64,
    last: Option<(Instant, u32)>,
}

impl Jitter {
    fn packet(&mut self, timestamp: u32, now: Instant, clock_rate: u32) {
        let Some((last_arrival, last_timestamp)) = self.last else {
            self.last = Some((now, timestamp));
            return;
        };
        // Packets of one frame or of one telephone-event share a time stamp and say nothing about the path.
        if timestamp == last_timestamp {
            return;
        }
        let elapsed = now.saturating_duration_since(last_arrival).as_micros()
            * u128::from(clock_rate)
            / 1_000_000;
        let sent = i64::from(timestamp.wrapping_sub(last_timestamp) as i32);
        let difference = i64::try_from(elapsed)
            .unwrap_or(i64::MAX)
            .saturating_sub(sent)
            .unsigned_abs();
        self.last = Some((now, timestamp));
        // More than a second off is the source's clock that jumped, not the network.
        if difference <= u64::from(clock_rate) {
            self.scaled = self.scaled + difference - ((self.scaled + 8) >> 4);
        }
    }

    fn forget_transit(&mut self) {
        self.last = None;
    }

    fn value(&self) -> u32 {
        u32::try_from(self.scaled >> 4).unwrap_or(u32::MAX)
    }
}
