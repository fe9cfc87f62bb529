//! What a shard tells the control thread: answers and events in order while there is room, else the latest of each kind.
//!
//! The queue between them is bounded, and nothing blocks a shard: what does not fit waits here.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};

use offhook_media::event::Event;

use crate::kept::Kept;
use crate::queues::Told;

/// Events that wait in order; beyond it the latest of each kind is kept.
const EVENTS_AHEAD: usize = crate::EVENT_QUEUE;

/// What is still to be told.
#[derive(Default)]
pub struct Telling {
    waiting: VecDeque<Told>,
    kept: Kept,
}

impl Telling {
    /// Nothing is to be told.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.kept.is_empty()
    }

    /// An answer, or a port that is free: none of them is ever lost. There are no more than commands.
    pub fn answer(&mut self, told: Told) {
        self.waiting.push_back(told);
    }

    /// In order with the answers while there is room.
    pub fn event(&mut self, event: Event) {
        if self.waiting.len() < EVENTS_AHEAD && self.kept.is_empty() {
            self.waiting.push_back(Told::Event(event));
        } else {
            self.kept.keep(event);
        }
    }

    /// Hands over what there is room for; whether that was anything.
    pub fn hand_over(&mut self, to: &SyncSender<Told>) -> bool {
        let mut told = false;
        while !self.is_empty() {
            while let Some(one) = self.waiting.pop_front() {
                match to.try_send(one) {
                    Ok(()) => told = true,
                    Err(TrySendError::Full(one) | TrySendError::Disconnected(one)) => {
                        self.waiting.push_front(one);
                        return told;
                    }
                }
            }
            self.waiting.extend(self.kept.take().map(Told::Event));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use offhook_media::ReplyToken;
    use offhook_media::description::Quality;
    use offhook_media::event::Reply;

    use super::*;

    fn quality(leg: u64, packets_in: u64) -> Event {
        let quality = Quality {
            packets_in,
            ..Quality::default()
        };
        Event::QualityReported { leg, quality }
    }

    fn line(text: u64) -> Event {
        Event::LogLine {
            level: "info".into(),
            text: text.to_string(),
        }
    }

    /// What the control thread takes until there is no more.
    fn taken(telling: &mut Telling, to: &SyncSender<Told>, from: &Receiver<Told>) -> Vec<Told> {
        let mut all = Vec::new();
        while telling.hand_over(to) || !telling.is_empty() {
            all.extend(from.try_iter());
        }
        all.extend(from.try_iter());
        all
    }

    #[test]
    fn a_control_thread_that_does_not_listen_hears_the_latest_of_each_state_afterwards() {
        let (to, from) = sync_channel(crate::EVENT_QUEUE);
        let mut telling = Telling::default();
        // The queue is full, and so is what may wait in order.
        for number in 0..2 * crate::EVENT_QUEUE as u64 {
            telling.event(line(number));
            telling.hand_over(&to);
        }
        // 1: of each leg the newest state takes the place of the one before, an answer goes before it, and lines are dropped.
        for round in 0..1_000 {
            telling.event(quality(1, round));
            telling.event(quality(2, round));
            telling.event(Event::MediaStopped {
                leg: 1,
                silent_ms: round,
            });
            telling.event(line(round));
        }
        telling.event(Event::MediaResumed { leg: 1 });
        telling.answer(Told::Reply(ReplyToken(7), Box::new(Reply::Done { n: 7 })));
        let all = taken(&mut telling, &to, &from);
        let (ordered, rest) = all.split_at(2 * crate::EVENT_QUEUE);
        assert!(ordered.iter().enumerate().all(|(number, told)| {
            matches!(told, Told::Event(Event::LogLine { text, .. }) if *text == number.to_string())
        }));
        assert!(matches!(rest[0], Told::Reply(ReplyToken(7), _)));
        let events: Vec<&Event> = rest[1..]
            .iter()
            .filter_map(|told| match told {
                Told::Event(event) => Some(event),
                _ => None,
            })
            .collect();
        let states: Vec<&Event> = events
            .iter()
            .copied()
            .filter(|event| !matches!(event, Event::LogLine { .. }))
            .collect();
        let expected = [
            quality(1, 999),
            quality(2, 999),
            Event::MediaResumed { leg: 1 },
        ];
        assert_eq!(states, expected.iter().collect::<Vec<_>>());
        // 2: how many lines were dropped is the last one.
        let Some(Event::LogLine { text, .. }) = events.last() else {
            panic!("no line about it")
        };
        assert!(text.starts_with("744 events"), "{text}");
    }
}
