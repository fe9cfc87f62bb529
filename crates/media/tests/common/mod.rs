//! A world of one engine, fake time and peers in memory.
#![allow(dead_code)]

pub mod camera;
pub mod kinds;
pub mod shaking;
pub mod shards;
pub mod webrtc;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};
use offhook_media::*;
use offhook_rtp::event::EventPayload;
use offhook_rtp::header::{Fields, Header};

pub const WEBRTC_SOCKET: SocketId = SocketId(1);
pub const WEBRTC_ADDRESS: &str = "10.0.0.1:42000";

/// Seeded; panics on demand, which is how tests make the engine panic.
struct Seeded {
    state: u64,
    broken: Arc<AtomicBool>,
}

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        assert!(!self.broken.load(Ordering::Relaxed), "asked to panic");
        for byte in out {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            *byte = (self.state >> 32) as u8;
        }
    }
}

/// A datagram the engine sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: Duration,
    pub socket: SocketId,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
    pub video: bool,
}

impl Sent {
    pub fn header(&self) -> Header {
        Header::parse_sealed(&self.bytes).expect("RTP")
    }

    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.header().payload_start..]
    }

    pub fn is_rtcp(&self) -> bool {
        self.bytes[0] >= 128 && offhook_rtp::rtcp::is_rtcp(&self.bytes)
    }

    pub fn is_rtp(&self) -> bool {
        (128..192).contains(&self.bytes[0]) && !self.is_rtcp()
    }
}

pub struct World {
    pub engine: Engine,
    base: Instant,
    pub elapsed: Duration,
    pub sent: Vec<Sent>,
    /// With the time they came at.
    pub events: Vec<(Duration, Event)>,
    pub released: Vec<PortPair>,
    /// Sounds that players want.
    pub wanted: Vec<clip::Wanted>,
    /// Recordings that were begun, and what they were given.
    pub begun: Vec<recording::Begin>,
    pub recorded: Vec<(u64, recording::Entry)>,
    /// Feeds that were begun; what they carry is in `recorded`.
    pub fed: Vec<feed::FeedBegin>,
    /// What is on its way to other shards.
    pub crossed: Vec<Linked>,
    pub peers: Vec<webrtc::Peer>,
    /// Where they reach us.
    pub reached: SocketId,
    replies: Vec<Reply>,
    timeout: Option<Instant>,
    next_socket: u32,
    number: u64,
    broken: Arc<AtomicBool>,
}

