//! Paced RTP through a server: every leg of a plan sends G.711-sized packets, the far leg of its call counts them.
//!
//! Each packet carries its leg and the time it was sent in the audio, so the sink needs no agreement with the server about
//! SSRCs or sequence numbers, which a server may rewrite. This works for servers that pass the audio through unchanged.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use serde::Serialize;
use socket2::SockRef;

use crate::arguments::Arguments;
use crate::cpu;
use crate::latency::Latencies;
use crate::sys::Epoll;

/// Octets of an RTP header without extensions (RFC 3550 section 5.1).
const HEADER: usize = 12;
/// Octets of 20 ms of G.711.
const AUDIO: usize = 160;
const PACKET: usize = HEADER + AUDIO;
/// Says that the audio is ours.
const MARK: [u8; 4] = *b"OHlg";
const SSRC: u32 = 0x4f48_0000;
/// Packets sent between two looks at what came in, when sending is late.
const BURST: u32 = 64;
/// How long the sink listens after the last packet.
const DRAIN: Duration = Duration::from_millis(300);
const RECEIVE_BUFFER: usize = 1 << 20;

/// How much to send.
pub struct Load {
    /// Packets a second, over all legs.
    pub rate: u64,
    /// Measured time.
    pub window: Duration,
    /// Time before it, sent but not counted.
    pub warm: Duration,
    /// Process whose run time is measured; 0 for none.
    pub server: u32,
}

/// What one run measured; counts are of packets sent within the window, times are nanoseconds or microseconds by name.
#[derive(Debug, Serialize)]
pub struct Measured {
    legs: usize,
    seconds: f64,
    sent: u64,
    received: u64,
    lost: u64,
    /// Came to a leg that is not its call's other one, or twice.
    astray: u64,
    send_errors: u64,
    /// Legs that heard nothing in the whole run.
    silent_legs: usize,
    late_max_us: u64,
    latency_us_p50: u64,
    latency_us_p99: u64,
    latency_us_p999: u64,
    server_cpu_ns: u64,
    busiest_thread_ns: u64,
    generator_cpu_ns: u64,
}

/// `offhook-loadgen rtp`: one JSON line.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let path: String = arguments.need("plan")?;
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let plan = read_plan(&text)?;
    let load = Load {
        rate: arguments.or("rate", 20_000)?,
        window: Duration::from_secs_f64(arguments.or("seconds", 5.0)?),
        warm: Duration::from_secs_f64(arguments.or("warm", 1.0)?),
        server: arguments.or("server", 0)?,
    };
    if load.rate == 0 {
        return Err("--rate 0: at least one packet a second".into());
    }
    let measured = run(&plan, &load).map_err(|e| format!("load: {e}"))?;
    println!(
        "{}",
        serde_json::to_string(&measured).map_err(|e| e.to_string())?
    );
    Ok(())
}

/// Legs of a plan: `LOCAL_PORT SERVER_PORT` on each line, two lines for each call.
pub fn read_plan(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let legs: Option<Vec<_>> = text
        .lines()
        .map(|line| {
            let (local, server) = line.split_once(' ')?;
            Some((local.parse().ok()?, server.parse().ok()?))
        })
        .collect();
    legs.filter(|legs| !legs.is_empty() && legs.len() % 2 == 0)
        .ok_or_else(|| "the plan needs an even number of lines LOCAL_PORT SERVER_PORT".into())
}

struct Leg {
    socket: UdpSocket,
    packet: [u8; PACKET],
    sequence: u16,
    timestamp: u32,
    heard: u64,
}

impl Leg {
    fn new(index: u32, local: u16, server: u16) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, local))?;
        socket.connect((Ipv4Addr::LOCALHOST, server))?;
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        let mut packet = [0xd5; PACKET];
        packet[0] = 0x80;
        packet[1] = 0;
        packet[8..12].copy_from_slice(&(SSRC + index).to_be_bytes());
        packet[HEADER..HEADER + 4].copy_from_slice(&MARK);
        packet[HEADER + 4..HEADER + 8].copy_from_slice(&index.to_be_bytes());
        Ok(Self {
            socket,
            packet,
            sequence: 1_000,
            timestamp: 160,
            heard: 0,
        })
    }

    fn send(&mut self, at: u64) -> io::Result<()> {
        self.packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        self.packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        self.packet[HEADER + 8..HEADER + 16].copy_from_slice(&at.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(AUDIO as u32);
        self.socket.send(&self.packet).map(drop)
    }
}

/// (leg, time sent) of a packet of ours; `None` for RTCP and strangers.
fn read_packet(packet: &[u8]) -> Option<(usize, u64)> {
    let audio = packet.get(HEADER..)?;
    if packet.len() != PACKET || packet[1] & 0x7f != 0 || audio[..4] != MARK {
        return None;
    }
    let leg = u32::from_be_bytes(audio[4..8].try_into().ok()?);
    let at = u64::from_be_bytes(audio[8..16].try_into().ok()?);
    Some((usize::try_from(leg).ok()?, at))
}

struct Run {
    legs: Vec<Leg>,
    epoll: Epoll,
    start: Instant,
    /// Begin and end of the window, nanoseconds after the start.
    window: (u64, u64),
    sent: u64,
    received: u64,
    astray: u64,
    send_errors: u64,
    late_max: u64,
    latencies: Latencies,
}

