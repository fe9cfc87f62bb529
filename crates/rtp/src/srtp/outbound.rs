//! The sending side: indices that are used once.

use core::fmt;

use super::{MAX_STREAMS, SrtpError, add};
use crate::header::Header;
use crate::keys::MasterKeys;
use crate::suite::Suite;
use crate::transform::{RTCP_CLEAR_LEN, RTCP_WORD_LEN, Transform};
use crate::window::{Position, Window};

/// Packets in unbroken order behind the window before they are taken for a source that started over.
const RESTART_RUN: u8 = 4;
/// SSRCs that gave way and are never sealed for again: their indices are forgotten, so a second use could repeat one.
const MAX_RETIRED: usize = 32;
const INDEX_LIMIT: u64 = 1 << 48;
const RTCP_INDEX_LIMIT: u32 = 1 << 31;

/// Seals SRTP and SRTCP of one direction under one master key.
///
/// No index is used twice, whatever sequence numbers the source has: a late packet is sealed if it lies within 128 of
/// the newest (1 024 once widened) and is new; a source that jumps back continues forwards, under the next rollover counter.
pub struct SrtpOut {
    suite: Suite,
    rtp: Transform,
    rtcp: Transform,
    rtcp_index: u32,
    /// Eight at most; nearly always one.
    streams: Vec<Stream>,
    /// Thirty-two at most.
    retired: Vec<u32>,
    clock: u64,
    wide: bool,
}

struct Stream {
    ssrc: u32,
    window: Window,
    used: u64,
    /// The run of packets behind the window: which sequence continues it, and its length.
    stale_next: u16,
    stale_run: u8,
}

impl SrtpOut {
    /// # Errors
    /// `Crypto` when the library refuses the keys; lengths were checked by `MasterKeys`.
    pub fn new(keys: &MasterKeys) -> Result<Self, SrtpError> {
        Ok(Self {
            suite: keys.suite(),
            rtp: Transform::rtp(keys).map_err(|_| SrtpError::Crypto)?,
            rtcp: Transform::rtcp(keys).map_err(|_| SrtpError::Crypto)?,
            rtcp_index: 0,
            streams: Vec::new(),
            retired: Vec::new(),
            clock: 0,
            wide: false,
        })
    }

    /// Replaces the keys by different ones; every index, that of SRTCP too, goes on from where it is
    /// (RFC 3711 3.3.1, 3.4).
    ///
    /// # Errors
    /// As `new`; the old keys then stay.
    pub fn rekey(&mut self, keys: &MasterKeys) -> Result<(), SrtpError> {
        let rtp = Transform::rtp(keys).map_err(|_| SrtpError::Crypto)?;
        let rtcp = Transform::rtcp(keys).map_err(|_| SrtpError::Crypto)?;
        (self.rtp, self.rtcp) = (rtp, rtcp);
        self.suite = keys.suite();
        // Under a new key no old index can repeat.
        self.retired.clear();
        Ok(())
    }

    /// Video is sent: packets up to 1 024 behind the newest are sealed, instead of 128.
    pub fn widen(&mut self) {
        self.wide = true;
        self.streams
            .iter_mut()
            .for_each(|stream| stream.window.widen());
    }

    /// The suite in use.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Highest 48-bit index sealed for an SSRC.
    #[must_use]
    pub fn index(&self, ssrc: u32) -> Option<u64> {
        self.streams
            .iter()
            .find(|stream| stream.ssrc == ssrc)
            .map(|stream| stream.window.highest())
    }

