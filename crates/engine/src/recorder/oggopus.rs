//! Ogg Opus files (RFC 7845), one page a second: what is on disk is playable at every moment.
//!
//! Two channels are two mono streams side by side (channel mapping family 1, nothing coupled): each is encoded by itself, so
//! that nobody's voice leaks into the other's channel.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};

use ogg::{PacketWriteEndInfo, PacketWriter};

/// Samples of 48 kHz in a packet of ours.
pub const PACKET_TICKS: u64 = 960;
/// Samples of 48 kHz on a page: one second is lost at most.
const PAGE: u64 = 48_000;
/// What libopus needs before its sound is right, in samples of 48 kHz (6.5 ms).
const PRE_SKIP: u16 = 312;
/// A packet of 20 ms that holds nothing (RFC 6716 section 3.2.1: a frame of no length), wide-band SILK.
pub const NOTHING: [u8; 1] = [9 << 3];

struct Counted {
    file: File,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that grows.
pub struct OggOpus {
    writer: PacketWriter<'static, Counted>,
    serial: u32,
    /// Samples of 48 kHz in written packets, and on the page in hand.
    ticks: u64,
    page: u64,
    /// The last packet, held back: only when the end comes is it known to be the last.
    held: Option<(Vec<u8>, u64)>,
}

impl OggOpus {
    /// Begins a file. `serial` tells it from others in one stream.
    pub fn new(file: File, channels: u8, rate: u32, serial: u32) -> io::Result<Self> {
        let mut writer = PacketWriter::new(Counted { file, bytes: 0 });
        let mut head = b"OpusHead\x01".to_vec();
        head.push(channels);
        head.extend(PRE_SKIP.to_le_bytes());
        head.extend(rate.to_le_bytes());
        head.extend(0i16.to_le_bytes());
        match channels {
            1 => head.push(0),
            _ => {
                // Family 1: two streams, none coupled, the first is left.
                head.extend([1, channels, 0]);
                head.extend(0..channels);
            }
        }
        let mut tags = b"OpusTags".to_vec();
        for text in ["offhook", ""] {
            tags.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
            tags.extend(text.as_bytes());
        }
        for packet in [head, tags] {
            writer.write_packet(packet, serial, PacketWriteEndInfo::EndPage, 0)?;
        }
        Ok(Self {
            writer,
            serial,
            ticks: 0,
            page: 0,
            held: None,
        })
    }

    /// The next `ticks` samples of 48 kHz: a packet for each channel.
    pub fn push(&mut self, channels: &[&[u8]], ticks: u64) -> io::Result<()> {
        let packet = match channels {
            [one] => one.to_vec(),
            [first, second] => side_by_side(first, second),
            _ => return Ok(()),
        };
        match self.held.replace((packet, ticks)) {
            Some(before) => self.write(before, false),
            None => Ok(()),
        }
    }

    fn write(&mut self, (packet, ticks): (Vec<u8>, u64), last: bool) -> io::Result<()> {
        self.ticks += ticks;
        self.page += ticks;
        let info = if last {
            PacketWriteEndInfo::EndStream
        } else if self.page >= PAGE {
            self.page = 0;
            PacketWriteEndInfo::EndPage
        } else {
            PacketWriteEndInfo::NormalPacket
        };
        let packet: Cow<'static, [u8]> = packet.into();
        self.writer
            .write_packet(packet, self.serial, info, self.ticks)
    }

    /// The end.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(packet) => self.write(packet, true),
            None => Ok(()),
        }
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.writer.inner().bytes
    }
}

/// Two packets as one (RFC 6716 appendix B): the first says its own length.
fn side_by_side(first: &[u8], second: &[u8]) -> Vec<u8> {
    let (head, frame) = first.split_first().unwrap_or((&NOTHING[0], &[]));
    let mut out = vec![*head];
    let size = frame.len();
    if size < 252 {
        out.push(u8::try_from(size).unwrap_or(0));
    } else {
        // Section 3.2.1: 252 + the two low bits, then the rest divided by four.
        let low = 252 + (size & 3);
        out.push(u8::try_from(low).unwrap_or(255));
        out.push(u8::try_from((size - low) / 4).unwrap_or(255));
    }
    out.extend(frame);
    out.extend(second);
    out
}
