//! The receiving side: rollover counters, replay windows, recovery of a lost counter.

use core::fmt;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::{MAX_STREAMS, SrtpError, add, nearest_index};
use crate::header::Header;
use crate::keys::MasterKeys;
use crate::suite::Suite;
use crate::transform::Transform;
use crate::window::{Position, Window};
use crate::wire::u32_at;

/// Failures in a row before other rollover counters are tried: 160 ms of audio, far from a single damaged packet.
const FAILURES_BEFORE_TRIAL: u8 = 8;
/// At most one packet in this time is tried with other counters, so that forged packets cost one decryption each.
const TRIAL_INTERVAL: Duration = Duration::from_secs(1);
/// A lower counter re-opens old packets to replay, so it is believed only when nothing else authenticated for so long.
const QUIET_BEFORE_STEPPING_BACK: Duration = Duration::from_secs(1);
/// Datagrams are bounded by this, so a trial's copy fits the stack.
const MAX_TRIAL_LEN: usize = 2048;
const MAX_ROC: u64 = u32::MAX as u64;

/// What happened to the packets of one direction since the keys came; all of them only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InCounters {
    /// RTP packets opened.
    pub opened: u64,
    /// RTP packets whose tag did not match.
    pub failed: u64,
    /// RTP packets refused as seen before.
    pub replayed: u64,
    /// RTP packets refused as behind the window.
    pub too_old: u64,
    /// Packets tried with other rollover counters.
    pub roc_trials: u64,
    /// RTCP packets opened.
    pub rtcp_opened: u64,
    /// RTCP packets whose tag did not match, or seen before, or too old.
    pub rtcp_refused: u64,
}

/// Opens SRTP and SRTCP of one direction under one master key.
pub struct SrtpIn {
    suite: Suite,
    rtp: Transform,
    rtcp: Transform,
    /// Eight at most, as of `reports`; nearly always one.
    streams: Vec<Stream>,
    reports: Vec<ReportStream>,
    /// Failures of SSRCs that never authenticated: one count for all, since they are a stranger's claim.
    strangers: Failures,
    clock: u64,
    counters: InCounters,
    wide: bool,
}

struct Stream {
    ssrc: u32,
    window: Window,
    used: u64,
    opened_at: Option<Instant>,
    failures: Failures,
}

struct ReportStream {
    ssrc: u32,
    window: Window,
    used: u64,
}

#[derive(Default)]
struct Failures {
    in_a_row: u8,
    last_trial: Option<Instant>,
}

impl Failures {
    fn trial_due(&self, now: Instant) -> bool {
        let rested = self
            .last_trial
            .is_none_or(|last| now.saturating_duration_since(last) >= TRIAL_INTERVAL);
        self.in_a_row >= FAILURES_BEFORE_TRIAL && rested
    }
}

impl SrtpIn {
    /// # Errors
    /// `Crypto` when the library refuses the keys; lengths were checked by `MasterKeys`.
    pub fn new(keys: &MasterKeys) -> Result<Self, SrtpError> {
        Ok(Self {
            suite: keys.suite(),
            rtp: Transform::rtp(keys).map_err(|_| SrtpError::Crypto)?,
            rtcp: Transform::rtcp(keys).map_err(|_| SrtpError::Crypto)?,
            streams: Vec::new(),
            reports: Vec::new(),
            strangers: Failures::default(),
            clock: 0,
            counters: InCounters::default(),
            wide: false,
        })
    }

    /// Replaces the keys by different ones and keeps every SSRC's rollover counter (RFC 3711 3.3.1). Where the peer
    /// starts over (SDES: new address and new key) make a new `SrtpIn` instead.
    ///
    /// # Errors
    /// As `new`; the old keys then stay.
    pub fn rekey(&mut self, keys: &MasterKeys) -> Result<(), SrtpError> {
        let rtp = Transform::rtp(keys).map_err(|_| SrtpError::Crypto)?;
        let rtcp = Transform::rtcp(keys).map_err(|_| SrtpError::Crypto)?;
        (self.rtp, self.rtcp) = (rtp, rtcp);
        self.suite = keys.suite();
        // Nothing sealed under the old key opens now, so old indices cannot be replayed.
        self.reports.clear();
        self.strangers = Failures::default();
        for stream in &mut self.streams {
            stream.failures = Failures::default();
            stream.opened_at = None;
        }
        Ok(())
    }

