//! One press is one digit, whichever of its packets arrive (RFC 4733 2.5.2).

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::EventPayload;

/// An event whose packets stop coming is over after this long: five packets of 20 ms.
const QUIET_ENDS_EVENT: Duration = Duration::from_millis(100);
/// Packets of an earlier event than the newest, no further back than this, are late; further back the sender
/// started over.
const LATE_SECONDS: u32 = 5;
/// A long event's next segment begins this close to 0xFFFF units after the last one (RFC 4733 2.5.1.3).
const SEGMENT_SLACK_MS: u32 = 60;
const SEGMENT: u32 = 0xffff;
/// Updates come every 10 to 100 ms (RFC 4733 2.5.1.2 says 50 at most): a duration that grows by less or by more from one to
/// the next counts on the other clock, of those that are used.
const CLOCKS: (u32, u32) = (8_000, 48_000);
const UPDATES_PER_SECOND: (u32, u32) = (10, 100);

/// A finished press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// Event code; `character` names it.
    pub event: u8,
    /// How long it was held, as far as its packets told.
    pub duration_ms: u32,
}

/// What a packet or the passing of time brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A press began: its event code.
    Started(u8),
    /// A press ended. Each `Started` is followed by exactly one.
    Ended(Digit),
}

/// At most: the previous press ended, a new one started, and ended.
pub type Changes = ArrayVec<Change, 3>;

/// Receives the events of one stream. On a change of SSRC make a new one.
#[derive(Clone, Debug)]
pub struct EventReceiver {
    clock_rate: u32,
    held: Option<Held>,
    /// The newest finished event: further packets of it are repetitions.
    finished: Option<Finished>,
}

#[derive(Clone, Copy, Debug)]
struct Finished {
    event: u8,
    timestamp: u32,
    /// Its end was heard, so no further segment belongs to it.
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    event: u8,
    /// Start of the newest segment, and the units of the segments before it.
    timestamp: u32,
    earlier: u64,
    duration: u16,
    /// The least by which it grew between two packets of the held key, 0 while it never did.
    growth: u16,
    heard: Instant,
}

impl EventReceiver {
    /// `clock_rate`: of the telephone-event payload type, in Hz (8 000 or 48 000).
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            held: None,
            finished: None,
        }
    }

    /// Takes one packet: its RTP time stamp, marker and payload, and when it came.
    pub fn packet(
        &mut self,
        timestamp: u32,
        marker: bool,
        payload: EventPayload,
        now: Instant,
    ) -> Changes {
        let mut changes = self.timeout(now).into_iter().collect::<Changes>();
        if self.is_old(timestamp) || self.prolongs_finished(timestamp, marker, payload) {
            return changes;
        }
        let same = self
            .held
            .as_mut()
            .filter(|held| held.timestamp == timestamp);
        if let Some(held) = same {
            let grown = payload.duration.saturating_sub(held.duration);
            // The last one, or the last of a segment, may come at any time after the one before it.
            let last = payload.end || u32::from(payload.duration) == SEGMENT;
            if grown > 0 && !last && (held.growth == 0 || grown < held.growth) {
                held.growth = grown;
            }
            held.duration = held.duration.max(payload.duration);
            held.heard = now;
        } else if let Some(held) = self.continued_by(timestamp, marker, payload.event) {
            let gone = u64::from(timestamp.wrapping_sub(held.timestamp));
            let earlier = held.earlier + gone;
            self.held = Some(Held {
                timestamp,
                earlier,
                duration: payload.duration,
                heard: now,
                ..held
            });
        } else {
            changes.extend(self.finish());
            changes.push(Change::Started(payload.event));
            self.held = Some(Held {
                event: payload.event,
                timestamp,
                earlier: 0,
                duration: payload.duration,
                growth: 0,
                heard: now,
            });
        }
        if payload.end {
            changes.extend(self.finish());
            if let Some(finished) = &mut self.finished {
                finished.ended = true;
            }
        }
        changes
    }

    /// Ends an event that has not been heard for 100 ms.
    pub fn timeout(&mut self, now: Instant) -> Option<Change> {
        self.deadline()
            .filter(|deadline| now >= *deadline)
            .and_then(|_| self.finish())
    }

    /// When `timeout` has something to do, unless packets come.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.held.map(|held| held.heard + QUIET_ENDS_EVENT)
    }

    /// Ends the event in hand, if there is one: for a stream that ends.
    pub fn finish(&mut self) -> Option<Change> {
        let held = self.held.take()?;
        self.finished = Some(Finished {
            event: held.event,
            timestamp: held.timestamp,
            ended: false,
        });
        let units = held.earlier + u64::from(held.duration);
        let clock = u64::from(self.clock_of(held));
        let duration_ms = u32::try_from(units * 1000 / clock).unwrap_or(u32::MAX);
        Some(Change::Ended(Digit {
            event: held.event,
            duration_ms,
        }))
    }

    /// The clock that the sender of a press counts on. Some count on 8 kHz beside Opus, and name 48 kHz.
    fn clock_of(&self, held: Held) -> u32 {
        let (growth, (narrow, wide)) = (u32::from(held.growth), CLOCKS);
        let (fewest, most) = UPDATES_PER_SECOND;
        if growth == 0 {
            self.clock_rate
        } else if self.clock_rate == wide && growth < wide / most {
            narrow
        } else if self.clock_rate == narrow && growth > narrow / fewest {
            wide
        } else {
            self.clock_rate
        }
    }

    /// Whether the time stamp belongs to an event that is over.
    fn is_old(&self, timestamp: u32) -> bool {
        let late = self.clock_rate.saturating_mul(LATE_SECONDS);
        let newest = self.held.map(|held| held.timestamp);
        let before_newest =
            newest.is_some_and(|newest| (1..late).contains(&newest.wrapping_sub(timestamp)));
        before_newest
            || self
                .finished
                .is_some_and(|finished| finished.timestamp.wrapping_sub(timestamp) < late)
    }

    /// A long press that a burst of losses ended for us may go on with its next segment: still the same press.
    fn prolongs_finished(&mut self, timestamp: u32, marker: bool, payload: EventPayload) -> bool {
        let next = |from: u32| self.is_next_segment(from, timestamp, marker);
        let prolonged = self
            .finished
            .filter(|finished| {
                self.held.is_none() && !finished.ended && finished.event == payload.event
            })
            .is_some_and(|finished| next(finished.timestamp));
        if prolonged {
            self.finished = Some(Finished {
                event: payload.event,
                timestamp,
                ended: payload.end,
            });
        }
        prolonged
    }

    fn continued_by(&self, timestamp: u32, marker: bool, event: u8) -> Option<Held> {
        self.held.filter(|held| {
            held.event == event && self.is_next_segment(held.timestamp, timestamp, marker)
        })
    }

    fn is_next_segment(&self, from: u32, timestamp: u32, marker: bool) -> bool {
        let slack = self.clock_rate / 1000 * SEGMENT_SLACK_MS;
        let gone = timestamp.wrapping_sub(from);
        !marker && gone <= SEGMENT && gone >= SEGMENT.saturating_sub(slack)
    }
}
