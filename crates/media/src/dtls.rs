//! DTLS-SRTP (RFC 5763, RFC 5764) on `dimpl`: the process's certificate and the association of a leg.
//!
//! Keys leave this file only after the peer's certificate matched a fingerprint of its description.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use aws_lc_rs::digest;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;
use zeroize::Zeroizing;

use crate::certificate;
use crate::farewell::{Farewell, Flight, HelloRandom, hello_random, is_client_hello};

/// Datagrams of a handshake kept until the description comes: a flight of a browser is one to four.
const MAX_HELD: usize = 8;
/// New associations in `ATTEMPT_WINDOW`: every error of `dimpl` ends one, and a stranger on the path can cause errors.
const MAX_ATTEMPTS: usize = 3;
const ATTEMPT_WINDOW: Duration = Duration::from_secs(10);
/// Associations of a leg at once: that of the address we believe, and of others only without ICE, where a peer behind NAT
/// comes from an address nobody told of.
const MAX_ASSOCIATIONS: usize = 3;
/// An association is dropped once media of the peer opened with its keys, or so long after it connected: the peer has our
/// last flight by then, and an association costs 16 KB.
const LINGER: Duration = Duration::from_secs(60);
/// Largest record `dimpl` may hand out: its MTU is far below.
const RECORD_SIZE: usize = 2048;

/// The certificate of this process: fresh ECDSA P-256, never stored (a changed fingerprint is what makes a browser build
/// a new association when a restarted node re-INVITEs).
#[derive(Clone)]
pub struct Identity {
    certificate: Arc<DtlsCertificate>,
    fingerprint: Arc<str>,
}

impl Identity {
    /// Draws a new key and certificate. An error means that the system's generator or AWS-LC failed.
    pub fn generate() -> Result<Self, String> {
        let certificate =
            dimpl::certificate::generate_self_signed_certificate().map_err(|e| e.to_string())?;
        let fingerprint = Arc::from(hex_pairs(
            digest::digest(&digest::SHA256, &certificate.certificate).as_ref(),
        ));
        Ok(Self {
            certificate: Arc::new(certificate),
            fingerprint,
        })
    }

    /// SHA-256 of the certificate in upper-case hex pairs (RFC 8122 section 5).
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<identity {}>", self.fingerprint)
    }
}

/// First retransmission: browsers answer within a round trip, and a lost flight is heard as silence.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(500);
/// A handshake that takes longer has failed; the caller has hung up by then.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// How every association of the process is set up; `None` when the crypto library refuses.
///
/// DTLS 1.2 only: all browsers and SIP stacks speak it, not all speak 1.3. `cookie`: a client must show first that it
/// hears what is sent to its address; over ICE the address is authenticated already.
pub(crate) fn config(cookie: bool) -> Option<Arc<Config>> {
    let builder = Config::builder()
        .with_crypto_provider(certificate::provider())
        .use_server_cookie(cookie)
        .flight_start_rto(FIRST_RETRANSMISSION)
        .handshake_timeout(HANDSHAKE_TIMEOUT);
    builder.build().ok().map(Arc::new)
}

/// Where the handshake stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No flight seen or sent.
    Waiting,
    /// Flights are exchanged.
    Handshake,
    /// Keys are out.
    Ready,
    /// The certificate was not the one described.
    WrongFingerprint,
    /// Alert, timeout, no common suite, or no SRTP.
    Failed,
}

/// Fresh keys of both directions.
pub(crate) struct Keys {
    pub(crate) inbound: SrtpIn,
    pub(crate) outbound: SrtpOut,
    pub(crate) suite: Suite,
    /// Whom they were agreed with; over ICE nobody in particular.
    pub(crate) peer: Option<SocketAddr>,
}

/// Who sends a datagram of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Who passed the checks of ICE, from whatever address.
    Checked,
    /// The address we believe on a port leg: the signalled one, or whose certificate matched.
    Believed(SocketAddr),
    /// Another address on a port leg.
    Stranger(SocketAddr),
}

impl Peer {
    fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Checked => None,
            Self::Believed(address) | Self::Stranger(address) => Some(address),
        }
    }
}

struct Association {
    peer: Peer,
    dtls: Dtls,
    active: bool,
    verified: bool,
    material: Option<(Zeroizing<Vec<u8>>, SrtpProfile)>,
    next: Option<Instant>,
    connected: Option<Instant>,
    hello: Option<HelloRandom>,
    /// Our last flight, kept for the time after.
    flight: Flight,
}

