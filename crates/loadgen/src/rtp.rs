//! Paced RTP through a server: every leg of a plan sends G.711-sized packets, the far leg of its call counts them.
//!
//! Each packet carries its leg and the time it was sent in the audio, so the sink needs no agreement with the server about
//! SSRCs or sequence numbers, which a server may rewrite. This works for servers that pass the audio through unchanged.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use offhook_rtp::srtp::{MAX_OVERHEAD, SrtpIn, SrtpOut};
use serde::Serialize;
use socket2::SockRef;

use crate::arguments::Arguments;
use crate::cpu;
use crate::latency::Latencies;
use crate::plan::{self, Security, Way};
use crate::sys::Epoll;
use crate::webrtc::{Browser, Identity};

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
/// Browsers that shake hands at once, and how long all may take.
const SHAKING: usize = 32;
const CONNECT_TIME: Duration = Duration::from_secs(60);
/// How often a browser asks whether its peer still consents (RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(5);

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
    /// File of the browsers' certificate; empty when the plan has none.
    pub certificate: String,
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
    /// Browsers of the plan, the suite they have, and what the server needed to connect them all.
    browsers: usize,
    suite: &'static str,
    connect_cpu_ns: u64,
}

/// `offhook-loadgen rtp`: one JSON line.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let path: String = arguments.need("plan")?;
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let plan = plan::read(&text)?;
    let load = Load {
        rate: arguments.or("rate", 20_000)?,
        window: Duration::from_secs_f64(arguments.or("seconds", 5.0)?),
        warm: Duration::from_secs_f64(arguments.or("warm", 1.0)?),
        server: arguments.or("server", 0)?,
        certificate: arguments.or("certificate", String::new())?,
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

struct Leg {
    socket: UdpSocket,
    packet: [u8; PACKET],
    sequence: u16,
    timestamp: u32,
    heard: u64,
    secure: Option<(SrtpOut, SrtpIn)>,
    browser: Option<Box<Browser>>,
}

impl Leg {
    fn new(index: u32, way: &Way) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, way.local))?;
        socket.connect((Ipv4Addr::LOCALHOST, way.server))?;
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        let mut packet = [0xd5; PACKET];
        packet[0] = 0x80;
        packet[1] = 0;
        packet[8..12].copy_from_slice(&(SSRC + index).to_be_bytes());
        packet[HEADER..HEADER + 4].copy_from_slice(&MARK);
        packet[HEADER + 4..HEADER + 8].copy_from_slice(&index.to_be_bytes());
        let secure = match &way.security {
            Security::Keys(keys) => Some((
                SrtpOut::new(&keys.0).map_err(io::Error::other)?,
                SrtpIn::new(&keys.1).map_err(io::Error::other)?,
            )),
            Security::None | Security::WebRtc(..) => None,
        };
        Ok(Self {
            socket,
            packet,
            sequence: 1_000,
            timestamp: 160,
            heard: 0,
            secure,
            browser: None,
        })
    }

    /// Drives the handshake by what came and by time; the suite once there are keys.
    fn shake(&mut self, now: Instant) -> Result<Option<&'static str>, String> {
        let Some(browser) = &mut self.browser else {
            return Ok(None);
        };
        let socket = &self.socket;
        // A full socket repeats by itself.
        let send = |bytes: &[u8]| drop(socket.send(bytes));
        let mut buffer = [0u8; 2048];
        while let Ok(length) = socket.recv(&mut buffer) {
            browser.receive(&buffer[..length], now, send)?;
        }
        browser.advance(now, send)?;
        Ok(browser.keys().map(|(out, heard, suite)| {
            self.secure = Some((out, heard));
            suite
        }))
    }

    fn send(&mut self, at: u64) -> io::Result<()> {
        self.packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        self.packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        self.packet[HEADER + 8..HEADER + 16].copy_from_slice(&at.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(AUDIO as u32);
        let Some((sealing, _)) = &mut self.secure else {
            return self.socket.send(&self.packet).map(drop);
        };
        let mut sealed = [0u8; PACKET + MAX_OVERHEAD];
        sealed[..PACKET].copy_from_slice(&self.packet);
        let length = sealing
            .seal(&mut sealed, PACKET)
            .map_err(io::Error::other)?;
        self.socket.send(&sealed[..length]).map(drop)
    }

    /// The packet that came, opened; `None` if it is not for us.
    fn opened<'a>(&mut self, packet: &'a mut [u8], now: Instant) -> Option<&'a [u8]> {
        let Some((_, opening)) = &mut self.secure else {
            return Some(packet);
        };
        // RTCP (RFC 5761 section 4) is not looked at here.
        if packet.get(1).is_none_or(|kind| (192..224).contains(kind)) {
            return None;
        }
        let length = opening.open(packet, now).ok()?;
        packet.get(..length)
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
    /// Legs that are browsers, and the number of the next consent check.
    browsers: Vec<usize>,
    checks: u64,
}

