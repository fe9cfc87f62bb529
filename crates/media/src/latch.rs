//! Which source a plain RTP leg believes, and where it therefore sends (MEDIA.md's rules of latching and RTP bleed).
//!
//! The signalled address is accepted at once. Another source needs five packets in a row while the signalled one is
//! quiet. After the latch the source is strict. It opens again once it was quiet for two seconds: to one that continues the
//! same SSRC and sequence, and after another description (a phone that was held may come back through another hole of its
//! NAT, with a new stream) to one of five packets in a row. A description with another address begins all anew.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::description::Latch as Policy;

/// Packets in a row that make another source believed: 100 ms of audio, more than a stray or a short spray.
const STEADY: u32 = 5;
/// Learning ends so long after the first packet: a phone behind NAT sends at once, a later stranger is an attacker.
const LEARNING: Duration = Duration::from_secs(3);
/// A latched source must be quiet for this long before another may continue its stream.
const QUIET: Duration = Duration::from_secs(2);
/// How far ahead of the last sequence number a continuation may lie: a minute of 20 ms packets.
const PLAUSIBLE_GAP: u16 = 3_000;
/// Numbers a steady source may skip between two packets: losses, not another stream.
const PLAUSIBLE_LOSS: u16 = 10;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// From the source we believe.
    Accept,
    /// Believed from now on: the path changed.
    Latched,
    /// Not believed.
    Refuse,
}

/// The parts of a header the latch looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    /// The payload type was negotiated.
    pub(crate) known: bool,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Since the first packet, once there was one.
    Learning(Option<Instant>),
    Latched(SocketAddr),
}

/// Whether a description came since the latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Described {
    Before,
    Since,
    /// And another source began to send then.
    Courted(Instant),
}

/// The latch of one port.
#[derive(Debug)]
pub(crate) struct Latch {
    policy: Policy,
    signalled: Option<SocketAddr>,
    state: State,
    described: Described,
    candidate: Option<Candidate>,
    /// Last packet believed: its SSRC, sequence, and when.
    last: Option<(u32, u16, Instant)>,
    refused: u64,
    refused_from: Option<(SocketAddr, Instant)>,
}

