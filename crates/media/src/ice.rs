//! ICE-lite of one leg (RFC 8445 section 2.5): checks are answered, and never sent.
//!
//! We send to the pair that last carried an authenticated USE-CANDIDATE. An agent that replaces another (restart) stands
//! beside it until a pair of the new one is nominated. Messages are those of `is`; of its agent, which remembers every
//! address and pairs it for checks that a lite agent does not send, nothing is needed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use aws_lc_rs::hmac;
use is::stun::StunMessage;

use crate::io::SocketId;

/// Addresses of a leg in the demultiplexer: the pair in use, the one before and a few under test.
pub(crate) const MAX_SOURCES: usize = 8;
/// Checks kept until the peer's description says who it is.
const MAX_EARLY: usize = 16;
/// A pair of lower priority waits until the current one has had no nomination for so long (aggressive nomination).
const NOMINATION_REST: Duration = Duration::from_millis(500);
/// A peer without a request for so long is gone (browsers check every 2.5 s; RFC 7675 asks for 30 s at most).
pub(crate) const LIVENESS: Duration = Duration::from_secs(15);
/// Characters of our password: 24 of 64 each, 144 bits (RFC 8445 section 5.3 asks for 128).
const PASSWORD_BYTES: usize = 24;
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Octets of an answer: 76 with an IPv6 address, and as many for a conflict of roles.
const MAX_ANSWER: usize = 128;

/// The answer to a check.
pub(crate) type Answer = ArrayVec<u8, MAX_ANSWER>;

fn sha1_hmac(key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = hmac::Context::with_key(&key);
    payloads.iter().for_each(|payload| context.update(payload));
    context.sign().as_ref().try_into().unwrap_or_default()
}

/// A pair of ours: the socket and the peer's address.
pub(crate) type Pair = (SocketId, SocketAddr);

/// User name fragment and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    /// Draws credentials; the ufrag spells shard and slot, so that a check finds its leg without a search.
    pub(crate) fn draw(shard: u8, slot: u32, fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut random = [0u8; 8 + PASSWORD_BYTES];
        fill(&mut random);
        let text: String = random.iter().map(|byte| ice_char(*byte)).collect();
        let (tail, password) = text.split_at(8);
        Self {
            ufrag: format!("{shard:02x}{slot:06x}{tail}"),
            password: password.to_owned(),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<credentials {}, redacted>", self.ufrag)
    }
}

fn ice_char(byte: u8) -> char {
    ICE_CHARS
        .get(usize::from(byte & 63))
        .map_or('A', |byte| char::from(*byte))
}

/// The slot a ufrag of ours spells.
pub(crate) fn slot_of(ufrag: &str) -> Option<u32> {
    u32::from_str_radix(ufrag.get(2..8)?, 16).ok()
}

/// The shard that a ufrag of ours, or a user name that begins with one, spells: for connections that are not a shard's own.
pub fn shard_of_ufrag(ufrag: &str) -> Option<usize> {
    usize::from_str_radix(ufrag.get(..2)?, 16).ok()
}

/// What a check brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// The user name is not ours, or the peer's half of it is wrong.
    Stranger,
    /// The user name is ours, the password is not.
    BadIntegrity,
    /// Authenticated: from now on packets of this source are the leg's.
    Valid,
}

/// One side of a description each: what a restart replaces.
struct Agent {
    credentials: Credentials,
    remote: Option<Credentials>,
    /// Nominations that came before the peer's description: pair, priority, the peer's ufrag; `MAX_EARLY` at most.
    early: Vec<(Pair, u32, String)>,
}

impl Agent {
    fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            remote: None,
            early: Vec::new(),
        }
    }

    fn set_remote(&mut self, remote: &Credentials) -> bool {
        if self.remote.as_ref() == Some(remote) {
            return false;
        }
        self.remote = Some(remote.clone());
        true
    }

    /// Judges a binding request, and answers one that is authentic: at once, as its password is ours (RFC 8445 section 7.3).
    fn check(&self, message: &StunMessage<'_>, source: SocketAddr) -> (Check, Option<Answer>) {
        let expected = self.remote.as_ref().map(|remote| remote.ufrag.as_str());
        let theirs = message.split_username().map(|(_, theirs)| theirs);
        if expected.is_some_and(|expected| theirs != Some(expected)) {
            return (Check::Stranger, None);
        }
        let password = self.credentials.password.as_bytes();
        if !message.verify(password, sha1_hmac) {
            return (Check::BadIntegrity, None);
        }
        // A lite agent never changes role: whoever is controlled too must (RFC 8445 section 7.3.1.1).
        let answer = if message.ice_controlled().is_some() {
            StunMessage::binding_role_conflict_reply(message.trans_id())
        } else {
            StunMessage::binding_reply(message.trans_id(), source)
        };
        (Check::Valid, written(answer, password))
    }
}