/// Sends a load along a plan and measures.
pub fn run(plan: &[Way], load: &Load) -> io::Result<Measured> {
    let mut run = Run::new(plan, load)?;
    let servers = || {
        if load.server == 0 {
            Default::default()
        } else {
            cpu::run_times(load.server)
        }
    };
    let own = || cpu::run_times(std::process::id());
    let before = servers();
    let suite = run.connect(plan, &load.certificate)?;
    let connect_cpu_ns = cpu::between(&before, &servers()).0;
    run.start = Instant::now();
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
        browsers: run.browsers.len(),
        suite,
        connect_cpu_ns,
    })
}

impl Run {
    fn new(plan: &[Way], load: &Load) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let mut legs = Vec::with_capacity(plan.len());
        for (index, way) in (0u32..).zip(plan) {
            let leg = Leg::new(index, way)?;
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
            browsers: Vec::new(),
            checks: 0,
        })
    }

    /// Connects the browsers of the plan; the suite they have, empty without any.
    fn connect(&mut self, plan: &[Way], certificate: &str) -> io::Result<&'static str> {
        let mut waiting = Vec::new();
        for (index, way) in plan.iter().enumerate() {
            if let Security::WebRtc(ours, its) = &way.security {
                waiting.push((index, ours, its));
                self.browsers.push(index);
            }
        }
        if waiting.is_empty() {
            return Ok("");
        }
        let identity = Identity::read(certificate).map_err(io::Error::other)?;
        let (start, mut shaking, mut suite) = (Instant::now(), Vec::new(), "");
        while !(waiting.is_empty() && shaking.is_empty()) {
            let now = Instant::now();
            if now - start > CONNECT_TIME {
                let text = format!(
                    "{} browsers are not connected",
                    waiting.len() + shaking.len()
                );
                return Err(io::Error::other(text));
            }
            while shaking.len() < SHAKING {
                let Some((index, ours, its)) = waiting.pop() else {
                    break;
                };
                let leg = &mut self.legs[index];
                let address = leg.socket.local_addr()?;
                let browser = Browser::new(ours, its, address, &identity, now);
                leg.browser = Some(Box::new(browser));
                shaking.push(index);
            }
            let mut left = Vec::new();
            for index in shaking {
                match self.legs[index].shake(now).map_err(io::Error::other)? {
                    Some(found) => suite = found,
                    None => left.push(index),
                }
            }
            shaking = left;
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(suite)
    }

    /// Consent checks, evenly spaced.
    fn consent(&mut self) {
        let count = self.browsers.len() as u64;
        if count == 0 || self.now() < self.checks * nanoseconds(CONSENT) / count {
            return;
        }
        let index = self.browsers[usize::try_from(self.checks % count).unwrap_or(0)];
        self.checks += 1;
        let leg = &self.legs[index];
        if let Some(browser) = &leg.browser {
            let _ = leg.socket.send(&browser.check());
        }
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
            self.consent();
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
            let now = Instant::now();
            if buffer[0] < 64 {
                let Leg {
                    socket, browser, ..
                } = &mut self.legs[index];
                if let Some(browser) = browser {
                    let _ =
                        browser.receive(&buffer[..length], now, |bytes| drop(socket.send(bytes)));
                }
                continue;
            }
            let opened = self.legs[index].opened(&mut buffer[..length], now);
            let Some((from, at)) = opened.and_then(read_packet) else {
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

    fn plain(local: u16, server: u16) -> Way {
        Way {
            local,
            server,
            security: Security::None,
        }
    }

    #[test]
    fn every_packet_comes_through_the_bare_relay() {
        let plan = relay::Plan {
            base: 24_300,
            peer_base: 24_400,
            pairs: 2,
            gather: Duration::ZERO,
            connected: true,
            life: Duration::from_secs(1),
        };
        let sockets = relay::bind(&plan).expect("free ports");
        let relaying = std::thread::spawn(move || relay::run(&plan, &sockets));
        let legs: Vec<_> = (0..4).map(|i| plain(24_400 + i, 24_300 + i)).collect();
        let load = Load {
            rate: 1_000,
            window: Duration::from_millis(200),
            warm: Duration::from_millis(20),
            server: std::process::id(),
            certificate: String::new(),
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
        let legs = [
            plain(24_410, port(&holes[0])),
            plain(24_411, port(&holes[1])),
        ];
        let load = Load {
            rate: 500,
            window: Duration::from_millis(50),
            warm: Duration::ZERO,
            server: 0,
            certificate: String::new(),
        };
        let measured = run(&legs, &load).expect("ports");
        assert_eq!(measured.lost, measured.sent);
        assert_eq!(measured.silent_legs, 2);
    }
}
