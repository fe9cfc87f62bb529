//! DTLS-SRTP (RFC 5763, RFC 5764) on `dimpl`: the process's certificate and the association of a leg.
//!
//! Keys leave this file only after the peer's certificate matched a fingerprint of its description.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use aws_lc_rs::digest;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;
use zeroize::Zeroizing;

/// Datagrams of a handshake kept until the description comes: a flight of a browser is one to four.
const MAX_HELD: usize = 8;
/// New associations in `ATTEMPT_WINDOW`: every error of `dimpl` ends one, and a stranger on the path can cause errors.
const MAX_ATTEMPTS: usize = 3;
const ATTEMPT_WINDOW: Duration = Duration::from_secs(10);
/// An association is dropped so long after it connected: the peer has our last flight by then, and it costs 20-60 KB.
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
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// How every association of the process is set up; `None` when the crypto library refuses.
///
/// DTLS 1.2 only: all browsers and SIP stacks speak it, not all speak 1.3. No cookie: over ICE the address is
/// authenticated already.
pub(crate) fn config() -> Option<Arc<Config>> {
    let builder = Config::builder()
        .use_server_cookie(false)
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
}

struct Association {
    dtls: Dtls,
    active: bool,
    verified: bool,
    material: Option<(Zeroizing<Vec<u8>>, SrtpProfile)>,
    next: Option<Instant>,
    connected: Option<Instant>,
}

/// The DTLS part of a leg.
pub(crate) struct Handshake {
    config: Arc<Config>,
    identity: Identity,
    active: bool,
    /// (algorithm, hex pairs) of the peer's description.
    expected: Vec<(String, String)>,
    held: ArrayVec<Vec<u8>, MAX_HELD>,
    association: Option<Association>,
    attempts: ArrayVec<Instant, MAX_ATTEMPTS>,
    phase: Phase,
    seen: String,
    error: String,
}

