//! One engine with a clock of its own, for targets that speak to legs.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use offhook_media::command::Command;
use offhook_media::description::{
    Codec, Direction, KeyKind, Latch, LegLocal, LegOffer, LegRemote, PathKind,
};
use offhook_media::event::{Event, Reply};
use offhook_media::*;

/// The shared port.
pub(crate) const SHARED: SocketId = SocketId(1);

struct Fixed(u64);

impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

pub(crate) struct House {
    pub(crate) engine: Engine,
    start: Instant,
    elapsed: Duration,
    due: Option<Instant>,
    sockets: u32,
    number: u64,
    /// Replies that came, in order.
    pub(crate) replies: Vec<Reply>,
    pub(crate) events: Vec<Event>,
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
}

#[allow(clippy::disallowed_methods)]
fn start() -> Instant {
    Instant::now()
}

impl House {
    pub(crate) fn new() -> Self {
        // Drawing a certificate costs more than a target's whole run.
        static IDENTITY: OnceLock<Identity> = OnceLock::new();
        let local: SocketAddr = "10.0.0.1:42000".parse().expect("an address");
        let config = ShardConfig {
            shard: 0,
            webrtc: vec![WebRtcSocket {
                id: SHARED,
                local,
                candidates: vec![local],
                tcp: false,
            }],
            identity: IDENTITY
                .get_or_init(|| Identity::generate().expect("a certificate"))
                .clone(),
            settings: Settings::default(),
        };
        Self {
            engine: Engine::new(config, Box::new(Fixed(7))),
            start: start(),
            elapsed: Duration::ZERO,
            due: None,
            sockets: 100,
            number: 0,
            replies: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub(crate) fn instant(&self) -> Instant {
        self.start + self.elapsed
    }

    fn input(&mut self, input: Input<'_>) {
        let ntp = (0xe000_0000u64 << 32) + ((self.elapsed.as_nanos() << 32) / 1_000_000_000) as u64;
        let now = Now {
            instant: self.instant(),
            ntp,
        };
        self.engine.handle(input, now);
        loop {
            match self.engine.poll_output() {
                Output::Transmit(transmit) => {
                    self.sent
                        .push((transmit.destination, transmit.packet.to_vec()));
                    self.engine.recycle(transmit.packet);
                }
                Output::Reply { reply, .. } => self.replies.push(reply),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(at) => {
                    self.due = at;
                    break;
                }
                // Files, recordings and feeds are the shell's.
                _ => {}
            }
        }
        assert_eq!(self.engine.panics(), 0, "the engine panicked");
    }

    pub(crate) fn datagram(&mut self, socket: SocketId, source: SocketAddr, bytes: &[u8]) {
        let mut buffer = [0; PACKET_SIZE];
        let len = bytes.len().min(PACKET_SIZE);
        buffer[..len].copy_from_slice(&bytes[..len]);
        self.input(Input::Datagram {
            socket,
            source,
            buffer: &mut buffer,
            len,
        });
    }

    /// Time passes, with every timer that is due on the way.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.elapsed + Duration::from_millis(ms);
        while let Some(due) = self.due.filter(|due| *due <= self.start + end) {
            self.elapsed = due.saturating_duration_since(self.start).max(self.elapsed);
            self.input(Input::Timeout);
            if self.due.is_some_and(|next| next <= due) {
                break;
            }
        }
        self.elapsed = end;
        self.input(Input::Timeout);
    }

    /// A command with the ports it needs; every command has one reply.
    pub(crate) fn command(&mut self, make: impl FnOnce(u64) -> Command) -> Reply {
        self.number += 1;
        let command = make(self.number);
        let wanted: Vec<bool> = command.ports().iter().map(|(_, mux)| *mux).collect();
        let ports = wanted.into_iter().map(|mux| self.pair(mux)).collect();
        let before = self.replies.len();
        self.input(Input::Command {
            command,
            ports,
            reply: ReplyToken(self.number),
        });
        assert_eq!(self.replies.len(), before + 1, "one command, one reply");
        self.replies.remove(before)
    }

    fn pair(&mut self, mux: bool) -> PortPair {
        let rtp = self.sockets;
        self.sockets += 2;
        let port = 41_000 + (rtp % 20_000) as u16;
        PortPair {
            rtp: SocketId(rtp),
            rtcp: (!mux).then_some(SocketId(rtp + 1)),
            address: SocketAddr::new([10, 0, 0, 1].into(), port),
            rtcp_port: if mux { 0 } else { port + 1 },
        }
    }

    pub(crate) fn open(&mut self, offers: Vec<LegOffer>) -> Vec<LegLocal> {
        match self.command(|n| Command::OpenCall { n, offers, near: 0 }) {
            Reply::CallOpened { legs, .. } => legs,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn complete(&mut self, leg: u64, remote: LegRemote) {
        let reply = self.command(|n| Command::Complete { n, leg, remote });
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }

    pub(crate) fn bridge(&mut self, a: u64, b: u64) {
        self.command(|n| Command::Bridge { n, a, b });
    }

    /// Closes everything: nothing may be left, and nothing may be said afterwards.
    pub(crate) fn close(mut self) {
        self.command(|n| Command::Exit { n });
        assert_eq!(
            (self.engine.legs(), self.engine.strays().1),
            (0, 0),
            "something is left"
        );
        let quiet = self.sent.len();
        self.pass(10_000);
        assert_eq!(self.sent.len(), quiet, "a closed engine speaks");
    }
}

pub(crate) fn codecs() -> Vec<Codec> {
    let of = |name: &str, payload_type, clock, channels| Codec {
        name: name.to_owned(),
        payload_type,
        clock,
        channels,
        fmtp: String::new(),
    };
    vec![
        of("PCMU", 0, 8_000, 1),
        of("OPUS", 111, 48_000, 2),
        of("TELEPHONE-EVENT", 101, 8_000, 1),
    ]
}

pub(crate) fn offer(path: PathKind, keys: KeyKind) -> LegOffer {
    LegOffer {
        path,
        keys,
        audio: codecs(),
        address: "10.0.0.1".to_owned(),
        rtcp_mux: true,
        latch: Latch::Nat,
        dtls_active: false,
        direction: Direction::SendRecv,
        ptime: 20,
        audio_level_id: 1,
        mid_id: 0,
        mid: String::new(),
        suites: Vec::new(),
        detect_digits: false,
        video: None,
    }
}

pub(crate) fn remote(address: SocketAddr) -> LegRemote {
    LegRemote {
        audio: codecs(),
        address: address.ip().to_string(),
        port: address.port(),
        ptime: 20,
        ..LegRemote::default()
    }
}

/// The socket of a port leg.
pub(crate) fn socket_of(local: &LegLocal) -> SocketId {
    SocketId(u32::from(local.candidates[0].1) - 41_000)
}
