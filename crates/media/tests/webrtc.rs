//! WebRTC legs against an independent peer (str0m): ICE-lite, DTLS-SRTP, and what strangers may not do.

mod common;

use common::webrtc::{Peer, both, webrtc_offer};
use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};
use offhook_media::{Input, SocketId, WebRtcSocket};
use str0m::format::Codec as Known;

struct Call {
    call: u64,
    browser: u64,
    local: LegLocal,
    phone: Phone,
}

/// A browser and a plain phone, bridged. `dtls_active`: the engine is the DTLS client.
fn call(world: &mut World, dtls_active: bool) -> Call {
    let mut offer = webrtc_offer(both());
    offer.dtls_active = dtls_active;
    let (call, legs) = world.open(vec![offer, port_offer(both())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], !dtls_active);
    world.complete(legs[0].leg, peer.remote(both()));
    world.peers.push(peer);
    let phone = phone(&legs[1], 0);
    world.complete(phone.leg, port_remote(both(), phone.address));
    world.bridge(legs[0].leg, phone.leg);
    Call {
        call,
        browser: legs[0].leg,
        local: legs[0].clone(),
        phone,
    }
}

fn talk(world: &mut World, call: &mut Call, ms: u64) {
    for _ in 0..ms / 20 {
        call.phone.speak(world);
        let now = world.instant();
        let first = world.peers.len() - 1;
        world.peers[first].speak(Known::PCMU, &voice(7), 160, now);
        world.advance_ms(20);
    }
}

#[test]
fn a_browser_and_a_phone_hear_each_other_through_dtls_srtp() {
    for dtls_active in [false, true] {
        let mut world = World::new();
        let mut call = call(&mut world, dtls_active);
        world.advance_ms(1_500);
        assert!(
            world.peers[0].connected,
            "active {dtls_active}: {:?}",
            world.events
        );
        talk(&mut world, &mut call, 1_000);
        let heard = &world.peers[0].received;
        assert!(heard.len() >= 49, "{}", heard.len());
        assert_eq!(heard[0].1.payload.len(), 160);
        assert!(
            heard
                .windows(2)
                .all(|pair| *pair[1].1.seq_no == *pair[0].1.seq_no + 1)
        );
        let to_phone = world.rtp_to(call.phone.address);
        assert!(to_phone.len() >= 49);
        assert_eq!(to_phone[0].payload(), voice(7));
        let suite = world.events.iter().find_map(|(_, event)| match event {
            Event::KeysReady { leg, suite } if *leg == call.browser => Some(suite.clone()),
            _ => None,
        });
        assert_eq!(suite.as_deref(), Some("AEAD_AES_256_GCM"));
        let facts = world.facts(call.browser);
        assert_eq!(
            (facts.path_state.as_str(), facts.keys_state.as_str()),
            ("connected", "ready")
        );
        assert_eq!(
            (facts.remote.as_str(), facts.gate.as_str()),
            ("198.51.100.5:6000", "open")
        );
        assert_eq!(
            (facts.verdict_in.as_str(), facts.verdict_out.as_str()),
            ("", "")
        );
    }
}

#[test]
fn everything_leaves_from_the_address_that_the_browser_reached() {
    let mut world = World::new();
    let elsewhere = WebRtcSocket {
        id: SocketId(u32::MAX),
        local: "10.9.9.9:42000".parse().expect("address"),
        candidates: Vec::new(),
        tcp: false,
    };
    world.reached = elsewhere.id;
    let now = world.now();
    world.engine.handle(Input::Reached(elsewhere), now);
    let mut call = call(&mut world, true);
    talk(&mut world, &mut call, 2_000);
    let browser = world.peers[0].addresses[0];
    assert!(!world.peers[0].received.is_empty() && !world.rtp_to(call.phone.address).is_empty());
    let sent = world.sent.iter().filter(|sent| sent.destination == browser);
    assert!(sent.clone().all(|sent| sent.socket == world.reached));
    assert_eq!(world.facts(call.browser).local, "10.9.9.9:42000");
    assert_eq!(call.local.candidates.len(), 1, "it was not announced");
}