/// The DTLS part of a leg.
pub(crate) struct Handshake {
    config: Arc<Config>,
    identity: Identity,
    active: bool,
    /// Whether a SHA-1 fingerprint of the description counts, too.
    sha_1: bool,
    /// (algorithm, hex pairs) of the peer's description.
    expected: Vec<(String, String)>,
    /// `MAX_HELD` at most.
    held: Vec<(Vec<u8>, Peer)>,
    associations: ArrayVec<Box<Association>, MAX_ASSOCIATIONS>,
    /// Of the association that gave the keys in use, once it is dropped.
    farewell: Option<Box<Farewell>>,
    /// Whom we believe, and all strangers together: they do not take each other's turn.
    attempts: [ArrayVec<Instant, MAX_ATTEMPTS>; 2],
    phase: Phase,
    /// Whom we believe showed another certificate than the described one: it is not asked again.
    barred: bool,
    seen: String,
    error: String,
}

impl Handshake {
    pub(crate) fn new(config: Arc<Config>, identity: Identity, active: bool, sha_1: bool) -> Self {
        Self {
            config,
            identity,
            active,
            sha_1,
            expected: Vec::new(),
            held: Vec::new(),
            associations: ArrayVec::new(),
            farewell: None,
            attempts: [ArrayVec::new(), ArrayVec::new()],
            phase: Phase::Waiting,
            barred: false,
            seen: String::new(),
            error: String::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// Fingerprint of the certificate the peer showed; empty before.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    /// Of the protocol, once the peer has shown a certificate: `config` allows this one alone.
    pub(crate) fn version(&self) -> &'static str {
        if self.seen.is_empty() { "" } else { "1.2" }
    }

    /// Fingerprint of the description, the first one.
    pub(crate) fn expected(&self) -> &str {
        self.expected.first().map_or("", |(_, value)| value)
    }

    /// Places it takes among the handshakes in flight.
    pub(crate) fn in_flight(&self) -> usize {
        let associations = self.associations.iter();
        associations.filter(|one| one.connected.is_none()).count()
    }

    /// Whether this datagram of this peer would build an association.
    pub(crate) fn would_associate(&self, bytes: &[u8], peer: Peer) -> bool {
        self.place(peer).is_none() && self.begins(bytes)
    }

    /// Whether it begins a handshake, and not one that is done.
    fn begins(&self, bytes: &[u8]) -> bool {
        let done = self.farewell.as_ref().and_then(|farewell| farewell.hello);
        let repeated = done.is_some() && done == hello_random(bytes);
        !self.active && is_client_hello(bytes) && !repeated
    }

    fn place(&self, peer: Peer) -> Option<usize> {
        let address = peer.address();
        self.associations
            .iter()
            .position(|association| association.peer.address() == address)
    }

    /// Why the last association ended; empty if none did.
    pub(crate) fn error(&self) -> &str {
        &self.error
    }

    /// Before the handshake the role may still follow the answer; afterwards it is sticky.
    pub(crate) fn set_active(&mut self, active: bool) {
        if self.associations.is_empty() && self.phase == Phase::Waiting {
            self.active = active;
        }
    }

    /// The peer's fingerprints. The same again keeps the association; others build a new one while the keys in use serve.
    pub(crate) fn expect(&mut self, fingerprints: &[(String, String)]) {
        if self.expected == fingerprints {
            return;
        }
        self.expected = fingerprints.to_vec();
        self.associations.clear();
        self.farewell = None;
        self.attempts.iter_mut().for_each(ArrayVec::clear);
        self.phase = Phase::Waiting;
        self.barred = false;
        self.error.clear();
    }

    /// Begins if it is ours to begin: call when the path to `peer` is up and the description known.
    pub(crate) fn start(&mut self, peer: Peer, now: Instant) {
        let open = matches!(self.phase, Phase::Waiting | Phase::Failed);
        if self.active && open && self.associations.is_empty() && !self.expected.is_empty() {
            self.associate(peer, now);
        }
    }

    /// Takes a datagram of a handshake.
    pub(crate) fn datagram(&mut self, bytes: &[u8], peer: Peer, now: Instant) {
        if self.expected.is_empty() {
            // Bounded: the newest are dropped, the peer repeats its flight.
            if self.held.len() < MAX_HELD {
                self.held.push((bytes.to_vec(), peer));
            }
            return;
        }
        let place = match self.place(peer) {
            Some(place) => Some(place),
            None if self.begins(bytes) => self.answer_hello(bytes, peer, now),
            None => {
                let known = self.farewell.as_mut();
                let known = known.filter(|farewell| farewell.peer == peer.address());
                return known
                    .into_iter()
                    .for_each(|farewell| farewell.datagram(bytes));
            }
        };
        let Some((place, association)) =
            place.and_then(|place| Some((place, self.associations.get_mut(place)?)))
        else {
            return;
        };
        let taken = association
            .dtls
            .handle_timeout(now)
            .and_then(|()| association.dtls.handle_packet(bytes));
        if let Err(error) = taken {
            self.fail(place, &error.to_string());
        }
    }

    fn answer_hello(&mut self, bytes: &[u8], peer: Peer, now: Instant) -> Option<usize> {
        let place = self.associate(peer, now)?;
        self.associations.get_mut(place)?.hello = hello_random(bytes);
        Some(place)
    }

    /// Media of the peer opened with our keys, or its Finished came after ours: it has our last flight, and the association
    /// has done its work.
    pub(crate) fn proven(&mut self) {
        let mut associations = self.associations.iter();
        let Some(place) = associations.position(|one| one.connected.is_some()) else {
            return;
        };
        let association = *self.associations.remove(place);
        let until = association.connected.map(|at| at + LINGER);
        self.farewell = until.map(|until| {
            let address = association.peer.address();
            let farewell = Farewell::new(address, association.hello, association.flight, until);
            Box::new(farewell)
        });
    }

    /// Whether the association of the keys in use still waits for that.
    pub(crate) fn unproven(&self) -> bool {
        self.associations
            .iter()
            .any(|association| association.connected.is_some())
    }

    /// Replays what came before the description; `believed`: what it says of the peer's address.
    pub(crate) fn release_held(&mut self, believed: Option<SocketAddr>, now: Instant) {
        if self.expected.is_empty() {
            return;
        }
        for (bytes, peer) in std::mem::take(&mut self.held) {
            let peer = match peer {
                Peer::Stranger(address) if believed == Some(address) => Peer::Believed(address),
                peer => peer,
            };
            self.datagram(&bytes, peer, now);
        }
    }

    /// The time that an association waits for has come.
    pub(crate) fn timeout(&mut self, now: Instant) {
        self.farewell.take_if(|farewell| farewell.until <= now);
        let lingered = |association: &Association| {
            let connected = association.connected;
            connected.is_some_and(|at| now.saturating_duration_since(at) >= LINGER)
        };
        self.associations
            .retain(|association| !lingered(association));
        for place in (0..self.associations.len()).rev() {
            let Some(association) = self.associations.get_mut(place) else {
                continue;
            };
            if association.next.is_some_and(|next| next <= now) {
                if let Err(error) = association.dtls.handle_timeout(now) {
                    self.fail(place, &error.to_string());
                }
            }
        }
    }

    /// When `timeout` has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = |association: &Association| {
            let linger = association.connected.map(|at| at + LINGER);
            [association.next, linger].into_iter().flatten().min()
        };
        let farewell = self.farewell.as_ref().map(|farewell| farewell.until);
        let associations = self.associations.iter();
        associations
            .filter_map(|association| due(association))
            .chain(farewell)
            .min()
    }

    /// Gives records to `send`, with the address they go to (over ICE none); returns the keys once, when they are there and
    /// the certificate matched.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        mut send: impl FnMut(Option<SocketAddr>, &[u8]),
    ) -> Option<Keys> {
        if let Some(farewell) = &mut self.farewell {
            let peer = farewell.peer;
            farewell.answer().iter().for_each(|bytes| send(peer, bytes));
        }
        let mut record = [0; RECORD_SIZE];
        let mut found = None;
        for place in (0..self.associations.len()).rev() {
            let Some(association) = self.associations.get_mut(place) else {
                continue;
            };
            let address = association.peer.address();
            let shown = association.drain(now, &mut record, |bytes| send(address, bytes));
            if let Some(der) = shown {
                let (seen, matches) = judge(&der, &self.expected, self.sha_1);
                association.verified = matches;
                if matches {
                    self.seen = seen;
                } else {
                    self.mistaken(place, seen);
                    continue;
                }
            }
            found = found.or(self.keys(place));
        }
        // Whose certificate matches is the peer: the others were somebody else.
        if let Some(keys) = &found {
            self.associations
                .retain(|association| association.peer.address() == keys.peer);
            // A server's Finished comes last: a client needs no other proof.
            if self.active {
                self.proven();
            }
        }
        found
    }

    /// The certificate is not the described one. What a stranger shows does not speak for the peer once that is known.
    fn mistaken(&mut self, place: usize, seen: String) {
        let peer = self.associations.remove(place).peer;
        let stranger = matches!(peer, Peer::Stranger(_));
        self.barred |= !stranger;
        if !stranger || (self.phase != Phase::Ready && self.associations.is_empty()) {
            self.phase = Phase::WrongFingerprint;
            self.seen = seen;
        }
    }

    fn keys(&mut self, place: usize) -> Option<Keys> {
        let association = self
            .associations
            .get_mut(place)
            .filter(|association| association.verified)?;
        let (material, profile) = association.material.take()?;
        let peer = association.peer.address();
        let keys =
            suite_of(profile).and_then(|suite| split(suite, &material, association.active, peer));
        match keys {
            Some(keys) => {
                self.phase = Phase::Ready;
                Some(keys)
            }
            None => {
                self.fail(place, "no SRTP suite in common");
                None
            }
        }
    }

    /// A new association's place; none when it may not be.
    fn associate(&mut self, peer: Peer, now: Instant) -> Option<usize> {
        let stranger = matches!(peer, Peer::Stranger(_));
        let [believed, strangers] = &mut self.attempts;
        let attempts = if stranger { strangers } else { believed };
        attempts.retain(|at| now.saturating_duration_since(*at) < ATTEMPT_WINDOW);
        if (self.barred && !stranger) || attempts.try_push(now).is_err() {
            return None;
        }
        self.make_room(stranger);
        let certificate = self.identity.certificate.as_ref().clone();
        let mut dtls = Dtls::new_12(Arc::clone(&self.config), certificate, now);
        dtls.set_active(self.active);
        let started = dtls.handle_timeout(now);
        self.associations.push(Box::new(Association {
            peer,
            dtls,
            active: self.active,
            verified: false,
            material: None,
            next: None,
            connected: None,
            hello: None,
            flight: Flight::new(),
        }));
        let place = self.associations.len() - 1;
        if let Err(error) = started {
            self.fail(place, &error.to_string());
            return None;
        }
        if self.phase != Phase::Ready {
            self.phase = Phase::Handshake;
        }
        Some(place)
    }

    /// Strangers take each other's place, and always leave one for whom we believe.
    fn make_room(&mut self, stranger: bool) {
        let strangers = self.associations.iter().filter(|one| one.of_stranger());
        let full = stranger && strangers.count() >= MAX_ASSOCIATIONS - 1;
        if full || self.associations.is_full() {
            let oldest = self
                .associations
                .iter()
                .position(|one| one.of_stranger())
                .unwrap_or(0);
            self.associations.remove(oldest);
        }
    }

    fn fail(&mut self, place: usize, error: &str) {
        self.error = error.to_owned();
        self.associations.remove(place);
        if self.phase != Phase::Ready && self.associations.is_empty() {
            self.phase = Phase::Failed;
        }
    }
}

