//! Sequence numbers beyond 16 bits, and their mapping from a source to a stream of ours.

use std::time::{Duration, Instant};

/// How long a packet from before a change may still pass under the older offset.
const OLD_EPOCH_LIFE: Duration = Duration::from_secs(1);
const CYCLE: u64 = 1 << 16;

/// Extends 16-bit sequence numbers to 64 bits. Numbers begin one cycle up, so that packets from before the first have
/// a number too; RFC 3550's "extended highest sequence" is ours less 65 536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtendedSequence {
    highest: Option<u64>,
}

impl ExtendedSequence {
    /// The number nearest to the highest so far; it does not become the highest.
    #[must_use]
    pub fn peek(&self, sequence: u16) -> u64 {
        let first = CYCLE + u64::from(sequence);
        let Some(highest) = self.highest else {
            return first;
        };
        let distance = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        highest.checked_add_signed(distance).unwrap_or(first)
    }

    /// Extends a received number and remembers it when it is the highest.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let extended = self.peek(sequence);
        self.highest = Some(
            self.highest
                .map_or(extended, |highest| highest.max(extended)),
        );
        extended
    }

    /// The highest number so far.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Maps extended sequence numbers of a source to those of an outgoing stream: an offset, and the offset before it.
///
/// A packet removed on purpose closes its gap, a lost packet keeps it, another source continues where the last
/// stopped. No outgoing number is given for two different packets.
#[derive(Clone, Copy, Debug)]
pub struct SeqMap {
    current: Epoch,
    previous: Option<Previous>,
    /// The next outgoing number that nothing uses yet.
    next: u64,
    started: bool,
}

/// Incoming numbers from `from` on are moved by `offset` (wrapping).
#[derive(Clone, Copy, Debug)]
struct Epoch {
    from: u64,
    offset: u64,
}

#[derive(Clone, Copy, Debug)]
struct Previous {
    epoch: Epoch,
    /// The first incoming number that is no longer of this epoch.
    end: u64,
    expires: Instant,
}

impl SeqMap {
    /// `first`: the first outgoing sequence number; random, below 2^15.
    #[must_use]
    pub fn new(first: u16) -> Self {
        let current = Epoch { from: 0, offset: 0 };
        Self {
            current,
            previous: None,
            next: CYCLE + u64::from(first),
            started: false,
        }
    }

    /// The outgoing number of an incoming one; its low 16 bits go on the wire. The first packet after `new` or
    /// `switch` sets the offset. `None`: from before a change and too late, drop it.
    pub fn map(&mut self, incoming: u64, now: Instant) -> Option<u64> {
        self.begin(incoming);
        let epoch = if incoming >= self.current.from {
            self.current
        } else {
            let previous = self.previous.filter(|previous| now < previous.expires)?;
            let of_it = (previous.epoch.from..previous.end).contains(&incoming);
            of_it.then_some(previous.epoch)?
        };
        let outgoing = incoming.wrapping_add(epoch.offset);
        self.next = self.next.max(outgoing + 1);
        Some(outgoing)
    }

    /// The incoming number behind an outgoing one, as the peer names it in a NACK; `None`: not of this source, or too
    /// long ago.
    #[must_use]
    pub fn source(&self, outgoing: u16, now: Instant) -> Option<u64> {
        let newest = self.next.checked_sub(1).filter(|_| self.started)?;
        let behind = u64::from((newest as u16).wrapping_sub(outgoing));
        let outgoing = newest.checked_sub(behind)?;
        let incoming = outgoing.wrapping_sub(self.current.offset);
        if incoming >= self.current.from {
            return Some(incoming);
        }
        let previous = self.previous.filter(|previous| now < previous.expires)?;
        let incoming = outgoing.wrapping_sub(previous.epoch.offset);
        (previous.epoch.from..previous.end)
            .contains(&incoming)
            .then_some(incoming)
    }

    /// Takes a packet out of the stream; the packets after it close the gap. Where later ones were already sent the gap
    /// stays, and the receiver counts it as lost.
    pub fn remove(&mut self, incoming: u64, now: Instant) {
        self.begin(incoming);
        if incoming < self.current.from || incoming.wrapping_add(self.current.offset) < self.next {
            return;
        }
        let after = Epoch {
            from: incoming + 1,
            offset: self.current.offset.wrapping_sub(1),
        };
        // Removals in a row are one change: only numbers that were lost lie between.
        if incoming > self.current.from {
            let expires = now + OLD_EPOCH_LIFE;
            self.previous = Some(Previous {
                epoch: self.current,
                end: incoming,
                expires,
            });
        }
        self.current = after;
    }

    /// Another source begins: its first packet gets the next outgoing number; late packets of the old one must not be
    /// mapped any more (the caller tells them by SSRC).
    pub fn switch(&mut self) {
        self.started = false;
        self.previous = None;
    }

    /// Reserves the next outgoing number for a packet of our own between those of the source.
    pub fn insert(&mut self) -> u64 {
        let outgoing = self.next;
        self.next += 1;
        self.started = false;
        self.previous = None;
        outgoing
    }

    fn begin(&mut self, incoming: u64) {
        if !self.started {
            self.started = true;
            self.current = Epoch {
                from: incoming,
                offset: self.next.wrapping_sub(incoming),
            };
        }
    }
}