#[test]
fn trap_15_no_plain_rtp_ever_leaves_a_secured_leg() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    talk(&mut world, &mut call, 3_000);
    world.command(|n| Command::CloseCall { n, call: call.call });
    let browser = world.peers[0].addresses[0];
    assert!(world.rtp_to(browser).len() > 50);
    for sent in world.sent.iter().filter(|sent| sent.destination == browser) {
        let clear = sent
            .bytes
            .windows(16)
            .any(|window| voice(1).starts_with(window) || voice(65_510).starts_with(window));
        assert!(!clear, "sound in the clear");
        // A sealed PCMU packet is 16 bytes longer; a sealed report has its index behind the tag.
        assert!(
            !sent.is_rtp() || sent.bytes.len() == 12 + 160 + 16,
            "{}",
            sent.bytes.len()
        );
        assert!(
            !sent.is_rtcp()
                || sent.bytes.len() % 4 == 0 && sent.bytes[sent.bytes.len() - 4] & 0x80 != 0
        );
    }
    let keys = world
        .events
        .iter()
        .find(|(_, event)| matches!(event, Event::KeysReady { .. }))
        .unwrap()
        .0;
    let first = world.rtp_to(browser)[0].at;
    assert!(first >= keys, "nothing before the keys");
}

#[test]
fn a_certificate_that_was_not_described_gets_no_keys_and_is_named() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    let mut remote = peer.remote(both());
    let shown = remote.fingerprints[0].1.clone();
    remote.fingerprints[0].1 = ["00"; 32].join(":");
    world.complete(legs[0].leg, remote);
    world.peers.push(peer);
    world.advance_ms(3_000);
    assert!(
        !world
            .events
            .iter()
            .any(|(_, event)| matches!(event, Event::KeysReady { .. }))
    );
    let evidence = world.evidence(legs[0].leg, "dtls_fingerprint");
    assert_eq!(evidence["seen"], shown);
    assert_eq!(evidence["expected"], ["00"; 32].join(":"));
    let (at, _) = world.verdicts(legs[0].leg, "in")[0].clone();
    assert!((2_000..=2_500).contains(&at), "{at}");
}

#[test]
fn sha_1_fingerprints_are_not_enough() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    let mut remote = peer.remote(both());
    remote.fingerprints[0].0 = "sha-1".to_owned();
    world.complete(legs[0].leg, remote);
    world.peers.push(peer);
    world.advance_ms(2_600);
    assert_eq!(world.facts(legs[0].leg).verdict_in, "dtls_fingerprint");
}

#[test]
fn trap_2_a_hello_before_the_answer_is_kept() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let source = "198.51.100.5:6000".parse().unwrap();
    let request = binding_request(&format!("{}:abcd", legs[0].ufrag), &legs[0].password);
    world.datagram(SocketId(1), source, &request);
    let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
    let fingerprint = certificate.fingerprint_str();
    let mut client = dimpl::Dtls::new_12(Default::default(), certificate, world.instant());
    client.set_active(true);
    client.handle_timeout(world.instant()).unwrap();
    let mut record = [0; 2048];
    while let dimpl::Output::Packet(hello) = client.poll_output(&mut record) {
        world.datagram(SocketId(1), source, hello);
    }
    let flights = |world: &World| {
        world
            .sent
            .iter()
            .filter(|sent| sent.destination == source && sent.bytes[0] == 22)
            .count()
    };
    assert_eq!(flights(&world), 0, "nothing is said before the answer");
    let remote = LegRemote {
        audio: both(),
        ufrag: "abcd".to_owned(),
        password: "p".repeat(22),
        fingerprints: vec![("sha-256".to_owned(), fingerprint)],
        ..LegRemote::default()
    };
    world.complete(legs[0].leg, remote);
    assert!(flights(&world) > 0, "the kept hello is answered at once");
    assert_eq!(
        world.facts(legs[0].leg).path_state,
        "connected",
        "and the early nomination counts"
    );
}

#[test]
fn a_peer_that_checks_before_the_answer_connects_after_it() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    let remote = peer.remote(both());
    world.peers.push(peer);
    world.advance_ms(300);
    world.complete(legs[0].leg, remote);
    world.advance_ms(1_000);
    assert!(world.peers[0].connected);
}

#[test]
fn trap_13_a_peer_whose_candidates_are_names_connects_by_its_checks() {
    // No candidate of the peer ever reaches the engine: that is what an mDNS name amounts to.
    let mut world = World::new();
    let call = call(&mut world, false);
    world.advance_ms(1_500);
    assert_eq!(world.facts(call.browser).path_state, "connected");
}