    /// Seals the RTP packet `buffer[..len]` in place; returns its length with the tag, for which the buffer needs room
    /// (at most 16 bytes). A stream's first sequence number should be below 2^15, so that a receiver that misses the
    /// first packets cannot miss a wrap.
    ///
    /// # Errors
    /// `TooShort`, `NoRoom`, `Replayed` (this sequence number was sealed), `TooOld`, `Exhausted`.
    pub fn seal(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::NoRoom)?;
        let header = Header::parse_sealed(packet).map_err(|_| SrtpError::TooShort)?;
        if buffer.len() - len < self.rtp.tag_len {
            return Err(SrtpError::NoRoom);
        }
        let index = self.claim(header.ssrc, header.sequence)?;
        let sealed = self
            .rtp
            .seal_rtp(buffer, len, header.payload_start, header.ssrc, index);
        sealed.map_err(|_| SrtpError::Crypto)
    }

    /// The index for the next packet of a stream, marked as used.
    fn claim(&mut self, ssrc: u32, sequence: u16) -> Result<u64, SrtpError> {
        self.clock += 1;
        let clock = self.clock;
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.used = clock;
            return stream.claim(sequence);
        }
        if self.retired.contains(&ssrc) {
            return Err(SrtpError::Exhausted);
        }
        if self.streams.len() >= MAX_STREAMS {
            self.retire_oldest()?;
        }
        let index = u64::from(sequence);
        let window = if self.wide {
            Window::wide(index)
        } else {
            Window::starting_at(index)
        };
        let stream = Stream {
            ssrc,
            window,
            used: clock,
            stale_next: 0,
            stale_run: 0,
        };
        add(&mut self.streams, stream);
        Ok(index)
    }

    fn retire_oldest(&mut self) -> Result<(), SrtpError> {
        let oldest = self
            .streams
            .iter()
            .enumerate()
            .min_by_key(|(_, stream)| stream.used);
        let (at, ssrc) = oldest
            .map(|(at, stream)| (at, stream.ssrc))
            .ok_or(SrtpError::Exhausted)?;
        if self.retired.len() >= MAX_RETIRED {
            return Err(SrtpError::Exhausted);
        }
        self.retired.push(ssrc);
        self.streams.swap_remove(at);
        Ok(())
    }

    /// Seals the RTCP compound `buffer[..len]` in place; returns its length with the trailer, for which the buffer
    /// needs room (at most 20 bytes).
    ///
    /// # Errors
    /// `TooShort`, `NoRoom`, `Exhausted`.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        if len < RTCP_CLEAR_LEN {
            return Err(SrtpError::TooShort);
        }
        if buffer.len() < len + self.rtcp.tag_len + RTCP_WORD_LEN {
            return Err(SrtpError::NoRoom);
        }
        let index = self.rtcp_index + 1;
        if index >= RTCP_INDEX_LIMIT {
            return Err(SrtpError::Exhausted);
        }
        self.rtcp_index = index;
        self.rtcp
            .seal_rtcp(buffer, len, index)
            .map_err(|_| SrtpError::Crypto)
    }
}

impl Stream {
    fn claim(&mut self, sequence: u16) -> Result<u64, SrtpError> {
        let highest = self.window.highest();
        let forward = u64::from(sequence.wrapping_sub(highest as u16));
        let behind = (1 << 16) - forward;
        let index = if forward <= 1 << 15 {
            highest + forward
        } else if behind < self.window.width() {
            highest.checked_sub(behind).ok_or(SrtpError::TooOld)?
        } else if self.started_over(sequence) {
            highest + forward
        } else {
            return Err(SrtpError::TooOld);
        };
        match self.window.position(index) {
            _ if index >= INDEX_LIMIT => return Err(SrtpError::Exhausted),
            Position::Seen => return Err(SrtpError::Replayed),
            Position::TooOld => return Err(SrtpError::TooOld),
            Position::Ahead | Position::LateButNew => self.window.take(index),
        }
        self.stale_run = 0;
        Ok(index)
    }

    /// A stray late packet is refused; a run of them is a source that began anew.
    fn started_over(&mut self, sequence: u16) -> bool {
        let continues = self.stale_run > 0 && sequence == self.stale_next;
        self.stale_run = if continues { self.stale_run + 1 } else { 1 };
        self.stale_next = sequence.wrapping_add(1);
        self.stale_run >= RESTART_RUN
    }
}

impl fmt::Debug for SrtpOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SrtpOut({}, {} streams)", self.suite, self.streams.len())
    }
}
