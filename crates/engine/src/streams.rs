//! Connections of browsers whose network lets no UDP through (RFC 6544): each carries the datagrams of one source, framed by
//! RFC 4571. To the engine they are datagrams on the shard's TCP socket, which exists only as a number.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use offhook_rtp::framing::{Frames, Next, framed};

/// Tokens of streams begin here; those of sockets are 32-bit numbers.
pub const TOKENS: u64 = 1 << 32;
/// Connections of one shard: each costs a descriptor, and browsers that have UDP close theirs.
const MAX_STREAMS: usize = 4_096;
/// Bytes that may wait for a slow reader: two seconds of audio. What does not fit is dropped, as on UDP.
const MAX_UNSENT: usize = 32 * 1024;
/// A connection that no leg knows is closed after this: a browser's check comes within a second.
const UNKNOWN: Duration = Duration::from_secs(10);

struct Stream {
    socket: TcpStream,
    source: SocketAddr,
    incoming: Frames,
    unsent: Vec<u8>,
    known: Instant,
}

/// All connections of a shard.
#[derive(Default)]
pub struct Streams {
    open: HashMap<u64, Stream>,
    by_source: HashMap<SocketAddr, u64>,
    next: u64,
    waiting: usize,
}

impl Streams {
    /// Takes a connection with what was read of it; its token, to be watched, or why not.
    pub fn take(
        &mut self,
        socket: TcpStream,
        read: Vec<u8>,
        now: Instant,
    ) -> io::Result<(u64, RawFd)> {
        if self.open.len() >= MAX_STREAMS {
            return Err(io::Error::other(
                "this shard has as many TCP connections as it may",
            ));
        }
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let source = canonical(socket.peer_addr()?);
        let token = TOKENS + self.next;
        self.next += 1;
        let fd = socket.as_raw_fd();
        let stream = Stream {
            socket,
            source,
            incoming: Frames::new(read),
            unsent: Vec::new(),
            known: now,
        };
        self.open.insert(token, stream);
        self.by_source.insert(source, token);
        Ok((token, fd))
    }

    /// Reads what has come. `false`: the connection is over and forgotten.
    pub fn read(&mut self, token: u64) -> bool {
        let Some(stream) = self.open.get_mut(&token) else {
            return false;
        };
        let socket = &mut stream.socket;
        match stream.incoming.read(|part| socket.read(part)) {
            Ok(0) => {
                self.close(token);
                false
            }
            Ok(_) => true,
            Err(error) if retryable(&error) => true,
            Err(_) => {
                self.close(token);
                false
            }
        }
    }

    /// The next whole frame, copied into `buffer`: who sent it and its length. A frame that does not fit ends the connection.
    pub fn frame(&mut self, token: u64, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let stream = self.open.get_mut(&token)?;
        match stream.incoming.next(buffer) {
            Next::Frame(length) => Some((stream.source, length)),
            Next::Wait => None,
            Next::TooLarge => {
                self.close(token);
                None
            }
        }
    }

    /// Sends a datagram to the source of a connection; without one, or without room, it is lost.
    pub fn send(&mut self, destination: SocketAddr, datagram: &[u8]) {
        let Some(token) = self.by_source.get(&destination).copied() else {
            return;
        };
        let (Some(stream), Some(frame)) = (self.open.get_mut(&token), framed(datagram)) else {
            return;
        };
        if !stream.unsent.is_empty() {
            if stream.unsent.len() + frame.len() <= MAX_UNSENT {
                stream.unsent.extend(frame);
            }
            return;
        }
        match stream.socket.write(&frame) {
            Ok(written) if written == frame.len() => {}
            Ok(written) => {
                stream.unsent.extend(&frame[written..]);
                self.waiting += 1;
            }
            Err(error) if retryable(&error) => {
                stream.unsent = frame;
                self.waiting += 1;
            }
            Err(_) => self.close(token),
        }
    }

    /// Whether something waits for a slow reader.
    pub fn waits(&self) -> bool {
        self.waiting > 0
    }