impl Association {
    fn of_stranger(&self) -> bool {
        matches!(self.peer, Peer::Stranger(_))
    }

    /// Gives records to `send`, keeps keys and times; the certificate that the peer showed, if it did now.
    fn drain(
        &mut self,
        now: Instant,
        record: &mut [u8],
        mut send: impl FnMut(&[u8]),
    ) -> Option<Vec<u8>> {
        let (mut shown, mut ends) = (None, false);
        loop {
            match self.dtls.poll_output(record) {
                Output::Packet(bytes) => {
                    if ends {
                        // What `dimpl` never writes, a third datagram, is not kept: the peer repeats its own.
                        let _ = self.flight.try_push(bytes.into());
                    }
                    send(bytes);
                }
                Output::PeerCert(der) => shown = Some(der.to_vec()),
                Output::KeyingMaterial(material, profile) => {
                    self.material = Some((Zeroizing::new(material.to_vec()), profile));
                }
                Output::Connected => {
                    self.connected = Some(now);
                    ends = true;
                }
                Output::Timeout(at) => {
                    self.next = Some(at);
                    return shown;
                }
                Output::BufferTooSmall { .. } => return shown,
                _ => {}
            }
        }
    }
}

fn suite_of(profile: SrtpProfile) -> Option<Suite> {
    match profile {
        SrtpProfile::AEAD_AES_256_GCM => Some(Suite::AeadAes256Gcm),
        SrtpProfile::AEAD_AES_128_GCM => Some(Suite::AeadAes128Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Suite::AesCm128HmacSha1_80),
        _ => None,
    }
}

fn split(suite: Suite, material: &[u8], active: bool, with: Option<SocketAddr>) -> Option<Keys> {
    let (client, server) = MasterKeys::from_exporter(suite, material).ok()?;
    let (own, peer) = if active {
        (client, server)
    } else {
        (server, client)
    };
    Some(Keys {
        inbound: SrtpIn::new(&peer).ok()?,
        outbound: SrtpOut::new(&own).ok()?,
        suite,
        peer: with,
    })
}

/// The certificate's SHA-256, and whether it matches a described fingerprint; hashes below SHA-256 match by `sha_1` alone.
fn judge(der: &[u8], expected: &[(String, String)], sha_1: bool) -> (String, bool) {
    let matches = expected.iter().any(|(algorithm, value)| {
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" => &digest::SHA256,
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
            "sha-1" if sha_1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            _ => return false,
        };
        hex_pairs(digest::digest(algorithm, der).as_ref()).eq_ignore_ascii_case(value)
    });
    (
        hex_pairs(digest::digest(&digest::SHA256, der).as_ref()),
        matches,
    )
}

fn hex_pairs(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}
