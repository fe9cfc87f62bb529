//! DTLS-SRTP without ICE: the address is of the description, or of whom shows the certificate that was described.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use common::shaking::{Phone, *};
use common::*;
use dimpl::{Config, Dtls, Output};
use offhook_media::description::*;
use offhook_media::event::Event;
use offhook_media::{Settings, SocketId};

/// In hex pairs, as a description has it.
fn sha_1(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let pairs = digest.as_ref().iter().map(|byte| format!("{byte:02X}"));
    pairs.collect::<Vec<_>>().join(":")
}

/// A ClientHello of somebody else.
fn hello(world: &World) -> Vec<u8> {
    let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
    let mut client = Dtls::new_12(Arc::new(Config::default()), certificate, world.instant());
    client.set_active(true);
    client.handle_timeout(world.instant()).unwrap();
    let mut buffer = [0; 2_048];
    match client.poll_output(&mut buffer) {
        Output::Packet(record) => record.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_phone_without_ice_hears_itself_in_either_role() {
    for active in [false, true] {
        let mut world = World::new();
        let (leg, _, mut phone) = call(&mut world, Latch::Exact, active, INSIDE);
        exchange(&mut world, &mut [&mut phone], 10);
        assert_eq!(
            keys_ready(&world),
            1,
            "active {active}: {}",
            world.facts(leg).keys_state
        );
        for _ in 0..20 {
            phone.speak(&mut world);
            world.advance_ms(20);
        }
        let back = world.rtp_to(phone.address);
        assert_eq!(back.len(), 20);
        let mut bytes = back[3].bytes.clone();
        let (_, inward) = phone.keys.as_mut().unwrap();
        let len = inward.open(&mut bytes, world.instant()).expect("it opens");
        assert_eq!(&bytes[12..len], voice(104));
    }
}

#[test]
fn trap_2_a_sha_1_fingerprint_counts_where_the_operator_says_so() {
    let keys_with = |sha_1_fingerprints: bool, described: &dyn Fn(&Phone) -> String| {
        let mut world = World::with(Settings {
            sha_1_fingerprints,
            ..Settings::default()
        });
        let (_, legs) = world.open(vec![offer(false, Latch::Exact)]);
        let mut phone = Phone::new(&world, &legs[0], INSIDE, true);
        let remote = LegRemote {
            fingerprints: vec![("sha-1".to_owned(), described(&phone))],
            ..phone.remote(INSIDE)
        };
        world.complete(legs[0].leg, remote);
        exchange(&mut world, &mut [&mut phone], 10);
        keys_ready(&world)
    };
    let right = |phone: &Phone| sha_1(&phone.certificate.certificate);
    let wrong = |_: &Phone| sha_1(b"another certificate");
    // 1: its own counts with the setting.
    assert_eq!(keys_with(true, &right), 1);
    // 2: another's does not.
    assert_eq!(keys_with(true, &wrong), 0);
    // 3: without the setting not even its own.
    assert_eq!(keys_with(false, &right), 0);
}

#[test]
fn rule_9_2_a_phone_behind_nat_is_known_by_its_certificate() {
    let mut world = World::new();
    let (leg, _, mut phone) = call(&mut world, Latch::Nat, false, OUTSIDE);
    exchange(&mut world, &mut [&mut phone], 10);
    // 1: its certificate moves the path, and that is told once.
    assert_eq!(world.facts(leg).remote, OUTSIDE);
    let moved =
        |event: &Event| matches!(event, Event::PathChanged { reason, .. } if reason == "dtls");
    assert_eq!(
        world
            .events
            .iter()
            .filter(|(_, event)| moved(event))
            .count(),
        1
    );
    // 2: sound goes there, and nothing ever went to the address that was described.
    phone.speak(&mut world);
    assert_eq!(world.rtp_to(phone.address).len(), 1);
    assert!(world.rtp_to(INSIDE.parse().unwrap()).is_empty());
    // 3: the description once more leaves it there.
    let again = LegRemote {
        ptime: 40,
        ..phone.remote(INSIDE)
    };
    world.complete(leg, again);
    assert_eq!(world.facts(leg).remote, OUTSIDE);
}

#[test]
fn rule_9_2_a_phone_that_names_no_address_is_known_by_its_certificate_too() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![offer(false, Latch::Nat)]);
    let (leg, mut phone) = (legs[0].leg, Phone::new(&world, &legs[0], OUTSIDE, true));
    let nameless = LegRemote {
        address: String::new(),
        ..phone.remote(INSIDE)
    };
    world.complete(leg, nameless);
    world.bridge(leg, leg);
    // 1: before it speaks nothing is sent to anybody.
    world.advance_ms(100);
    assert!(world.sent.is_empty());
    // 2: its handshake is answered where it comes from, and its sound goes there.
    exchange(&mut world, &mut [&mut phone], 10);
    assert_eq!(
        (keys_ready(&world), world.facts(leg).remote.as_str()),
        (1, OUTSIDE)
    );
    phone.speak(&mut world);
    assert_eq!(world.rtp_to(phone.address).len(), 1);
    assert!(
        world
            .sent
            .iter()
            .all(|sent| sent.destination == phone.address)
    );
}

