//! A shard's ways to the recorder: a bounded queue for each recording. What finds no room is lost and marked; a shard never
//! waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use offhook_media::event::Event;
use offhook_media::recording::{Begin, Entry, Piece};

use crate::recorder::{Order, RING, failed};
use crate::worker::{Queues, Work};

struct Ring {
    entries: SyncSender<Entry>,
    /// Since when entries were lost.
    lost: Option<u64>,
}

/// All recordings of a shard.
#[derive(Default)]
pub struct Rings(HashMap<u64, Ring>);

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
                self.0.insert(
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

    /// More of a recording; after its end nothing comes.
    pub fn push(&mut self, number: u64, entry: Entry) {
        let Some(ring) = self.0.get_mut(&number) else {
            return;
        };
        let ends = matches!(entry.what, Piece::End(_));
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
            self.0.remove(&number);
        }
    }

    /// The recorder has ended this one.
    pub fn forget(&mut self, number: u64) {
        self.0.remove(&number);
    }
}