impl Latch {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            signalled: None,
            state: State::Closed,
            described: Described::Before,
            candidate: None,
            last: None,
            refused: 0,
            refused_from: None,
        }
    }

    /// The peer's description names this address (`None`: none). The same again keeps what is believed.
    pub(crate) fn signal(&mut self, policy: Policy, address: Option<SocketAddr>) {
        let same =
            self.state != State::Closed && self.signalled == address && self.policy == policy;
        if same {
            self.described = Described::Since;
            return;
        }
        self.policy = policy;
        self.signalled = address;
        self.state = State::Learning(None);
        self.candidate = None;
        self.last = None;
        self.refused_from = None;
    }

    /// Where we send: the latched address, else the signalled one; never a mere candidate.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        match self.state {
            State::Latched(source) => Some(source),
            State::Closed | State::Learning(_) => self.signalled,
        }
    }

    /// closed, learning or latched.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Learning(_) => "learning",
            State::Latched(_) => "latched",
        }
    }

    /// exact or nat.
    pub(crate) fn policy_name(&self) -> &'static str {
        match self.policy {
            Policy::Exact => "exact",
            Policy::Nat => "nat",
        }
    }

    /// Packets in a row of the source that is not believed yet.
    pub(crate) fn consistent(&self) -> u32 {
        self.candidate.map_or(0, |candidate| candidate.count)
    }

    /// Packets refused so far, the last refused source and when.
    pub(crate) fn refused(&self) -> (u64, Option<(SocketAddr, Instant)>) {
        (self.refused, self.refused_from)
    }

    /// Judges one packet, and learns from it.
    pub(crate) fn judge(&mut self, source: SocketAddr, claim: Claim, now: Instant) -> Judgement {
        let judgement = match self.state {
            State::Closed => Judgement::Refuse,
            State::Latched(latched) if latched == source => Judgement::Accept,
            State::Latched(_) => self.reopen(source, claim, now),
            State::Learning(first) => self.learn(source, claim, first, now),
        };
        match judgement {
            Judgement::Refuse => self.refuse(source, now),
            Judgement::Accept | Judgement::Latched => {
                self.last = Some((claim.ssrc, claim.sequence, now))
            }
        }
        judgement
    }

    /// Counts a source that is not believed.
    pub(crate) fn refuse(&mut self, source: SocketAddr, now: Instant) {
        self.refused += 1;
        self.refused_from = Some((source, now));
    }

    /// Whether another source than the signalled one may ever be believed.
    pub(crate) fn may_move(&self) -> bool {
        self.policy == Policy::Nat
    }

    /// The source proved by its certificate who it is; whether that moves the path.
    pub(crate) fn believe(&mut self, source: SocketAddr) -> bool {
        let moved = self.destination() != Some(source);
        self.state = State::Latched(source);
        self.candidate = None;
        moved
    }

    fn learn(
        &mut self,
        source: SocketAddr,
        claim: Claim,
        first: Option<Instant>,
        now: Instant,
    ) -> Judgement {
        if self.signalled == Some(source) {
            return self.latch(source, false);
        }
        let first = first.unwrap_or(now);
        self.state = State::Learning(Some(first));
        if self.policy == Policy::Exact
            || !claim.known
            || now.saturating_duration_since(first) > LEARNING
        {
            return Judgement::Refuse;
        }
        if self.steady(source, claim) {
            self.latch(source, true)
        } else {
            Judgement::Refuse
        }
    }

    /// Counts packets in a row; a source with the signalled host takes the place of one with another.
    fn steady(&mut self, source: SocketAddr, claim: Claim) -> bool {
        let nearer = |address: SocketAddr| {
            self.signalled
                .is_some_and(|signalled| signalled.ip() == address.ip())
        };
        let fresh = Candidate {
            source,
            ssrc: claim.ssrc,
            sequence: claim.sequence,
            count: 1,
        };
        let Some(candidate) = self.candidate else {
            self.candidate = Some(fresh);
            return false;
        };
        if candidate.source != source {
            if !nearer(candidate.source) || nearer(source) {
                self.candidate = Some(fresh);
            }
            return false;
        }
        let step = claim.sequence.wrapping_sub(candidate.sequence);
        let continues = candidate.ssrc == claim.ssrc && (1..=PLAUSIBLE_LOSS).contains(&step);
        let count = if continues { candidate.count + 1 } else { 1 };
        self.candidate = Some(Candidate { count, ..fresh });
        count >= STEADY
    }

    fn reopen(&mut self, source: SocketAddr, claim: Claim, now: Instant) -> Judgement {
        let Some((ssrc, sequence, heard)) = self.last else {
            return Judgement::Refuse;
        };
        let quiet = now.saturating_duration_since(heard) >= QUIET;
        let ahead = (1..=PLAUSIBLE_GAP).contains(&claim.sequence.wrapping_sub(sequence));
        if !claim.known || self.policy != Policy::Nat {
            return Judgement::Refuse;
        }
        let begins = self.begins(source, claim, now);
        if quiet && (begins || ahead && claim.ssrc == ssrc) {
            self.latch(source, true)
        } else {
            Judgement::Refuse
        }
    }

    /// Whether a source begins a stream of its own, soon after a description that came since the latch.
    fn begins(&mut self, source: SocketAddr, claim: Claim, now: Instant) -> bool {
        let first = match self.described {
            Described::Before => return false,
            Described::Since => now,
            Described::Courted(first) => first,
        };
        self.described = Described::Courted(first);
        now.saturating_duration_since(first) <= LEARNING && self.steady(source, claim)
    }

    fn latch(&mut self, source: SocketAddr, moved: bool) -> Judgement {
        self.state = State::Latched(source);
        self.described = Described::Before;
        self.candidate = None;
        if moved {
            Judgement::Latched
        } else {
            Judgement::Accept
        }
    }
}
