//! The control thread: one connection commands; ids and ports are handed out here; answers and events go back.

mod bound;
mod connection;
pub mod message;
#[cfg(test)]
mod samples;
mod takeover;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use offhook_media::command::{Command, shard_of};
use offhook_media::event::{Event, Reply};
use offhook_media::{PortPair, ReplyToken, SocketId};
use serde::Serialize;

use crate::handover::{HandOver, shard_named};
use crate::kept::Kept;
use crate::ports::{Pair, Ports, Refusal};
use crate::queues::{Order, Told, Work};
use crate::sys::{Poller, Wake};
use bound::Bound;
use connection::Connection;
use message::{Greeting, VERSION};
use takeover::Takeover;

const LISTENER: u64 = 0;
const CONNECTION: u64 = 1;
const SHARDS: u64 = 2;
const SIGNAL: u64 = 3;
const HANDOVER: u64 = 4;
/// How long shards may take to say goodbye to their peers at the end.
const FAREWELL: Duration = Duration::from_millis(200);
/// How soon a reader that was full is tried again.
const RETRY: Duration = Duration::from_millis(5);
/// Refused connections kept open, so that their peers can read why.
const TURNED_AWAY: usize = 4;
/// Bits of a token that hold the command's number; above them is the connection's, so that an answer never reaches a
/// later connection's command of the same number.
const NUMBER_BITS: u32 = 40;
const NUMBERS: u64 = (1 << NUMBER_BITS) - 1;
/// Numbers of our own commands, which no connection's reach.
const TAKEOVER: u64 = NUMBERS;
const FAREWELLS: u64 = NUMBERS - 1;
const ORPHANS: u64 = NUMBERS - 2;

/// A shard as the control thread knows it.
pub struct Shard {
    /// Commands to it.
    pub work: SyncSender<Work>,
    /// Wakes it.
    pub wake: Arc<Wake>,
    /// How busy it is.
    pub load: Arc<AtomicU32>,
    /// First socket number that is free for port legs.
    pub first_socket: u32,
}

/// Numbers of a shard's sockets: used again, so that its table stays short.
struct Numbers {
    next: u32,
    free: Vec<u32>,
}

impl Numbers {
    fn take(&mut self) -> SocketId {
        SocketId(self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        }))
    }
}

/// An answer that several shards give together: what they have, or that it is done, or why one of them refuses.
struct Gathering {
    missing: usize,
    links: bool,
    refusal: Option<Reply>,
    legs: Vec<(u64, u64, String, String)>,
}

/// The control thread's state.
pub struct Control {
    listener: UnixListener,
    handover: HandOver,
    poller: Poller,
    shards: Vec<Shard>,
    numbers: Vec<Numbers>,
    told: Receiver<Told>,
    wake: Arc<Wake>,
    _signals: OwnedFd,
    ports: Ports,
    bound: Bound,
    webrtc_ports: Vec<u16>,
    connection: Option<Connection>,
    /// How many connections have commanded.
    serial: u64,
    /// How many links between shards were made.
    links: u64,
    turned_away: VecDeque<UnixStream>,
    grace: Duration,
    alone_since: Instant,
    /// What happened while nobody commanded.
    kept: Kept,
    takeover: Option<Takeover>,
    /// Answers that several shards give together.
    gathering: HashMap<ReplyToken, Gathering>,
    /// Number of the command that ends us, and when we end at the latest.
    leaving: Option<(u64, Instant)>,
}

/// Binds the control socket; the process's mask makes it the owner's only. A dead engine's socket is replaced.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Ok(found) = path.symlink_metadata() {
        if !found.file_type().is_socket() {
            let text = "it exists and is no socket; choose another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another engine serves it",
            ));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What `Control` is made of.
