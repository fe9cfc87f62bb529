//! Feeds: live sound of legs to WebSockets and back, on a thread of its own (API.md 13.4).
//!
//! A shard copies packets into a ring of one second that drops its oldest, and never waits; a receiver that is slow loses
//! sound, which the numbers of its messages show.

mod numbers;
mod running;
mod socket;
mod track;
mod voice;
mod wire;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use crossbeam_queue::ArrayQueue;
use offhook_media::event::Event;
use offhook_media::feed::{FeedBegin, Return};
use offhook_media::recording::Entry;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::queues::{Told, Work};
use crate::sys::Wake;
use running::Running;
use socket::Trust;

/// Feeds that may wait to be begun.
const QUEUE: usize = 1_024;
/// Entries of one feed on their way: 1 s of two tracks at 10 ms a packet.
const RING: usize = 200;

/// A shard's way to a feed. When it is full, the oldest makes room.
pub struct Ring {
    entries: ArrayQueue<Entry>,
    lost: AtomicU64,
}

impl Ring {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            entries: ArrayQueue::new(RING),
            lost: AtomicU64::new(0),
        }
    }

    /// Takes an entry, whatever the room.
    pub fn push(&self, entry: Entry) {
        if self.entries.force_push(entry).is_some() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn pop(&self) -> Option<Entry> {
        self.entries.pop()
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries that made room for others.
    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// A feed to begin.
pub struct Order {
    /// What.
    pub begin: FeedBegin,
    /// What it carries, as it comes; nothing more does once the shard has let it go.
    pub ring: Arc<Ring>,
    /// Whose: it hears what comes back.
    pub work: SyncSender<Work>,
    /// Wakes the shard.
    pub wake: Arc<Wake>,
}

impl Order {
    /// Gives the shard what came back; false when it has no room for it.
    fn give(&self, what: Return) -> bool {
        let work = Work::Returned(self.begin.leg, self.begin.number, what);
        let given = self.work.try_send(work).is_ok();
        self.wake.wake();
        given
    }
}

/// Who hears of feeds.
#[derive(Clone)]
pub struct Listener {
    /// The control thread.
    pub told: SyncSender<Told>,
    /// Wakes it.
    pub wake: Arc<Wake>,
}

impl Listener {
    fn tell(&self, event: Event) {
        // A control thread that is gone has nobody to tell.
        let _ = self.told.send(Told::Event(event));
        self.wake.wake();
    }
}

/// Starts the thread; it ends with the last sender.
pub fn start(listener: Listener) -> io::Result<Sender<Order>> {
    let (orders, queue) = channel(QUEUE);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("feeds".into())
        .spawn(move || runtime.block_on(serve(queue, listener)))?;
    Ok(orders)
}

async fn serve(mut queue: Receiver<Order>, listener: Listener) {
    let trust = Arc::new(Trust::default());
    while let Some(order) = queue.recv().await {
        let (begin, work, wake) = (order.begin.clone(), order.work.clone(), order.wake.clone());
        let (ear, trust) = (listener.clone(), Arc::clone(&trust));
        let one = tokio::spawn(Running::new(order, ear.clone()).run(trust));
        tokio::spawn(async move {
            // A panic costs the feed in hand; the others go on.
            if one.await.is_err() {
                let _ = work.try_send(Work::Returned(begin.leg, begin.number, Return::Over));
                wake.wake();
                ear.tell(failed(
                    &begin,
                    "the feed failed inside the engine".to_owned(),
                ));
            }
        });
    }
}

/// The event of a feed that never was.
pub fn failed(begin: &FeedBegin, text: String) -> Event {
    Event::FeedChanged {
        leg: begin.leg,
        feed: begin.spec.feed.clone(),
        state: "finished".into(),
        reason: "failed".into(),
        text,
        sent: 0,
        dropped: 0,
    }
}
