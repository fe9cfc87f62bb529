//! What goes to a shard and what comes from it.

use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, SyncSender};

use offhook_media::clip::{Clip, Wanted};
use offhook_media::command::Command;
use offhook_media::event::{Event, Reply};
use offhook_media::feed::Return;
use offhook_media::{PortPair, ReplyToken, SocketId};

use crate::feeds;
use crate::links::{Arrivals, Way};
use crate::recorder;
use crate::sounds::Job;
use crate::sys::Wake;

/// What the control thread gives a shard.
pub enum Work {
    /// A command.
    Command(Box<Order>),
    /// A connection for ICE-TCP, with what was read of it.
    Connection(TcpStream, Vec<u8>),
    /// A sound that a leg wants, or why there is none.
    Sound(Box<Wanted>, Result<Arc<Clip>, String>),
    /// The recorder has ended this one by itself.
    RecordingOver(u64),
    /// What the receiver of a feed sent back: the feed's leg and number.
    Returned(u64, u64, Return),
}

/// A command with what belongs to it.
pub struct Order {
    /// The command.
    pub command: Command,
    /// Comes back with the reply.
    pub token: ReplyToken,
    /// Sockets of the port legs it opens, with their numbers.
    pub sockets: Vec<(SocketId, UdpSocket)>,
    /// The same as the engine knows them.
    pub ports: Vec<PortPair>,
}

/// What a shard gives the control thread.
pub enum Told {
    /// An answer.
    Reply(ReplyToken, Box<Reply>),
    /// Something happened.
    Event(Event),
    /// A leg's sockets are closed: shard, numbers, and the RTP port that is free again.
    Released(usize, PortPair),
    /// The thread of this shard has panicked outside of any call.
    Died(usize),
}

/// Ways to the threads that do what may block.
#[derive(Clone)]
pub struct Auxiliary {
    /// Sound files.
    pub sounds: SyncSender<Job>,
    /// Recordings.
    pub recorder: SyncSender<recorder::Order>,
    /// Feeds.
    pub feeds: tokio::sync::mpsc::Sender<feeds::Order>,
}

/// Both ends' queues, bounded.
pub struct Queues {
    /// The shard's number.
    pub shard: usize,
    /// From the control thread.
    pub work: Receiver<Work>,
    /// The other end of it, for the auxiliary threads' answers.
    pub own: SyncSender<Work>,
    /// The auxiliary threads.
    pub auxiliary: Auxiliary,
    /// To the other shards.
    pub ways: Vec<Way>,
    /// From the other shards.
    pub arrivals: Arrivals,
    /// To the control thread.
    pub told: SyncSender<Told>,
    /// Readable when `work` holds something.
    pub wake: Arc<Wake>,
    /// Wakes the control thread.
    pub wake_control: Arc<Wake>,
    /// How busy the shard is, for placement.
    pub load: Arc<AtomicU32>,
}
