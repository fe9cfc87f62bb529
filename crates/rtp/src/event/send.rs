//! Sending one press: updates every 20 ms, the end three times (RFC 4733 2.5.1).

use std::time::{Duration, Instant};

use super::EventPayload;

const INTERVAL: Duration = Duration::from_millis(20);
const INTERVALS_PER_SECOND: u32 = 50;
/// RFC 4733 2.5.1.4: the last packet is sent three times, since its loss is the one that matters.
const END_PACKETS: u8 = 3;
const SEGMENT: u64 = 0xffff;
/// −10 dBm0, a usual tone level.
const VOLUME: u8 = 10;

/// One packet to send; sequence number, payload type and SSRC are the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// Set on the first packet of the press.
    pub marker: bool,
    /// RTP time stamp: the start of the press, or of its segment.
    pub timestamp: u32,
    /// The payload.
    pub payload: EventPayload,
}

/// Sends one press at a time.
#[derive(Clone, Debug)]
pub struct EventSender {
    clock_rate: u32,
    press: Option<Press>,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    event: u8,
    timestamp: u32,
    /// Units since the press began, and of the segments already closed.
    elapsed: u64,
    closed: u64,
    /// Units after which it ends; `None` while held.
    total: Option<u64>,
    ends_sent: u8,
    marker: bool,
    due: Instant,
}

impl EventSender {
    /// `clock_rate`: of the telephone-event payload type, in Hz.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            press: None,
        }
    }

    /// Begins a press; a press in hand is dropped, so end it first. `timestamp` is the RTP time of its beginning;
    /// `held` its length if known, at least one interval, else it lasts until `release`.
    pub fn start(&mut self, event: u8, timestamp: u32, held: Option<Duration>, now: Instant) {
        let total = held.map(|held| self.units(held));
        let press = Press {
            event,
            timestamp,
            elapsed: 0,
            closed: 0,
            total,
            ends_sent: 0,
            marker: true,
            due: now,
        };
        self.press = Some(press);
    }

    /// Lets go of a press in hand; its end packets follow from the next `poll` on. `held`: its full length if known,
    /// else it ends with the next packet.
    pub fn release(&mut self, held: Option<Duration>) {
        let total = held.map_or(0, |held| self.units(held));
        if let Some(press) = &mut self.press {
            press.total.get_or_insert(total);
        }
    }

    /// The next packet that is due; call until `None`.
    pub fn poll(&mut self, now: Instant) -> Option<EventPacket> {
        let step = u64::from(self.clock_rate / INTERVALS_PER_SECOND);
        let press = self.press.as_mut().filter(|press| now >= press.due)?;
        let packet = press.next(step);
        if press.ends_sent == END_PACKETS {
            self.press = None;
        }
        Some(packet)
    }

    /// When `poll` has the next packet; `None` when no press is in hand.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.press.map(|press| press.due)
    }

    fn units(&self, held: Duration) -> u64 {
        let units = held.as_millis() * u128::from(self.clock_rate) / 1000;
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

impl Press {
    fn next(&mut self, step: u64) -> EventPacket {
        if self.ends_sent == 0 {
            self.elapsed += step;
        }
        if self.elapsed - self.closed > SEGMENT {
            // The next segment follows at once, so the interval stays.
            self.elapsed -= step;
            return self.close_segment();
        }
        let end = self.total.is_some_and(|total| self.elapsed >= total);
        self.ends_sent += u8::from(end);
        self.due += INTERVAL;
        self.packet(end)
    }

    /// RFC 4733 2.5.1.3: a full segment ends without the E bit; the next starts where it stops.
    fn close_segment(&mut self) -> EventPacket {
        let packet = EventPacket {
            payload: EventPayload {
                duration: u16::MAX,
                ..self.payload(false)
            },
            ..self.packet(false)
        };
        self.closed += SEGMENT;
        self.timestamp = self.timestamp.wrapping_add(u32::from(u16::MAX));
        packet
    }

    fn packet(&mut self, end: bool) -> EventPacket {
        let marker = core::mem::take(&mut self.marker);
        EventPacket {
            marker,
            timestamp: self.timestamp,
            payload: self.payload(end),
        }
    }

    fn payload(&self, end: bool) -> EventPayload {
        let duration = u16::try_from(self.elapsed - self.closed).unwrap_or(u16::MAX);
        EventPayload {
            event: self.event,
            end,
            volume: VOLUME,
            duration,
        }
    }
}
