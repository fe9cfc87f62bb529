//! A browser, as far as a load needs one: it nominates its only pair, shakes hands as DTLS client and answers checks
//! (RFC 8445, RFC 5763). Written apart from the engine, on the same libraries.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, hmac};
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use is::stun::{StunMessage, TransId};
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;
use serde::Serialize;

use crate::arguments::Arguments;

/// How long a check waits for its answer before it is repeated.
const REPEAT: Duration = Duration::from_millis(250);
/// Priority of a host candidate (RFC 8445 section 5.1.2.2).
const PRIORITY: u32 = 0x7eff_ffff;
/// The highest: a server with full ICE then leaves the nomination to us (RFC 8445 section 7.3.1.1).
const TIE_BREAKER: u64 = u64::MAX;
const RECORD: usize = 2048;

/// User name fragment and password of one side.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The fragment.
    pub ufrag: String,
    /// The password.
    pub password: String,
}

#[derive(Serialize)]
struct Made {
    fingerprint: String,
}

/// `offhook-loadgen certificate`: writes a certificate with its key to a file; its fingerprint as one JSON line.
pub fn command(arguments: &Arguments) -> Result<(), String> {
    let path: String = arguments.need("file")?;
    let made = dimpl::certificate::generate_self_signed_certificate().map_err(|e| e.to_string())?;
    let parts = serde_json::to_vec(&(&made.certificate, &made.private_key));
    fs::write(&path, parts.map_err(|e| e.to_string())?).map_err(|e| format!("{path}: {e}"))?;
    let pairs: Vec<_> = digest::digest(&digest::SHA256, &made.certificate)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let fingerprint = pairs.join(":");
    println!(
        "{}",
        serde_json::to_string(&Made { fingerprint }).map_err(|e| e.to_string())?
    );
    Ok(())
}

/// What all browsers of a run share.
pub struct Identity {
    config: Arc<Config>,
    certificate: DtlsCertificate,
}

impl Identity {
    /// Reads what `offhook-loadgen certificate` wrote.
    pub fn read(path: &str) -> Result<Self, String> {
        let data = fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        let (certificate, private_key) =
            serde_json::from_slice(&data).map_err(|e| format!("{path}: {e}"))?;
        Ok(Self {
            config: Arc::new(Config::builder().build().map_err(|e| e.to_string())?),
            certificate: DtlsCertificate {
                certificate,
                private_key,
            },
        })
    }
}

/// One browser's transport.
pub struct Browser {
    ours: Credentials,
    its: Credentials,
    address: SocketAddr,
    dtls: Dtls,
    answered: bool,
    repeat: Instant,
    material: Option<(Vec<u8>, SrtpProfile)>,
    connected: bool,
}

impl Browser {
    /// A browser at `address` that has both descriptions.
    pub fn new(
        ours: &Credentials,
        its: &Credentials,
        address: SocketAddr,
        identity: &Identity,
        now: Instant,
    ) -> Self {
        let mut dtls = Dtls::new_12(
            Arc::clone(&identity.config),
            identity.certificate.clone(),
            now,
        );
        dtls.set_active(true);
        Self {
            ours: ours.clone(),
            its: its.clone(),
            address,
            dtls,
            answered: false,
            repeat: now,
            material: None,
            connected: false,
        }
    }

    /// A check with the nomination, as it is sent until the answer comes and as consent afterwards (RFC 7675).
    pub fn check(&self) -> Vec<u8> {
        let name = format!("{}:{}", self.its.ufrag, self.ours.ufrag);
        let request =
            StunMessage::binding_request(&name, TransId::new(), true, TIE_BREAKER, PRIORITY, true);
        written(request, &self.its.password)
    }

    /// What time brings: checks until one is answered, then flights.
    pub fn advance(&mut self, now: Instant, mut send: impl FnMut(&[u8])) -> Result<(), String> {
        if !self.answered {
            if now >= self.repeat {
                self.repeat = now + REPEAT;
                send(&self.check());
            }
            return Ok(());
        }
        self.dtls.handle_timeout(now).map_err(|e| e.to_string())?;
        self.flush(send);
        Ok(())
    }

    /// Takes what is not media.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now: Instant,
        mut send: impl FnMut(&[u8]),
    ) -> Result<(), String> {
        match bytes.first() {
            Some(0..=3) => {
                let Ok(message) = StunMessage::parse(bytes) else {
                    return Ok(());
                };
                if message.is_binding_request() {
                    let reply = StunMessage::binding_reply(message.trans_id(), self.address);
                    send(&written(reply, &self.ours.password));
                } else if message.is_successful_binding_response() && !self.answered {
                    self.answered = true;
                    self.advance(now, send)?;
                }
                Ok(())
            }
            Some(20..=63) => {
                self.dtls.handle_packet(bytes).map_err(|e| e.to_string())?;
                self.flush(send);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn flush(&mut self, mut send: impl FnMut(&[u8])) {
        let mut record = [0; RECORD];
        loop {
            match self.dtls.poll_output(&mut record) {
                Output::Packet(bytes) => send(bytes),
                Output::KeyingMaterial(material, profile) => {
                    self.material = Some((material.to_vec(), profile));
                }
                Output::Connected => self.connected = true,
                Output::Timeout(_) | Output::BufferTooSmall { .. } => break,
                _ => {}
            }
        }
    }

    /// The keys, once: what we send with, what we hear with, and the suite's name.
    pub fn keys(&mut self) -> Option<(SrtpOut, SrtpIn, &'static str)> {
        let (material, profile) = self.material.take_if(|_| self.connected)?;
        let suite = match profile {
            SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
            SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
            SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
            _ => return None,
        };
        let (client, server) = MasterKeys::from_exporter(suite, &material).ok()?;
        Some((
            SrtpOut::new(&client).ok()?,
            SrtpIn::new(&server).ok()?,
            suite.name(),
        ))
    }
}

fn written(message: StunMessage<'_>, password: &str) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, sha1_hmac);
    bytes.truncate(length.unwrap_or(0));
    bytes
}

fn sha1_hmac(key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = hmac::Context::with_key(&key);
    payloads.iter().for_each(|payload| context.update(payload));
    context.sign().as_ref().try_into().unwrap_or_default()
}
