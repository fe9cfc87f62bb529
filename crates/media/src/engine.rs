//! The engine of one shard: inputs in, outputs out, panics contained.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use dimpl::Config;
use hashbrown::HashMap;

use crate::demux::{Demux, Owner};
use crate::effort::Effort;
use crate::event::{Event, Reply};
use crate::ids::{Arena, LegId};
use crate::io::{
    Input, Now, Output, Packet, PortPair, Random, ReplyToken, Settings, ShardConfig, SocketId,
    WebRtcSocket,
};
use crate::leg::{Leg, Path};
use crate::outbox::Outbox;
use crate::room::Room;
use crate::send::Source;
use crate::timers::Timers;
use crate::{Identity, dtls};

/// Load of a leg that passes packets on, and of one that transcodes: encoding costs about twelve forwards.
const FORWARD_LOAD: u32 = 1;
const TRANSCODE_LOAD: u32 = 12;
const ROOM_LOAD: u32 = 20;

/// One shard: all legs and calls on it.
///
/// `handle` one input, then `poll_output` until it returns `Output::Timeout`.
pub struct Engine {
    pub(crate) shard: u8,
    pub(crate) webrtc: Vec<WebRtcSocket>,
    pub(crate) identity: Identity,
    pub(crate) settings: Settings,
    pub(crate) effort: Effort,
    /// Over ICE, and without.
    pub(crate) dtls: [Option<Arc<Config>>; 2],
    pub(crate) random: Box<dyn Random + Send>,
    pub(crate) out: Outbox,
    pub(crate) legs: Arena<Leg>,
    /// Legs of each call, in the order they were opened.
    pub(crate) calls: HashMap<u64, Vec<LegId>, foldhash::fast::RandomState>,
    pub(crate) rooms: HashMap<u64, Room, foldhash::fast::RandomState>,
    pub(crate) next_call: u64,
    /// The last player of files, and the last recording or feed: their numbers tell late answers apart.
    pub(crate) next_player: u64,
    pub(crate) next_tap: u64,
    /// The last stay of a leg in a room of another shard.
    pub(crate) next_link: u64,
    pub(crate) demux: Demux,
    pub(crate) timers: Timers,
    /// Where the 20 slots of 1 ms begin.
    pub(crate) epoch: Option<Instant>,
    /// The time of the input in hand.
    pub(crate) latest: Option<Now>,
    pub(crate) handshakes: usize,
    /// The leg whose packet, command or timer is being handled: what a panic takes down.
    pub(crate) in_hand: Option<LegId>,
    /// Sockets of a command that no leg owns yet: given back if the command fails.
    pub(crate) unclaimed: Vec<PortPair>,
    panics: u64,
    pub(crate) ticks: u64,
}

impl Engine {
    /// An engine without legs.
    pub fn new(config: ShardConfig, random: Box<dyn Random + Send>) -> Self {
        let mut demux = Demux::new();
        for (index, socket) in config.webrtc.iter().enumerate() {
            demux.own(socket.id, Owner::WebRtc(index));
        }
        Self {
            shard: config.shard,
            webrtc: config.webrtc,
            identity: config.identity,
            effort: Effort::new(config.settings.opus_complexity),
            settings: config.settings,
            dtls: [dtls::config(false), dtls::config(true)],
            random,
            out: Outbox::default(),
            legs: Arena::new(config.shard),
            calls: HashMap::default(),
            rooms: HashMap::default(),
            next_call: 1,
            next_player: 0,
            next_tap: 0,
            next_link: 0,
            demux,
            timers: Timers::default(),
            epoch: None,
            latest: None,
            handshakes: 0,
            in_hand: None,
            unclaimed: Vec::new(),
            panics: 0,
            ticks: 0,
        }
    }

