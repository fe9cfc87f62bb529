//! Events that cannot be told now: nobody commands, or the queue to the control thread is full.
//!
//! State is level-triggered: of each leg only the latest of a kind is kept. Digits and log lines are bounded and counted.

use std::collections::{BTreeMap, HashMap};

use offhook_media::event::Event;

/// Digits kept of one leg: more than any menu asks for at once.
const MAX_DIGITS: usize = 16;
/// Log lines kept: the first ones say what went wrong.
const MAX_LINES: usize = 256;
/// Ends of players, recordings and feeds kept: somebody waits for each.
const MAX_ENDS: usize = 16_384;
/// State kept: ten kinds of all legs that the ports of one machine allow, so that a fault elsewhere costs no memory.
const MAX_STATES: usize = 1 << 16;

/// What of a leg an event tells; a later one of the same takes its place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Path,
    Keys,
    FirstMedia,
    Flow,
    Quality,
    SoundIn,
    SoundOut,
    Speaker,
    Voice,
    Failed,
}

/// Events in the order they came, the outdated left out.
#[derive(Default)]
pub struct Kept {
    next: u64,
    events: BTreeMap<u64, Event>,
    states: HashMap<(u64, State), u64>,
    digits: HashMap<u64, usize>,
    lines: usize,
    ends: usize,
    dropped: u64,
}

impl Kept {
    /// Nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.dropped == 0
    }

    /// Keeps an event in the place of what it makes outdated.
    pub fn keep(&mut self, event: Event) {
        let room = match (&event, state(&event)) {
            (_, Some(key)) => self.displace(key),
            (Event::Digit { leg, .. }, _) => {
                let count = self.digits.entry(*leg).or_default();
                *count += 1;
                *count <= MAX_DIGITS
            }
            (
                Event::PlayFinished { .. }
                | Event::RecordingFinished { .. }
                | Event::FeedChanged { .. },
                _,
            ) => {
                self.ends += 1;
                self.ends <= MAX_ENDS
            }
            _ => {
                self.lines += 1;
                self.lines <= MAX_LINES
            }
        };
        if room {
            self.events.insert(self.next, event);
            self.next += 1;
        } else {
            self.dropped += 1;
        }
    }

    /// Drops the present event of this kind and takes its place. False when there is no room for another.
    fn displace(&mut self, key: (u64, State)) -> bool {
        if !self.states.contains_key(&key) && self.states.len() >= MAX_STATES {
            return false;
        }
        if let Some(outdated) = self.states.insert(key, self.next) {
            self.events.remove(&outdated);
        }
        true
    }

    /// Everything kept, oldest first; then a line about what was dropped.
    pub fn take(&mut self) -> impl Iterator<Item = Event> + use<> {
        let Self {
            events, dropped, ..
        } = std::mem::take(self);
        let line = (dropped > 0).then(|| Event::LogLine {
            level: "warning".into(),
            text: format!("{dropped} events could not be told in time and were dropped"),
        });
        events.into_values().chain(line)
    }
}

/// `None` for what has no later state: digits, wishes, ends and log lines.
fn state(event: &Event) -> Option<(u64, State)> {
    let sound = |direction: &str| {
        if direction == "in" {
            State::SoundIn
        } else {
            State::SoundOut
        }
    };
    match event {
        Event::PathChanged { leg, .. } => Some((*leg, State::Path)),
        Event::KeysReady { leg, .. } => Some((*leg, State::Keys)),
        Event::FirstMedia { leg, .. } => Some((*leg, State::FirstMedia)),
        Event::MediaStopped { leg, .. } | Event::MediaResumed { leg } => Some((*leg, State::Flow)),
        Event::QualityReported { leg, .. } => Some((*leg, State::Quality)),
        Event::SilenceFound { leg, direction, .. } | Event::Heard { leg, direction } => {
            Some((*leg, sound(direction)))
        }
        Event::RoomSpeaker { room, .. } => Some((*room, State::Speaker)),
        Event::VoiceActivity { leg, .. } => Some((*leg, State::Voice)),
        Event::LegFailed { leg, .. } => Some((*leg, State::Failed)),
        Event::Digit { .. }
        | Event::KeyFrameWanted { .. }
        | Event::PlayFinished { .. }
        | Event::RecordingFinished { .. }
        | Event::FeedChanged { .. }
        | Event::Unread { .. }
        | Event::LogLine { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(leg: u64, direction: &str, verdict: &str) -> Event {
        Event::SilenceFound {
            leg,
            direction: direction.into(),
            verdict: verdict.into(),
            evidence: BTreeMap::new(),
        }
    }

    fn heard(leg: u64, direction: &str) -> Event {
        Event::Heard {
            leg,
            direction: direction.into(),
        }
    }

    fn digit(leg: u64) -> Event {
        Event::Digit {
            leg,
            digit: "5".into(),
            duration_ms: 100,
            method: "rfc4733".into(),
        }
    }

    #[test]
    fn a_later_state_takes_the_place_of_an_earlier_one_of_its_leg_and_direction() {
        let mut kept = Kept::default();
        for event in [
            silence(1, "in", "no_packets"),
            silence(1, "out", "no_source"),
            silence(2, "in", "no_packets"),
            heard(1, "in"),
            Event::MediaStopped {
                leg: 2,
                silent_ms: 5,
            },
            Event::MediaResumed { leg: 2 },
        ] {
            kept.keep(event);
        }
        let told: Vec<Event> = kept.take().collect();
        let expected = [
            silence(1, "out", "no_source"),
            silence(2, "in", "no_packets"),
            heard(1, "in"),
            Event::MediaResumed { leg: 2 },
        ];
        assert_eq!(told, expected);
        assert!(kept.is_empty());
    }

    #[test]
    fn digits_and_lines_are_bounded_and_what_is_dropped_is_counted() {
        let mut kept = Kept::default();
        for _ in 0..MAX_DIGITS + 2 {
            kept.keep(digit(1));
        }
        kept.keep(digit(2));
        for number in 0..MAX_LINES + 3 {
            kept.keep(Event::LogLine {
                level: "info".into(),
                text: number.to_string(),
            });
        }
        let told: Vec<Event> = kept.take().collect();
        assert_eq!(told.len(), MAX_DIGITS + 1 + MAX_LINES + 1);
        let Some(Event::LogLine { text, .. }) = told.last() else {
            panic!("no line about it")
        };
        assert!(text.starts_with("5 events"), "{text}");
    }

    #[test]
    fn states_are_bounded_yet_known_ones_still_change() {
        let mut kept = Kept::default();
        for leg in 0..MAX_STATES as u64 + 1 {
            kept.keep(Event::MediaStopped { leg, silent_ms: 5 });
        }
        kept.keep(Event::MediaResumed { leg: 0 });
        let told: Vec<Event> = kept.take().collect();
        assert_eq!(told.len(), MAX_STATES + 1, "and the line");
        assert_eq!(told[MAX_STATES - 1], Event::MediaResumed { leg: 0 });
    }
}
