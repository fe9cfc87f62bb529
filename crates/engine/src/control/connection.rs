//! One connection on the control socket: bytes in, frames out of them, frames back.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use serde::Serialize;

use super::message::{self, Frames, MAX_FRAME};

/// Bytes that may wait for a reader that does not read; then the connection is dropped, the legs stay.
const MAX_UNREAD: usize = 8 * MAX_FRAME;
/// Reads in a row before other work has its turn.
const READS: usize = 16;

/// The commander's connection.
pub struct Connection {
    stream: UnixStream,
    frames: Frames,
    unread: Vec<u8>,
    /// It has said Hello, in our version.
    pub greeted: bool,
}

impl Connection {
    /// An accepted stream.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            frames: Frames::default(),
            unread: Vec::new(),
            greeted: false,
        })
    }

    /// Takes in what has arrived. False when the other side is gone.
    pub fn read(&mut self) -> bool {
        let mut data = [0; 65_536];
        for _ in 0..READS {
            match self.stream.read(&mut data) {
                Ok(0) => return false,
                Ok(size) => self.frames.push(&data[..size]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// The next whole frame's body; an error when a frame is too large.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.frames.next()
    }

    /// Queues a message.
    pub fn say<T: Serialize>(&mut self, message: &T) {
        self.unread.extend(message::frame(message));
    }

    /// Something waits to be written.
    pub fn waits(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Writes what the other side has room for. False when it is gone or has stopped reading.
    pub fn write(&mut self) -> bool {
        let mut written = 0;
        while let Some(rest) = self.unread.get(written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(size) => written += size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.unread.drain(..written);
        self.unread.len() <= MAX_UNREAD
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
