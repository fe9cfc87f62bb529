//! Connections of browsers whose network lets no UDP through (RFC 6544): each carries the datagrams of one source, framed by
//! RFC 4571. To the engine they are datagrams on the shard's TCP socket, which exists only as a number.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use offhook_rtp::framing::{Frames, Next, framed};

/// Tokens of streams begin here; those of sockets are 32-bit numbers.
pub const TOKENS: u64 = 1 << 32;
/// Connections of one shard: each costs a descriptor, and browsers that have UDP close theirs.
const MAX_STREAMS: usize = 4_096;
/// Bytes that may wait for a slow reader: four seconds of audio, or a few pictures.
const MAX_UNSENT: usize = 64 * 1024;
/// A connection that no leg knows is closed after this: a browser's check comes within a second, and it checks on.
const UNKNOWN: Duration = Duration::from_secs(5);

/// Frames that wait for a slow reader.
#[derive(Default)]
struct Unsent {
    frames: VecDeque<Vec<u8>>,
    /// Bytes of the first frame that are on their way: it cannot be dropped any more.
    begun: usize,
    bytes: usize,
}

impl Unsent {
    /// Takes a frame. The oldest media makes room for it: what is late is worth less than what is new. Checks and handshakes
    /// stay, and a frame that finds nothing to drop is dropped itself.
    fn push(&mut self, frame: Vec<u8>) {
        while self.bytes + frame.len() > MAX_UNSENT {
            let fixed = usize::from(self.begun > 0);
            let late = self.frames.iter().skip(fixed).position(|one| is_media(one));
            let Some(gone) = late.and_then(|place| self.frames.remove(fixed + place)) else {
                return;
            };
            self.bytes -= gone.len();
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Writes what there is room for. An error is the connection's end.
    fn write(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while let Some(first) = self.frames.front() {
            match socket.write(first.get(self.begun..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.begun += written,
                Err(error) if retryable(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.begun >= first.len() {
                self.bytes -= first.len();
                self.frames.pop_front();
                self.begun = 0;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// RTP and RTCP by the first byte behind the length (RFC 7983).
fn is_media(frame: &[u8]) -> bool {
    frame
        .get(2)
        .is_some_and(|first| (128..=191).contains(first))
}

struct Stream {
    socket: TcpStream,
    source: SocketAddr,
    incoming: Frames,
    unsent: Unsent,
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
            unsent: Unsent::default(),
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
        let waited = !stream.unsent.is_empty();
        stream.unsent.push(frame);
        if waited {
            return;
        }
        let written = stream.unsent.write(&mut stream.socket);
        self.waiting += usize::from(!stream.unsent.is_empty());
        if written.is_err() {
            self.close(token);
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
            if stream.unsent.write(&mut stream.socket).is_err() {
                broken.push(*token);
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

    /// Takes so many bytes, then would block.
    struct Narrow(usize, Vec<u8>);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            self.1.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn packet(first: u8, number: u16, size: usize) -> Vec<u8> {
        let mut packet = vec![0; size];
        packet[0] = first;
        packet[1..3].copy_from_slice(&number.to_be_bytes());
        framed(&packet).expect("framed")
    }

    #[test]
    fn the_oldest_media_makes_room_and_neither_checks_nor_what_has_begun() {
        let mut unsent = Unsent::default();
        let mut narrow = Narrow(10, Vec::new());
        // 1: the first is half sent, the second a check, the others media, more than there is room for.
        unsent.push(packet(128, 0, 1_022));
        unsent.write(&mut narrow).expect("written");
        unsent.push(packet(1, 1, 1_022));
        for number in 2..70 {
            unsent.push(packet(128, number, 1_022));
        }
        assert_eq!(unsent.bytes, MAX_UNSENT);
        narrow.0 = usize::MAX;
        unsent.write(&mut narrow).expect("written");
        let sent = |frame: &[u8]| u16::from_be_bytes([frame[3], frame[4]]);
        let numbers: Vec<u16> = narrow.1.chunks(1_024).map(sent).collect();
        assert_eq!(numbers, [0, 1].into_iter().chain(8..70).collect::<Vec<_>>());
        assert!(unsent.is_empty() && unsent.bytes == 0);
        // 2: where only checks wait, the newest goes.
        (0..70).for_each(|number| unsent.push(packet(1, number, 1_022)));
        assert_eq!((unsent.frames.len(), sent(&unsent.frames[63])), (64, 63));
    }

    #[test]
    fn strangers_are_closed_and_a_frame_that_is_too_large_ends_the_connection() {
        let (server, mut client) = pair();
        let mut streams = Streams::default();
        let now = Instant::now();
        let (token, _) = streams.take(server, Vec::new(), now).expect("taken");
        streams.sweep(now + Duration::from_secs(4), |_| false);
        assert!(streams.read(token));
        streams.sweep(now + Duration::from_secs(6), |_| true);
        streams.sweep(now + Duration::from_secs(10), |_| false);
        assert!(streams.read(token));
        client.write_all(&[255, 255, 0, 0]).expect("written");
        assert!(read_all(&mut streams, token, 1).is_empty());
        assert!(!streams.read(token), "closed");
    }
}