#[test]
fn rule_9_1_strangers_change_nothing() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    let stranger = "203.0.113.66:6666".parse().unwrap();
    let mut rtp = call.phone.packet(&voice(3));
    for first in [0x80u8, 0x16, 0x00, 0x45, 0xff] {
        rtp[0] = first;
        world.datagram(SocketId(1), stranger, &rtp);
    }
    world.advance_ms(1_500);
    talk(&mut world, &mut call, 200);
    let before = world.facts(call.browser);
    // A right user name with a wrong password is not believed.
    let ours = call.local.ufrag.clone();
    let forged = binding_request(&format!("{ours}:abcd"), "wrong password wrong pw");
    world.datagram(SocketId(1), stranger, &forged);
    let replies = world
        .sent
        .iter()
        .filter(|sent| sent.destination == stranger)
        .count();
    assert_eq!(replies, 0, "nobody answers a stranger");
    let after = world.facts(call.browser);
    assert_eq!(before.remote, after.remote);
    assert_eq!(before.quality.packets_in, after.quality.packets_in);
    assert_eq!(
        world.engine.strays().1,
        1,
        "one address in the table: the browser's"
    );
}

fn binding_request(username: &str, password: &str) -> Vec<u8> {
    nomination(username, password, 2)
}

fn nomination(username: &str, password: &str, priority: u32) -> Vec<u8> {
    check(username, password, priority, true)
}

fn check(username: &str, password: &str, priority: u32, nominates: bool) -> Vec<u8> {
    let hmac = |key: &[u8], payloads: &[&[u8]]| -> [u8; 20] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = aws_lc_rs::hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        context.sign().as_ref().try_into().unwrap()
    };
    let message = is::stun::StunMessage::binding_request(
        username,
        is::stun::TransId::new(),
        true,
        1,
        priority,
        nominates,
    );
    let mut buffer = vec![0; 512];
    let len = message
        .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
        .unwrap();
    buffer.truncate(len);
    buffer
}

#[test]
fn rule_9_5_an_authenticated_peer_cannot_fill_the_tables() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let peer_remote = LegRemote {
        audio: both(),
        ufrag: "abcd".to_owned(),
        password: "p".repeat(22),
        fingerprints: vec![("sha-256".to_owned(), "00".to_owned())],
        ..LegRemote::default()
    };
    world.complete(legs[0].leg, peer_remote);
    let username = format!("{}:abcd", legs[0].ufrag);
    for port in 1_000..1_200 {
        let source = format!("198.51.100.9:{port}").parse().unwrap();
        world.datagram(
            SocketId(1),
            source,
            &binding_request(&username, &legs[0].password),
        );
    }
    assert!(world.sent.len() >= 200, "each check is answered");
    assert!(world.engine.strays().1 <= 8);
}

#[test]
fn trap_10_media_follows_the_last_nomination() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    world.advance_ms(1_500);
    talk(&mut world, &mut call, 200);
    let old = world.peers[0].addresses[0];
    // The browser moves: it nominates a pair of lower priority from a new address.
    let moved = "198.51.100.77:7000".parse().unwrap();
    world.peers[0].mute = true;
    world.peers[0].deaf = true;
    let remote = world.peers[0].remote(both());
    let request = binding_request(
        &format!("{}:{}", call.local.ufrag, remote.ufrag),
        &call.local.password,
    );
    let start = world.elapsed;
    for _ in 0..50 {
        if world
            .sent
            .iter()
            .any(|sent| sent.is_rtp() && sent.destination == moved)
        {
            break;
        }
        world.datagram(SocketId(1), moved, &request);
        call.phone.speak_for(&mut world, 100);
    }
    let first = world.rtp_to(moved)[0].at;
    assert!((first - start).as_millis() <= 1_000, "{:?}", first - start);
    assert!(world.rtp_to(old).iter().all(|sent| sent.at <= first));
}

#[test]
fn trap_11_silence_of_the_peer_stops_media_and_a_later_check_revives_it() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    world.advance_ms(1_500);
    talk(&mut world, &mut call, 200);
    world.peers[0].mute = true;
    call.phone.speak_for(&mut world, 60_000);
    let browser = world.peers[0].addresses[0];
    let last = world.rtp_to(browser).last().unwrap().at;
    assert!(last.as_secs() < 20, "{last:?}");
    assert_eq!(world.facts(call.browser).path_state, "disconnected");
    assert_eq!(world.facts(call.browser).verdict_in, "stopped");
    let remote = world.peers[0].remote(both());
    let request = binding_request(
        &format!("{}:{}", call.local.ufrag, remote.ufrag),
        &call.local.password,
    );
    let moved = "198.51.100.77:7000".parse().unwrap();
    world.datagram(SocketId(1), moved, &request);
    call.phone.speak_for(&mut world, 100);
    assert_eq!(world.facts(call.browser).path_state, "connected");
    assert_eq!(world.rtp_to(moved).len(), 5);
}