    /// Writes what slow readers have room for now.
    pub fn retry(&mut self) {
        if self.waiting == 0 {
            return;
        }
        let mut broken = Vec::new();
        self.waiting = 0;
        for (token, stream) in self
            .open
            .iter_mut()
            .filter(|(_, one)| !one.unsent.is_empty())
        {
            match stream.socket.write(&stream.unsent) {
                Ok(written) => drop(stream.unsent.drain(..written)),
                Err(error) if retryable(&error) => {}
                Err(_) => broken.push(*token),
            }
            self.waiting += usize::from(!stream.unsent.is_empty());
        }
        broken.into_iter().for_each(|token| self.close(token));
    }

    /// Closes connections whose source no leg has known for a while.
    pub fn sweep(&mut self, now: Instant, knows: impl Fn(SocketAddr) -> bool) {
        let mut strangers = Vec::new();
        for (token, stream) in &mut self.open {
            if knows(stream.source) {
                stream.known = now;
            } else if now.saturating_duration_since(stream.known) >= UNKNOWN {
                strangers.push(*token);
            }
        }
        strangers.into_iter().for_each(|token| self.close(token));
    }

    fn close(&mut self, token: u64) {
        // The last copy of the descriptor leaves the poller by itself.
        if let Some(stream) = self.open.remove(&token) {
            self.waiting = self
                .waiting
                .saturating_sub(usize::from(!stream.unsent.is_empty()));
            if self.by_source.get(&stream.source) == Some(&token) {
                self.by_source.remove(&stream.source);
            }
        }
    }
}

fn retryable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// IPv4 as IPv4, though it came to a socket of both.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map_or(address, |v4| SocketAddr::new(v4.into(), address.port())),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
        let client = TcpStream::connect(listener.local_addr().expect("address")).expect("client");
        (listener.accept().expect("server").0, client)
    }

    fn read_all(streams: &mut Streams, token: u64, frames: usize) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut buffer = [0; 2_048];
        for _ in 0..1_000 {
            streams.read(token);
            while let Some((_, len)) = streams.frame(token, &mut buffer) {
                found.push(buffer[..len].to_vec());
            }
            if found.len() >= frames {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        found
    }

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let (server, mut client) = pair();
        let mut streams = Streams::default();
        let (token, _) = streams
            .take(server, vec![0], Instant::now())
            .expect("taken");
        for byte in [&[3u8][..], b"ab", b"c\x00", b"\x01d"] {
            client.write_all(byte).expect("written");
        }
        assert_eq!(
            read_all(&mut streams, token, 2),
            [b"abc".to_vec(), b"d".to_vec()]
        );
    }

    #[test]
    fn what_is_sent_is_framed_and_a_slow_reader_loses_whole_frames() {
        let (server, mut client) = pair();
        let source = client.local_addr().expect("address");
        let mut streams = Streams::default();
        let (_, _) = streams
            .take(server, Vec::new(), Instant::now())
            .expect("taken");
        let datagram = [7u8; 1_200];
        for _ in 0..5_000 {
            streams.send(source, &datagram);
        }
        assert!(streams.waits(), "the reader has not read");
        client
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("timeout");
        let mut all: Vec<u8> = Vec::new();
        let mut part = [0; 65_536];
        loop {
            streams.retry();
            match client.read(&mut part) {
                Ok(size) if size > 0 => all.extend(&part[..size]),
                _ => break,
            }
        }
        assert!(!streams.waits());
        assert_eq!(all.len() % 1_202, 0, "no frame is cut");
        assert!(
            all.chunks(1_202)
                .all(|frame| frame[..2] == [4, 176] && frame[2..] == datagram)
        );
        assert!(all.len() < 5_000 * 1_202, "some were dropped");
    }

    #[test]
    fn strangers_are_closed_and_a_frame_that_is_too_large_ends_the_connection() {
        let (server, mut client) = pair();
        let mut streams = Streams::default();
        let now = Instant::now();
        let (token, _) = streams.take(server, Vec::new(), now).expect("taken");
        streams.sweep(now + Duration::from_secs(9), |_| false);
        assert!(streams.read(token));
        streams.sweep(now + Duration::from_secs(11), |_| true);
        streams.sweep(now + Duration::from_secs(20), |_| false);
        assert!(streams.read(token));
        client.write_all(&[255, 255, 0, 0]).expect("written");
        assert!(read_all(&mut streams, token, 1).is_empty());
        assert!(!streams.read(token), "closed");
    }
}
