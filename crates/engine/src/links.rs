//! A shard's ways to the other shards: one bounded queue each. Media that finds no room is lost and counted, the rest waits;
//! a shard never waits for another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use offhook_media::Linked;

use crate::sys::Wake;

/// What may wait for one shard: 80 ms of 1,000 linked calls. Who is further behind stands still, and the sound is late anyway.
pub const LINK_QUEUE: usize = 4_096;

/// The way to one shard.
#[derive(Clone)]
pub struct Way {
    queue: SyncSender<Linked>,
    wake: Arc<Wake>,
}

/// What comes from the other shards.
pub struct Arrivals {
    /// In the order it was sent by each.
    pub queue: Receiver<Linked>,
    /// Readable when the queue holds something.
    pub wake: Arc<Wake>,
}

/// The ways to all shards, and the other end of each. One shard alone needs none.
pub fn ways(shards: usize) -> std::io::Result<(Vec<Way>, Vec<Arrivals>)> {
    let bound = if shards > 1 { LINK_QUEUE } else { 0 };
    let (mut ways, mut arrivals) = (Vec::new(), Vec::new());
    for _ in 0..shards {
        let (sender, queue) = sync_channel(bound);
        let wake = Arc::new(Wake::new()?);
        ways.push(Way {
            queue: sender,
            wake: Arc::clone(&wake),
        });
        arrivals.push(Arrivals { queue, wake });
    }
    Ok((ways, arrivals))
}

/// What a shard sends to the others.
pub struct Links {
    ways: Vec<Way>,
    /// Shards that were sent something since the last flush.
    touched: Vec<bool>,
    /// What is no media and has found no room yet, in order.
    waiting: VecDeque<Linked>,
    lost: Vec<Linked>,
}

impl Links {
    /// Ways by the shards' numbers.
    pub fn new(ways: Vec<Way>) -> Self {
        Self {
            touched: vec![false; ways.len()],
            ways,
            waiting: VecDeque::new(),
            lost: Vec::new(),
        }
    }

    /// Sends it, or lets it wait; media that would have to wait is lost.
    pub fn send(&mut self, message: Linked) {
        // Order is kept for what waits: media may overtake it, which a link's packets stand.
        if !message.is_media() && !self.waiting.is_empty() {
            return self.keep(message);
        }
        if let Err(message) = self.attempt(message) {
            self.keep(message);
        }
    }

    fn attempt(&mut self, message: Linked) -> Result<(), Linked> {
        let shard = usize::from(message.shard());
        let Some((way, touched)) = self.ways.get(shard).zip(self.touched.get_mut(shard)) else {
            self.lost.push(message);
            return Ok(());
        };
        match way.queue.try_send(message) {
            Ok(()) => {
                *touched = true;
                Ok(())
            }
            Err(TrySendError::Full(message)) => Err(message),
            Err(TrySendError::Disconnected(message)) => {
                self.lost.push(message);
                Ok(())
            }
        }
    }

    fn keep(&mut self, message: Linked) {
        if message.is_media() || self.waiting.len() >= LINK_QUEUE {
            self.lost.push(message);
        } else {
            self.waiting.push_back(message);
        }
    }

    /// Tries again what waits, and wakes whoever was sent something.
    pub fn flush(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            if let Err(message) = self.attempt(message) {
                self.waiting.push_front(message);
                break;
            }
        }
        for (way, touched) in self.ways.iter().zip(&mut self.touched) {
            if std::mem::take(touched) {
                way.wake.wake();
            }
        }
    }

    /// Something could not be sent yet.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What was lost since the last call.
    pub fn take_lost(&mut self) -> Vec<Linked> {
        std::mem::take(&mut self.lost)
    }
}
