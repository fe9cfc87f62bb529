//! Timers of legs: one deadline per kind, lazily cancelled.
//!
//! A timer may fire early or for nothing; its handler looks at the machine it serves and arms the next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::ids::LegId;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The 20 ms tick of a leg that encodes.
    Media,
    /// telephone-event, received or sent.
    Event,
    /// Verdicts, liveness, path.
    Supervise,
    /// RTCP.
    Report,
    /// The quality report.
    Quality,
    /// DTLS retransmission.
    Dtls,
    /// A key frame that may be asked for again.
    KeyFrame,
    /// The 20 ms tick of a room, by its number.
    Room,
}

const KINDS: usize = 8;

/// The armed deadlines of one leg.
#[derive(Debug, Default)]
pub(crate) struct Deadlines([Option<Instant>; KINDS]);

impl Deadlines {
    fn slot(&mut self, kind: Kind) -> Option<&mut Option<Instant>> {
        self.0.get_mut(kind as usize)
    }

    pub(crate) fn armed(&self, kind: Kind) -> bool {
        self.0.get(kind as usize).is_some_and(Option::is_some)
    }
}

/// All timers of a shard.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, LegId, Kind)>>,
}

impl Timers {
    /// Arms a timer, unless it is armed for an earlier time already.
    pub(crate) fn arm(&mut self, deadlines: &mut Deadlines, leg: LegId, kind: Kind, at: Instant) {
        let Some(slot) = deadlines.slot(kind) else {
            return;
        };
        if slot.is_none_or(|armed| at < armed) {
            *slot = Some(at);
            self.heap.push(Reverse((at, leg, kind)));
        }
    }

    /// Takes the next timer that is due; `claim` must be asked whether it still stands.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, LegId, Kind)> {
        let Reverse((at, ..)) = *self.heap.peek()?;
        (at <= now)
            .then(|| self.heap.pop())
            .flatten()
            .map(|Reverse(entry)| entry)
    }

    /// When the next timer may be due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Forgets everything: no leg is left.
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }
}

/// Whether a popped timer still stands; it is disarmed then.
pub(crate) fn claim(deadlines: &mut Deadlines, kind: Kind, at: Instant) -> bool {
    match deadlines.slot(kind) {
        Some(slot) if *slot == Some(at) => {
            *slot = None;
            true
        }
        _ => false,
    }
}
