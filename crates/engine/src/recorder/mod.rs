//! Writes recordings: a thread of its own takes what shards copy, decodes, aligns and writes it.
//!
//! A file is called NAME.part until it is whole, and playable at every moment before: the engine may die. The next one makes
//! it whole.

mod mend;
mod oggopus;
mod running;
mod sink;
mod track;
mod wav;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use offhook_media::event::Event;
use offhook_media::recording::{Begin, Entry};

use crate::queues::{Told, Work};
use crate::sys::Wake;
use running::Running;

/// Recordings that may wait to be begun.
const QUEUE: usize = 1_024;
/// Entries of one recording on their way: 2 s of two channels at 10 ms a packet.
pub const RING: usize = 400;
/// How often rings are emptied: a tenth of what they hold.
const PAUSE: Duration = Duration::from_millis(100);
/// A recording to begin.
pub struct Order {
    /// What.
    pub begin: Begin,
    /// What it holds, as it comes; closed when nothing more does.
    pub entries: Receiver<Entry>,
    /// Whose: it hears when the file is over before the call.
    pub work: SyncSender<Work>,
    /// Wakes the shard.
    pub wake: Arc<Wake>,
}

/// A stretch of silence that was none in the call.
pub struct Mark {
    from_ms: u64,
    to_ms: u64,
    why: &'static str,
}

/// Who hears of ends.
pub struct Listener {
    /// The control thread.
    pub told: SyncSender<Told>,
    /// Wakes it.
    pub wake: Arc<Wake>,
}

/// Starts the thread; it ends with the last sender.
pub fn start(directory: PathBuf, listener: Listener) -> io::Result<SyncSender<Order>> {
    let (orders, queue) = sync_channel(QUEUE);
    std::thread::Builder::new()
        .name("recorder".into())
        .spawn(move || serve(&directory, &queue, &listener))?;
    Ok(orders)
}

/// Makes what a crash has left whole, and says so.
fn mend(directory: &Path, listener: &Listener) {
    for one in mend::all(directory) {
        let (level, text) = match one {
            Ok(path) => (
                "info",
                format!("{} was left by a crash and is whole", path.display()),
            ),
            Err(text) => (
                "warning",
                format!("a recording was left by a crash and stays as it is: {text}"),
            ),
        };
        let level = level.to_owned();
        tell(listener, Event::LogLine { level, text });
    }
}

fn serve(directory: &Path, queue: &Receiver<Order>, listener: &Listener) {
    mend(directory, listener);
    let mut running: Vec<Running> = Vec::new();
    loop {
        let order = if running.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(PAUSE)
        };
        match order {
            Ok(order) => running.extend(begin(directory, order, listener)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // The engine ends; what is there is made whole.
                running.iter_mut().for_each(|one| one.drain(Instant::now()));
                running.into_iter().for_each(|one| one.finish(listener));
                return;
            }
        }
        let now = Instant::now();
        let mut going = Vec::with_capacity(running.len());
        for mut one in running {
            // A panic costs the recording in hand; the others go on.
            if catch_unwind(AssertUnwindSafe(|| one.drain(now))).is_err() {
                one.fail("the recorder failed".to_owned());
            }
            if one.is_over() {
                one.finish(listener);
            } else {
                going.push(one);
            }
        }
        running = going;
    }
}

fn begin(directory: &Path, order: Order, listener: &Listener) -> Option<Running> {
    let (begin, work, wake) = (
        order.begin.clone(),
        order.work.clone(),
        Arc::clone(&order.wake),
    );
    match Running::new(directory, order) {
        Ok(running) => Some(running),
        Err(text) => {
            let _ = work.send(Work::RecordingOver(begin.number));
            wake.wake();
            tell(listener, failed(&begin, text));
            None
        }
    }
}

/// The event of a recording that never was.
pub fn failed(begin: &Begin, text: String) -> Event {
    Event::RecordingFinished {
        leg: begin.leg,
        recording: begin.spec.recording.clone(),
        file: begin.spec.file.clone(),
        reason: "failed".into(),
        text,
        duration_ms: 0,
        bytes: 0,
        marks: Vec::new(),
    }
}

fn tell(listener: &Listener, event: Event) {
    // A control thread that is gone has nobody to tell.
    let _ = listener.told.send(Told::Event(event));
    listener.wake.wake();
}