pub struct Parts {
    /// The bound control socket.
    pub listener: UnixListener,
    /// Where connections for ICE-TCP arrive.
    pub handover: HandOver,
    /// All shards, by number.
    pub shards: Vec<Shard>,
    /// From all shards.
    pub told: Receiver<Told>,
    /// Readable when `told` holds something.
    pub wake: Arc<Wake>,
    /// Readable on SIGTERM.
    pub signals: OwnedFd,
    /// Ports for phones.
    pub ports: Ports,
    /// Ports for browsers: of each shard, or one for all.
    pub webrtc_ports: Vec<u16>,
    /// How long legs run without anybody who commands.
    pub grace: Duration,
}

impl Control {
    /// Ready to run.
    pub fn new(parts: Parts) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(parts.listener.as_raw_fd(), LISTENER)?;
        poller.add(parts.wake.as_raw_fd(), SHARDS)?;
        poller.add(parts.signals.as_raw_fd(), SIGNAL)?;
        poller.add(parts.handover.as_raw_fd(), HANDOVER)?;
        let numbers = parts
            .shards
            .iter()
            .map(|shard| Numbers {
                next: shard.first_socket,
                free: Vec::new(),
            })
            .collect();
        Ok(Self {
            listener: parts.listener,
            handover: parts.handover,
            poller,
            shards: parts.shards,
            numbers,
            told: parts.told,
            wake: parts.wake,
            _signals: parts.signals,
            ports: parts.ports,
            bound: Bound::default(),
            webrtc_ports: parts.webrtc_ports,
            connection: None,
            serial: 0,
            links: 0,
            turned_away: VecDeque::new(),
            grace: parts.grace,
            alone_since: Instant::now(),
            kept: Kept::default(),
            takeover: None,
            gathering: HashMap::new(),
            leaving: None,
        })
    }

    /// Serves until told to exit, SIGTERM, or nobody has come back within the grace time. The error is a sentence.
    pub fn run(mut self) -> Result<(), String> {
        let mut ready = Vec::new();
        while !self.over() {
            self.poller.wait(self.patience(), &mut ready);
            for one in &ready {
                match one.token {
                    LISTENER => self.accept(),
                    CONNECTION => self.read(),
                    SHARDS => self.wake.clear(),
                    HANDOVER => self.take_connections(),
                    _ => self.leave(FAREWELLS),
                }
            }
            self.hear()?;
            self.close_orphans();
            if self.deserted() {
                self.leave(FAREWELLS);
            }
            self.write();
        }
        Ok(())
    }

    fn deserted(&self) -> bool {
        self.connection.is_none() && self.alone_since.elapsed() >= self.grace
    }

    fn over(&self) -> bool {
        self.leaving.is_some_and(|(_, at)| at <= Instant::now())
    }

    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let end = match &self.connection {
            None => Some(self.alone_since + self.grace),
            Some(connection) => connection.waits().then_some(now + RETRY),
        };
        let orphans = self.takeover.as_ref().map(Takeover::deadline);
        let leaving = self.leaving.map(|(_, at)| at);
        let first = [end, orphans, leaving].into_iter().flatten().min();
        first.map(|at| at.saturating_duration_since(now))
    }

    /// Gives connections for ICE-TCP to the shards that their first checks name; others are closed.
    fn take_connections(&mut self) {
        while let Some((stream, read)) = self.handover.next() {
            let shard = shard_named(&read).and_then(|shard| self.shards.get(shard));
            if let Some(shard) = shard {
                // A full queue loses the connection: the browser tries again.
                let _ = shard.work.try_send(Work::Connection(stream, read));
                shard.wake.wake();
            }
        }
    }

    // ---- the connection

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        // The old connection's end may wait in the same batch, behind this one.
        self.read();
        if self.connection.is_some() {
            return self.turn_away(stream);
        }
        let Ok(connection) = Connection::new(stream) else {
            return;
        };
        if self.poller.add(connection.as_raw_fd(), CONNECTION).is_err() {
            return;
        }
        self.connection = Some(connection);
        self.serial += 1;
        let hello = Greeting::Hello {
            version: VERSION,
            pid: std::process::id(),
            webrtc_ports: self.webrtc_ports.clone(),
        };
        self.say(&hello);
    }

    fn turn_away(&mut self, mut stream: UnixStream) {
        let refusal = refused(0, "engine_busy", "another connection commands this engine");
        let _ = stream.set_nonblocking(true);
        let _ = stream.write_all(&message::frame(&refusal));
        let _ = stream.shutdown(Shutdown::Write);
        self.turned_away.push_back(stream);
        if self.turned_away.len() > TURNED_AWAY {
            self.turned_away.pop_front();
        }
    }

    fn read(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let there = connection.read();
        self.take_frames();
        if !there {
            self.disconnect();
        }
    }

    fn take_frames(&mut self) {
        while let Some(connection) = &mut self.connection {
            match connection.next() {
                Ok(Some(body)) if connection.greeted => self.frame(&body),
                Ok(Some(body)) => self.greet(&body),
                Ok(None) => return,
                Err(text) => self.hang_up(&text),
            }
        }
    }

    fn greet(&mut self, body: &[u8]) {
        let version = match rmp_serde::from_slice(body) {
            Ok(Greeting::Hello { version, .. }) => version,
            Err(_) => 0,
        };
        if version != VERSION {
            let text = format!("protocol {version} is not spoken here, {VERSION} is");
            return self.hang_up(&text);
        }
        if let Some(connection) = &mut self.connection {
            connection.greeted = true;
        }
        for event in self.kept.take() {
            self.say(&event);
        }
        self.takeover = Some(Takeover::new(Instant::now() + self.grace));
        self.gather(TAKEOVER, |n| Command::ListLegs { n });
    }

    /// Ends a connection that does not keep to the protocol, and says why.
    fn hang_up(&mut self, text: &str) {
        self.say(&refused(0, "bad_description", text));
        self.write();
        self.disconnect();
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.poller.remove(connection.as_raw_fd());
        }
        self.takeover = None;
        self.alone_since = Instant::now();
    }

    fn say<T: Serialize>(&mut self, message: &T) {
        if let Some(connection) = &mut self.connection {
            connection.say(message);
        }
    }

    fn write(&mut self) {
        if self.connection.as_mut().is_some_and(|c| !c.write()) {
            self.disconnect();
        }
    }

    // ---- commands

    fn frame(&mut self, body: &[u8]) {
        match message::command(body) {
            Ok(command) => self.command(command),
            Err(Some(refusal)) => self.say(&refusal),
            Err(None) => self.hang_up("a frame is no map with a tag and a number"),
        }
    }

    fn command(&mut self, command: Command) {
        // A room has the number of its first member's call, which may be over for signalling.
        let subject = command
            .subject()
            .filter(|_| !matches!(command, Command::Chime { .. }));
        if let (Some(takeover), Some(subject)) = (&mut self.takeover, subject) {
            takeover.name(subject);
        }
        match &command {
            Command::Exit { n } => self.leave(*n),
            Command::ListLegs { n } => self.gather(*n, |n| Command::ListLegs { n }),
            Command::Bridge { n, a, b } if shard_of(*a) != shard_of(*b) => self.link(*n, *a, *b),
            Command::Join { n, room, .. } if usize::from(shard_of(*room)) >= self.shards.len() => {
                self.say(&refused(*n, "unknown_call", "no shard has this room"));
            }
            Command::Complete { n, remote, .. } => match self.bound.named(remote) {
                Some(address) => {
                    let text = format!("{address} is a port of this engine");
                    self.say(&refused(*n, "bad_address", &text));
                }
                None => self.place(command),
            },
            _ => self.place(command),
        }
    }

    /// One shard's command: the one that the id names, or the least loaded one.
    fn place(&mut self, command: Command) {
        let n = command.number();
        let shard = match command.subject() {
            Some(id) => usize::from(shard_of(id)),
            None => self.least_loaded(),
        };
        if shard >= self.shards.len() {
            let code = if matches!(command, Command::OpenLeg { .. } | Command::CloseCall { .. }) {
                "unknown_call"
            } else {
                "unknown_leg"
            };
            return self.say(&refused(n, code, "no shard has this id"));
        }
        match self.bind(shard, &command) {
            Ok((ports, sockets)) => self.hand(shard, command, ports, sockets),
            Err(refusal) => self.say(&refusal),
        }
    }

    /// A bridge of legs on two shards: each gets its half, in the order of its other commands.
    fn link(&mut self, n: u64, a: u64, b: u64) {
        if [a, b]
            .iter()
            .any(|id| usize::from(shard_of(*id)) >= self.shards.len())
        {
            return self.say(&refused(n, "unknown_leg", "no shard has this id"));
        }
        self.links += 1;
        let gathering = Gathering {
            missing: 2,
            links: true,
            refusal: None,
            legs: Vec::new(),
        };
        self.gathering.insert(self.token(n), gathering);
        let number = self.links;
        for (leg, far) in [(a, b), (b, a)] {
            let shard = usize::from(shard_of(leg));
            let command = Command::Link {
                n,
                leg,
                far,
                number,
            };
            self.hand(shard, command, Vec::new(), Vec::new());
        }
    }

    fn least_loaded(&self) -> usize {
        let load = |shard: &Shard| shard.load.load(Ordering::Relaxed);
        (0..self.shards.len())
            .min_by_key(|index| load(&self.shards[*index]))
            .unwrap_or(0)
    }

    fn token(&self, n: u64) -> ReplyToken {
        ReplyToken(self.serial << NUMBER_BITS | n & NUMBERS)
    }

    fn hand(
        &mut self,
        shard: usize,
        command: Command,
        ports: Vec<PortPair>,
        sockets: Vec<(SocketId, UdpSocket)>,
    ) {
        let n = command.number();
        let order = Order {
            command,
            token: self.token(n),
            sockets,
            ports,
        };
        let legs = u32::try_from(order.command.offers().len()).unwrap_or(0);
        match self.shards[shard]
            .work
            .try_send(Work::Command(Box::new(order)))
        {
            Ok(()) => {
                // Counted at once, so that calls opened together are spread; the shard soon tells its true load.
                self.shards[shard].load.fetch_add(legs, Ordering::Relaxed);
                self.shards[shard].wake.wake();
            }
            Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => {
                if let Work::Command(order) = work {
                    for pair in order.ports {
                        self.release(shard, pair);
                    }
                }
                let busy = refused(n, "engine_busy", "the shard's queue is full");
                self.reply(self.token(n), busy);
            }
        }
    }

    /// Ports for the legs that a command opens.
    #[expect(
        clippy::type_complexity,
        reason = "two lists that go to the same place"
    )]
    fn bind(
        &mut self,
        shard: usize,
        command: &Command,
    ) -> Result<(Vec<PortPair>, Vec<(SocketId, UdpSocket)>), Box<Reply>> {
        let (mut ports, mut sockets) = (Vec::new(), Vec::new());
        for (address, mux) in command.ports() {
            match self.bind_one(address, mux) {
                Ok(pair) => ports.push(self.number(shard, pair, &mut sockets)),
                Err((code, text)) => {
                    drop(sockets);
                    for pair in ports {
                        self.release(shard, pair);
                    }
                    return Err(Box::new(refused(command.number(), code, &text)));
                }
            }
        }
        Ok((ports, sockets))
    }

    fn bind_one(&mut self, address: &str, mux: bool) -> Result<Pair, Refusal> {
        let parsed = address.parse::<IpAddr>();
        let address =
            parsed.map_err(|_| ("bad_address", format!("{address:?} is not an IP address")))?;
        self.ports.bind(address, mux, Instant::now())
    }

    fn number(
        &mut self,
        shard: usize,
        pair: Pair,
        sockets: &mut Vec<(SocketId, UdpSocket)>,
    ) -> PortPair {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let address = pair.rtp.local_addr().unwrap_or(nowhere);
        let rtp = self.numbers[shard].take();
        sockets.push((rtp, pair.rtp));
        let rtcp = pair.rtcp.map(|socket| {
            let id = self.numbers[shard].take();
            sockets.push((id, socket));
            id
        });
        let pair = PortPair {
            rtp,
            rtcp,
            address,
            rtcp_port: if rtcp.is_some() {
                address.port() + 1
            } else {
                0
            },
        };
        self.bound.add(&pair);
        pair
    }

    fn release(&mut self, shard: usize, pair: PortPair) {
        self.bound.remove(&pair);
        let numbers = &mut self.numbers[shard];
        numbers.free.push(pair.rtp.0);
        numbers.free.extend(pair.rtcp.map(|id| id.0));
        self.ports.release(pair.address.port(), Instant::now());
    }

    // ---- commands for every shard

    fn gather(&mut self, n: u64, command: impl Fn(u64) -> Command) {
        let gathering = Gathering {
            missing: self.shards.len(),
            links: false,
            refusal: None,
            legs: Vec::new(),
        };
        self.gathering.insert(self.token(n), gathering);
        for shard in 0..self.shards.len() {
            self.hand(shard, command(n), Vec::new(), Vec::new());
        }
    }

    fn leave(&mut self, n: u64) {
        if self.leaving.is_none() {
            self.leaving = Some((n, Instant::now() + FAREWELL));
            self.gather(n, |n| Command::Exit { n });
        }
    }

    fn close_orphans(&mut self) {
        let now = Instant::now();
        let Some(takeover) = self.takeover.take_if(|t| t.deadline() <= now) else {
            return;
        };
        let orphans = takeover.orphans();
        if orphans.is_empty() {
            return;
        }
        let text = format!(
            "{} calls that nobody came back to are closed",
            orphans.len()
        );
        self.say(&Event::LogLine {
            level: "warning".into(),
            text,
        });
        for call in orphans {
            self.place(Command::CloseCall { n: ORPHANS, call });
        }
    }

    // ---- what shards tell

    fn hear(&mut self) -> Result<(), String> {
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Reply(token, reply) => self.reply(token, *reply),
                Told::Event(event) => self.tell(event),
                Told::Released(shard, pair) => self.release(shard, pair),
                Told::Died(shard) => return Err(format!("shard {shard} has failed")),
            }
        }
        Ok(())
    }

    /// To the commander, or to the next one.
    fn tell(&mut self, event: Event) {
        if self.connection.as_ref().is_some_and(|c| c.greeted) {
            self.say(&event);
        } else {
            self.kept.keep(event);
        }
    }

    fn reply(&mut self, token: ReplyToken, reply: Reply) {
        let n = token.0 & NUMBERS;
        let Some(gathering) = self.gathering.get_mut(&token) else {
            if token == self.token(n) && n != ORPHANS {
                self.say(&reply);
            }
            return;
        };
        match reply {
            Reply::Legs { legs, .. } => gathering.legs.extend(legs),
            Reply::Refused { .. } => gathering.refusal = Some(reply),
            _ => {}
        }
        gathering.missing = gathering.missing.saturating_sub(1);
        if gathering.missing == 0 {
            match self.gathering.remove(&token) {
                Some(all) if all.links => {
                    let reply = all.refusal.unwrap_or(Reply::Done { n });
                    self.reply(token, reply);
                }
                Some(all) => self.gathered(token, all.legs),
                None => {}
            }
        }
    }

    fn gathered(&mut self, token: ReplyToken, legs: Vec<(u64, u64, String, String)>) {
        let n = token.0 & NUMBERS;
        let current = token == self.token(n);
        if self.leaving.is_some_and(|(leaving, _)| leaving == n) {
            if current && n != FAREWELLS {
                self.say(&Reply::Done { n });
                self.write();
            }
            self.leaving = Some((n, Instant::now()));
        } else if current && n == TAKEOVER {
            if let Some(takeover) = &mut self.takeover {
                takeover.found(legs.iter().map(|(call, leg, ..)| (*call, *leg)));
            }
        } else if current {
            self.say(&Reply::Legs { n, legs });
        }
    }
}

fn refused(n: u64, code: &str, text: &str) -> Reply {
    Reply::Refused {
        n,
        code: code.into(),
        text: text.into(),
    }
}
