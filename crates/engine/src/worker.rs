//! A shard thread: sockets, the clock, and one `Engine`.
//!
//! Wake, take the time once, drain what is there, hand it to the engine, send what it wants sent, wait again.

mod single;
mod unread;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{TryRecvError, TrySendError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use offhook_media::clip::Wanted;
use offhook_media::command::Command;
use offhook_media::event::{Event, Reply};
use offhook_media::feed::Return;
use offhook_media::{
    Engine, Input, Now, Output, PortPair, ShardConfig, SocketId, Transmit, WebRtcSocket,
};

use crate::handover::shard_in_check;
use crate::links::{LINK_QUEUE, Links};
use crate::locals::Locals;
use crate::queues::{Order, Queues, Told, Work};
use crate::random::System;
use crate::rings::Rings;
use crate::single::{Handed, Part, RING, Whose};
use crate::sounds::Job;
use crate::streams::{Streams, TOKENS};
use crate::sys::{self, BATCH, Datagram, LARGEST, Poller, Ready, ReceiveBatch};
use crate::telling::Telling;
use crate::trouble::Trouble;

/// Token of the command queue's eventfd; sockets use their ids.
const COMMANDS: u64 = u64::MAX;
/// Token of what comes from other shards.
const ARRIVALS: u64 = u64::MAX - 1;
/// The shared socket that every shard has: that of IPv4.
const SHARED: SocketId = SocketId(0);
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;
/// From this many packets and ticks a second upwards a shard wakes at most every `COALESCE`: draining more at once saves
/// wake-ups.
const BUSY: u32 = 5_000;
const COALESCE: Duration = Duration::from_millis(1);
/// How often the packet rate is looked at.
const WINDOW: Duration = Duration::from_millis(100);
/// How often it is told at most what was lost unread.
const OVERRUNS: Duration = Duration::from_secs(1);

struct Socket {
    socket: UdpSocket,
    shared: bool,
    /// Datagrams that its buffer had no room for, as far as counted.
    overruns: u32,
    /// More waited than one since they were counted.
    crowded: bool,
    /// The wake-up at which it was ready last.
    woke: u64,
}

/// One shard.
pub struct Worker {
    engine: Engine,
    poller: Poller,
    sockets: Vec<Option<Socket>>,
    /// Addresses of ours that shared sockets were reached at.
    locals: Locals,
    /// The numbers that stand for TCP, by address family, and the connections.
    over_tcp: Vec<(SocketId, bool)>,
    streams: Streams,
    queues: Queues,
    batch: ReceiveBatch,
    single: Box<[u8; sys::BUFFER]>,
    sends: Vec<Transmit>,
    /// To the control thread.
    telling: Telling,
    failed: Vec<(SocketId, SocketAddr, i32)>,
    /// Sounds for which there was no room in the queue.
    unfetched: Vec<Wanted>,
    trouble: Trouble,
    rings: Rings,
    links: Links,
    /// What this shard has to do with the shared sockets.
    port: Part,
    /// Sockets whose buffers may have been full.
    crowded: Vec<SocketId>,
    /// What they had no room for since it was told, by port.
    unread: BTreeMap<u16, u64>,
    packets: u32,
    wakes: u64,
    /// Ticks of the engine, as far as looked at.
    ticks: u64,
    /// Time worked in the window.
    worked: Duration,
    window: Instant,
    overruns_at: Instant,
    busy: bool,
}

impl Worker {
    /// A shard with its shared sockets, which `config` names in the same order.
    pub fn new(
        config: ShardConfig,
        shared: Vec<UdpSocket>,
        port: Part,
        queues: Queues,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(queues.wake.as_raw_fd(), COMMANDS)?;
        poller.add(queues.arrivals.wake.as_raw_fd(), ARRIVALS)?;
        let (tcp, udp): (Vec<_>, Vec<_>) = config.webrtc.iter().partition(|socket| socket.tcp);
        let ids: Vec<SocketId> = udp.into_iter().map(|socket| socket.id).collect();
        let family = |socket: &WebRtcSocket| (socket.id, socket.local.is_ipv4());
        let over_tcp = tcp.into_iter().map(family).collect();
        let mut worker = Self {
            engine: Engine::new(config, Box::new(System::new())),
            poller,
            sockets: Vec::new(),
            locals: Locals::new(sys::interface_addresses()),
            over_tcp,
            streams: Streams::default(),
            links: Links::new(queues.ways.clone()),
            queues,
            batch: ReceiveBatch::new(),
            single: Box::new([0; sys::BUFFER]),
            sends: Vec::new(),
            telling: Telling::default(),
            failed: Vec::new(),
            unfetched: Vec::new(),
            trouble: Trouble::default(),
            rings: Rings::default(),
            port,
            crowded: Vec::new(),
            unread: BTreeMap::new(),
            packets: 0,
            wakes: 1,
            ticks: 0,
            worked: Duration::ZERO,
            window: Instant::now(),
            overruns_at: Instant::now(),
            busy: false,
        };
        for (id, socket) in ids.into_iter().zip(shared) {
            worker.own(id, socket, true)?;
        }
        Ok(worker)
    }

