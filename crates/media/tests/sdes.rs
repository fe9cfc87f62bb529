//! Keys in the descriptions (RFC 4568): both directions, every suite, what moves the latch, what a new key keeps.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;

fn sdes_offer(suites: &[Suite]) -> LegOffer {
    LegOffer {
        keys: KeyKind::Sdes,
        suites: suites.iter().map(|suite| suite.name().to_owned()).collect(),
        ..port_offer(pcmu())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
        .collect()
}

fn key(suite: Suite, fill: u8) -> Vec<u8> {
    vec![fill; suite.key_len() + suite.salt_len()]
}

/// A phone that seals and opens.
struct SecurePhone {
    phone: Phone,
    suite: Suite,
    out: SrtpOut,
    inward: SrtpIn,
}

impl SecurePhone {
    fn new(phone: Phone, suite: Suite, own: &[u8], engine: &str) -> Self {
        let master = |key: &[u8]| MasterKeys::from_inline(suite, key).expect("key");
        Self {
            phone,
            suite,
            out: SrtpOut::new(&master(own)).expect("out"),
            inward: SrtpIn::new(&master(&unhex(engine))).expect("in"),
        }
    }

    fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut packet = self.phone.packet(payload);
        let len = packet.len();
        packet.resize(len + 40, 0);
        let sealed = self.out.seal(&mut packet, len).expect("sealed");
        packet.truncate(sealed);
        packet
    }

    fn speak(&mut self, world: &mut World) {
        let packet = self.sealed(&voice(self.phone.sequence));
        world.datagram(self.phone.socket, self.phone.address, &packet);
    }

    fn remote(&self, own: &[u8]) -> LegRemote {
        LegRemote {
            crypto: vec![Crypto {
                suite: self.suite.name().to_owned(),
                key: hex(own),
            }],
            ..port_remote(pcmu(), self.phone.address)
        }
    }
}

/// A plain phone and an SDES phone, bridged; the SDES leg's local half too.
fn secure_call(world: &mut World, suite: Suite) -> (Phone, SecurePhone, LegLocal) {
    let (_, legs) = world.open(vec![port_offer(pcmu()), sdes_offer(&[suite])]);
    let plain = phone(&legs[0], 0);
    let own = key(suite, 7);
    let secure = SecurePhone::new(phone(&legs[1], 1), suite, &own, &legs[1].crypto[0].key);
    world.complete(plain.leg, port_remote(pcmu(), plain.address));
    world.complete(secure.phone.leg, secure.remote(&own));
    world.bridge(plain.leg, secure.phone.leg);
    (plain, secure, legs[1].clone())
}

#[test]
fn every_suite_carries_speech_both_ways_and_never_in_the_clear() {
    for suite in Suite::ALL {
        let mut world = World::new();
        let (mut plain, mut secure, local) = secure_call(&mut world, suite);
        assert_eq!(local.crypto[0].suite, suite.name());
        assert!(local.fingerprint.is_empty(), "no certificate is announced");
        for _ in 0..10 {
            plain.speak(&mut world);
            secure.speak(&mut world);
            world.advance_ms(20);
        }
        let heard = world.rtp_to(plain.address);
        assert_eq!(heard.len(), 10, "{suite}");
        assert_eq!(heard[0].payload(), voice(65_500), "{suite}");
        let sent: Vec<Vec<u8>> = world
            .rtp_to(secure.phone.address)
            .iter()
            .map(|sent| sent.bytes.clone())
            .collect();
        assert_eq!(sent.len(), 10, "{suite}");
        for (i, mut bytes) in sent.into_iter().enumerate() {
            let clear = voice(65_500u16.wrapping_add(i as u16));
            assert!(!bytes.windows(160).any(|part| part == clear), "{suite}");
            let len = secure
                .inward
                .open(&mut bytes, world.instant())
                .expect("opens");
            assert_eq!(&bytes[12..len], clear, "{suite}");
        }
        let facts = world.facts(secure.phone.leg);
        assert_eq!(
            (facts.keys_state.as_str(), facts.suite.as_str()),
            ("ready", suite.name())
        );
        assert!(world.events.iter().any(
            |(_, event)| matches!(event, Event::KeysReady { leg, .. } if *leg == secure.phone.leg)
        ));
    }
}

#[test]
fn an_offer_has_a_key_for_each_suite_and_the_answer_chooses() {
    let mut world = World::new();
    let offered = [Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80];
    let (_, legs) = world.open(vec![sdes_offer(&offered), port_offer(pcmu())]);
    let names: Vec<&str> = legs[0]
        .crypto
        .iter()
        .map(|line| line.suite.as_str())
        .collect();
    assert_eq!(names, ["AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"]);
    assert_ne!(
        legs[0].crypto[0].key[..32],
        legs[0].crypto[1].key[..32],
        "each its own"
    );
    let suite = Suite::AesCm128HmacSha1_80;
    let own = key(suite, 9);
    let mut secure = SecurePhone::new(phone(&legs[0], 0), suite, &own, &legs[0].crypto[1].key);
    world.complete(secure.phone.leg, secure.remote(&own));
    let other = phone(&legs[1], 1);
    world.complete(other.leg, port_remote(pcmu(), other.address));
    world.bridge(secure.phone.leg, other.leg);
    secure.speak(&mut world);
    assert_eq!(world.rtp_to(other.address).len(), 1);
}

#[test]
fn plain_packets_and_wrong_keys_are_not_heard() {
    let mut world = World::new();
    let (plain, mut secure, _) = secure_call(&mut world, Suite::AesCm128HmacSha1_80);
    let clear = secure.phone.packet(&voice(1));
    world.datagram(secure.phone.socket, secure.phone.address, &clear);
    let mut stranger = SecurePhone::new(
        secure.phone.clone(),
        secure.suite,
        &key(secure.suite, 1),
        &hex(&key(secure.suite, 2)),
    );
    for _ in 0..10 {
        stranger.speak(&mut world);
    }
    assert!(world.rtp_to(plain.address).is_empty());
}

