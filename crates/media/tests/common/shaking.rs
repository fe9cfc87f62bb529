//! Phones that shake hands without ICE.

use std::net::SocketAddr;
use std::sync::Arc;

use dimpl::{Config, Dtls, DtlsCertificate, Output};
use offhook_media::SocketId;
use offhook_media::description::*;
use offhook_media::event::Event;
use offhook_rtp::header::Fields;
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;

use super::*;

/// The phone's address as it knows it, and as it is behind its NAT.
pub const INSIDE: &str = "192.0.2.20:5000";
pub const OUTSIDE: &str = "198.51.100.20:31000";

/// A phone with a certificate.
pub struct Phone {
    pub dtls: Dtls,
    pub certificate: DtlsCertificate,
    pub active: bool,
    pub fingerprint: String,
    pub address: SocketAddr,
    pub socket: SocketId,
    pub taken: usize,
    /// Its records, as they were sent.
    pub said: Vec<Vec<u8>>,
    pub keys: Option<(SrtpOut, SrtpIn)>,
    pub sequence: u16,
}

impl Phone {
    pub fn new(world: &World, local: &LegLocal, address: &str, active: bool) -> Self {
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let fingerprint = certificate.fingerprint_str();
        let config = Arc::new(Config::default());
        let mut dtls = Dtls::new_12(config, certificate.clone(), world.instant());
        dtls.set_active(active);
        Self {
            dtls,
            certificate,
            active,
            fingerprint,
            address: address.parse().unwrap(),
            socket: SocketId(u32::from(local.candidates[0].1) - 41_000),
            taken: 0,
            said: Vec::new(),
            keys: None,
            sequence: 100,
        }
    }

    pub fn remote(&self, signalled: &str) -> LegRemote {
        LegRemote {
            fingerprints: vec![("sha-256".to_owned(), self.fingerprint.clone())],
            ..port_remote(pcmu(), signalled.parse().unwrap())
        }
    }

    /// Hears what came to its address, says what it has to.
    pub fn turn(&mut self, world: &mut World) {
        let _ = self.dtls.handle_timeout(world.instant());
        let heard: Vec<Vec<u8>> = world.sent[self.taken..]
            .iter()
            .filter(|sent| sent.destination == self.address && (20..64).contains(&sent.bytes[0]))
            .map(|sent| sent.bytes.clone())
            .collect();
        self.taken = world.sent.len();
        for record in heard {
            let _ = self.dtls.handle_packet(&record);
        }
        let mut buffer = [0; 2_048];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(record) => {
                    self.said.push(record.to_vec());
                    world.datagram(self.socket, self.address, record);
                }
                Output::KeyingMaterial(material, _) => {
                    let suite = Suite::AeadAes256Gcm;
                    let (client, server) = MasterKeys::from_exporter(suite, &material).unwrap();
                    let (own, peer) = if self.active {
                        (client, server)
                    } else {
                        (server, client)
                    };
                    let keys = (SrtpOut::new(&own).unwrap(), SrtpIn::new(&peer).unwrap());
                    self.keys = Some(keys);
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    /// Forgets its association and begins another.
    pub fn begin_anew(&mut self, world: &World, certificate: DtlsCertificate) {
        self.fingerprint = certificate.fingerprint_str();
        self.certificate = certificate.clone();
        self.dtls = Dtls::new_12(Arc::new(Config::default()), certificate, world.instant());
        self.dtls.set_active(self.active);
        self.keys = None;
    }

    /// DTLS that came to its address so far.
    pub fn told(&self, world: &World) -> Vec<Vec<u8>> {
        let sent = world.sent.iter();
        sent.filter(|sent| sent.destination == self.address && (20..64).contains(&sent.bytes[0]))
            .map(|sent| sent.bytes.clone())
            .collect()
    }

    pub fn speak(&mut self, world: &mut World) {
        let fields = Fields {
            marker: false,
            payload_type: 0,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: 77,
        };
        self.sequence += 1;
        let mut packet = vec![0; 12];
        fields.write(&mut packet);
        packet.extend_from_slice(&voice(self.sequence));
        let len = packet.len();
        packet.resize(len + 40, 0);
        let (out, _) = self.keys.as_mut().expect("keys");
        let sealed = out.seal(&mut packet, len).unwrap();
        world.datagram(self.socket, self.address, &packet[..sealed]);
    }
}

pub fn offer(active: bool, latch: Latch) -> LegOffer {
    LegOffer {
        keys: KeyKind::Dtls,
        dtls_active: active,
        latch,
        ..port_offer(pcmu())
    }
}

/// A leg whose peer is described at `INSIDE`, with an echo, and that peer at `address`.
pub fn call(
    world: &mut World,
    latch: Latch,
    active: bool,
    address: &str,
) -> (u64, LegLocal, Phone) {
    let (_, legs) = world.open(vec![offer(active, latch)]);
    let local = legs[0].clone();
    let phone = Phone::new(world, &local, address, !active);
    world.complete(local.leg, phone.remote(INSIDE));
    world.bridge(local.leg, local.leg);
    (local.leg, local, phone)
}

pub fn exchange(world: &mut World, phones: &mut [&mut Phone], turns: u32) {
    for _ in 0..turns {
        phones.iter_mut().for_each(|phone| phone.turn(world));
        world.advance_ms(20);
    }
}

pub fn keys_ready(world: &World) -> usize {
    let ready = |event: &Event| matches!(event, Event::KeysReady { .. });
    world
        .events
        .iter()
        .filter(|(_, event)| ready(event))
        .count()
}

/// The same with RTCP on a port of its own.
pub fn apart(active: bool, latch: Latch) -> LegOffer {
    LegOffer {
        rtcp_mux: false,
        ..offer(active, latch)
    }
}
