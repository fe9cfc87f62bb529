//! Presses on their way to a leg's peer: one after the other, by the send machine of telephone-event.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use offhook_dsp::ToneSpec;
use offhook_rtp::event::{EventPacket, EventSender};

/// Presses of a far key that wait: whoever presses keys, or sends a number as fast as detectors take it (ITU-T Q.24: 40 ms and
/// a pause of 40), is kept up with before.
const MAX_WAITING: usize = 16;
/// Presses by command that wait: as many as one command of the API may name, or a phone's INFO in its own good time.
const MAX_ASKED: usize = 256;
/// Pause between presses (ETSI ES 201 235-2 asks for 65 ms at least).
const PAUSE: Duration = Duration::from_millis(70);
/// From so many presses of a far key on that wait, each is as short as it may be, and the pause too.
const HURRY: usize = 4;
/// The shortest press and pause of ITU-T Q.24, and the shortest press of one that is late while nobody is in a hurry.
const BRIEF: Duration = Duration::from_millis(40);
const CLEAR: Duration = Duration::from_millis(100);
/// The end of a press by events is told until so long after it.
const END_TOLD: Duration = Duration::from_millis(20);
/// A forwarded press whose end never came is let go after this.
const LONGEST: Duration = Duration::from_secs(30);
/// Level of each of the two tones of an in-band digit.
const IN_BAND_DBFS: f32 = -12.0;
/// Any length: an in-band tone is cut by its press, not by a cadence.
const STEADY_MS: u32 = 1_000;
/// An in-band press without a known length lasts at least so long: detectors need 40 ms.
const SHORTEST: Duration = Duration::from_millis(60);

#[derive(Debug, Clone, Copy)]
struct Press {
    event: u8,
    /// `None` while the far key is still down.
    held: Option<Duration>,
    /// When the far key went down; `None` for one by command.
    pressed: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    event: u8,
    since: Instant,
    held: Option<Duration>,
    /// By how much it begins after the far key, and whether that may make it as short as can be: it is small, for the leg's sake.
    late_ms: u32,
    hurried: bool,
}

/// The queue of presses towards a peer.
pub(crate) struct Digits {
    sender: EventSender,
    waiting: VecDeque<Press>,
    current: Option<Current>,
    rest_until: Option<Instant>,
    in_band: bool,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
}

impl Digits {
    pub(crate) fn new() -> Self {
        Self {
            sender: EventSender::new(8_000),
            waiting: VecDeque::new(),
            current: None,
            rest_until: None,
            in_band: false,
            sent: 0,
            dropped: 0,
        }
    }

    /// The agreed event clock; `None`: the peer takes no events, digits go into the audio. Presses in hand are let go.
    pub(crate) fn configure(&mut self, clock: Option<u32>) {
        self.sender = EventSender::new(clock.unwrap_or(8_000));
        self.in_band = clock.is_none();
        self.current = None;
    }

    /// Queues a press by command, `held` long.
    pub(crate) fn ask(&mut self, event: u8, held: Duration) {
        self.queue(event, Some(held), None);
    }

    /// Queues a press of a far key that went down, until `release`.
    pub(crate) fn press(&mut self, event: u8, now: Instant) {
        self.queue(event, None, Some(now));
    }

    /// When there is no room it is dropped and counted.
    fn queue(&mut self, event: u8, held: Option<Duration>, pressed: Option<Instant>) {
        let (waiting, bound) = match pressed {
            Some(_) => (self.behind(), MAX_WAITING),
            None => (self.waiting.len() - self.behind(), MAX_ASKED),
        };
        if waiting >= bound {
            self.dropped += 1;
        } else {
            self.waiting.push_back(Press {
                event,
                held,
                pressed,
            });
        }
    }

    /// Presses of a far key that wait.
    fn behind(&self) -> usize {
        let waiting = self.waiting.iter();
        waiting.filter(|press| press.pressed.is_some()).count()
    }

    /// The key that was pressed last without a length was let go after `held`.
    pub(crate) fn release(&mut self, held: Duration) {
        if let Some(press) = self
            .waiting
            .iter_mut()
            .rev()
            .find(|press| press.held.is_none())
        {
            press.held = Some(held);
        } else {
            self.let_go(held);
        }
    }

