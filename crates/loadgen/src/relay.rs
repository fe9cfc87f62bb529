//! The bare relay: the least that a userspace relay with one socket per leg costs. One thread, level-triggered epoll, one
//! `recv` and one `send` per packet, no look at the packet.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::arguments::Arguments;
use crate::sys::Epoll;

/// Receive buffer of each socket in bytes, as the media engine's.
const RECEIVE_BUFFER: usize = 128 * 1024;

/// What to relay between: leg `i` is `base + i` here, `peer_base + i` there, and goes out by leg `i ^ 1`.
pub struct Plan {
    /// First port of ours.
    pub base: u16,
    /// First port of the peers.
    pub peer_base: u16,
    /// Calls, of two legs each.
    pub pairs: u16,
    /// Shortest time between two wake-ups under load; zero wakes for every packet.
    pub gather: Duration,
    /// Each socket hears its peer alone. A media engine's hear everybody, because peers may send from elsewhere than they
    /// said; the kernel then looks up a route for every packet.
    pub connected: bool,
    /// When to end by itself.
    pub life: Duration,
}

/// `offhook-loadgen relay`: prints `ready` once its sockets are bound.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let plan = Plan {
        base: arguments.need("base")?,
        peer_base: arguments.need("peer-base")?,
        pairs: arguments.need("pairs")?,
        gather: Duration::from_micros(arguments.or("gather-us", 0)?),
        connected: arguments.or("connected", true)?,
        life: Duration::from_secs(arguments.or("seconds", 600)?),
    };
    let sockets = bind(&plan).map_err(|e| format!("relay's sockets: {e}"))?;
    println!("ready");
    run(&plan, &sockets).map_err(|e| format!("relay: {e}"))
}

/// Binds and connects all sockets.
pub fn bind(plan: &Plan) -> io::Result<Vec<UdpSocket>> {
    (0..plan.pairs * 2)
        .map(|index| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, plan.base + index))?;
            if plan.connected {
                socket.connect((Ipv4Addr::LOCALHOST, plan.peer_base + index))?;
            }
            socket.set_nonblocking(true)?;
            SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
            Ok(socket)
        })
        .collect()
}

fn forward(plan: &Plan, sockets: &[UdpSocket], index: usize, buffer: &mut [u8]) {
    let Some(out) = sockets.get(index ^ 1) else {
        return;
    };
    if plan.connected {
        if let Ok(length) = sockets[index].recv(buffer) {
            let _ = out.send(&buffer[..length]);
        }
    } else if let Ok((length, _)) = sockets[index].recv_from(buffer) {
        let port = plan.peer_base + u16::try_from(index ^ 1).unwrap_or(0);
        let _ = out.send_to(&buffer[..length], (Ipv4Addr::LOCALHOST, port));
    }
}

/// Forwards until its life ends. What cannot be sent is dropped, as RTP is.
pub fn run(plan: &Plan, sockets: &[UdpSocket]) -> io::Result<()> {
    let mut epoll = Epoll::new()?;
    for (index, socket) in sockets.iter().enumerate() {
        epoll.add(socket.as_raw_fd(), index)?;
    }
    let end = Instant::now() + plan.life;
    let mut buffer = [0u8; 2048];
    loop {
        let ready = epoll.wait(Duration::from_secs(1));
        let woke = Instant::now();
        for index in ready {
            forward(plan, sockets, index, &mut buffer);
        }
        if woke >= end {
            return Ok(());
        }
        if !plan.gather.is_zero() {
            thread::sleep(plan.gather.saturating_sub(woke.elapsed()));
        }
    }
}
