//! The control thread: one connection commands; ids and ports are handed out here; answers and events go back.

pub mod message;
#[cfg(test)]
mod samples;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use offhook_media::command::{Command, shard_of};
use offhook_media::description::PathKind;
use offhook_media::event::Reply;
use offhook_media::{PortPair, ReplyToken, SocketId};
use serde::Serialize;

use crate::ports::Ports;
use crate::sys::{Poller, Wake};
use crate::worker::{Told, Work};
use message::{Frames, Greeting, MAX_FRAME, VERSION};

const LISTENER: u64 = 0;
const CONNECTION: u64 = 1;
const SHARDS: u64 = 2;
const SIGNAL: u64 = 3;
/// Bytes that may wait for a reader that does not read; then the connection is dropped, the legs stay.
const MAX_UNREAD: usize = 8 * MAX_FRAME;
/// How long shards may take to say goodbye to their peers at the end.
const FAREWELL: Duration = Duration::from_millis(200);

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

/// An answer that several shards give together.
struct Gathering {
    missing: usize,
    legs: Vec<(u64, u64, String, String)>,
    exit: bool,
}

struct Connection {
    stream: UnixStream,
    frames: Frames,
    greeted: bool,
    unread: Vec<u8>,
}

/// The control thread's state.
pub struct Control {
    listener: UnixListener,
    poller: Poller,
    shards: Vec<Shard>,
    numbers: Vec<Numbers>,
    told: Receiver<Told>,
    wake: Arc<Wake>,
    _signals: OwnedFd,
    ports: Ports,
    webrtc_ports: Vec<u16>,
    connection: Option<Connection>,
    grace: Duration,
    alone_since: Instant,
    /// Answers that several shards give together, by command number.
    gathering: HashMap<u64, Gathering>,
    leaving: Option<Instant>,
}

/// Binds the control socket, readable and writable by the owner only. A dead engine's socket is replaced.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if path.exists() {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another engine serves it",
            ));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What `Control` is made of.
