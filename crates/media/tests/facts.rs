//! Every fact of MEDIA.md section 7 is in the record of a leg, and is what happened.

mod common;

use common::webrtc::{Peer, both, webrtc_offer};
use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::rtcp::{CompoundBuilder, ReportBlock};
use offhook_rtp::srtp::SrtpOut;
use offhook_rtp::suite::Suite;
use str0m::format::Codec as Known;

/// The facts are these, by name; `~` before a number: an age that is at most so many milliseconds.
fn assert_told(facts: &LegFacts, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        let found = facts.evidence.get(*key);
        let found = found.unwrap_or_else(|| panic!("{key} is missing: {facts:?}"));
        match value.strip_prefix('~') {
            Some(most) => {
                let (found, most): (i64, i64) = (found.parse().unwrap(), most.parse().unwrap());
                assert!((0..=most).contains(&found), "{key}: {found} ms");
            }
            None => assert_eq!(found, value, "{key}"),
        }
    }
}

#[test]
fn section_7_facts_of_a_browser_from_peer_to_us() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let leg = legs[0].leg;
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    let remote = peer.remote(both());
    let fingerprint = remote.fingerprints[0].1.clone();
    // 1: before anything came there is nothing but what was announced.
    let facts = world.facts(leg);
    assert_told(&facts, &[("announced", WEBRTC_ADDRESS), ("datagrams", "0")]);
    for absent in [
        "direction",
        "first_datagram_ms",
        "last_source",
        "stun_last_ms",
        "pair_ms",
        "ssrc_in",
        "sound_ms",
        "dtls_version",
        "srtp_opened",
    ] {
        assert!(!facts.evidence.contains_key(absent), "{absent}");
    }
    // 2: a check of nobody we know, and one with another password.
    let stale = |ufrag: &str| check(ufrag, "another password of 24 c");
    let source = "198.51.100.9:7000".parse().unwrap();
    world.datagram(
        WEBRTC_SOCKET,
        source,
        &stale(&format!("{}:x", legs[0].ufrag)),
    );
    let strange = format!("{}zzzzzzzz:x", &legs[0].ufrag[..8]);
    world.datagram(WEBRTC_SOCKET, source, &stale(&strange));
    // 3: a call of two seconds.
    world.complete(leg, remote);
    world.peers.push(peer);
    world.bridge(leg, leg);
    world.advance_ms(1_000);
    for _ in 0..50 {
        let now = world.instant();
        world.peers[0].speak(Known::PCMU, &voice(7), 160, now);
        world.advance_ms(20);
    }
    let facts = world.facts(leg);
    assert_told(
        &facts,
        &[
            ("direction", "sendrecv"),
            ("first_datagram_ms", "~2000"),
            ("last_datagram_ms", "~20"),
            ("last_source", "198.51.100.5:6000"),
            ("stun_bad_integrity", "1"),
            ("stun_wrong_ufrag", "1"),
            ("stun_last_ms", "~3000"),
            ("pair_ms", "~2000"),
            ("pair_changes", "1"),
            ("dtls_role", "passive"),
            ("dtls_version", "1.2"),
            ("dtls_seen", &fingerprint),
            ("dtls_expected", &fingerprint),
            ("srtp_opened", "50"),
            ("srtp_failed", "0"),
            ("srtp_replayed", "0"),
            ("srtp_roc_trials", "0"),
            ("bad_headers", "0"),
            ("ssrc_in", &format!("{:#010x}", webrtc::SSRC)),
            ("ssrc_changes", "0"),
            ("loops", "0"),
            ("sound_ms", "~20"),
            ("speech_ms", "~20"),
        ],
    );
    assert!(facts.evidence["stun_requests"] != "0");
    assert_eq!(
        (facts.local.as_str(), facts.remote.as_str()),
        (WEBRTC_ADDRESS, "198.51.100.5:6000")
    );
    assert!((980..=1_020).contains(&facts.first_in_ms), "{facts:?}");
    assert!((0..=20).contains(&facts.last_in_ms), "{facts:?}");
    assert_eq!(facts.quality.packets_in, 50);
    // 4: the pair grows old while it is the selected one, whatever checks come.
    world.advance_ms(8_000);
    let age: i64 = world.facts(leg).evidence["pair_ms"].parse().unwrap();
    assert!((9_000..=10_000).contains(&age), "{age}");
}

fn check(username: &str, password: &str) -> Vec<u8> {
    let hmac = |key: &[u8], payloads: &[&[u8]]| -> [u8; 20] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = aws_lc_rs::hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        context.sign().as_ref().try_into().unwrap()
    };
    let id = is::stun::TransId::new();
    let message = is::stun::StunMessage::binding_request(username, id, true, 1, 2, true);
    let mut buffer = vec![0; 512];
    let len = message.to_bytes(Some(password.as_bytes()), &mut buffer, hmac);
    buffer.truncate(len.unwrap());
    buffer
}