#[test]
fn rule_9_2_an_exact_leg_shakes_hands_with_the_described_address_only() {
    let mut world = World::new();
    let (leg, _, mut phone) = call(&mut world, Latch::Exact, false, OUTSIDE);
    exchange(&mut world, &mut [&mut phone], 120);
    assert_eq!(keys_ready(&world), 0);
    assert!(
        world
            .sent
            .iter()
            .all(|sent| sent.destination != phone.address),
        "not a word"
    );
    let facts = world.facts(leg);
    assert_eq!(facts.verdict_in, "source_refused", "not the handshake");
    assert_eq!(
        world.evidence(leg, "source_refused")["source"],
        phone.address.to_string()
    );
}

#[test]
fn no_packets_of_a_phone_of_which_nothing_came_whoever_begins_the_handshake() {
    for active in [false, true] {
        let mut world = World::new();
        let (leg, _, _) = call(&mut world, Latch::Nat, active, INSIDE);
        world.advance_ms(30_000);
        let told = world.verdicts(leg, "in");
        assert!(
            matches!(&told[..], [(2_000..=2_500, name)] if name == "no_packets"),
            "active {active}, and its end after twenty seconds changes nothing: {told:?}"
        );
    }
}

#[test]
fn dtls_no_hello_of_a_phone_that_is_reached_and_begins_none() {
    let mut world = World::new();
    let (leg, local, phone) = call(&mut world, Latch::Nat, false, INSIDE);
    // 1: a stranger's sound and junk do not show that the phone's packets come.
    let mut stranger = common::phone(&local, 1);
    stranger.speak(&mut world);
    world.datagram(phone.socket, phone.address, &[0x80; 4]);
    world.advance_ms(3_000);
    assert_eq!(world.verdicts(leg, "in")[0].1, "source_refused");
    // 2: its own does, in the clear as it is.
    let mut plain = common::Phone {
        address: phone.address,
        ..common::phone(&local, 2)
    };
    for _ in 0..300 {
        plain.speak(&mut world);
        world.advance_ms(20);
    }
    assert_eq!(world.verdicts(leg, "in").last().unwrap().1, "dtls_no_hello");
    assert_eq!(world.evidence(leg, "dtls_no_hello")["role"], "passive");
}

#[test]
fn rule_9_2_strangers_take_neither_the_place_nor_the_turn_of_the_phone() {
    let mut world = World::new();
    let (leg, local, mut phone) = call(&mut world, Latch::Nat, false, INSIDE);
    let hello = hello(&world);
    // 1: three of all strangers are answered in ten seconds, with a cookie that is smaller than what they sent.
    for host in 1..=50 {
        world.datagram(
            phone.socket,
            SocketAddr::new([203, 0, 113, host].into(), 4_000),
            &hello,
        );
    }
    assert_eq!(world.sent.len(), 3);
    assert!(world.sent.iter().all(|sent| sent.bytes.len() < hello.len()));
    // 2: a stranger who goes through with it shows the wrong certificate.
    world.advance_ms(11_000);
    let mut stranger = Phone::new(&world, &local, "203.0.113.99:4000", true);
    exchange(&mut world, &mut [&mut stranger], 10);
    assert_eq!(keys_ready(&world), 0);
    // 3: the phone connects all the same.
    phone.dtls.set_active(true);
    exchange(&mut world, &mut [&mut phone], 10);
    assert_eq!(keys_ready(&world), 1);
    assert_eq!(world.facts(leg).remote, INSIDE);
    // 4: afterwards a stranger's certificate changes nothing, and his packets are refused by name.
    let mut late = Phone::new(&world, &local, "203.0.113.77:4000", true);
    exchange(&mut world, &mut [&mut late], 10);
    let facts = world.facts(leg);
    assert_eq!(
        (facts.keys_state.as_str(), facts.remote.as_str()),
        ("ready", INSIDE)
    );
    phone.speak(&mut world);
    assert_eq!(world.rtp_to(phone.address).len(), 1);
    phone.address = "203.0.113.77:4000".parse().unwrap();
    for _ in 0..350 {
        phone.speak(&mut world);
        world.advance_ms(20);
    }
    assert_eq!(
        world.evidence(leg, "source_refused")["source"],
        "203.0.113.77:4000"
    );
}