#[test]
fn trap_11_a_role_conflict_is_answered_and_the_role_kept() {
    let mut world = World::new();
    let call = call(&mut world, false);
    let remote = world.peers[0].remote(both());
    let username = format!("{}:{}", call.local.ufrag, remote.ufrag);
    let message = is::stun::StunMessage::binding_request(
        &username,
        is::stun::TransId::new(),
        false,
        u64::MAX - 1,
        2,
        false,
    );
    let hmac = |key: &[u8], payloads: &[&[u8]]| -> [u8; 20] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = aws_lc_rs::hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        context.sign().as_ref().try_into().unwrap()
    };
    let mut buffer = [0; 512];
    let len = message
        .to_bytes(Some(call.local.password.as_bytes()), &mut buffer, hmac)
        .unwrap();
    let source = "198.51.100.5:6001".parse().unwrap();
    world.datagram(SocketId(1), source, &buffer[..len]);
    let reply = world
        .sent
        .iter()
        .find(|sent| sent.destination == source)
        .expect("a reply");
    let reply = is::stun::StunMessage::parse(&reply.bytes).expect("STUN");
    assert_eq!(reply.error_code().map(|(code, _)| code), Some(487));
}

#[test]
fn trap_12_an_ice_restart_keeps_media_and_keys() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    world.advance_ms(1_500);
    talk(&mut world, &mut call, 400);
    let leg = call.browser;
    let reply = world.command(|n| Command::Update {
        n,
        leg,
        offer: webrtc_offer(both()),
        restart_ice: true,
        opens_video: false,
    });
    let Reply::LegOpened { leg: fresh, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_ne!(
        (&fresh.ufrag, &fresh.password),
        (&call.local.ufrag, &call.local.password)
    );
    assert_eq!(fresh.fingerprint, call.local.fingerprint);
    // Media goes on over the old pair until the new one is nominated, however long the answer takes.
    talk(&mut world, &mut call, 20_000);
    let browser = world.peers[0].addresses[0];
    assert!(
        world.rtp_to(browser).len() >= 1_019,
        "{}",
        world.rtp_to(browser).len()
    );
    let mut remote = world.peers[0].remote(both());
    (remote.ufrag, remote.password) = ("newu".to_owned(), "n".repeat(22));
    world.complete(leg, remote);
    let moved = "198.51.100.77:7000".parse().unwrap();
    let request = binding_request(&format!("{}:newu", fresh.ufrag), &fresh.password);
    world.datagram(SocketId(1), moved, &request);
    call.phone.speak_for(&mut world, 100);
    assert_eq!(world.rtp_to(moved).len(), 5, "media follows at once");
    let keys = world
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::KeysReady { .. }))
        .count();
    assert_eq!(keys, 1, "the association survives");
    let before = world.rtp_to(browser).last().unwrap().header().sequence;
    assert_eq!(
        world.rtp_to(moved)[0].header().sequence,
        before.wrapping_add(1),
        "no packet is lost by us"
    );
}

#[test]
fn trap_3_twenty_renegotiations_keep_the_association() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    world.advance_ms(1_500);
    for round in 0..20 {
        let mut remote = world.peers[0].remote(both());
        remote.direction = if round % 2 == 0 {
            Direction::SendOnly
        } else {
            Direction::SendRecv
        };
        world.complete(call.browser, remote);
        talk(&mut world, &mut call, 100);
    }
    let keys = world
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::KeysReady { .. }))
        .count();
    assert_eq!(keys, 1);
    assert!(world.peers[0].received.len() >= 45);
}

#[test]
fn closing_a_browser_leg_leaves_no_address_behind() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    talk(&mut world, &mut call, 2_000);
    world.command(|n| Command::CloseCall { n, call: call.call });
    assert_eq!((world.engine.legs(), world.engine.strays().1), (0, 0));
}