#[test]
fn section_7_facts_of_a_phone_from_peer_to_us() {
    let mut world = World::new();
    let audio = [pcmu(), vec![codec("CN", 13, 8_000)]].concat();
    let (_, legs) = world.open(vec![port_offer(audio.clone())]);
    let mut a = phone(&legs[0], 0);
    let announced = format!("{}:{}", legs[0].candidates[0].0, legs[0].candidates[0].1);
    world.complete(a.leg, port_remote(audio.clone(), a.address));
    world.bridge(a.leg, a.leg);
    // 1: three packets of a stranger's steady stream: he is a candidate, and heard by nobody.
    let mut stranger = a.clone();
    (stranger.address, stranger.ssrc) = ("203.0.113.9:1234".parse().unwrap(), 0xbad);
    stranger.speak_for(&mut world, 60);
    assert_told(
        &world.facts(a.leg),
        &[
            ("announced", &announced),
            ("latch_policy", "nat"),
            ("latch_consistent", "3"),
            ("last_source", "203.0.113.9:1234"),
            ("refused", "203.0.113.9:1234 x 3"),
        ],
    );
    // 2: the phone, which begins its stream anew in the middle, and sends things that are no sound we know.
    a.speak_for(&mut world, 200);
    a.ssrc = 0xabc;
    a.speak_for(&mut world, 200);
    let other = a.raw(77, false, &voice(1), true);
    for packet in [other, vec![0x80, 0, 1, 2]] {
        world.datagram(a.socket, a.address, &packet);
    }
    let own = world.rtp_to(a.address)[0].bytes.clone();
    world.datagram(a.socket, a.address, &own);
    // 3: it falls silent: zeros for a second, then a description of silence.
    for _ in 0..50 {
        let packet = a.packet(&[0xff; 160]);
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    let noise = a.raw(13, false, &[60], true);
    world.datagram(a.socket, a.address, &noise);
    let facts = world.facts(a.leg);
    assert_told(
        &facts,
        &[
            ("last_source", &a.address.to_string()),
            ("ssrc_in", "0x00000abc"),
            ("ssrc_changes", "1"),
            ("unknown_payload_type", "77 x 1"),
            ("bad_headers", "1"),
            ("loops", "1"),
            ("speech_ms", "~20"),
            ("comfort_noise_ms", "~0"),
        ],
    );
    let quiet: i64 = facts.evidence["sound_ms"].parse().unwrap();
    assert!((1_000..=1_040).contains(&quiet), "{quiet}");
    assert_eq!(facts.path_state, "latched");
    // 4: each direction that can be agreed.
    for (theirs, ours) in [
        (Direction::SendOnly, "recvonly"),
        (Direction::RecvOnly, "sendonly"),
        (Direction::Inactive, "inactive"),
    ] {
        let mut remote = port_remote(audio.clone(), a.address);
        remote.direction = theirs;
        world.complete(a.leg, remote);
        assert_told(&world.facts(a.leg), &[("direction", ours)]);
    }
    // 5: an exact leg says so.
    let exact = LegOffer {
        latch: Latch::Exact,
        ..port_offer(audio.clone())
    };
    let (_, legs) = world.open(vec![exact]);
    world.complete(legs[0].leg, port_remote(audio, a.address));
    assert_told(&world.facts(legs[0].leg), &[("latch_policy", "exact")]);
}

#[test]
fn section_7_facts_of_srtp_count_what_is_not_opened() {
    let mut world = World::new();
    let suite = Suite::AesCm128HmacSha1_80;
    let offer = LegOffer {
        keys: KeyKind::Sdes,
        suites: vec![suite.name().to_owned()],
        ..port_offer(pcmu())
    };
    let (_, legs) = world.open(vec![offer]);
    let mut a = phone(&legs[0], 0);
    a.sequence = 10;
    let key = vec![7; suite.key_len() + suite.salt_len()];
    let master = MasterKeys::from_inline(suite, &key).unwrap();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let crypto = vec![Crypto {
        suite: suite.name().to_owned(),
        key: hex,
    }];
    let remote = LegRemote {
        crypto,
        ..port_remote(pcmu(), a.address)
    };
    world.complete(a.leg, remote);
    let mut out = SrtpOut::new(&master).unwrap();
    let mut sealed = |a: &mut Phone| {
        let mut packet = a.packet(&voice(1));
        let len = packet.len();
        packet.resize(len + 40, 0);
        let sealed = out.seal(&mut packet, len).unwrap();
        packet.truncate(sealed);
        packet
    };
    let first = sealed(&mut a);
    world.datagram(a.socket, a.address, &first);
    for _ in 0..200 {
        let packet = sealed(&mut a);
        world.datagram(a.socket, a.address, &packet);
    }
    // 1: twice the same, one far behind, and nine that do not open, of which the ninth is tried with other counters.
    let twice = sealed(&mut a);
    world.datagram(a.socket, a.address, &twice);
    world.datagram(a.socket, a.address, &twice);
    world.datagram(a.socket, a.address, &first);
    for _ in 0..9 {
        let mut packet = sealed(&mut a);
        packet[20] ^= 1;
        world.datagram(a.socket, a.address, &packet);
    }
    assert_told(
        &world.facts(a.leg),
        &[
            ("srtp_opened", "202"),
            ("srtp_replayed", "1"),
            ("srtp_too_old", "1"),
            ("srtp_failed", "9"),
            ("srtp_roc_trials", "1"),
        ],
    );
}

#[test]
fn section_7_facts_from_us_to_peer() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu()), port_offer(opus())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.complete(b.leg, port_remote(opus(), b.address));
    // 1: nothing feeds it: at first, and by command.
    assert_eq!(world.facts(b.leg).gate, "no_source");
    let leg = b.leg;
    world.command(|n| Command::Hush { n, leg });
    assert_eq!(world.facts(b.leg).gate, "muted");
    // 2: fed by a leg, transcoded: who encodes, how hard, and where it goes.
    world.bridge(a.leg, b.leg);
    a.speak_for(&mut world, 1_000);
    let facts = world.facts(b.leg);
    assert_eq!(
        (facts.gate.as_str(), &facts.source, &facts.remote),
        ("open", &format!("leg:{:#x}", a.leg), &b.address.to_string())
    );
    assert_eq!((facts.codec_out.as_str(), facts.transcoded), ("OPUS", true));
    assert!(facts.quality.packets_out >= 45, "{:?}", facts.quality);
    assert!((900..=1_000).contains(&facts.first_out_ms));
    assert!((0..=20).contains(&facts.last_out_ms));
    assert_told(
        &facts,
        &[
            ("encoder_rate", "8000"),
            ("encoder_complexity", "5"),
            ("late_ticks", "0"),
        ],
    );
    assert!(!facts.evidence.contains_key("report_ms"));
    // 3: what the peer says of our stream, and since when it says no more of it.
    let ours = world.rtp_to(b.address)[0].header().ssrc;
    let report = |world: &mut World| {
        let block = ReportBlock {
            ssrc: ours,
            fraction_lost: 64,
            cumulative_lost: 3,
            extended_highest: 4_711,
            jitter: 480,
            lsr: 0,
            dlsr: 0,
        };
        let mut buffer = [0; 256];
        let mut compound = CompoundBuilder::new(&mut buffer);
        compound.receiver_report(b.ssrc, &[block]).unwrap();
        let len = compound.finish();
        world.datagram(b.socket, b.address, &buffer[..len]);
    };
    for missed in ["0", "0", "100"] {
        report(&mut world);
        let known = [
            ("report_ms", "~0"),
            ("report_highest", "4711"),
            ("not_acknowledged", missed),
        ];
        assert_told(&world.facts(b.leg), &known);
        a.speak_for(&mut world, 1_000);
    }
    let quality = world.facts(b.leg).quality;
    assert_eq!(
        (quality.remote_loss_percent, quality.remote_jitter_ms),
        (25.0, 10.0)
    );
    // 4: what the system and the network say.
    world.send_failed(b.socket, b.address, 101);
    world.send_failed(b.socket, b.address, 1);
    world.send_failed(b.socket, b.address, 101);
    world.unreachable(b.socket, b.address);
    world.advance_ms(40);
    assert_told(
        &world.facts(b.leg),
        &[
            ("send_errors", "101 x 2 1 x 1"),
            ("unreachable", "192.0.2.254"),
            ("unreachable_ms", "~40"),
        ],
    );
    // 5: the source's own verdict.
    world.advance_ms(6_000);
    assert_told(&world.facts(b.leg), &[("source_verdict", "stopped")]);
    // 6: ticks that came too late.
    world.command(|n| Command::Play {
        n,
        leg,
        source: SourceKind::Tone,
        country: "US".to_owned(),
    });
    world.advance_coarsely(std::time::Duration::from_millis(70), 10);
    assert_ne!(world.facts(leg).evidence["late_ticks"], "0");
}