    fn let_go(&mut self, held: Duration) {
        let Some(mut current) = self.current.filter(|current| current.held.is_none()) else {
            return;
        };
        let held = self.length(current, held);
        current.held = Some(held);
        self.current = Some(current);
        self.sender.release(Some(held));
    }

    /// A press that begins late ends when the far key is let go all the same: nobody is fallen behind of.
    fn length(&self, current: Current, held: Duration) -> Duration {
        let shortest = if self.in_band {
            SHORTEST
        } else {
            Duration::ZERO
        };
        let least = if current.hurried { BRIEF } else { CLEAR };
        let rest = held.saturating_sub(Duration::from_millis(current.late_ms.into()));
        rest.max(held.min(least)).max(shortest)
    }

    /// The source of the presses is gone: keys still down are let go.
    pub(crate) fn release_all(&mut self) {
        self.waiting
            .iter_mut()
            .for_each(|press| press.held = press.held.or(Some(SHORTEST)));
        self.let_go(Duration::ZERO);
    }

    /// Whether a press is in hand: the source's own sound is muted meanwhile.
    pub(crate) fn active(&self) -> bool {
        self.current.is_some()
    }

    /// Begins the next press if there is one and the pause is over. `timestamp`: RTP time now.
    pub(crate) fn advance(&mut self, timestamp: u32, now: Instant) {
        self.expire(now);
        if self.current.is_some() || self.rest_until.is_some_and(|until| now < until) {
            return;
        }
        let Some(press) = self.waiting.pop_front() else {
            return;
        };
        let late = press
            .pressed
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let mut current = Current {
            event: press.event,
            since: now,
            held: None,
            late_ms: u32::try_from(late.as_millis()).unwrap_or(u32::MAX),
            hurried: self.behind() >= HURRY,
        };
        current.held = press.held.map(|held| self.length(current, held));
        self.current = Some(current);
        self.sent += 1;
        if !self.in_band {
            self.sender.start(press.event, timestamp, current.held, now);
        }
    }

    fn expire(&mut self, now: Instant) {
        let Some(current) = self.current else { return };
        let gone = now.saturating_duration_since(current.since);
        if current.held.is_none() && gone >= LONGEST {
            self.let_go(LONGEST);
        }
        if self.in_band && current.held.is_some_and(|held| gone >= held) {
            self.finish(now);
        }
    }

    fn finish(&mut self, now: Instant) {
        self.current = None;
        let told = if self.in_band {
            Duration::ZERO
        } else {
            END_TOLD
        };
        let hurried = self.behind() >= HURRY;
        let pause = if hurried { BRIEF - told } else { PAUSE };
        self.rest_until = Some(now + pause);
    }

    /// The next event packet that is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<EventPacket> {
        if self.in_band || self.current.is_none() {
            return None;
        }
        let packet = self.sender.poll(now);
        if self.sender.deadline().is_none() {
            self.finish(now);
        }
        packet
    }

    /// When `advance` and `poll` have something to do.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.current {
            Some(current) if self.in_band => Some(
                current
                    .held
                    .map_or(current.since + LONGEST, |held| current.since + held),
            ),
            Some(_) => self.sender.deadline(),
            None if self.waiting.is_empty() => None,
            None => Some(self.rest_until.unwrap_or(now).max(now)),
        }
    }

    /// The tone of the press in hand when digits go into the audio (ITU-T Q.23).
    pub(crate) fn tone(&self) -> Option<(u8, ToneSpec)> {
        let event = self.current.filter(|_| self.in_band)?.event;
        let spec = dual_tone(event)?;
        Some((event, spec))
    }
}

/// The two frequencies of a digit (ITU-T Q.23); `None` for events that are no digits.
fn dual_tone(event: u8) -> Option<ToneSpec> {
    const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
    const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    let (row, column) = match event {
        0 => (3, 1),
        1..=9 => (usize::from(event - 1) / 3, usize::from(event - 1) % 3),
        10 => (3, 0),
        11 => (3, 2),
        12..=15 => (usize::from(event - 12), 3),
        _ => return None,
    };
    let hertz = [*ROWS.get(row)?, *COLUMNS.get(column)?];
    Some(ToneSpec {
        hertz,
        dbfs: IN_BAND_DBFS,
        on_ms: STEADY_MS,
        off_ms: 0,
    })
}