/// Sends a load along a plan and measures.
pub fn run(plan: &[(u16, u16)], load: &Load) -> io::Result<Measured> {
    let mut run = Run::new(plan, load)?;
    let servers = || {
        if load.server == 0 {
            Default::default()
        } else {
            cpu::run_times(load.server)
        }
    };
    let own = || cpu::run_times(std::process::id());
    let next = run.pace(0, load.rate, run.window.0);
    let (server_before, own_before) = (servers(), own());
    run.pace(next, load.rate, run.window.1);
    let (server_after, own_after) = (servers(), own());
    let end = run.now() + nanoseconds(DRAIN);
    while run.now() < end {
        run.receive();
    }
    let (server_cpu_ns, busiest_thread_ns) = cpu::between(&server_before, &server_after);
    Ok(Measured {
        legs: run.legs.len(),
        seconds: load.window.as_secs_f64(),
        sent: run.sent,
        received: run.received,
        lost: run.sent.saturating_sub(run.received),
        astray: run.astray,
        send_errors: run.send_errors,
        silent_legs: run.legs.iter().filter(|leg| leg.heard == 0).count(),
        late_max_us: run.late_max / 1_000,
        latency_us_p50: run.latencies.percentile(0.5),
        latency_us_p99: run.latencies.percentile(0.99),
        latency_us_p999: run.latencies.percentile(0.999),
        server_cpu_ns,
        busiest_thread_ns,
        generator_cpu_ns: cpu::between(&own_before, &own_after).0,
    })
}

impl Run {
    fn new(plan: &[(u16, u16)], load: &Load) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let mut legs = Vec::with_capacity(plan.len());
        for (index, (local, server)) in (0u32..).zip(plan) {
            let leg = Leg::new(index, *local, *server)?;
            epoll.add(leg.socket.as_raw_fd(), legs.len())?;
            legs.push(leg);
        }
        let warm = nanoseconds(load.warm);
        Ok(Self {
            legs,
            epoll,
            start: Instant::now(),
            window: (warm, warm + nanoseconds(load.window)),
            sent: 0,
            received: 0,
            astray: 0,
            send_errors: 0,
            late_max: 0,
            latencies: Latencies::new(),
        })
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// Sends packet number `next` and those after it, each at its time, until `end`; the number that is next then.
    fn pace(&mut self, mut next: u64, rate: u64, end: u64) -> u64 {
        while self.now() < end {
            for _ in 0..BURST {
                let (due, now) = (next * 1_000_000_000 / rate, self.now());
                if due > now || now >= end {
                    break;
                }
                self.send(next, now, due);
                next += 1;
            }
            self.receive();
        }
        next
    }

    fn send(&mut self, number: u64, now: u64, due: u64) {
        let index = usize::try_from(number % self.legs.len() as u64).unwrap_or(0);
        let counted = self.in_window(now);
        if let Err(error) = self.legs[index].send(now) {
            // An ICMP answer to an earlier packet, or no room: the packet is gone and counts as lost.
            self.send_errors += u64::from(counted && error.kind() != io::ErrorKind::Interrupted);
        }
        if counted {
            self.sent += 1;
            self.late_max = self.late_max.max(now - due);
        }
    }

    fn in_window(&self, at: u64) -> bool {
        (self.window.0..self.window.1).contains(&at)
    }

    fn receive(&mut self) {
        let mut buffer = [0u8; 2048];
        for index in self.epoll.wait(Duration::ZERO) {
            let Ok(length) = self.legs[index].socket.recv(&mut buffer) else {
                continue;
            };
            let Some((from, at)) = read_packet(&buffer[..length]) else {
                continue;
            };
            self.legs[index].heard += 1;
            if at < self.window.0 || at >= self.window.1 {
                continue;
            }
            if from == index ^ 1 {
                self.received += 1;
                self.latencies
                    .add(nanoseconds(self.start.elapsed()).saturating_sub(at));
            } else {
                self.astray += 1;
            }
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay;

    #[test]
    fn a_plan_is_two_ports_a_line_and_two_lines_a_call() {
        assert_eq!(read_plan("1 2\n3 4\n"), Ok(vec![(1, 2), (3, 4)]));
        assert!(read_plan("1 2\n").is_err() && read_plan("").is_err());
        assert!(read_plan("1 2\n3 x\n").is_err());
    }

    #[test]
    fn every_packet_comes_through_the_bare_relay() {
        let plan = relay::Plan {
            base: 24_300,
            peer_base: 24_400,
            pairs: 2,
            gather: Duration::ZERO,
            life: Duration::from_secs(1),
        };
        let sockets = relay::bind(&plan).expect("free ports");
        let relaying = std::thread::spawn(move || relay::run(&plan, &sockets));
        let legs: Vec<_> = (0..4).map(|i| (24_400 + i, 24_300 + i)).collect();
        let load = Load {
            rate: 1_000,
            window: Duration::from_millis(200),
            warm: Duration::from_millis(20),
            server: std::process::id(),
        };
        let measured = run(&legs, &load).expect("ports");
        relaying.join().expect("no panic").expect("relayed");
        assert!(measured.sent > 100, "{measured:?}");
        assert_eq!((measured.lost, measured.astray), (0, 0), "{measured:?}");
        assert_eq!(measured.silent_legs, 0);
        assert!(measured.server_cpu_ns > 0);
    }

    #[test]
    fn what_nobody_relays_is_lost() {
        let holes: Vec<_> = (0..2)
            .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"))
            .collect();
        let port = |hole: &UdpSocket| hole.local_addr().expect("bound").port();
        let legs = [(24_410, port(&holes[0])), (24_411, port(&holes[1]))];
        let load = Load {
            rate: 500,
            window: Duration::from_millis(50),
            warm: Duration::ZERO,
            server: 0,
        };
        let measured = run(&legs, &load).expect("ports");
        assert_eq!(measured.lost, measured.sent);
        assert_eq!(measured.silent_legs, 2);
    }
}