#[allow(clippy::disallowed_methods)]
fn base() -> Instant {
    Instant::now()
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// With these choices of the operator.
    pub fn with(settings: Settings) -> Self {
        Self::shard(3, settings)
    }

    /// Two shards that share a clock.
    pub fn pair() -> [Self; 2] {
        let [one, mut other] = [0, 1].map(|shard| Self::shard(shard, Settings::default()));
        other.base = one.base;
        [one, other]
    }

    fn shard(shard: u8, settings: Settings) -> Self {
        let broken = Arc::new(AtomicBool::new(false));
        let local: SocketAddr = WEBRTC_ADDRESS.parse().expect("address");
        let config = ShardConfig {
            shard,
            webrtc: vec![WebRtcSocket {
                id: WEBRTC_SOCKET,
                local,
                candidates: vec![local],
                tcp: false,
            }],
            identity: Identity::generate().expect("identity"),
            settings,
        };
        let random = Seeded {
            state: 0x9e37_79b9_7f4a_7c15 ^ u64::from(shard ^ 3) << 40,
            broken: broken.clone(),
        };
        Self {
            engine: Engine::new(config, Box::new(random)),
            base: base(),
            elapsed: Duration::ZERO,
            sent: Vec::new(),
            events: Vec::new(),
            released: Vec::new(),
            wanted: Vec::new(),
            begun: Vec::new(),
            recorded: Vec::new(),
            fed: Vec::new(),
            crossed: Vec::new(),
            peers: Vec::new(),
            reached: WEBRTC_SOCKET,
            replies: Vec::new(),
            timeout: None,
            next_socket: 100 + 1_000 * u32::from(shard ^ 3),
            number: 0,
            broken,
        }
    }

    pub fn instant(&self) -> Instant {
        self.base + self.elapsed
    }

    pub fn now(&self) -> Now {
        Now {
            instant: self.instant(),
            ntp: self.ntp(),
        }
    }

    /// NTP time: an arbitrary era plus the elapsed time.
    pub fn ntp(&self) -> u64 {
        (0xe000_0000u64 << 32) + ((self.elapsed.as_nanos() << 32) / 1_000_000_000) as u64
    }

    pub fn break_random(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    fn input(&mut self, input: Input<'_>) {
        let now = self.now();
        self.engine.handle(input, now);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.engine.poll_output() {
                Output::Transmit(transmit) => {
                    let bytes = transmit.packet.to_vec();
                    let Transmit {
                        socket,
                        destination,
                        packet,
                        video,
                    } = transmit;
                    self.engine.recycle(packet);
                    self.sent.push(Sent {
                        at: self.elapsed,
                        socket,
                        destination,
                        bytes,
                        video,
                    });
                    self.deliver_to_peers();
                }
                Output::Reply { reply, .. } => self.replies.push(reply),
                Output::Event(event) => self.events.push((self.elapsed, event)),
                Output::Release(pair) => self.released.push(pair),
                // There is no file of music here: it is synthesised.
                Output::Fetch(wanted) if wanted.file == "music/hold" => {
                    let (clip, now) = (Err("no such file".to_owned()), self.now());
                    self.engine.handle(Input::Fetched { wanted, clip }, now);
                }
                Output::Fetch(wanted) => self.wanted.push(wanted),
                Output::RecordBegin(begin) => self.begun.push(*begin),
                Output::FeedBegin(begin) => self.fed.push(*begin),
                Output::Record(number, entry) => self.recorded.push((number, entry)),
                Output::Linked(message) => self.crossed.push(message),
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
            }
        }
    }

    fn deliver_to_peers(&mut self) {
        let sent = self.sent.last().expect("sent").clone();
        let now = self.instant();
        let found = self
            .peers
            .iter_mut()
            .find(|peer| peer.addresses.contains(&sent.destination));
        if let Some(peer) = found.filter(|peer| !peer.deaf) {
            peer.receive(&sent, now);
        }
    }

    /// Lets peers speak, until nobody has anything to say.
    pub fn exchange(&mut self) {
        loop {
            let now = self.instant();
            let spoken: Vec<(SocketAddr, Vec<u8>)> = self
                .peers
                .iter_mut()
                .flat_map(|peer| peer.poll(now))
                .collect();
            if spoken.is_empty() {
                return;
            }
            for (source, bytes) in spoken {
                self.datagram(self.reached, source, &bytes);
            }
        }
    }

    /// Time passes in steps of a millisecond.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.elapsed + duration;
        while self.elapsed < end {
            self.elapsed += Duration::from_millis(1);
            if self.timeout.is_some_and(|at| at <= self.instant()) {
                self.input(Input::Timeout);
            }
            if !self.peers.is_empty() {
                self.exchange();
            }
        }
    }

    /// Time passes in coarse steps: a shell that wakes late.
    pub fn advance_coarsely(&mut self, step: Duration, times: u32) {
        for _ in 0..times {
            self.elapsed += step;
            self.input(Input::Timeout);
        }
    }

    pub fn advance_ms(&mut self, ms: u64) {
        self.advance(Duration::from_millis(ms));
    }

    pub fn datagram(&mut self, socket: SocketId, source: SocketAddr, bytes: &[u8]) {
        let mut buffer = [0u8; PACKET_SIZE];
        buffer[..bytes.len()].copy_from_slice(bytes);
        self.input(Input::Datagram {
            socket,
            source,
            buffer: &mut buffer,
            len: bytes.len(),
        });
    }

    /// Answers for a sound that a player wanted.
    pub fn fetched(&mut self, wanted: clip::Wanted, clip: Result<Arc<clip::Clip>, String>) {
        self.input(Input::Fetched { wanted, clip });
    }

    /// What a feed's receiver sends back.
    pub fn returned(&mut self, leg: u64, number: u64, what: feed::Return) {
        self.input(Input::Returned { leg, number, what });
    }

    pub fn unreachable(&mut self, socket: SocketId, destination: SocketAddr) {
        let origin = Some("192.0.2.254".parse().expect("address"));
        self.input(Input::Unreachable {
            socket,
            destination,
            origin,
        });
    }

    pub fn unread(&mut self, socket: SocketId, lost: u32) {
        self.input(Input::Unread { socket, lost });
    }

    pub fn send_failed(&mut self, socket: SocketId, destination: SocketAddr, errno: i32) {
        self.input(Input::SendFailed {
            socket,
            destination,
            errno,
        });
    }

    /// Sends a command with the port pairs it needs, and gives its reply.
    pub fn command(&mut self, make: impl FnOnce(u64) -> Command) -> Reply {
        self.number += 1;
        let command = make(self.number);
        let wanted = command.ports().into_iter();
        let wanted: Vec<(String, bool)> =
            wanted.map(|(host, mux)| (host.to_owned(), mux)).collect();
        let ports = wanted
            .into_iter()
            .map(|(host, mux)| self.port_pair(&host, mux))
            .collect();
        self.input(Input::Command {
            command,
            ports,
            reply: ReplyToken(self.number),
        });
        assert_eq!(self.replies.len(), 1, "one command, one reply");
        self.replies.remove(0)
    }

    /// Sends a command; its reply comes from this shard or from another.
    pub fn order(&mut self, make: impl FnOnce(u64) -> Command) {
        self.number += 1;
        let (command, reply) = (make(self.number), ReplyToken(self.number));
        let ports = Vec::new();
        self.input(Input::Command {
            command,
            ports,
            reply,
        });
    }

    /// The replies that have come.
    pub fn replies(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.replies)
    }

    /// Something arrives from another shard, or what was sent to one comes back.
    pub fn linked(&mut self, message: Linked) {
        self.input(Input::Linked(message));
    }

    pub fn unlinked(&mut self, message: Linked) {
        self.input(Input::Unlinked(message));
    }

    fn port_pair(&mut self, host: &str, mux: bool) -> PortPair {
        let rtp = self.next_socket;
        self.next_socket += 2;
        let port = 41_000 + rtp as u16;
        let address = SocketAddr::new(host.parse().expect("address"), port);
        let rtcp = (!mux).then_some(SocketId(rtp + 1));
        let rtcp_port = if rtcp.is_some() { port + 1 } else { 0 };
        PortPair {
            rtp: SocketId(rtp),
            rtcp,
            address,
            rtcp_port,
        }
    }

    pub fn open(&mut self, offers: Vec<LegOffer>) -> (u64, Vec<LegLocal>) {
        match self.command(|n| Command::OpenCall { n, offers, near: 0 }) {
            Reply::CallOpened { call, legs, .. } => (call, legs),
            other => panic!("{other:?}"),
        }
    }

    pub fn complete(&mut self, leg: u64, remote: LegRemote) {
        let reply = self.command(|n| Command::Complete { n, leg, remote });
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }

    pub fn bridge(&mut self, a: u64, b: u64) {
        let reply = self.command(|n| Command::Bridge { n, a, b });
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }

    pub fn facts(&mut self, leg: u64) -> LegFacts {
        match self.command(|n| Command::Facts { n, leg }) {
            Reply::FactsFound { facts, .. } => facts,
            other => panic!("{other:?}"),
        }
    }

    /// Verdicts of a leg's direction, with the time they came at; "heard" among them.
    pub fn verdicts(&self, of: u64, towards: &str) -> Vec<(u64, String)> {
        let told = self.events.iter().filter_map(|(at, event)| match event {
            Event::SilenceFound {
                leg,
                direction,
                verdict,
                ..
            } if *leg == of && direction == towards => {
                Some((at.as_millis() as u64, verdict.clone()))
            }
            Event::Heard { leg, direction } if *leg == of && direction == towards => {
                Some((at.as_millis() as u64, "heard".to_owned()))
            }
            _ => None,
        });
        told.collect()
    }

    pub fn evidence(&self, of: u64, named: &str) -> std::collections::BTreeMap<String, String> {
        let found = self.events.iter().find_map(|(_, event)| match event {
            Event::SilenceFound {
                leg,
                verdict,
                evidence,
                ..
            } if *leg == of && verdict == named => Some(evidence.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no {named} among {:?}", self.events))
    }

    pub fn digits(&self, of: u64) -> Vec<(String, u64)> {
        let pressed = self.events.iter().filter_map(|(_, event)| match event {
            Event::Digit {
                leg,
                digit,
                duration_ms,
                method,
            } if *leg == of => {
                assert_eq!(method, "rfc4733");
                Some((digit.clone(), *duration_ms))
            }
            _ => None,
        });
        pressed.collect()
    }

    /// RTP packets sent to this address.
    pub fn rtp_to(&self, destination: SocketAddr) -> Vec<&Sent> {
        self.sent
            .iter()
            .filter(|sent| sent.is_rtp() && sent.destination == destination)
            .collect()
    }

    pub fn rtcp_to(&self, destination: SocketAddr) -> Vec<&Sent> {
        self.sent
            .iter()
            .filter(|sent| sent.is_rtcp() && sent.destination == destination)
            .collect()
    }
}

pub fn codec(name: &str, payload_type: u8, clock: u32) -> Codec {
    let channels = if name == "OPUS" { 2 } else { 1 };
    Codec {
        name: name.to_owned(),
        payload_type,
        clock,
        channels,
        fmtp: String::new(),
    }
}

pub fn pcmu() -> Vec<Codec> {
    vec![
        codec("PCMU", 0, 8_000),
        codec("TELEPHONE-EVENT", 101, 8_000),
    ]
}

pub fn opus() -> Vec<Codec> {
    vec![
        codec("OPUS", 111, 48_000),
        codec("TELEPHONE-EVENT", 110, 48_000),
    ]
}

pub fn port_offer(audio: Vec<Codec>) -> LegOffer {
    LegOffer {
        path: PathKind::Port,
        keys: KeyKind::Plain,
        audio,
        address: "10.0.0.1".to_owned(),
        rtcp_mux: true,
        latch: Latch::Nat,
        dtls_active: false,
        direction: Direction::SendRecv,
        ptime: 20,
        audio_level_id: 0,
        mid_id: 0,
        mid: String::new(),
        suites: Vec::new(),
        detect_digits: false,
        video: None,
    }
}

pub fn port_remote(audio: Vec<Codec>, address: SocketAddr) -> LegRemote {
    LegRemote {
        audio,
        address: address.ip().to_string(),
        port: address.port(),
        ptime: 20,
        ..LegRemote::default()
    }
}

/// A plain RTP phone.
#[derive(Debug, Clone)]
pub struct Phone {
    pub leg: u64,
    pub socket: SocketId,
    pub address: SocketAddr,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub payload_type: u8,
    pub step: u32,
}

impl Phone {
    pub fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        self.raw(self.payload_type, false, payload, true)
    }

    /// An event packet: it shares the time stamp of the press.
    pub fn raw(
        &mut self,
        payload_type: u8,
        marker: bool,
        payload: &[u8],
        move_time: bool,
    ) -> Vec<u8> {
        let fields = Fields {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        if move_time {
            self.timestamp = self.timestamp.wrapping_add(self.step);
        }
        let mut bytes = vec![0; 12];
        fields.write(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    pub fn speak(&mut self, world: &mut World) {
        let packet = self.packet(&voice(self.sequence));
        world.datagram(self.socket, self.address, &packet);
    }

    /// Speaks for so long, a packet every 20 ms.
    pub fn speak_for(&mut self, world: &mut World, ms: u64) {
        for _ in 0..ms / 20 {
            self.speak(world);
            world.advance_ms(20);
        }
    }
}

/// A G.711 payload that is not silence.
pub fn voice(seed: u16) -> Vec<u8> {
    (0..160u16)
        .map(|i| (i.wrapping_mul(37) ^ seed.wrapping_mul(11)) as u8 & 0x3f)
        .collect()
}

/// A call of two plain PCMU phones, bridged.
pub fn two_phones(world: &mut World) -> (u64, Phone, Phone) {
    let (call, legs) = world.open(vec![port_offer(pcmu()), port_offer(pcmu())]);
    let phones: Vec<Phone> = legs
        .iter()
        .enumerate()
        .map(|(i, leg)| phone(leg, i as u8))
        .collect();
    for phone in &phones {
        world.complete(phone.leg, port_remote(pcmu(), phone.address));
    }
    world.bridge(legs[0].leg, legs[1].leg);
    (call, phones[0].clone(), phones[1].clone())
}

pub fn phone(leg: &LegLocal, index: u8) -> Phone {
    let port = leg.candidates[0].1;
    Phone {
        leg: leg.leg,
        socket: SocketId(u32::from(port) - 41_000),
        address: SocketAddr::new([192, 0, 2, 10 + index].into(), 5_000),
        ssrc: 0x1000_0000 + u32::from(index),
        sequence: 65_500,
        timestamp: u32::MAX - 3_000,
        payload_type: 0,
        step: 160,
    }
}

/// The presses in packets sent to a phone: event and duration of each.
pub fn sent_presses(world: &World, to: &Phone, payload_type: u8) -> Vec<(u8, u16)> {
    let mut presses: Vec<(u32, u8, u16, u32)> = Vec::new();
    for sent in world.rtp_to(to.address) {
        let header = sent.header();
        if header.payload_type != payload_type {
            continue;
        }
        let payload = EventPayload::parse(sent.payload()).expect("event");
        if presses.last().is_none_or(|last| last.0 != header.timestamp) {
            assert!(header.marker, "a press begins with the marker");
            presses.push((header.timestamp, payload.event, 0, 0));
        }
        let last = presses.last_mut().unwrap();
        assert!(payload.duration >= last.2, "durations grow");
        last.2 = payload.duration;
        last.3 += u32::from(payload.end);
    }
    assert!(
        presses.iter().all(|press| press.3 == 3),
        "the end is sent three times: {presses:?}"
    );
    presses
        .into_iter()
        .map(|(_, event, duration, _)| (event, duration))
        .collect()
}