#[test]
fn only_packets_that_authenticate_move_the_latch() {
    let mut world = World::new();
    let (mut plain, mut secure, _) = secure_call(&mut world, Suite::AeadAes128Gcm);
    let nat: SocketAddr = "203.0.113.5:61000".parse().expect("address");
    let attacker: SocketAddr = "203.0.113.66:6666".parse().expect("address");
    let mut forged = secure.phone.clone();
    for _ in 0..20 {
        let packet = forged.packet(&voice(1));
        world.datagram(secure.phone.socket, attacker, &packet);
    }
    secure.phone.address = nat;
    for _ in 0..10 {
        secure.speak(&mut world);
        world.advance_ms(20);
    }
    plain.speak(&mut world);
    assert!(
        world.rtp_to(attacker).is_empty(),
        "an attacker hears nothing"
    );
    assert_eq!(
        world.rtp_to(nat).len(),
        1,
        "the phone behind NAT is followed"
    );
}

#[test]
fn trap_4_a_new_key_from_the_same_address_keeps_counters_and_our_own_key() {
    let mut world = World::new();
    let (mut plain, mut secure, local) = secure_call(&mut world, Suite::AesCm128HmacSha1_80);
    for _ in 0..100 {
        // The sequence wraps, so that the rollover counter is 1.
        secure.speak(&mut world);
        world.advance_ms(20);
    }
    let fresh = key(secure.suite, 8);
    secure
        .out
        .rekey(&MasterKeys::from_inline(secure.suite, &fresh).expect("key"))
        .expect("rekeyed");
    world.complete(secure.phone.leg, secure.remote(&fresh));
    let before = world.rtp_to(plain.address).len();
    secure.speak(&mut world);
    assert_eq!(world.rtp_to(plain.address).len(), before + 1);
    // What we send still opens with the key announced first.
    plain.speak(&mut world);
    let mut bytes = world.rtp_to(secure.phone.address)[0].bytes.clone();
    assert!(secure.inward.open(&mut bytes, world.instant()).is_ok());
    // A re-INVITE asks again: the keys announced stay the same.
    let offer = sdes_offer(&[secure.suite]);
    let leg = secure.phone.leg;
    let reply = world.command(|n| Command::Update {
        n,
        leg,
        offer,
        restart_ice: false,
        opens_video: false,
    });
    let Reply::LegOpened { leg: again, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(again.crypto, local.crypto);
    world.advance(Duration::from_millis(20));
}

#[test]
fn bad_keys_are_refused_in_words_and_change_nothing() {
    let mut world = World::new();
    let (plain, mut secure, _) = secure_call(&mut world, Suite::AesCm128HmacSha1_80);
    let wrong = [
        ("AES_CM_128_HMAC_SHA1_80", "00ff", "does not fit"),
        ("AES_CM_128_HMAC_SHA1_80", "zz", "does not fit"),
        ("AEAD_AES_256_GCM", "00", "none of ours"),
        ("ROT13", "00", "unknown SRTP suite"),
    ];
    for (suite, key, words) in wrong {
        let crypto = vec![Crypto {
            suite: suite.to_owned(),
            key: key.to_owned(),
        }];
        let remote = LegRemote {
            crypto,
            ..port_remote(pcmu(), secure.phone.address)
        };
        let leg = secure.phone.leg;
        let reply = world.command(|n| Command::Complete { n, leg, remote });
        let Reply::Refused { code, text, .. } = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(code, "bad_description");
        assert!(text.contains(words), "{text}");
    }
    secure.speak(&mut world);
    assert_eq!(
        world.rtp_to(plain.address).len(),
        1,
        "the old key still serves"
    );
    let offer = LegOffer {
        suites: Vec::new(),
        ..sdes_offer(&[])
    };
    let reply = world.command(|n| Command::OpenCall {
        n,
        offers: vec![offer],
        near: 0,
    });
    assert!(matches!(reply, Reply::Refused { .. }), "{reply:?}");
}

#[test]
fn rule_9_7_keys_are_not_shown() {
    let line = Crypto {
        suite: "AEAD_AES_128_GCM".to_owned(),
        key: "c0ffee".to_owned(),
    };
    assert!(!format!("{line:?}").contains("c0ffee"));
}

#[test]
fn a_phone_may_cease_to_encrypt_and_begin_again() {
    let mut world = World::new();
    let (plain, mut secure, _) = secure_call(&mut world, Suite::AesCm128HmacSha1_80);
    let leg = secure.phone.leg;
    let clear = port_offer(pcmu());
    world.command(|n| Command::Update {
        n,
        leg,
        offer: clear,
        restart_ice: false,
        opens_video: false,
    });
    world.complete(leg, port_remote(pcmu(), secure.phone.address));
    secure.phone.speak(&mut world);
    assert_eq!(world.rtp_to(plain.address).len(), 1, "heard in the clear");
    let offer = sdes_offer(&[secure.suite]);
    world.command(|n| Command::Update {
        n,
        leg,
        offer,
        restart_ice: false,
        opens_video: false,
    });
    world.complete(leg, secure.remote(&key(secure.suite, 7)));
    secure.phone.speak(&mut world);
    assert_eq!(
        world.rtp_to(plain.address).len(),
        1,
        "no longer heard in the clear"
    );
    secure.speak(&mut world);
    assert_eq!(world.rtp_to(plain.address).len(), 2, "heard sealed");
}
