//! TCP connections that the signalling process accepted on its own port and hands over: a descriptor, with what was read.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::sys;

/// Largest datagram: what a browser sends before its first check is answered is far below.
const LARGEST: usize = 65_536;
/// Head of a STUN message, and the type of USERNAME (RFC 8489 sections 5, 14.3).
const STUN_HEAD: usize = 20;
const USERNAME: u16 = 6;

/// The socket beside the control socket on which descriptors arrive.
pub struct HandOver {
    socket: UnixDatagram,
    path: PathBuf,
}

impl HandOver {
    /// Binds the path of the control socket with `.tcp` at its end; the control socket's holder owns both.
    pub fn bind(control: &Path) -> io::Result<Self> {
        let mut path = control.as_os_str().to_owned();
        path.push(".tcp");
        let path = PathBuf::from(path);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// The next connection and the bytes read of it.
    pub fn next(&self) -> Option<(TcpStream, Vec<u8>)> {
        let mut bytes = vec![0; LARGEST];
        let (size, descriptor) = sys::receive_descriptor(self.as_raw_fd(), &mut bytes)?;
        bytes.truncate(size);
        Some((TcpStream::from(descriptor?), bytes))
    }
}

impl AsRawFd for HandOver {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for HandOver {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The shard whose user name stands in the first check of a connection.
pub fn shard_named(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    named(bytes.get(2..2 + length)?)
}

/// The same of a datagram; none of one that is no check by its first byte (RFC 7983 section 7).
pub fn shard_in_check(datagram: &[u8]) -> Option<usize> {
    datagram.first().filter(|first| **first <= 3)?;
    named(datagram)
}

/// A ufrag of ours begins with its shard's number.
fn named(check: &[u8]) -> Option<usize> {
    let mut rest = check.get(STUN_HEAD..)?;
    while let [kind_high, kind_low, size_high, size_low, ..] = *rest {
        let size = usize::from(u16::from_be_bytes([size_high, size_low]));
        let value = rest.get(4..4 + size)?;
        if u16::from_be_bytes([kind_high, kind_low]) == USERNAME {
            return offhook_media::shard_of_ufrag(std::str::from_utf8(value).ok()?);
        }
        rest = rest.get(4 + size.next_multiple_of(4)..)?;
    }
    None
}

/// A check with this user name and what else a browser may put before it.
#[cfg(test)]
pub(crate) fn check(username: &[u8]) -> Vec<u8> {
    let mut stun = vec![0, 1, 0, 0];
    stun.extend([0; 16]);
    stun.extend([0x80, 0x22, 0, 3, 1, 2, 3, 0]);
    stun.extend([0, 6, 0, username.len() as u8]);
    stun.extend(username);
    stun.extend([0, 0, 0]);
    stun
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_is_read_from_the_user_name_and_nothing_else_is() {
        let stun = check(b"03000001abcdef:theirs");
        let mut frame = (stun.len() as u16).to_be_bytes().to_vec();
        frame.extend(&stun);
        assert_eq!(shard_named(&frame), Some(3));
        for cut in 0..frame.len() {
            assert_eq!(shard_named(&frame[..cut]), None, "{cut}");
        }
        assert_eq!(shard_named(b"\x00\x04GET "), None);
        assert_eq!(shard_in_check(&stun), Some(3));
        // What only looks alike is none.
        let media: Vec<u8> = [&[0x80], &stun[1..]].concat();
        assert_eq!(shard_in_check(&media), None);
        assert_eq!(shard_in_check(&[]), None);
    }
}
