//! A shard's ways to the recorder and to feeds: a bounded queue for each. What finds no room is lost and told; a shard never
//! waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use offhook_media::event::Event;
use offhook_media::feed::{FeedBegin, Return};
use offhook_media::recording::{Begin, Entry, Piece};

use crate::feeds;
use crate::queues::{Queues, Work};
use crate::recorder::{Order, RING, failed};

struct Ring {
    entries: SyncSender<Entry>,
    /// Since when entries were lost.
    lost: Option<u64>,
}

/// All recordings and feeds of a shard; their numbers are of one row.
#[derive(Default)]
pub struct Rings {
    recordings: HashMap<u64, Ring>,
    feeds: HashMap<u64, Arc<feeds::Ring>>,
}

impl Rings {
    /// Hands a recording to the recorder; the event says why not.
    pub fn begin(&mut self, begin: Begin, queues: &Queues) -> Option<Event> {
        let number = begin.number;
        let (entries, other) = sync_channel(RING);
        let order = Order {
            begin,
            entries: other,
            work: queues.own.clone(),
            wake: Arc::clone(&queues.wake),
        };
        match queues.auxiliary.recorder.try_send(order) {
            Ok(()) => {
                self.recordings.insert(
                    number,
                    Ring {
                        entries,
                        lost: None,
                    },
                );
                None
            }
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                // Taps without a ring cost nothing and end with their leg; the shard is told all the same.
                let _ = queues.own.try_send(Work::RecordingOver(number));
                let text = "too many recordings are begun at once".to_owned();
                Some(failed(&order.begin, text))
            }
        }
    }

    /// Hands a feed over; the event says why not.
    pub fn feed(&mut self, begin: FeedBegin, queues: &Queues) -> Option<Event> {
        let (leg, number) = (begin.leg, begin.number);
        let ring = Arc::new(feeds::Ring::new());
        let order = feeds::Order {
            begin,
            ring: Arc::clone(&ring),
            work: queues.own.clone(),
            wake: Arc::clone(&queues.wake),
        };
        match queues.auxiliary.feeds.try_send(order) {
            Ok(()) => {
                self.feeds.insert(number, ring);
                None
            }
            Err(error) => {
                let over = Work::Returned(leg, number, Return::Over);
                let _ = queues.own.try_send(over);
                let text = "too many feeds are begun at once".to_owned();
                Some(feeds::failed(&error.into_inner().begin, text))
            }
        }
    }

    /// More of a recording or a feed; after its end nothing comes.
    pub fn push(&mut self, number: u64, entry: Entry) {
        let ends = matches!(entry.what, Piece::End(_));
        if let Some(ring) = self.feeds.get(&number) {
            ring.push(entry);
            if ends {
                self.feeds.remove(&number);
            }
            return;
        }
        let Some(ring) = self.recordings.get_mut(&number) else {
            return;
        };
        let at_us = entry.at_us;
        if let Some(from) = ring.lost {
            let what = Piece::Lost(from);
            if ring.entries.try_send(Entry { at_us, what }).is_ok() {
                ring.lost = None;
            }
        }
        if ring.lost.is_some() || ring.entries.try_send(entry).is_err() {
            ring.lost.get_or_insert(at_us);
        }
        if ends {
            // Closing the queue ends it too, should the end itself have found no room.
            self.recordings.remove(&number);
        }
    }

    /// The other side has ended this one.
    pub fn forget(&mut self, number: u64) {
        self.recordings.remove(&number);
        self.feeds.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(at_ms: u64) -> Entry {
        let what = Piece::Packet {
            channel: 0,
            codec: offhook_dsp::Codec::Pcmu,
            ssrc: 1,
            sequence: (at_ms / 20) as u16,
            timestamp: (at_ms * 8) as u32,
            payload: vec![0x00; 160].into(),
        };
        Entry {
            at_us: at_ms * 1_000,
            what,
        }
    }

    #[test]
    fn what_finds_no_room_is_marked_when_there_is_some_again() {
        let (entries, taken) = sync_channel(4);
        let ring = Ring {
            entries,
            lost: None,
        };
        let mut rings = Rings {
            recordings: HashMap::from([(1, ring)]),
            ..Rings::default()
        };
        (0..10).for_each(|at| rings.push(1, packet(at * 20)));
        let first: Vec<u64> = taken.try_iter().map(|entry| entry.at_us / 1_000).collect();
        assert_eq!(first, [0, 20, 40, 60]);
        rings.push(1, packet(200));
        let then: Vec<Piece> = taken.try_iter().map(|entry| entry.what).collect();
        assert_eq!(then[0], Piece::Lost(80_000));
        assert_eq!(then.len(), 2);
    }
}
