//! Legs that speak: each sends the frames of a file, one every 20 ms, and what comes back is counted and, for the first
//! legs, kept. For servers that decode: whoever reads what was kept hears whether it is speech.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use socket2::SockRef;

use crate::arguments::Arguments;
use crate::cpu;
use crate::sys::Epoll;

/// Octets of an RTP header without extensions (RFC 3550 section 5.1).
const HEADER: usize = 12;
const SSRC: u32 = 0x4f48_0000;
/// Frames a second of each leg.
const PACE: u64 = 50;
/// Packets sent between two looks at what came in, when sending is late.
const BURST: u32 = 64;
const RECEIVE_BUFFER: usize = 1 << 20;

type Frames = Rc<Vec<Vec<u8>>>;

/// One leg of a plan.
struct Way {
    local: u16,
    server: u16,
    payload_type: u8,
    /// Time stamp of one frame.
    step: u32,
    frames: Frames,
}

/// What one run measured. Packets are counted within the window.
#[derive(Debug, Serialize)]
struct Measured {
    legs: usize,
    seconds: f64,
    sent: u64,
    received: u64,
    silent_legs: usize,
    late_max_us: u64,
    server_cpu_ns: u64,
    busiest_thread_ns: u64,
    generator_cpu_ns: u64,
}

/// `offhook-loadgen frames`: one JSON line.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let path: String = arguments.need("plan")?;
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let plan = read_plan(&text)?;
    let window = Duration::from_secs_f64(arguments.or("seconds", 5.0)?);
    let warm = Duration::from_secs_f64(arguments.or("warm", 2.0)?);
    let keep: usize = arguments.or("keep", 0)?;
    let folder: PathBuf = arguments.or("folder", PathBuf::from("."))?;
    let mut run = Run::new(&plan, keep).map_err(|e| format!("load: {e}"))?;
    let measured = run.measure(warm, window, arguments.or("server", 0)?);
    run.write(&folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    println!(
        "{}",
        serde_json::to_string(&measured).map_err(|e| e.to_string())?
    );
    Ok(())
}

/// `LOCAL_PORT SERVER_PORT PAYLOAD_TYPE STEP FILE` on each line; a file holds frames, each after its length (16 bits).
fn read_plan(text: &str) -> Result<Vec<Way>, String> {
    let mut files: HashMap<String, Frames> = HashMap::new();
    let mut plan = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.splitn(5, ' ').collect();
        let [local, server, payload_type, step, file] = words[..] else {
            return Err(format!(
                "{line}: a line is LOCAL_PORT SERVER_PORT PAYLOAD_TYPE STEP FILE"
            ));
        };
        let wrong = |name: &str| format!("{line}: the {name} is no number");
        if !files.contains_key(file) {
            let read = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
            let frames = read_frames(&read).ok_or_else(|| format!("{file}: no frames"))?;
            files.insert(file.to_owned(), Rc::new(frames));
        }
        plan.push(Way {
            local: local.parse().map_err(|_| wrong("local port"))?,
            server: server.parse().map_err(|_| wrong("server's port"))?,
            payload_type: payload_type.parse().map_err(|_| wrong("payload type"))?,
            step: step.parse().map_err(|_| wrong("step"))?,
            frames: Rc::clone(&files[file]),
        });
    }
    Ok(plan)
}

/// Frames of a file, each after its length (16 bits); `None` when it is cut off or empty.
pub fn read_frames(mut data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let (frame, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        frames.push(frame.to_vec());
        data = rest;
    }
    (!frames.is_empty() && data.is_empty()).then_some(frames)
}

struct Leg {
    socket: UdpSocket,
    frames: Frames,
    payload_type: u8,
    step: u32,
    count: u32,
    ssrc: u32,
    heard: u64,
    kept: Option<Vec<u8>>,
}

impl Leg {
    fn send(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let frame = &self.frames[self.count as usize % self.frames.len()];
        let marker = if self.count == 0 { 0x80 } else { 0 };
        buffer.clear();
        buffer.extend_from_slice(&[0x80, self.payload_type | marker]);
        // The sequence number is the count's low half.
        buffer.extend_from_slice(&(self.count as u16).to_be_bytes());
        buffer.extend_from_slice(&self.count.wrapping_mul(self.step).to_be_bytes());
        buffer.extend_from_slice(&self.ssrc.to_be_bytes());
        buffer.extend_from_slice(frame);
        self.count += 1;
        self.socket.send(buffer).map(drop)
    }
}