    /// Runs until the control thread is gone. A panic that no call contains is told as `Died`.
    pub fn run(self) {
        let (shard, told) = (self.queues.shard, self.queues.told.clone());
        let wake = Arc::clone(&self.queues.wake_control);
        // Nothing of the worker is looked at after a panic.
        if catch_unwind(AssertUnwindSafe(move || self.serve())).is_err() {
            let _ = told.send(Told::Died(shard));
            wake.wake();
        }
    }

    fn serve(mut self) {
        let mut ready = Vec::new();
        let mut due: Option<Instant> = None;
        loop {
            self.poller.wait(self.patience(due), &mut ready);
            self.wakes += 1;
            let now = now();
            if !self.drain(&ready, now) {
                return;
            }
            if due.is_some_and(|at| at <= now.instant) {
                self.engine.handle(Input::Timeout, now);
            }
            self.streams.retry();
            due = self.outputs(now);
            self.trouble.note(self.engine.panics(), now.instant);
            let worked = now.instant.elapsed();
            self.worked += worked;
            self.window(now);
            if self.busy {
                std::thread::sleep(COALESCE.saturating_sub(worked));
            }
        }
    }

    /// How long there is nothing to do unless something comes.
    fn patience(&self, due: Option<Instant>) -> Option<Duration> {
        if !self.telling.is_empty() || self.streams.waits() || self.links.waits() {
            return Some(COALESCE);
        }
        let counted = self.crowded.is_empty() && self.unread.is_empty();
        let look = (!counted).then(|| (self.overruns_at + OVERRUNS).max(self.window + WINDOW));
        let first = [due, look].into_iter().flatten().min();
        first.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Reads every ready socket. False when the control thread is gone.
    fn drain(&mut self, ready: &[Ready], now: Now) -> bool {
        for one in ready {
            if one.token == COMMANDS {
                if !self.commands(now) {
                    return false;
                }
                continue;
            }
            if one.token == ARRIVALS {
                self.arrivals(now);
                continue;
            }
            if one.token >= TOKENS {
                self.read_stream(one.token, now);
                continue;
            }
            let id = SocketId(u32::try_from(one.token).unwrap_or(u32::MAX));
            if one.error {
                self.errors(id, now);
            }
            self.receive(id, now);
        }
        true
    }

    fn commands(&mut self, now: Now) -> bool {
        self.queues.wake.clear();
        // Some of the commands may ask for facts.
        self.count_unread(now);
        let there = loop {
            match self.queues.work.try_recv() {
                Ok(Work::Command(order)) => self.command(*order, now),
                Ok(Work::Connection(stream, read)) => self.connection(stream, read, now),
                Ok(Work::Sound(wanted, clip)) => {
                    let wanted = *wanted;
                    self.engine.handle(Input::Fetched { wanted, clip }, now);
                }
                Ok(Work::RecordingOver(number)) => {
                    self.rings.forget(number);
                    self.engine.handle(Input::RecordingOver(number), now);
                }
                Ok(Work::Returned(leg, number, what)) => {
                    if what == Return::Over {
                        self.rings.forget(number);
                    }
                    self.engine
                        .handle(Input::Returned { leg, number, what }, now);
                }
                Err(TryRecvError::Empty) => break true,
                Err(TryRecvError::Disconnected) => break false,
            }
        };
        self.tell_load();
        there
    }

    /// What came from other shards, a bounded share of it; the rest is due at once.
    fn arrivals(&mut self, now: Now) {
        self.queues.arrivals.wake.clear();
        if self.handed(now) {
            self.queues.arrivals.wake.wake();
        }
        for _ in 0..LINK_QUEUE {
            let Ok(message) = self.queues.arrivals.queue.try_recv() else {
                return;
            };
            self.packets += 1;
            self.engine.handle(Input::Linked(message), now);
            self.collect(now);
        }
        self.queues.arrivals.wake.wake();
    }

    /// Looks at every leg: for commands and windows, not for packets.
    fn tell_load(&self) {
        let load = self.engine.load();
        self.queues.load.store(load, Ordering::Relaxed);
    }

    fn command(&mut self, work: Order, now: Now) {
        if matches!(work.command, Command::OpenCall { .. }) && self.trouble.refuses(now.instant) {
            return self.refuse(work);
        }
        for (id, socket) in work.sockets {
            // A socket that cannot be watched stays silent, and the leg's verdict says so.
            let _ = self.own(id, socket, false);
        }
        let input = Input::Command {
            command: work.command,
            ports: work.ports,
            reply: work.token,
        };
        self.engine.handle(input, now);
    }

    /// Gives the command back with its ports; their sockets close here.
    fn refuse(&mut self, work: Order) {
        let reply = Reply::Refused {
            n: work.command.number(),
            code: "engine_busy".into(),
            text: "the shard has failed too often within a minute".into(),
        };
        self.telling
            .answer(Told::Reply(work.token, Box::new(reply)));
        let shard = self.queues.shard;
        for pair in work.ports {
            self.telling.answer(Told::Released(shard, pair));
        }
    }

    fn own(&mut self, id: SocketId, socket: UdpSocket, shared: bool) -> io::Result<()> {
        let index = id.0 as usize;
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        // What the port brings another shard reads for us, where there is one port for all.
        let watched = match &self.port {
            Part::Owner(_) if shared => Ok(()),
            _ => self.poller.add(socket.as_raw_fd(), u64::from(id.0)),
        };
        self.sockets[index] = Some(Socket {
            socket,
            shared,
            overruns: 0,
            crowded: false,
            woke: 0,
        });
        watched
    }

    fn receive(&mut self, id: SocketId, now: Now) {
        let Some(Some(socket)) = self.sockets.get_mut(id.0 as usize) else {
            return;
        };
        // At 50 packets a second a second receive finds nothing. Ready at two wake-ups in a row, more waits than one: a
        // flood at this port, which must not fill it and push out whom it belongs to.
        let crowded = std::mem::replace(&mut socket.woke, self.wakes) + 1 == self.wakes;
        if crowded && !socket.crowded {
            socket.crowded = true;
            self.crowded.push(id);
        }
        if socket.shared || crowded {
            let fd = socket.socket.as_raw_fd();
            let count = self.batch.receive(fd);
            self.packets += u32::try_from(count).unwrap_or(0);
            let shared = socket.shared;
            if let (true, Part::Reader(reader)) = (shared, &mut self.port) {
                reader.learn();
            }
            for index in 0..count {
                if shared && self.hand_on(id, index, now) {
                    continue;
                }
                let local = self.batch.local(index);
                let socket = local.map_or(id, |address| self.reached(id, address, now));
                if let Some((source, buffer, len)) = self.batch.datagram(index) {
                    let input = Input::Datagram {
                        socket,
                        source,
                        buffer,
                        len,
                    };
                    self.engine.handle(input, now);
                    self.keep_own(socket, source);
                }
                self.collect(now);
            }
            if let Part::Reader(reader) = &mut self.port {
                reader.flush();
            }
        } else if let Ok((len, source)) = socket.socket.recv_from(&mut self.single[..=LARGEST]) {
            self.packets += 1;
            if len > LARGEST {
                return;
            }
            let input = Input::Datagram {
                socket: id,
                source,
                buffer: &mut self.single[..],
                len,
            };
            self.engine.handle(input, now);
            self.collect(now);
        }
    }

    /// The number of a shared socket at this address of ours; its own if there is none.
    fn reached(&mut self, id: SocketId, address: IpAddr, now: Now) -> SocketId {
        if let Some(number) = self.locals.number(id, address) {
            return number;
        }
        let Some(Some(socket)) = self.sockets.get(id.0 as usize) else {
            return id;
        };
        let port = socket.socket.local_addr().map_or(0, |bound| bound.port());
        let Some(added) = self.locals.add(id, SocketAddr::new(address, port)) else {
            return id;
        };
        let number = added.id;
        self.engine.handle(Input::Reached(added), now);
        number
    }

    fn connection(&mut self, stream: TcpStream, read: Vec<u8>, now: Now) {
        // A connection that cannot be taken or watched is closed; the browser says so to its user.
        let Ok((token, fd)) = self.streams.take(stream, read, now.instant) else {
            return;
        };
        if self.poller.add(fd, token).is_ok() {
            self.frames(token, now);
        }
    }

    fn read_stream(&mut self, token: u64, now: Now) {
        if self.streams.read(token) {
            self.frames(token, now);
        }
    }

    fn frames(&mut self, token: u64, now: Now) {
        while let Some((source, len)) = self.streams.frame(token, &mut self.single[..LARGEST]) {
            self.packets += 1;
            let input = Input::Datagram {
                socket: over_tcp(&self.over_tcp, source),
                source,
                buffer: &mut self.single[..],
                len,
            };
            self.engine.handle(input, now);
            self.collect(now);
        }
    }

    fn errors(&mut self, id: SocketId, now: Now) {
        let Some(Some(socket)) = self.sockets.get(id.0 as usize) else {
            return;
        };
        let fd = socket.socket.as_raw_fd();
        while let Some((destination, origin)) = sys::take_error(fd) {
            let input = Input::Unreachable {
                socket: id,
                destination,
                origin,
            };
            self.engine.handle(input, now);
        }
    }

    /// Takes what is to be sent out of the engine, so that its queue stays short within a batch.
    fn collect(&mut self, now: Now) {
        if self.sends.len() >= BATCH {
            self.outputs(now);
        }
    }

    /// Everything the engine wants, then one flush; when it wants to be woken.
    fn outputs(&mut self, now: Now) -> Option<Instant> {
        loop {
            let due = self.poll();
            self.flush();
            self.links.flush();
            let lost = self.links.take_lost();
            if self.failed.is_empty() && self.unfetched.is_empty() && lost.is_empty() {
                self.tell();
                return due;
            }
            for message in lost {
                self.engine.handle(Input::Unlinked(message), now);
            }
            for wanted in std::mem::take(&mut self.unfetched) {
                let clip = Err("too many sounds are asked for at once".to_owned());
                self.engine.handle(Input::Fetched { wanted, clip }, now);
            }
            for (socket, destination, errno) in std::mem::take(&mut self.failed) {
                let input = Input::SendFailed {
                    socket,
                    destination,
                    errno,
                };
                self.engine.handle(input, now);
            }
        }
    }

    fn poll(&mut self) -> Option<Instant> {
        loop {
            match self.engine.poll_output() {
                Output::Transmit(transmit) => self.sends.push(transmit),
                Output::Reply { token, reply } => {
                    self.telling.answer(Told::Reply(token, Box::new(reply)))
                }
                Output::Event(event) => self.telling.event(event),
                Output::Fetch(wanted) => self.fetch(wanted),
                Output::RecordBegin(begin) => {
                    let queues = &self.queues;
                    let refused = self.rings.begin(*begin, queues);
                    refused
                        .into_iter()
                        .for_each(|event| self.telling.event(event));
                }
                Output::FeedBegin(begin) => {
                    let refused = self.rings.feed(*begin, &self.queues);
                    refused
                        .into_iter()
                        .for_each(|event| self.telling.event(event));
                }
                Output::Record(number, entry) => self.rings.push(number, entry),
                Output::Linked(message) => self.links.send(message),
                Output::Release(pair) => {
                    self.flush();
                    self.release(pair);
                }
                Output::Timeout(due) => return due,
            }
        }
    }

    fn fetch(&mut self, wanted: Wanted) {
        let job = Job {
            wanted,
            work: self.queues.own.clone(),
            wake: Arc::clone(&self.queues.wake),
        };
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
            self.queues.auxiliary.sounds.try_send(job)
        {
            self.unfetched.push(job.wanted);
        }
    }

    fn release(&mut self, pair: PortPair) {
        for id in [Some(pair.rtp), pair.rtcp].into_iter().flatten() {
            if let Some(slot) = self.sockets.get_mut(id.0 as usize) {
                if let Some(socket) = slot.take() {
                    self.poller.remove(socket.socket.as_raw_fd());
                }
            }
        }
        self.telling.answer(Told::Released(self.queues.shard, pair));
    }

    fn tell(&mut self) {
        if self.telling.hand_over(&self.queues.told) {
            self.queues.wake_control.wake();
        }
    }

    fn flush(&mut self) {
        let sends = std::mem::take(&mut self.sends);
        let mut rest = &sends[..];
        while let Some(first) = rest.first() {
            let (socket, _) = self.locals.of(first.socket);
            let run = rest
                .iter()
                .take(BATCH)
                .take_while(|one| self.locals.of(one.socket).0 == socket)
                .count();
            let (now, later) = rest.split_at(run);
            self.send_run(now);
            rest = later;
        }
        for transmit in sends {
            self.engine.recycle(transmit.packet);
        }
    }

    /// Datagrams of one socket. What the kernel has no room for is dropped: RTP never waits.
    fn send_run(&mut self, run: &[Transmit]) {
        let Some(first) = run.first() else { return };
        if self.over_tcp.iter().any(|(id, _)| *id == first.socket) {
            for one in run {
                self.streams.send(one.destination, &one.packet);
            }
            return;
        }
        let (id, local) = self.locals.of(first.socket);
        let Some(Some(socket)) = self.sockets.get(id.0 as usize) else {
            return;
        };
        if let ([one @ Transmit { video: false, .. }], None) = (run, local) {
            if let Err(error) = socket.socket.send_to(&one.packet, one.destination) {
                self.note_failure(one, &error);
            }
            return;
        }
        let fd = socket.socket.as_raw_fd();
        let mut rest = run;
        while !rest.is_empty() {
            let datagrams: Vec<Datagram<'_>> = rest
                .iter()
                .map(|one| Datagram {
                    local: self.locals.of(one.socket).1,
                    destination: one.destination,
                    data: &one.packet,
                    video: one.video,
                })
                .collect();
            let (sent, error) = sys::send_batch(fd, &datagrams);
            let (_, later) = rest.split_at(sent);
            rest = later;
            if let (Some(error), Some((bad, later))) = (error, later.split_first()) {
                self.note_failure(bad, &error);
                rest = later;
            }
        }
    }

    fn note_failure(&mut self, transmit: &Transmit, error: &io::Error) {
        if let Some(errno) = error.raw_os_error() {
            self.failed
                .push((transmit.socket, transmit.destination, errno));
        }
    }

    /// What is looked at now and then. Under load a short sleep lets packets gather: one wake-up serves many.
    fn window(&mut self, now: Now) {
        let woke = now.instant;
        if woke.duration_since(self.window) < WINDOW {
            return;
        }
        let per_window = BUSY / u32::try_from(1000 / WINDOW.as_millis()).unwrap_or(1);
        let ticks = self.engine.ticks() - std::mem::replace(&mut self.ticks, self.engine.ticks());
        self.busy = u64::from(self.packets) + ticks >= u64::from(per_window);
        self.packets = 0;
        let passed = woke.duration_since(self.window).max(WINDOW);
        let share = std::mem::take(&mut self.worked).as_micros() * 100 / passed.as_micros();
        self.engine.worked(u8::try_from(share).unwrap_or(100));
        self.window = woke;
        self.tell_load();
        if woke.duration_since(self.overruns_at) >= OVERRUNS {
            self.overruns_at = woke;
            self.count_unread(now);
            self.tell_unread();
            self.sweep_claims();
            let (engine, ids) = (&self.engine, &self.over_tcp);
            self.streams
                .sweep(woke, |source| engine.knows(over_tcp(ids, source), source));
        }
    }
}

/// The number that stands for TCP of this source's family.
fn over_tcp(ids: &[(SocketId, bool)], source: SocketAddr) -> SocketId {
    let same = ids.iter().find(|(_, v4)| *v4 == source.is_ipv4());
    same.or(ids.first()).map_or(SocketId(0), |(id, _)| *id)
}

fn now() -> Now {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    Now {
        instant: Instant::now(),
        ntp: ((since.as_secs() + NTP_EPOCH) << 32) | fraction,
    }
}