    /// Video comes: streams are remembered 1 024 packets back instead of 128 (RFC 3711 3.3.2).
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

    /// Counters since `new`.
    #[must_use]
    pub fn counters(&self) -> InCounters {
        self.counters
    }

    /// Rollover counter of an SSRC that has authenticated.
    #[must_use]
    pub fn roc(&self, ssrc: u32) -> Option<u32> {
        let stream = self.streams.iter().find(|stream| stream.ssrc == ssrc)?;
        u32::try_from(stream.window.highest() >> 16).ok()
    }

    /// Opens an RTP packet in place; returns its length without the tag. After an error the bytes are not to be used.
    ///
    /// # Errors
    /// `TooShort`, `Auth`, `Replayed`, `TooOld`.
    pub fn open(&mut self, packet: &mut [u8], now: Instant) -> Result<usize, SrtpError> {
        let header = Header::parse_sealed(packet).map_err(|_| SrtpError::TooShort)?;
        if packet.len() < header.payload_start + self.rtp.tag_len {
            return Err(SrtpError::TooShort);
        }
        let at = self
            .streams
            .iter()
            .position(|stream| stream.ssrc == header.ssrc);
        let (failures, guess, position) = match at.and_then(|at| self.streams.get(at)) {
            Some(stream) => {
                let guess = nearest_index(stream.window.highest(), header.sequence);
                (&stream.failures, guess, stream.window.position(guess))
            }
            // RFC 3711 3.3.1: a stream begins with a rollover counter of zero.
            None => (&self.strangers, u64::from(header.sequence), Position::Ahead),
        };
        let due = failures.trial_due(now) && packet.len() <= MAX_TRIAL_LEN;
        let opened = match position {
            Position::Seen => Err(SrtpError::Replayed),
            _ if due => self.open_by_trial(packet, &header, at, guess, now),
            Position::TooOld => Err(SrtpError::TooOld),
            Position::Ahead | Position::LateButNew => self.open_at(packet, &header, guess),
        };
        match opened {
            Ok((len, index)) => {
                self.accept(at, header.ssrc, index, now);
                Ok(len)
            }
            Err(error) => {
                self.refuse(at, error);
                Err(error)
            }
        }
    }

    fn open_at(
        &self,
        packet: &mut [u8],
        header: &Header,
        index: u64,
    ) -> Result<(usize, u64), SrtpError> {
        let len = self
            .rtp
            .open_rtp(packet, header.payload_start, header.ssrc, index);
        len.map(|len| (len, index)).map_err(|_| SrtpError::Auth)
    }

    /// Opens with the guessed index, then with the counters a peer may have come to: unchanged, one more, one less,
    /// zero.
    fn open_by_trial(
        &mut self,
        packet: &mut [u8],
        header: &Header,
        at: Option<usize>,
        guess: u64,
        now: Instant,
    ) -> Result<(usize, u64), SrtpError> {
        self.counters.roc_trials += 1;
        let failures = at
            .and_then(|at| self.streams.get_mut(at))
            .map(|stream| &mut stream.failures);
        failures.unwrap_or(&mut self.strangers).last_trial = Some(now);
        let stream = at.and_then(|at| self.streams.get(at));
        let candidates = candidates(stream, header.sequence, guess, now);

        // A failed GCM opening destroys the packet, so each candidate gets it afresh.
        let mut copy = [0; MAX_TRIAL_LEN];
        let copy = copy.get_mut(..packet.len()).ok_or(SrtpError::Auth)?;
        copy.copy_from_slice(packet);
        for index in candidates {
            packet.copy_from_slice(copy);
            let opened = self.open_at(packet, header, index);
            if opened.is_ok() {
                return opened;
            }
        }
        Err(SrtpError::Auth)
    }

    fn accept(&mut self, at: Option<usize>, ssrc: u32, index: u64, now: Instant) {
        self.counters.opened += 1;
        self.clock += 1;
        let Some(stream) = at.and_then(|at| self.streams.get_mut(at)) else {
            self.strangers = Failures::default();
            let window = if self.wide {
                Window::wide(index)
            } else {
                Window::starting_at(index)
            };
            let fresh = Stream {
                ssrc,
                window,
                used: self.clock,
                opened_at: Some(now),
                failures: Failures::default(),
            };
            insert(&mut self.streams, fresh, |stream| stream.used);
            return;
        };
        match stream.window.position(index) {
            // Only a trial that stepped back gets here with an index the window does not know.
            Position::TooOld | Position::Seen => stream.window = stream.window.renewed(index),
            Position::Ahead | Position::LateButNew => stream.window.take(index),
        }
        stream.used = self.clock;
        stream.opened_at = Some(now);
        stream.failures.in_a_row = 0;
    }