pub struct Parts {
    /// The bound control socket.
    pub listener: UnixListener,
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
    /// Ports for browsers, by shard.
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
            poller,
            shards: parts.shards,
            numbers,
            told: parts.told,
            wake: parts.wake,
            _signals: parts.signals,
            ports: parts.ports,
            webrtc_ports: parts.webrtc_ports,
            connection: None,
            grace: parts.grace,
            alone_since: Instant::now(),
            gathering: HashMap::new(),
            leaving: None,
        })
    }

    /// Serves until told to exit, SIGTERM, or nobody has come back within the grace time.
    pub fn run(mut self) {
        let mut ready = Vec::new();
        while !self.over() {
            self.poller.wait(self.patience(), &mut ready);
            for one in &ready {
                match one.token {
                    LISTENER => self.accept(),
                    CONNECTION => self.read(),
                    SHARDS => self.wake.clear(),
                    _ => self.leave(None),
                }
            }
            self.hear();
            self.write();
        }
    }

    fn over(&self) -> bool {
        let deserted = self.connection.is_none() && self.alone_since.elapsed() >= self.grace;
        deserted || self.leaving.is_some_and(|at| at <= Instant::now())
    }

    fn patience(&self) -> Option<Duration> {
        let wait = match (self.leaving, &self.connection) {
            (Some(at), _) => at.saturating_duration_since(Instant::now()),
            (None, None) => self.grace.saturating_sub(self.alone_since.elapsed()),
            (None, Some(connection)) if connection.unread.is_empty() => return None,
            (None, Some(_)) => Duration::from_millis(5),
        };
        Some(wait)
    }

    // ---- the connection

    fn accept(&mut self) {
        let Ok((mut stream, _)) = self.listener.accept() else {
            return;
        };
        if self.connection.is_some() {
            let refusal = refused(0, "engine_busy", "another connection commands this engine");
            let _ = stream.write_all(&message::frame(&refusal));
            return;
        }
        if stream.set_nonblocking(true).is_err()
            || self.poller.add(stream.as_raw_fd(), CONNECTION).is_err()
        {
            return;
        }
        self.connection = Some(Connection {
            stream,
            frames: Frames::default(),
            greeted: false,
            unread: Vec::new(),
        });
        let hello = Greeting::Hello {
            version: VERSION,
            pid: std::process::id(),
            webrtc_ports: self.webrtc_ports.clone(),
        };
        self.say(&hello);
    }

    fn read(&mut self) {
        let mut data = [0; 65_536];
        let mut gone = false;
        while let Some(connection) = &mut self.connection {
            match connection.stream.read(&mut data) {
                Ok(0) => gone = true,
                Ok(size) => {
                    connection.frames.push(&data[..size]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => gone = true,
            }
            break;
        }
        self.take_frames();
        if gone {
            self.disconnect();
        }
    }

    fn take_frames(&mut self) {
        while let Some(connection) = &mut self.connection {
            match connection.frames.next() {
                Ok(Some(body)) if connection.greeted => self.frame(&body),
                Ok(Some(body)) => {
                    let greeted = self.greets(&body);
                    if let Some(connection) = &mut self.connection {
                        connection.greeted = greeted;
                    }
                }
                Ok(None) => return,
                Err(text) => {
                    self.say(&refused(0, "bad_description", &text));
                    self.disconnect();
                }
            }
        }
    }

    fn greets(&mut self, body: &[u8]) -> bool {
        let version = match rmp_serde::from_slice(body) {
            Ok(Greeting::Hello { version, .. }) => version,
            Err(_) => 0,
        };
        if version != VERSION {
            let text = format!("protocol {version} is not spoken here, {VERSION} is");
            self.say(&refused(0, "bad_description", &text));
            self.write();
            self.disconnect();
        }
        version == VERSION
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.poller.remove(connection.stream.as_raw_fd());
        }
        self.alone_since = Instant::now();
    }

    fn say<T: Serialize>(&mut self, message: &T) {
        if let Some(connection) = &mut self.connection {
            connection.unread.extend(message::frame(message));
        }
    }

    fn write(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        while !connection.unread.is_empty() {
            match connection.stream.write(&connection.unread) {
                Ok(size) => {
                    connection.unread.drain(..size);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.disconnect(),
            }
        }
        if connection.unread.len() > MAX_UNREAD {
            self.disconnect();
        }
    }

    // ---- commands

    fn frame(&mut self, body: &[u8]) {
        match message::command(body) {
            Ok(command) => self.command(command),
            Err(Some(refusal)) => self.say(&refusal),
            Err(None) => self.disconnect(),
        }
    }

    fn command(&mut self, command: Command) {
        match &command {
            Command::Exit { n } => self.leave(Some(*n)),
            Command::ListLegs { n } => self.gather(*n, false, |n| Command::ListLegs { n }),
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

    fn least_loaded(&self) -> usize {
        let load = |shard: &Shard| shard.load.load(Ordering::Relaxed);
        (0..self.shards.len())
            .min_by_key(|index| load(&self.shards[*index]))
            .unwrap_or(0)
    }

    fn hand(
        &mut self,
        shard: usize,
        command: Command,
        ports: Vec<PortPair>,
        sockets: Vec<(SocketId, UdpSocket)>,
    ) {
        let n = command.number();
        let work = Work {
            command,
            token: ReplyToken(n),
            sockets,
            ports,
        };
        match self.shards[shard].work.try_send(work) {
            Ok(()) => self.shards[shard].wake.wake(),
            Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => {
                for pair in work.ports {
                    self.release(shard, pair);
                }
                self.say(&refused(n, "engine_busy", "the shard's queue is full"));
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
        for offer in command.offers().iter().filter(|o| o.path == PathKind::Port) {
            let bound = offer
                .address
                .parse::<IpAddr>()
                .map_err(|_| {
                    (
                        "bad_address",
                        format!("{:?} is not an IP address", offer.address),
                    )
                })
                .and_then(|address| {
                    self.ports
                        .bind(address, offer.rtcp_mux, Instant::now())
                        .ok_or((
                            "ports_exhausted",
                            "every port for phones is in use".to_owned(),
                        ))
                });
            match bound {
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

    fn number(
        &mut self,
        shard: usize,
        pair: crate::ports::Pair,
        sockets: &mut Vec<(SocketId, UdpSocket)>,
    ) -> PortPair {
        let nowhere = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
        let address = pair.rtp.local_addr().unwrap_or(nowhere);
        let rtp = self.numbers[shard].take();
        sockets.push((rtp, pair.rtp));
        let rtcp = pair.rtcp.map(|socket| {
            let id = self.numbers[shard].take();
            sockets.push((id, socket));
            id
        });
        PortPair {
            rtp,
            rtcp,
            address,
            rtcp_port: if rtcp.is_some() {
                address.port() + 1
            } else {
                0
            },
        }
    }

    fn release(&mut self, shard: usize, pair: PortPair) {
        let numbers = &mut self.numbers[shard];
        numbers.free.push(pair.rtp.0);
        numbers.free.extend(pair.rtcp.map(|id| id.0));
        self.ports.release(pair.address.port(), Instant::now());
    }

    // ---- commands for every shard

    fn gather(&mut self, n: u64, exit: bool, command: impl Fn(u64) -> Command) {
        let gathering = Gathering {
            missing: self.shards.len(),
            legs: Vec::new(),
            exit,
        };
        self.gathering.insert(n, gathering);
        for shard in 0..self.shards.len() {
            self.hand(shard, command(n), Vec::new(), Vec::new());
        }
    }

    fn leave(&mut self, n: Option<u64>) {
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now() + FAREWELL);
            self.gather(n.unwrap_or(0), true, |n| Command::Exit { n });
        }
    }

    // ---- what shards tell

    fn hear(&mut self) {
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Reply(token, reply) => self.reply(token, *reply),
                // With nobody there events are dropped: whoever comes next asks for the facts.
                Told::Event(event) => self.say(&event),
                Told::Released(shard, pair) => self.release(shard, pair),
            }
        }
    }

    fn reply(&mut self, token: ReplyToken, reply: Reply) {
        let Some(gathering) = self.gathering.get_mut(&token.0) else {
            return self.say(&reply);
        };
        if let Reply::Legs { legs, .. } = reply {
            gathering.legs.extend(legs);
        }
        gathering.missing = gathering.missing.saturating_sub(1);
        if gathering.missing > 0 {
            return;
        }
        let Some(done) = self.gathering.remove(&token.0) else {
            return;
        };
        if done.exit {
            self.say(&Reply::Done { n: token.0 });
            self.write();
            self.leaving = Some(Instant::now());
        } else {
            self.say(&Reply::Legs {
                n: token.0,
                legs: done.legs,
            });
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