#[test]
fn rule_9_2_the_address_we_believe_has_three_attempts_in_ten_seconds() {
    let mut world = World::new();
    let (_, _, phone) = call(&mut world, Latch::Nat, false, INSIDE);
    let hello = hello(&world);
    // A handshake that fails at once: the alert ends each association.
    let fatal = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for _ in 0..10 {
        world.datagram(phone.socket, phone.address, &hello);
        world.datagram(phone.socket, phone.address, &fatal);
    }
    assert_eq!(world.sent.len(), 3);
    world.advance_ms(10_001);
    world.sent.clear();
    world.datagram(phone.socket, phone.address, &hello);
    assert_eq!(world.sent.len(), 1, "and then again");
}

#[test]
fn a_handshake_on_the_rtcp_port_is_not_the_legs() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![apart(false, Latch::Nat)]);
    let mut phone = Phone::new(&world, &legs[0], "192.0.2.20:5001", true);
    world.complete(legs[0].leg, phone.remote(INSIDE));
    phone.socket = SocketId(phone.socket.0 + 1);
    exchange(&mut world, &mut [&mut phone], 10);
    assert!(phone.keys.is_some(), "it is that port's");
    assert_eq!(keys_ready(&world), 0);
    assert_eq!(world.facts(legs[0].leg).remote, INSIDE);
}

#[test]
fn rule_9_5_five_hundred_and_twelve_handshakes_are_in_flight_at_most() {
    let mut world = World::new();
    let hello = hello(&world);
    let mut answered = 0;
    for index in 0..520u32 {
        let (_, legs) = world.open(vec![offer(false, Latch::Exact)]);
        let address = SocketAddr::new(
            [192, 0, 2, (index % 250) as u8 + 1].into(),
            5_000 + (index / 250) as u16,
        );
        let remote = LegRemote {
            fingerprints: vec![("sha-256".to_owned(), ["AA"; 32].join(":"))],
            ..port_remote(pcmu(), address)
        };
        world.complete(legs[0].leg, remote);
        world.sent.clear();
        world.datagram(
            SocketId(u32::from(legs[0].candidates[0].1) - 41_000),
            address,
            &hello,
        );
        answered += usize::from(!world.sent.is_empty());
    }
    assert_eq!(answered, 512);
    // Each is over in twenty seconds, and others have their turn.
    world.advance_coarsely(std::time::Duration::from_secs(1), 30);
    let (_, legs) = world.open(vec![offer(false, Latch::Exact)]);
    let phone = Phone::new(&world, &legs[0], INSIDE, true);
    world.complete(legs[0].leg, phone.remote(INSIDE));
    world.sent.clear();
    world.datagram(phone.socket, phone.address, &hello);
    assert!(
        world
            .sent
            .iter()
            .any(|sent| sent.destination == phone.address)
    );
}

#[test]
fn no_keys_while_a_handshake_does_not_go_on() {
    let mut world = World::new();
    let (leg, _, phone) = call(&mut world, Latch::Nat, false, INSIDE);
    let hello = hello(&world);
    world.datagram(phone.socket, phone.address, &hello);
    world.advance_ms(3_000);
    for direction in ["in", "out"] {
        let (at, verdict) = world.verdicts(leg, direction)[0].clone();
        assert!((2_000..=2_500).contains(&at), "{at}");
        assert_eq!(verdict, "no_keys", "{direction}");
    }
}

