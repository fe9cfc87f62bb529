//! A fixed load for counting instructions: one call inside this process, without sockets and clock, and nothing but
//! forwarding in one function. `bench.instructions` runs it under callgrind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::command::Command;
use offhook_media::description::{Crypto, LegLocal, LegOffer, LegRemote};
use offhook_media::event::Reply;
use offhook_media::{
    Engine, Identity, Input, Now, Output, PACKET_SIZE, PortPair, Random, ReplyToken, Settings,
    ShardConfig, SocketId,
};
use offhook_rtp::header::Fields;
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::SrtpOut;
use offhook_rtp::suite::Suite;
use serde_json::json;

use crate::arguments::Arguments;

/// Octets of 20 ms of G.711.
const AUDIO: usize = 160;
const PACE: Duration = Duration::from_millis(20);
/// Packets of each leg before the count: the latch and the streams are settled then.
const WARM: u16 = 200;

/// The same numbers in every run.
struct Counting(u64);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

struct Leg {
    socket: SocketId,
    address: SocketAddr,
    ssrc: u32,
    sealing: Option<SrtpOut>,
}

struct Packet {
    leg: usize,
    bytes: Vec<u8>,
}

/// `offhook-loadgen forward`: forwards so many packets, half of them each way; the second leg is secured with a suite.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let count: u16 = arguments.or("packets", 4_000)?;
    let suite: String = arguments.or("suite", String::new())?;
    let (mut engine, start) = (engine()?, Instant::now());
    let mut legs = open(&mut engine, &suite, start)?;
    let mut load = |from: u16, to: u16| -> Result<Vec<Packet>, String> {
        let numbers = (from..to).flat_map(|number| [(0, number), (1, number)]);
        numbers
            .map(|(leg, number)| packet(&mut legs, leg, number))
            .collect()
    };
    let (mut warm, mut counted) = (load(0, WARM)?, load(WARM, WARM + count / 2)?);
    let to: Vec<_> = legs.iter().map(|leg| (leg.socket, leg.address)).collect();
    if settle(&mut engine, &to, &mut warm, start) < usize::from(WARM) {
        return Err("the engine does not forward".into());
    }
    let now = at(start + PACE * u32::from(WARM));
    let forwarded = forward_counted(&mut engine, &to, &mut counted, now);
    if forwarded != counted.len() {
        return Err(format!(
            "{forwarded} of {} packets came through",
            counted.len()
        ));
    }
    println!("{forwarded}");
    Ok(())
}

fn engine() -> Result<Engine, String> {
    let config = ShardConfig {
        shard: 0,
        webrtc: Vec::new(),
        identity: Identity::generate()?,
        settings: Settings::default(),
    };
    Ok(Engine::new(config, Box::new(Counting(1))))
}

fn at(instant: Instant) -> Now {
    Now {
        instant,
        ntp: 0xe000_0000_0000_0000,
    }
}

fn open(engine: &mut Engine, suite: &str, start: Instant) -> Result<Vec<Leg>, String> {
    let audio = json!([{"name": "PCMU", "payload_type": 0, "clock": 8000}]);
    let offer = |secured: bool| -> Result<LegOffer, String> {
        let keys = if secured { "sdes" } else { "plain" };
        let suites: &[&str] = if secured { &[suite] } else { &[] };
        let offer = json!({"path": "port", "keys": keys, "audio": audio, "address": "10.0.0.1", "suites": suites});
        serde_json::from_value(offer).map_err(|e| e.to_string())
    };
    let offers = vec![offer(false)?, offer(!suite.is_empty())?];
    let opening = Command::OpenCall {
        n: 1,
        offers,
        near: 0,
    };
    let Reply::CallOpened { legs: locals, .. } = order(engine, opening, start)? else {
        return Err("no call was opened".into());
    };
    let mut legs = Vec::new();
    for (index, local) in (0u16..).zip(&locals) {
        let address = SocketAddr::from(([192, 0, 2, 1], 5_000 + index));
        let (crypto, sealing) = keys(suite, local)?;
        let mut remote: LegRemote = serde_json::from_value(json!({
            "audio": audio, "address": address.ip().to_string(), "port": address.port(),
        }))
        .map_err(|e| e.to_string())?;
        remote.crypto = crypto;
        order(
            engine,
            Command::Complete {
                n: 2,
                leg: local.leg,
                remote,
            },
            start,
        )?;
        let socket = SocketId(100 + u32::from(index));
        legs.push(Leg {
            socket,
            address,
            ssrc: 0x4f48_0000 + u32::from(index),
            sealing,
        });
    }
    let (a, b) = (locals[0].leg, locals[1].leg);
    order(engine, Command::Bridge { n: 3, a, b }, start)?;
    Ok(legs)
}