    /// Takes one input. A panic inside it ends the call in hand and nothing else.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        self.epoch.get_or_insert(now.instant);
        self.latest = Some(now);
        match input {
            Input::Datagram {
                socket,
                source,
                buffer,
                len,
            } => {
                self.guarded(|engine| engine.datagram(socket, source, buffer, len, now));
            }
            Input::Command {
                command,
                ports,
                reply,
            } => {
                let number = command.number();
                self.unclaimed = ports;
                if !self.guarded(|engine| engine.command(command, reply, now)) {
                    self.refuse(
                        reply,
                        number,
                        "engine_busy",
                        "the command failed inside the engine",
                    );
                }
                self.release_unclaimed();
            }
            Input::Reached(socket) => {
                let index = self.webrtc.len();
                self.demux.own(socket.id, Owner::WebRtc(index));
                self.webrtc.push(socket);
            }
            Input::SendFailed {
                socket,
                destination,
                errno,
            } => {
                self.guarded(|engine| engine.send_failed(socket, destination, errno, now));
            }
            Input::Unreachable {
                socket,
                destination,
                origin,
            } => {
                self.guarded(|engine| engine.unreachable(socket, destination, origin, now));
            }
            Input::Unread { socket, lost } => {
                self.guarded(|engine| engine.unread(socket, lost));
            }
            Input::Fetched { wanted, clip } => {
                self.guarded(|engine| engine.fetched(&wanted, clip, now));
            }
            Input::RecordingOver(number) => {
                self.guarded(|engine| engine.recording_over(number));
            }
            Input::Returned { leg, number, what } => {
                self.guarded(|engine| engine.returned(LegId(leg), number, what, now));
            }
            Input::Linked(message) => {
                self.guarded(|engine| engine.linked(message, now));
            }
            Input::Unlinked(message) => {
                self.guarded(|engine| engine.unlinked(message));
            }
            Input::Timeout => self.timeouts(now),
        }
    }

    /// The next thing to do; `Output::Timeout` when there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        self.out
            .pop()
            .unwrap_or_else(|| Output::Timeout(self.timers.next()))
    }

    /// Takes a sent packet's buffer back.
    pub fn recycle(&mut self, packet: Packet) {
        self.out.recycle(packet);
    }

    /// Weight of what runs here: forwarding leg 1, transcoding leg 12, member of a room 20. For placement.
    pub fn load(&self) -> u32 {
        let weight = |leg: &Leg| {
            if matches!(leg.tx.source, Source::Room(room) if !self.is_far(room)) {
                ROOM_LOAD
            } else if leg.tx.encodes() {
                TRANSCODE_LOAD
            } else {
                FORWARD_LOAD
            }
        };
        let legs = self.legs.iter().filter(|leg| leg.lent_to.is_none());
        let from_afar = self.rooms.values().map(Room::far_members).sum::<usize>();
        // A room has 500 members at most.
        legs.map(weight).sum::<u32>() + from_afar as u32 * ROOM_LOAD
    }

    /// What share of its time in percent the shard worked since the last call, ten times a second: Opus follows it.
    pub fn worked(&mut self, percent: u8) {
        self.effort.measured(percent);
    }

    /// Whether a leg has authenticated this source on this shared socket.
    pub fn knows(&self, socket: SocketId, source: SocketAddr) -> bool {
        self.demux.leg_of(socket, source).is_some()
    }

    /// Live legs.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    /// Panics contained so far; the shell stops giving calls to a shard that collects them.
    pub fn panics(&self) -> u64 {
        self.panics
    }

    /// Ticks of legs that encode and of rooms so far.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Datagrams that belonged to no leg, and addresses of legs in the demultiplexer.
    pub fn strays(&self) -> (u64, usize) {
        (self.demux.dropped(), self.demux.entries())
    }

    /// What is left is due at once, which `Output::Timeout` says.
    fn timeouts(&mut self, now: Now) {
        while !self.out.is_full() {
            let Some((at, leg, kind)) = self.timers.pop(now.instant) else {
                return;
            };
            self.guarded(|engine| engine.timer(leg, kind, at, now));
        }
    }

    /// Runs `work`; `false` when it panicked, and then the call in hand is gone.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        self.in_hand = None;
        // State of other calls is untouched by what one leg's code did halfway; the leg itself is removed.
        let done = catch_unwind(AssertUnwindSafe(|| work(self))).is_ok();
        if !done {
            self.contain();
        }
        done
    }

    /// After a panic: the call in hand is over, if one is.
    pub(crate) fn contain(&mut self) {
        self.panics += 1;
        self.log("error", "a panic was contained".to_owned());
        let call = self
            .in_hand
            .and_then(|leg| self.legs.get(leg))
            .map(|leg| leg.call);
        let legs = call
            .and_then(|call| self.calls.remove(&call))
            .unwrap_or_default();
        for leg in legs {
            self.remove(leg);
            self.out.event(Event::LegFailed {
                leg: leg.0,
                cause: "panic".to_owned(),
            });
        }
    }

    /// Takes a leg out of all tables and gives its sockets back; says nothing to the peer.
    pub(crate) fn remove(&mut self, id: LegId) {
        let Some(mut leg) = self.legs.remove(id) else {
            return;
        };
        if let Some(now) = self.latest {
            leg.taps.end("ended", &mut self.out, now.instant);
        }
        if let Source::Prompt(prompt) = &leg.tx.source {
            self.tell_finished(id, prompt, "ended", String::new());
        }
        if let Some(carrier) = leg.video.as_ref().and_then(|video| video.carrier) {
            self.remove(carrier);
        }
        self.handshakes = self.handshakes.saturating_sub(leg.handshakes_in_flight());
        match &leg.path {
            Path::Port(port) => {
                self.demux.disown(port.pair.rtp);
                port.pair
                    .rtcp
                    .into_iter()
                    .for_each(|rtcp| self.demux.disown(rtcp));
                self.out.push(Output::Release(port.pair));
            }
            Path::WebRtc(path) => {
                path.ice
                    .sources()
                    .iter()
                    .for_each(|(socket, source)| self.demux.leave(*socket, *source, id));
            }
        }
        self.unlink_removed(id, &leg);
        if self.legs.len() == 0 && self.rooms.is_empty() {
            self.timers.clear();
        }
    }

    pub(crate) fn release_unclaimed(&mut self) {
        for pair in std::mem::take(&mut self.unclaimed) {
            self.out.push(Output::Release(pair));
        }
    }

    pub(crate) fn refuse(&mut self, token: ReplyToken, n: u64, code: &str, text: &str) {
        let reply = Reply::Refused {
            n,
            code: code.to_owned(),
            text: text.to_owned(),
        };
        self.out.push(Output::Reply { token, reply });
    }

    pub(crate) fn log(&mut self, level: &str, text: String) {
        self.out.event(Event::LogLine {
            level: level.to_owned(),
            text,
        });
    }

    pub(crate) fn random_byte(&mut self) -> u8 {
        let mut byte = [0];
        self.random.fill(&mut byte);
        let [byte] = byte;
        byte
    }

    fn send_failed(&mut self, socket: SocketId, destination: SocketAddr, errno: i32, now: Now) {
        if let Some(leg) = self
            .leg_at(socket, destination)
            .and_then(|id| self.legs.get_mut(id))
        {
            // The queue towards the network is full: that passes, and is no reason of silence.
            if io::Error::from_raw_os_error(errno).kind() == io::ErrorKind::WouldBlock {
                leg.tx.unsent += 1;
                return;
            }
            leg.tx.send_failed(errno, now.instant);
        }
    }

    fn unread(&mut self, socket: SocketId, lost: u32) {
        let lost = u64::from(lost);
        match self.demux.owner(socket) {
            Some(Owner::Rtp(leg) | Owner::Rtcp(leg)) => {
                self.legs
                    .get_mut(leg)
                    .into_iter()
                    .for_each(|leg| leg.rx.unread += lost);
            }
            // Whose they were nobody has read.
            Some(Owner::WebRtc(_)) => {
                let shared = |leg: &&mut Leg| matches!(leg.path, Path::WebRtc(_));
                self.legs
                    .iter_mut()
                    .filter(shared)
                    .for_each(|leg| leg.rx.unread += lost);
            }
            None => {}
        }
    }

    fn unreachable(
        &mut self,
        socket: SocketId,
        destination: SocketAddr,
        origin: Option<std::net::IpAddr>,
        now: Now,
    ) {
        if let Some(leg) = self
            .leg_at(socket, destination)
            .and_then(|id| self.legs.get_mut(id))
        {
            // An old datagram's answer says nothing of the present address.
            if leg
                .destination(now.instant)
                .is_some_and(|(_, current)| current == destination)
            {
                let origin =
                    origin.map_or_else(|| "this host".to_owned(), |origin| origin.to_string());
                leg.tx.unreachable = Some(Box::new((origin, now.instant)));
            }
        }
    }

    /// The leg that sends from this socket to this address.
    fn leg_at(&self, socket: SocketId, destination: SocketAddr) -> Option<LegId> {
        match self.demux.owner(socket)? {
            Owner::Rtp(leg) => Some(leg),
            // RTCP alone unreachable is common and no silence.
            Owner::Rtcp(_) => None,
            Owner::WebRtc(_) => self.demux.leg_of(socket, destination),
        }
    }
}