#[test]
fn dtls_failed_though_we_try_again() {
    let mut world = World::new();
    let (leg, _, phone) = call(&mut world, Latch::Exact, true, INSIDE);
    // The peer has no suite in common with us, and says so each time we begin.
    let fatal = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for _ in 0..10 {
        world.datagram(phone.socket, phone.address, &fatal);
        world.advance_ms(300);
    }
    let (at, verdict) = world.verdicts(leg, "in")[0].clone();
    assert!((2_000..=2_500).contains(&at), "{at}");
    assert_eq!(verdict, "dtls_failed");
    assert_ne!(world.evidence(leg, "dtls_failed")["error"], "");
}

/// A call whose handshake is done, of which the first media of the phone was the proof.
fn proven(world: &mut World) -> (u64, Phone) {
    let (leg, _, mut phone) = call(world, Latch::Exact, false, INSIDE);
    exchange(world, &mut [&mut phone], 10);
    phone.speak(world);
    assert_eq!(world.rtp_to(phone.address).len(), 1);
    (leg, phone)
}

#[test]
fn a_handshake_that_is_done_repeats_its_end_to_whom_did_not_hear_it() {
    let mut world = World::new();
    let (_, phone) = proven(&mut world);
    let heard = phone.told(&world);
    let (hello, finished) = (phone.said.first().unwrap(), phone.said.last().unwrap());
    world.datagram(phone.socket, phone.address, finished);
    let told = phone.told(&world);
    assert_eq!(
        told.len(),
        heard.len() + 1,
        "1: one flight for one Finished"
    );
    assert_eq!(told.last(), heard.last(), "2: the records as they were");
    world.datagram(phone.socket, phone.address, hello);
    world.advance_ms(3_000);
    assert_eq!(
        phone.told(&world).len(),
        told.len(),
        "3: a late hello of that handshake begins none"
    );
    let stranger = OUTSIDE.parse().unwrap();
    world.datagram(phone.socket, stranger, finished);
    assert!(
        world.sent.iter().all(|sent| sent.destination != stranger),
        "4: no stranger is answered"
    );
    world.advance_ms(60_000);
    world.datagram(phone.socket, phone.address, finished);
    assert_eq!(
        phone.told(&world).len(),
        told.len(),
        "5: after a minute nobody asks in earnest"
    );
}

#[test]
fn a_handshake_that_is_done_neither_renegotiates_nor_ends_the_call() {
    let mut world = World::new();
    let (leg, mut phone) = proven(&mut world);
    // An encrypted record of a handshake whose first octet could be a ClientHello's.
    let mut renegotiation = vec![22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 48];
    renegotiation.resize(13 + 48, 1);
    world.datagram(phone.socket, phone.address, &renegotiation);
    phone.dtls.close().unwrap();
    phone.turn(&mut world);
    world.advance_ms(3_000);
    assert_eq!(keys_ready(&world), 1, "1: no second handshake");
    assert_eq!(world.facts(leg).keys_state, "ready");
    for _ in 0..5 {
        phone.speak(&mut world);
        world.advance_ms(20);
    }
    assert_eq!(
        world.rtp_to(phone.address).len(),
        6,
        "2: a close of DTLS is not the end of SRTP: signalling ends a call"
    );
}

#[test]
fn a_phone_that_lost_its_association_gets_another_by_the_same_certificate() {
    for same in [true, false] {
        let mut world = World::new();
        let (leg, mut phone) = proven(&mut world);
        let fresh = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let certificate = if same {
            phone.certificate.clone()
        } else {
            fresh
        };
        phone.begin_anew(&world, certificate);
        world.complete(leg, phone.remote(INSIDE));
        assert_eq!(
            world.facts(leg).keys_state,
            "ready",
            "1: the old keys serve"
        );
        exchange(&mut world, &mut [&mut phone], 10);
        assert_eq!(keys_ready(&world), 2, "2: same certificate {same}");
        let before = world.rtp_to(phone.address).len();
        phone.speak(&mut world);
        let back = world.rtp_to(phone.address);
        assert_eq!(back.len(), before + 1);
        let mut bytes = back.last().unwrap().bytes.clone();
        let (_, inward) = phone.keys.as_mut().unwrap();
        inward
            .open(&mut bytes, world.instant())
            .expect("3: it hears itself by the new keys");
    }
}