/// Our key of a secured leg, and what we seal with.
fn keys(suite: &str, local: &LegLocal) -> Result<(Vec<Crypto>, Option<SrtpOut>), String> {
    if local.crypto.is_empty() {
        return Ok((Vec::new(), None));
    }
    let known: Suite = suite
        .parse()
        .map_err(|_| format!("{suite}: an unknown suite"))?;
    // The engine's own key serves both directions: this is about instructions.
    let key = local.crypto[0].key.clone();
    let octets: Result<Vec<u8>, _> = (0..key.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&key[at..at + 2], 16))
        .collect();
    let octets = octets.map_err(|e| e.to_string())?;
    let master = MasterKeys::from_inline(known, &octets).map_err(|_| "a key of another length")?;
    let sealing = SrtpOut::new(&master).map_err(|e| e.to_string())?;
    let suite = suite.to_owned();
    Ok((vec![Crypto { suite, key }], Some(sealing)))
}

fn order(engine: &mut Engine, command: Command, start: Instant) -> Result<Reply, String> {
    let ports = (0u16..).zip(command.ports()).map(|(index, _)| PortPair {
        rtp: SocketId(100 + u32::from(index)),
        rtcp: None,
        address: SocketAddr::from(([10, 0, 0, 1], 41_000 + index)),
        rtcp_port: 0,
    });
    let ports = ports.collect();
    engine.handle(
        Input::Command {
            command,
            ports,
            reply: ReplyToken(0),
        },
        at(start),
    );
    let mut found = Err("no reply".into());
    loop {
        match engine.poll_output() {
            Output::Reply {
                reply: Reply::Refused { text, .. },
                ..
            } => found = Err(text),
            Output::Reply { reply, .. } => found = Ok(reply),
            Output::Timeout(_) => return found,
            _ => {}
        }
    }
}

fn packet(legs: &mut [Leg], leg: usize, number: u16) -> Result<Packet, String> {
    let sender = &mut legs[leg];
    let fields = Fields {
        marker: false,
        payload_type: 0,
        sequence: number,
        timestamp: u32::from(number) * AUDIO as u32,
        ssrc: sender.ssrc,
    };
    let mut bytes = vec![0x55; PACKET_SIZE];
    let header = fields.write(&mut bytes).ok_or("no room")?;
    let mut length = header + AUDIO;
    let sound = (0u8..).zip(&mut bytes[header..length]);
    sound.for_each(|(index, byte)| *byte = index.wrapping_mul(37) & 0x3f);
    if let Some(sealing) = &mut sender.sealing {
        length = sealing
            .seal(&mut bytes, length)
            .map_err(|e| e.to_string())?;
    }
    bytes.truncate(length);
    Ok(Packet { leg, bytes })
}

/// Forwards the first packets, each pair at its time; how many came out.
fn settle(
    engine: &mut Engine,
    legs: &[(SocketId, SocketAddr)],
    load: &mut [Packet],
    start: Instant,
) -> usize {
    let pairs = (0u32..).zip(load.chunks_mut(2));
    pairs
        .map(|(index, pair)| forward(engine, legs, pair, at(start + PACE * index)))
        .sum()
}

/// What is counted.
#[inline(never)]
fn forward_counted(
    engine: &mut Engine,
    legs: &[(SocketId, SocketAddr)],
    load: &mut [Packet],
    now: Now,
) -> usize {
    forward(engine, legs, load, now)
}

fn forward(
    engine: &mut Engine,
    legs: &[(SocketId, SocketAddr)],
    load: &mut [Packet],
    now: Now,
) -> usize {
    let mut forwarded = 0;
    for packet in load {
        let (socket, source) = legs[packet.leg];
        let len = packet.bytes.len();
        engine.handle(
            Input::Datagram {
                socket,
                source,
                buffer: &mut packet.bytes,
                len,
            },
            now,
        );
        loop {
            match engine.poll_output() {
                Output::Transmit(transmit) => {
                    forwarded += 1;
                    engine.recycle(transmit.packet);
                }
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    forwarded
}