fn written(answer: StunMessage<'_>, password: &[u8]) -> Option<Answer> {
    let mut bytes = Answer::from([0; MAX_ANSWER]);
    let len = answer
        .to_bytes(Some(password), &mut bytes, sha1_hmac)
        .ok()?;
    bytes.truncate(len);
    Some(bytes)
}

/// The path of a WebRTC leg.
pub(crate) struct Ice {
    agent: Agent,
    /// Boxed: it is rare, and as large as all the rest.
    next: Option<Box<Agent>>,
    nominated: Option<Nomination>,
    waiting: Option<Nomination>,
    /// Addresses entered in the demultiplexer, the newest last.
    sources: Vec<Pair>,
    last_request: Option<Instant>,
    pub(crate) requests: u32,
    pub(crate) bad_integrity: u32,
    pub(crate) wrong_ufrag: u32,
    pub(crate) path_changes: u32,
    /// Since when the selected pair is the selected one.
    pub(crate) selected_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Nomination {
    pair: Pair,
    priority: u32,
    at: Instant,
}

/// What comes of a check.
pub(crate) struct Checked {
    pub(crate) check: Check,
    /// The newly selected pair.
    pub(crate) selected: Option<Pair>,
    pub(crate) answer: Option<Answer>,
}

/// What the demultiplexer has to do after a check.
#[derive(Debug, Default)]
pub(crate) struct Entered {
    pub(crate) enter: Option<Pair>,
    pub(crate) leave: Option<Pair>,
}

impl Ice {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            agent: Agent::new(credentials),
            next: None,
            nominated: None,
            waiting: None,
            sources: Vec::new(),
            last_request: None,
            requests: 0,
            bad_integrity: 0,
            wrong_ufrag: 0,
            path_changes: 0,
            selected_at: None,
        }
    }

    /// The credentials to announce: those of the newest agent.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.next.as_deref().unwrap_or(&self.agent).credentials
    }

    /// Prepares a restart (RFC 8445 section 9); media stays where it is.
    pub(crate) fn restart(&mut self, credentials: Credentials) {
        self.next = Some(Box::new(Agent::new(credentials)));
    }

    /// The peer's credentials. Returns the pair that became the selected one, if early checks named it.
    pub(crate) fn set_remote(&mut self, ufrag: &str, password: &str, now: Instant) -> Option<Pair> {
        let remote = Credentials {
            ufrag: ufrag.to_owned(),
            password: password.to_owned(),
        };
        // A repeated description of the path in use is not the answer to a restart.
        if self.next.is_some() && self.agent.remote.as_ref() == Some(&remote) {
            return None;
        }
        let restarted = self.next.is_some();
        let agent = self.next.as_deref_mut().unwrap_or(&mut self.agent);
        if !agent.set_remote(&remote) {
            return None;
        }
        let early = std::mem::take(&mut agent.early);
        let mut chosen = None;
        for (pair, priority, theirs) in early {
            if theirs == ufrag {
                chosen = self
                    .nominate(
                        Nomination {
                            pair,
                            priority,
                            at: now,
                        },
                        restarted,
                    )
                    .or(chosen);
            }
        }
        chosen
    }

    /// Takes a binding request.
    pub(crate) fn check(
        &mut self,
        socket: SocketId,
        source: SocketAddr,
        message: &StunMessage<'_>,
        now: Instant,
    ) -> Checked {
        let (ours, theirs) = message.split_username().unwrap_or_default();
        let restarted = self
            .next
            .as_ref()
            .is_some_and(|next| next.credentials.ufrag == ours);
        let agent = agent_of(&mut self.agent, &mut self.next, restarted);
        let (check, answer) = if agent.credentials.ufrag == ours {
            agent.check(message, source)
        } else {
            (Check::Stranger, None)
        };
        match check {
            Check::Stranger => count(&mut self.wrong_ufrag),
            Check::BadIntegrity => count(&mut self.bad_integrity),
            Check::Valid => {
                count(&mut self.requests);
                self.last_request = Some(now);
            }
        }
        let (pair, priority) = ((socket, source), message.prio().unwrap_or_default());
        let selected = if check != Check::Valid || !message.use_candidate() {
            None
        } else if agent.remote.is_some() {
            let new = Nomination {
                pair,
                priority,
                at: now,
            };
            self.nominate(new, restarted)
        } else {
            // Bounded: what does not fit is nominated again by the next check.
            if agent.early.len() < MAX_EARLY {
                agent.early.push((pair, priority, theirs.to_owned()));
            }
            None
        };
        Checked {
            check,
            selected,
            answer,
        }
    }

    fn nominate(&mut self, new: Nomination, restarted: bool) -> Option<Pair> {
        if restarted {
            if let Some(next) = self.next.take() {
                self.agent = *next;
            }
            return self.select(new);
        }
        match self.nominated {
            Some(current) if current.pair == new.pair => {
                self.nominated = Some(new);
                None
            }
            Some(current) if !rested(current, new.at) && new.priority < current.priority => {
                self.waiting = Some(new);
                None
            }
            _ => self.select(new),
        }
    }

    fn select(&mut self, new: Nomination) -> Option<Pair> {
        let changed = self
            .nominated
            .is_none_or(|current| current.pair != new.pair);
        self.nominated = Some(new);
        self.waiting = None;
        if changed {
            count(&mut self.path_changes);
            self.selected_at = Some(new.at);
        }
        changed.then_some(new.pair)
    }

    /// A nomination that had to wait takes over once the current pair is no longer nominated.
    pub(crate) fn settle(&mut self, now: Instant) -> Option<Pair> {
        let (current, waiting) = (self.nominated?, self.waiting?);
        if waiting.at > current.at && rested(current, now) {
            self.select(waiting)
        } else {
            None
        }
    }

    /// Remembers an authenticated source; the oldest gives way, never the selected pair.
    pub(crate) fn enter(&mut self, pair: Pair) -> Entered {
        if self.sources.contains(&pair) {
            return Entered::default();
        }
        let selected = self.selected();
        let mut leave = None;
        if self.sources.len() >= MAX_SOURCES {
            let oldest = self
                .sources
                .iter()
                .position(|source| Some(*source) != selected);
            leave = oldest.map(|oldest| self.sources.remove(oldest));
        }
        self.sources.reserve_exact(1);
        self.sources.push(pair);
        Entered {
            enter: Some(pair),
            leave,
        }
    }

    /// All addresses entered.
    pub(crate) fn sources(&self) -> &[Pair] {
        &self.sources
    }

    /// The pair last nominated.
    pub(crate) fn selected(&self) -> Option<Pair> {
        self.nominated.map(|nomination| nomination.pair)
    }

    /// Where to send before a nomination: nowhere; where to send while the peer is alive: the selected pair.
    pub(crate) fn destination(&self, now: Instant) -> Option<Pair> {
        self.selected().filter(|_| self.alive(now))
    }

    /// Whether the peer proved in time that it is there.
    pub(crate) fn alive(&self, now: Instant) -> bool {
        self.last_request
            .is_some_and(|last| now.saturating_duration_since(last) < LIVENESS)
    }

    /// When the last valid check came.
    pub(crate) fn last_request(&self) -> Option<Instant> {
        self.last_request
    }

    /// new, checking, connected or disconnected.
    pub(crate) fn state_name(&self, now: Instant) -> &'static str {
        match (self.last_request, self.nominated) {
            (None, _) => "new",
            (Some(_), _) if !self.alive(now) => "disconnected",
            (Some(_), None) => "checking",
            (Some(_), Some(_)) => "connected",
        }
    }
}

fn agent_of<'a>(
    agent: &'a mut Agent,
    next: &'a mut Option<Box<Agent>>,
    restarted: bool,
) -> &'a mut Agent {
    match next {
        Some(next) if restarted => next,
        _ => agent,
    }
}

/// Stays at the most there is: four bytes are enough for any call that is none of an attacker's.
fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

fn rested(current: Nomination, now: Instant) -> bool {
    now.saturating_duration_since(current.at) >= NOMINATION_REST
}