struct Run {
    legs: Vec<Leg>,
    epoll: Epoll,
    start: Instant,
    sent: u64,
    received: u64,
    late_max: u64,
    counting: bool,
}

impl Run {
    fn new(plan: &[Way], keep: usize) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let mut legs = Vec::with_capacity(plan.len());
        for (index, way) in (0u32..).zip(plan) {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, way.local))?;
            socket.connect((Ipv4Addr::LOCALHOST, way.server))?;
            socket.set_nonblocking(true)?;
            SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
            epoll.add(socket.as_raw_fd(), legs.len())?;
            legs.push(Leg {
                socket,
                frames: Rc::clone(&way.frames),
                payload_type: way.payload_type,
                step: way.step,
                count: 0,
                ssrc: SSRC + index,
                heard: 0,
                kept: (legs.len() < keep).then(Vec::new),
            });
        }
        Ok(Self {
            legs,
            epoll,
            start: Instant::now(),
            sent: 0,
            received: 0,
            late_max: 0,
            counting: false,
        })
    }

    fn measure(&mut self, warm: Duration, window: Duration, server: u32) -> Measured {
        let servers = || match server {
            0 => Default::default(),
            pid => cpu::run_times(pid),
        };
        let own = || cpu::run_times(std::process::id());
        let next = self.pace(0, nanoseconds(warm));
        let (server_before, own_before) = (servers(), own());
        self.counting = true;
        self.pace(next, nanoseconds(warm + window));
        let (server_after, own_after) = (servers(), own());
        let (server_cpu_ns, busiest_thread_ns) = cpu::between(&server_before, &server_after);
        Measured {
            legs: self.legs.len(),
            seconds: window.as_secs_f64(),
            sent: self.sent,
            received: self.received,
            silent_legs: self.legs.iter().filter(|leg| leg.heard == 0).count(),
            late_max_us: self.late_max / 1_000,
            server_cpu_ns,
            busiest_thread_ns,
            generator_cpu_ns: cpu::between(&own_before, &own_after).0,
        }
    }

    /// Sends packet number `next` and those after it, each at its time, until `end`; the number that is next then.
    fn pace(&mut self, mut next: u64, end: u64) -> u64 {
        let rate = PACE * self.legs.len() as u64;
        let mut buffer = Vec::with_capacity(2048);
        while self.now() < end {
            for _ in 0..BURST {
                let (due, now) = (next * 1_000_000_000 / rate, self.now());
                if due > now || now >= end {
                    break;
                }
                let index = usize::try_from(next % self.legs.len() as u64).unwrap_or(0);
                let sent = self.legs[index].send(&mut buffer).is_ok();
                if self.counting {
                    self.sent += u64::from(sent);
                    self.late_max = self.late_max.max(now - due);
                }
                next += 1;
            }
            self.receive();
        }
        next
    }

    fn receive(&mut self) {
        let mut buffer = [0u8; 2048];
        for index in self.epoll.wait(Duration::ZERO) {
            let leg = &mut self.legs[index];
            let Ok(length) = leg.socket.recv(&mut buffer) else {
                continue;
            };
            // RTCP comes to the same port (RFC 5761 section 4).
            if length <= HEADER || (192..224).contains(&buffer[1]) {
                continue;
            }
            leg.heard += 1;
            self.received += u64::from(self.counting);
            if let (Some(kept), true) = (&mut leg.kept, self.counting) {
                let size = u16::try_from(length - HEADER).unwrap_or(0);
                kept.extend_from_slice(&size.to_be_bytes());
                kept.extend_from_slice(&buffer[HEADER..length]);
            }
        }
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// What the first legs heard, as `heard-N` in the folder.
    fn write(&self, folder: &std::path::Path) -> io::Result<()> {
        for (index, leg) in self.legs.iter().enumerate() {
            if let Some(kept) = &leg.kept {
                fs::File::create(folder.join(format!("heard-{index}")))?.write_all(kept)?;
            }
        }
        Ok(())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_their_lengths() {
        assert_eq!(
            read_frames(&[0, 1, 7, 0, 2, 8, 9]),
            Some(vec![vec![7], vec![8, 9]])
        );
        assert_eq!(read_frames(&[]), None);
        assert_eq!(read_frames(&[0, 3, 1]), None);
        assert_eq!(read_frames(&[0, 1, 7, 0]), None);
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert!(read_plan("1 2 0 160").is_err_and(|e| e.contains("1 2 0 160")));
        assert!(read_plan("1 2 0 160 /nowhere/at/all").is_err_and(|e| e.contains("/nowhere")));
    }
}