    fn refuse(&mut self, at: Option<usize>, error: SrtpError) {
        match error {
            SrtpError::Replayed => {
                self.counters.replayed += 1;
                return;
            }
            SrtpError::TooOld => self.counters.too_old += 1,
            _ => self.counters.failed += 1,
        }
        // A packet that seems too old counts: behind a lost rollover counter all of them seem so.
        let failures = at
            .and_then(|at| self.streams.get_mut(at))
            .map(|stream| &mut stream.failures);
        let failures = failures.unwrap_or(&mut self.strangers);
        failures.in_a_row = failures.in_a_row.saturating_add(1);
    }

    /// Opens an RTCP compound in place; returns its length without the trailer. After an error the bytes are not to be
    /// used.
    ///
    /// # Errors
    /// `TooShort`, `Auth`, `Replayed`, `TooOld`.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let opened = self.try_open_rtcp(packet);
        match opened {
            Ok(_) => self.counters.rtcp_opened += 1,
            Err(_) => self.counters.rtcp_refused += 1,
        }
        opened
    }

    fn try_open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = u32_at(packet, 4).ok_or(SrtpError::TooShort)?;
        let index = u64::from(self.rtcp.rtcp_index(packet).ok_or(SrtpError::TooShort)?);
        let at = self.reports.iter().position(|report| report.ssrc == ssrc);
        match at
            .and_then(|at| self.reports.get(at))
            .map(|report| report.window.position(index))
        {
            Some(Position::Seen) => return Err(SrtpError::Replayed),
            Some(Position::TooOld) => return Err(SrtpError::TooOld),
            Some(Position::Ahead | Position::LateButNew) | None => {}
        }
        let len = self.rtcp.open_rtcp(packet).map_err(|_| SrtpError::Auth)?;
        self.clock += 1;
        if let Some(report) = at.and_then(|at| self.reports.get_mut(at)) {
            report.window.take(index);
            report.used = self.clock;
        } else {
            let fresh = ReportStream {
                ssrc,
                window: Window::starting_at(index),
                used: self.clock,
            };
            insert(&mut self.reports, fresh, |report| report.used);
        }
        Ok(len)
    }
}

/// The indices worth a decryption, best first: the guess unless it is too old, then counters the stream may have
/// moved to.
fn candidates(
    stream: Option<&Stream>,
    sequence: u16,
    guess: u64,
    now: Instant,
) -> ArrayVec<u64, 5> {
    let mut list = ArrayVec::new();
    let Some(stream) = stream else {
        // Of a stream without history only its first wrap can have been missed.
        list.extend([guess, 1 << 16 | guess]);
        return list;
    };
    let roc = stream.window.highest() >> 16;
    let quiet = stream
        .opened_at
        .is_none_or(|last| now.saturating_duration_since(last) >= QUIET_BEFORE_STEPPING_BACK);
    if stream.window.position(guess) != Position::TooOld {
        list.push(guess);
    }
    let others = [
        Some(roc),
        roc.checked_add(1).filter(|roc| *roc <= MAX_ROC),
        roc.checked_sub(1),
        Some(0),
    ];
    for candidate in others.into_iter().flatten() {
        let index = candidate << 16 | u64::from(sequence);
        let ahead = stream.window.position(index) == Position::Ahead;
        if (ahead || (candidate < roc && quiet)) && !list.contains(&index) {
            list.push(index);
        }
    }
    list
}

/// Adds an entry; the least recently used gives way when the table is full.
fn insert<T>(table: &mut Vec<T>, entry: T, used: impl Fn(&T) -> u64) {
    if table.len() >= MAX_STREAMS {
        let oldest = table
            .iter()
            .enumerate()
            .min_by_key(|(_, entry)| used(entry))
            .map(|(at, _)| at);
        if let Some(at) = oldest {
            table.swap_remove(at);
        }
    }
    add(table, entry);
}

impl fmt::Debug for SrtpIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SrtpIn({}, {} streams, {} opened)",
            self.suite,
            self.streams.len(),
            self.counters.opened
        )
    }
}