impl Handshake {
    pub(crate) fn new(config: Arc<Config>, identity: Identity, active: bool) -> Self {
        Self {
            config,
            identity,
            active,
            expected: Vec::new(),
            held: ArrayVec::new(),
            association: None,
            attempts: ArrayVec::new(),
            phase: Phase::Waiting,
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

    /// Fingerprint of the description, the first one.
    pub(crate) fn expected(&self) -> &str {
        self.expected.first().map_or("", |(_, value)| value)
    }

    /// Whether it costs a place among the handshakes in flight.
    pub(crate) fn in_flight(&self) -> bool {
        self.association
            .as_ref()
            .is_some_and(|association| association.connected.is_none())
    }

    /// Whether a datagram would build an association.
    pub(crate) fn would_associate(&self) -> bool {
        self.association.is_none()
    }

    /// Why the last association ended; empty if none did.
    pub(crate) fn error(&self) -> &str {
        &self.error
    }

    /// Before the handshake the role may still follow the answer; afterwards it is sticky.
    pub(crate) fn set_active(&mut self, active: bool) {
        if self.association.is_none() && self.phase == Phase::Waiting {
            self.active = active;
        }
    }

    /// The peer's fingerprints. The same again keeps the association; others build a new one while the keys in use serve.
    pub(crate) fn expect(&mut self, fingerprints: &[(String, String)]) {
        if self.expected == fingerprints {
            return;
        }
        self.expected = fingerprints.to_vec();
        self.association = None;
        self.attempts.clear();
        self.phase = Phase::Waiting;
    }

    /// Begins if it is ours to begin: call when the path is up and the description known.
    pub(crate) fn start(&mut self, now: Instant) {
        let open = matches!(self.phase, Phase::Waiting | Phase::Failed);
        if self.active && open && self.association.is_none() && !self.expected.is_empty() {
            self.associate(now);
        }
    }

    /// Takes a datagram of the leg's authenticated peer.
    pub(crate) fn datagram(&mut self, bytes: &[u8], now: Instant) {
        if self.expected.is_empty() {
            // Bounded: the newest are dropped, the peer repeats its flight.
            let _ = self.held.try_push(bytes.to_vec());
            return;
        }
        let fresh = self.association.is_none();
        if fresh && (self.active || !is_client_hello(bytes) || !self.associate(now)) {
            return;
        }
        let Some(association) = &mut self.association else {
            return;
        };
        let taken = association
            .dtls
            .handle_timeout(now)
            .and_then(|()| association.dtls.handle_packet(bytes));
        if let Err(error) = taken {
            self.fail(&error.to_string());
        }
    }

    /// Replays what came before the description.
    pub(crate) fn release_held(&mut self, now: Instant) {
        if !self.expected.is_empty() {
            for bytes in std::mem::take(&mut self.held) {
                self.datagram(&bytes, now);
            }
        }
    }

    /// The time the association waits for has come.
    pub(crate) fn timeout(&mut self, now: Instant) {
        let Some(association) = &mut self.association else {
            return;
        };
        let lingered = association
            .connected
            .is_some_and(|at| now.saturating_duration_since(at) >= LINGER);
        if lingered {
            self.association = None;
        } else if association.next.is_some_and(|next| next <= now) {
            if let Err(error) = association.dtls.handle_timeout(now) {
                self.fail(&error.to_string());
            }
        }
    }

    /// When `timeout` has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let association = self.association.as_ref()?;
        let linger = association.connected.map(|at| at + LINGER);
        [association.next, linger].into_iter().flatten().min()
    }

    /// Gives records to `send`; returns the keys once, when they are there and the certificate matched.
    pub(crate) fn poll(&mut self, now: Instant, mut send: impl FnMut(&[u8])) -> Option<Keys> {
        let association = self.association.as_mut()?;
        let mut record = [0; RECORD_SIZE];
        let mut mismatch = false;
        loop {
            match association.dtls.poll_output(&mut record) {
                Output::Packet(bytes) => send(bytes),
                Output::PeerCert(der) => {
                    let (seen, matches) = judge(der, &self.expected);
                    self.seen = seen;
                    association.verified = matches;
                    mismatch = !matches;
                }
                Output::KeyingMaterial(material, profile) => {
                    association.material = Some((Zeroizing::new(material.to_vec()), profile));
                }
                Output::Connected => association.connected = Some(now),
                Output::Timeout(at) => {
                    association.next = Some(at);
                    break;
                }
                Output::BufferTooSmall { .. } => break,
                _ => {}
            }
        }
        if mismatch {
            self.association = None;
            self.phase = Phase::WrongFingerprint;
            return None;
        }
        self.keys()
    }

    fn keys(&mut self) -> Option<Keys> {
        let association = self
            .association
            .as_mut()
            .filter(|association| association.verified)?;
        let (material, profile) = association.material.take()?;
        let keys = suite_of(profile).and_then(|suite| split(suite, &material, association.active));
        match keys {
            Some(keys) => {
                self.phase = Phase::Ready;
                Some(keys)
            }
            None => {
                self.fail("no SRTP suite in common");
                None
            }
        }
    }

    fn associate(&mut self, now: Instant) -> bool {
        self.attempts
            .retain(|at| now.saturating_duration_since(*at) < ATTEMPT_WINDOW);
        if self.phase == Phase::WrongFingerprint || self.attempts.try_push(now).is_err() {
            return false;
        }
        let certificate = self.identity.certificate.as_ref().clone();
        let mut dtls = Dtls::new_12(Arc::clone(&self.config), certificate, now);
        dtls.set_active(self.active);
        if let Err(error) = dtls.handle_timeout(now) {
            self.fail(&error.to_string());
            return false;
        }
        self.association = Some(Association {
            dtls,
            active: self.active,
            verified: false,
            material: None,
            next: None,
            connected: None,
        });
        if self.phase != Phase::Ready {
            self.phase = Phase::Handshake;
        }
        true
    }

    fn fail(&mut self, error: &str) {
        self.error = error.to_owned();
        self.association = None;
        if self.phase != Phase::Ready {
            self.phase = Phase::Failed;
        }
    }
}

/// Whether a datagram begins a handshake: only then may it build an association.
fn is_client_hello(bytes: &[u8]) -> bool {
    bytes.first() == Some(&22) && bytes.get(13) == Some(&1)
}

fn suite_of(profile: SrtpProfile) -> Option<Suite> {
    match profile {
        SrtpProfile::AEAD_AES_256_GCM => Some(Suite::AeadAes256Gcm),
        SrtpProfile::AEAD_AES_128_GCM => Some(Suite::AeadAes128Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Suite::AesCm128HmacSha1_80),
        _ => None,
    }
}

fn split(suite: Suite, material: &[u8], active: bool) -> Option<Keys> {
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
    })
}

/// The certificate's SHA-256, and whether it matches a described fingerprint; hashes below SHA-256 never match.
fn judge(der: &[u8], expected: &[(String, String)]) -> (String, bool) {
    let matches = expected.iter().any(|(algorithm, value)| {
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" => &digest::SHA256,
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
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