#[test]
fn trap_3_a_new_certificate_builds_a_new_association_while_the_old_one_serves() {
    let mut world = World::new();
    let mut call = call(&mut world, false);
    world.advance_ms(1_500);
    talk(&mut world, &mut call, 200);
    let mut fresh = Peer::new("198.51.100.6:6000", world.instant());
    fresh.describe(&call.local, true);
    fresh.sequence = 50_000;
    let remote = fresh.remote(both());
    world.complete(call.browser, remote);
    assert_eq!(
        world.facts(call.browser).keys_state,
        "ready",
        "the old keys serve"
    );
    world.peers[0].mute = true;
    world.peers.insert(0, fresh);
    world.advance_ms(1_500);
    assert!(world.peers[0].connected);
    let keys = world
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::KeysReady { .. }))
        .count();
    assert_eq!(keys, 2);
    for _ in 0..20 {
        call.phone.speak(&mut world);
        let now = world.instant();
        world.peers[0].speak(Known::PCMU, &voice(9), 160, now);
        world.advance_ms(20);
    }
    assert!(
        world.peers[0].received.len() >= 15,
        "{}",
        world.peers[0].received.len()
    );
    assert!(world.rtp_to(call.phone.address).len() >= 25);
}

#[test]
fn trap_2_a_flood_before_the_answer_is_bounded() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    let remote = peer.remote(both());
    let source = peer.addresses[0];
    world.peers.push(peer);
    world.advance_ms(100);
    let mut noise = vec![22, 0xfe, 0xfd];
    noise.resize(1_200, 0);
    for _ in 0..10_000 {
        world.datagram(SocketId(1), source, &noise);
    }
    world.complete(legs[0].leg, remote);
    world.advance_ms(5_000);
    assert!(world.peers[0].connected, "the peer repeats its flight");
}

#[test]
fn echo_reaches_a_browser() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    world.complete(legs[0].leg, peer.remote(both()));
    world.peers.push(peer);
    world.bridge(legs[0].leg, legs[0].leg);
    world.advance_ms(1_000);
    for i in 0..50 {
        let now = world.instant();
        world.peers[0].speak(Known::PCMU, &voice(i), 160, now);
        world.advance_ms(20);
    }
    let heard = &world.peers[0].received;
    assert!(heard.len() >= 48, "{}", heard.len());
    assert_eq!(heard[10].1.payload[..], voice(10)[..]);
}

#[test]
fn trap_10_aggressive_nomination_does_not_flap() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(both())]);
    let remote = LegRemote {
        audio: both(),
        ufrag: "abcd".to_owned(),
        password: "p".repeat(22),
        fingerprints: vec![("sha-256".to_owned(), "00".to_owned())],
        ..LegRemote::default()
    };
    world.complete(legs[0].leg, remote);
    let username = format!("{}:abcd", legs[0].ufrag);
    for _ in 0..60 {
        for (port, priority) in [(5_001, 50), (5_002, 90), (5_003, 70)] {
            let source = format!("198.51.100.9:{port}").parse().unwrap();
            world.datagram(
                SocketId(1),
                source,
                &nomination(&username, &legs[0].password, priority),
            );
            world.advance_ms(20);
        }
    }
    let paths: Vec<String> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::PathChanged { remote, .. } => Some(remote.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(paths, ["198.51.100.9:5001", "198.51.100.9:5002"]);
    // The best pair goes quiet: the next best takes over by itself.
    for _ in 0..20 {
        let source = "198.51.100.9:5003".parse().unwrap();
        world.datagram(
            SocketId(1),
            source,
            &nomination(&username, &legs[0].password, 70),
        );
        world.advance_ms(50);
    }
    assert_eq!(world.facts(legs[0].leg).remote, "198.51.100.9:5003");
}

#[test]
fn ice_bad_credentials_and_ice_not_selected_are_told_apart() {
    for (password, nominates, expected) in [
        (false, true, "ice_bad_credentials"),
        (true, false, "ice_not_selected"),
    ] {
        let mut world = World::new();
        let (_, legs) = world.open(vec![webrtc_offer(both())]);
        let remote = LegRemote {
            audio: both(),
            ufrag: "abcd".to_owned(),
            password: "p".repeat(22),
            fingerprints: vec![("sha-256".to_owned(), "00".to_owned())],
            ..LegRemote::default()
        };
        world.complete(legs[0].leg, remote);
        let password = if password {
            legs[0].password.clone()
        } else {
            "stale".repeat(5)
        };
        let request = check(&format!("{}:abcd", legs[0].ufrag), &password, 2, nominates);
        for _ in 0..50 {
            world.datagram(SocketId(1), "198.51.100.9:5001".parse().unwrap(), &request);
            world.advance_ms(50);
        }
        let (at, verdict) = world.verdicts(legs[0].leg, "in")[0].clone();
        assert_eq!(verdict, expected);
        assert!((2_000..=2_500).contains(&at));
    }
}
