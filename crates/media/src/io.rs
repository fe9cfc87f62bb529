//! What crosses between the engine and the shell that has the sockets and the clock.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clip::{Clip, Wanted};
use crate::command::Command;
use crate::dtls::Identity;
use crate::event::{Event, Reply};
use crate::far::Linked;
use crate::feed::{FeedBegin, Return};
use crate::recording::{Begin, Entry};

/// Largest datagram, and the size of every packet buffer: Ethernet frames with room for an authentication tag.
pub const PACKET_SIZE: usize = 2048;

/// The time, taken once per batch by the shell.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// The same moment as a 64-bit NTP time stamp (RFC 5905 section 6).
    pub ntp: u64,
}

/// The shell's number for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId(pub u32);

/// The shell's mark on a command, handed back with its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyToken(pub u64);

/// One WebRTC socket of the shard.
#[derive(Debug, Clone)]
pub struct WebRtcSocket {
    /// Its number.
    pub id: SocketId,
    /// The one local candidate given to ICE agents (a concrete address of the socket's family).
    pub local: SocketAddr,
    /// All addresses to announce.
    pub candidates: Vec<SocketAddr>,
    /// Its datagrams travel in TCP connections (RFC 6544), each of one source.
    pub tcp: bool,
}

/// Sockets of a port leg, bound by the shell before the command reaches the engine; given back by `Output::Release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortPair {
    /// The RTP socket.
    pub rtp: SocketId,
    /// The RTCP socket; `None` when multiplexed.
    pub rtcp: Option<SocketId>,
    /// Where the RTP socket is bound; what is announced.
    pub address: SocketAddr,
    /// The RTCP socket's port; 0 when multiplexed.
    pub rtcp_port: u16,
}

/// Choices of the operator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Silence after which `MediaStopped` is told.
    pub stopped_after: Duration,
    /// Opus complexity of an idle shard, 0..=10: encoder time against quality. A busy one goes down to 1.
    pub opus_complexity: u8,
    /// Believe SHA-1 fingerprints of certificates, too (RFC 8122 section 5 leaves them to old peers).
    pub sha_1_fingerprints: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stopped_after: Duration::from_secs(5),
            opus_complexity: 5,
            sha_1_fingerprints: false,
        }
    }
}

/// What one engine is made of.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// The shard's number, in the top 8 bits of all its ids.
    pub shard: u8,
    /// Its shared sockets; one per address family.
    pub webrtc: Vec<WebRtcSocket>,
    /// The certificate, one per process.
    pub identity: Identity,
    /// The operator's choices.
    pub settings: Settings,
}

/// The source of randomness: the system's in service, a seeded one in tests.
pub trait Random {
    /// Fills `out` with bytes fit for keys.
    fn fill(&mut self, out: &mut [u8]);
}

/// What the shell tells the engine.
pub enum Input<'a> {
    /// A datagram: the first `len` bytes of `buffer`, which is changed in place.
    Datagram {
        /// Where it arrived.
        socket: SocketId,
        /// Who sent it.
        source: SocketAddr,
        /// Holds the datagram.
        buffer: &'a mut [u8],
        /// Its length.
        len: usize,
    },
    /// A WebRTC socket was reached at one more address of the machine: with a number of its own, so that what answers leaves
    /// from there.
    Reached(WebRtcSocket),
    /// A command with the sockets of the port legs it opens, in order.
    Command {
        /// The command.
        command: Command,
        /// One for each port leg offered.
        ports: Vec<PortPair>,
        /// Comes back with the reply.
        reply: ReplyToken,
    },
    /// A datagram could not be sent.
    SendFailed {
        /// From this socket.
        socket: SocketId,
        /// To this address.
        destination: SocketAddr,
        /// The system's error number.
        errno: i32,
    },
    /// An ICMP error came back for a datagram sent from this socket.
    Unreachable {
        /// The socket.
        socket: SocketId,
        /// Where the datagram went.
        destination: SocketAddr,
        /// The host that said so.
        origin: Option<IpAddr>,
    },
    /// Datagrams that a socket's receive buffer had no room for since this was told last.
    Unread {
        /// The socket.
        socket: SocketId,
        /// How many.
        lost: u32,
    },
    /// A sound that was asked for is there, or why it is not.
    Fetched {
        /// What was asked for.
        wanted: Wanted,
        /// The sound, or a sentence.
        clip: Result<Arc<Clip>, String>,
    },
    /// The writer of recordings has ended this one by itself.
    RecordingOver(u64),
    /// What the receiver of a feed sent back.
    Returned {
        /// The feed's leg.
        leg: u64,
        /// The feed's number.
        number: u64,
        /// What.
        what: Return,
    },
    /// Something crossed from another shard.
    Linked(Linked),
    /// An `Output::Linked` of ours that there was no room for on the way.
    Unlinked(Linked),
    /// The time of the last `Output::Timeout` has come.
    Timeout,
}

/// A datagram of our own making, in a buffer that `Engine::recycle` takes back.
pub struct Packet {
    pub(crate) bytes: Box<[u8; PACKET_SIZE]>,
    pub(crate) len: usize,
}

impl Packet {
    pub(crate) fn empty() -> Self {
        Self {
            bytes: Box::new([0; PACKET_SIZE]),
            len: 0,
        }
    }
}

impl Deref for Packet {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Packet {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<packet of {} bytes>", self.len)
    }
}

/// A datagram to send.
#[derive(Debug)]
pub struct Transmit {
    /// From this socket.
    pub socket: SocketId,
    /// To this address.
    pub destination: SocketAddr,
    /// What to send; give it back with `Engine::recycle`.
    pub packet: Packet,
    /// Assured forwarding (AF41) instead of expedited (RFC 4594).
    pub video: bool,
}

/// What the engine wants done.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "packets wait as `Transmit`, only the polled one is moved"
)]
pub enum Output {
    /// Send a datagram.
    Transmit(Transmit),
    /// Answer a command.
    Reply {
        /// The command's mark.
        token: ReplyToken,
        /// The answer.
        reply: Reply,
    },
    /// Tell signalling.
    Event(Event),
    /// Get a sound; `Input::Fetched` answers.
    Fetch(Wanted),
    /// Begin a recording.
    RecordBegin(Box<Begin>),
    /// Begin a feed.
    FeedBegin(Box<FeedBegin>),
    /// More of the recording or the feed of this number.
    Record(u64, Entry),
    /// Carry this to its shard's engine, as `Input::Linked`, in order.
    Linked(Linked),
    /// The leg of these sockets is gone: close them.
    Release(PortPair),
    /// Nothing more to do until then (`None`: until the next input). Always last.
    Timeout(Option<Instant>),
}
