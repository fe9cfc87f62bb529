//! Whom a phone's leg believes and where it sends: latching, and addresses that no description may name.

mod common;

use std::net::SocketAddr;

use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};

#[test]
fn rule_9_3_the_signalled_address_is_believed_at_once_and_five_packets_move_a_nat_leg() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    let signalled = b.address;
    b.address = "203.0.113.7:9000".parse().unwrap();
    a.speak(&mut world);
    for _ in 0..4 {
        b.speak(&mut world);
        a.speak(&mut world);
    }
    assert_eq!(
        world.rtp_to(signalled).len(),
        5,
        "never to a mere candidate"
    );
    assert!(
        world.rtp_to(a.address).is_empty(),
        "a candidate is not heard"
    );
    b.speak(&mut world);
    a.speak(&mut world);
    assert_eq!(world.rtp_to(b.address).len(), 1);
    assert_eq!(world.rtp_to(a.address).len(), 1);
    let moved = world.events.iter().any(|(_, event)| {
        matches!(event, Event::PathChanged { reason, remote, .. } if reason == "latch" && remote == "203.0.113.7:9000")
    });
    assert!(moved);
}

#[test]
fn rule_9_3_a_peer_that_names_no_address_is_followed_to_where_it_sends_from() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu()), port_offer(pcmu())]);
    let (mut a, mut b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(pcmu(), a.address));
    let nameless = LegRemote {
        address: String::new(),
        ..port_remote(pcmu(), b.address)
    };
    world.complete(b.leg, nameless);
    world.bridge(a.leg, b.leg);
    // 1: nothing goes to it before five of its packets came.
    for _ in 0..4 {
        b.speak(&mut world);
        a.speak(&mut world);
    }
    assert!(world.rtp_to(b.address).is_empty());
    // 2: then both hear each other.
    b.speak(&mut world);
    a.speak(&mut world);
    assert_eq!(world.rtp_to(b.address).len(), 1);
    assert_eq!(world.rtp_to(a.address).len(), 1);
}

#[test]
fn rule_9_3_an_exact_leg_believes_nobody_else() {
    let mut world = World::new();
    let mut offer = port_offer(pcmu());
    offer.latch = Latch::Exact;
    let (_, legs) = world.open(vec![offer, port_offer(pcmu())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.complete(b.leg, port_remote(pcmu(), b.address));
    world.bridge(a.leg, b.leg);
    a.address = "203.0.113.7:9000".parse().unwrap();
    a.speak_for(&mut world, 2_500);
    assert!(world.rtp_to(b.address).is_empty());
    assert_eq!(
        world.evidence(a.leg, "source_refused")["source"],
        "203.0.113.7:9000"
    );
}

#[test]
fn rule_9_3_learning_ends_three_seconds_after_the_first_packet() {
    let mut world = World::new();
    let (_, _, mut b) = two_phones(&mut world);
    b.address = "203.0.113.7:9000".parse().unwrap();
    b.speak(&mut world);
    world.advance_ms(3_100);
    b.speak_for(&mut world, 400);
    assert_eq!(world.facts(b.leg).quality.packets_in, 0);
}

#[test]
fn rule_9_4_a_latched_source_is_strict_until_it_was_quiet_two_seconds_and_its_stream_goes_on() {
    let mut world = World::new();
    let (_, a, mut b) = two_phones(&mut world);
    b.speak_for(&mut world, 200);
    let mut thief = b.clone();
    thief.address = "203.0.113.66:6666".parse().unwrap();
    thief.ssrc = 0xbad;
    for _ in 0..20 {
        thief.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    assert_eq!(world.rtp_to(a.address).len(), 30, "the thief is not heard");
    world.advance_ms(2_100);
    thief.speak_for(&mut world, 200);
    assert_eq!(
        world.rtp_to(a.address).len(),
        30,
        "another SSRC is another stream"
    );
    let moved: SocketAddr = "203.0.113.7:9000".parse().unwrap();
    b.address = moved;
    b.speak_for(&mut world, 200);
    assert_eq!(world.rtp_to(a.address).len(), 40);
    assert_eq!(world.facts(b.leg).remote, moved.to_string());
}

/// Puts a phone on hold and takes it back, by descriptions of the same address.
fn hold_and_resume(world: &mut World, leg: u64, signalled: SocketAddr) {
    for direction in [Direction::Inactive, Direction::SendRecv] {
        let remote = LegRemote {
            direction,
            ..port_remote(pcmu(), signalled)
        };
        world.complete(leg, remote);
    }
}

#[test]
fn rule_9_4_after_a_description_another_stream_may_begin_once_the_old_one_is_quiet() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    let signalled = b.address;
    b.speak_for(&mut world, 200);
    let mut moved = b.clone();
    moved.address = "203.0.113.7:9000".parse().unwrap();
    moved.ssrc = 0x900d;
    hold_and_resume(&mut world, b.leg, signalled);
    // 1: while the one that is believed sends, no other is, and what we send does not move.
    for _ in 0..20 {
        moved.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    a.speak(&mut world);
    assert_eq!(world.rtp_to(a.address).len(), 30);
    assert_eq!(world.rtp_to(signalled).len(), 1);
    assert!(world.rtp_to(moved.address).is_empty());
    // 2: once it is quiet, five packets in a row are the peer.
    world.advance_ms(1_900);
    moved.speak_for(&mut world, 400);
    assert_eq!(world.facts(b.leg).remote, moved.address.to_string());
    assert!(world.rtp_to(a.address).len() > 30);
    a.speak(&mut world);
    assert_eq!(world.rtp_to(moved.address).len(), 1);
}

#[test]
fn rule_9_4_a_description_opens_for_three_seconds_and_the_same_again_does_not() {
    let mut world = World::new();
    let (_, a, mut b) = two_phones(&mut world);
    let signalled = b.address;
    b.speak_for(&mut world, 200);
    let heard = world.rtp_to(a.address).len();
    let mut other = b.clone();
    other.address = "203.0.113.66:6666".parse().unwrap();
    other.ssrc = 0xbad;
    // 1: the same description again changes nothing.
    world.complete(b.leg, port_remote(pcmu(), signalled));
    world.advance_ms(2_100);
    other.speak_for(&mut world, 400);
    assert_eq!(world.rtp_to(a.address).len(), heard);
    // 2: another opens, until three seconds after the first packet of somebody else.
    hold_and_resume(&mut world, b.leg, signalled);
    other.speak(&mut world);
    world.advance_ms(3_100);
    other.speak_for(&mut world, 400);
    assert_eq!(world.rtp_to(a.address).len(), heard);
    assert_eq!(world.facts(b.leg).remote, signalled.to_string());
}

#[test]
fn rule_9_1_nothing_is_heard_before_the_peers_description() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let mut a = phone(&legs[0], 0);
    a.speak_for(&mut world, 400);
    let facts = world.facts(a.leg);
    assert_eq!(
        (
            facts.quality.packets_in,
            facts.path_state.as_str(),
            facts.first_in_ms
        ),
        (0, "closed", -1)
    );
}

#[test]
fn rule_9_6_descriptions_may_not_point_at_special_addresses_or_our_own_ports() {
    let mut world = World::new();
    let apart = LegOffer {
        rtcp_mux: false,
        ..port_offer(pcmu())
    };
    let six = LegOffer {
        address: "2001:db8::1".to_owned(),
        ..apart.clone()
    };
    let (_, legs) = world.open(vec![apart.clone(), apart, six.clone(), six]);
    let own = |leg: &LegLocal| -> SocketAddr {
        let (host, port) = &leg.candidates[0];
        SocketAddr::new(host.parse().unwrap(), *port)
    };
    let beside = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
    let (four, six) = (own(&legs[1]), own(&legs[3]));
    assert!(six.is_ipv6());
    let refused = |world: &mut World, leg: u64, address: SocketAddr, rtcp_port: u16| {
        let remote = LegRemote {
            rtcp_port,
            ..port_remote(pcmu(), address)
        };
        let reply = world.command(|n| Command::Complete { n, leg, remote });
        matches!(&reply, Reply::Refused { code, .. } if code == "bad_address")
    };
    for (leg, address) in [
        (0, "127.0.0.1:9".parse().unwrap()),
        (0, "224.0.0.1:9".parse().unwrap()),
        (0, "169.254.1.1:9".parse().unwrap()),
        (0, "255.255.255.255:9".parse().unwrap()),
        (0, "[2001:db8::9]:9".parse().unwrap()),
        (2, "[::1]:9".parse().unwrap()),
        (2, "[ff02::1]:9".parse().unwrap()),
        (2, "[fe80::1]:9".parse().unwrap()),
        (2, "[febf::1]:9".parse().unwrap()),
        // Another way to write 127.0.0.1, and an address that would be none of its own kind.
        (2, "[::ffff:127.0.0.1]:9".parse().unwrap()),
        (2, "[::ffff:192.0.2.1]:9".parse().unwrap()),
        (2, "192.0.2.1:9".parse().unwrap()),
        // Of another leg, of its reports, of this leg itself, and the port for browsers.
        (0, four),
        (0, beside(four)),
        (0, own(&legs[0])),
        (0, WEBRTC_ADDRESS.parse().unwrap()),
        (2, six),
        (2, beside(six)),
    ] {
        assert!(refused(&mut world, legs[leg].leg, address, 0), "{address}");
    }
    // Who is a neighbour may be sent to, and is called when his port for reports happens to be one of ours.
    let beside_us = SocketAddr::new(four.ip(), 9);
    assert!(!refused(&mut world, legs[0].leg, beside_us, 0));
    assert!(!refused(
        &mut world,
        legs[2].leg,
        SocketAddr::new(six.ip(), 9),
        0
    ));
    // But no report goes to a port of ours, named or beside the media's.
    let below = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() - 1);
    for (leg, named) in [(0, false), (2, true)] {
        let (ours, address) = (own(&legs[leg]), below(own(&legs[leg])));
        let reports = if named { ours.port() } else { 0 };
        assert!(
            !refused(&mut world, legs[leg].leg, address, reports),
            "{address}"
        );
        world.bridge(legs[leg].leg, legs[leg].leg);
        let mut phone = phone(&legs[leg], 0);
        phone.address = address;
        phone.speak_for(&mut world, 6_000);
        assert!(!world.rtp_to(address).is_empty());
        assert!(world.sent.iter().all(|sent| sent.destination != ours));
    }
}

#[test]
fn trap_21_two_legs_cannot_be_pointed_at_each_other() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu()), port_offer(pcmu())]);
    let own = |leg: &LegLocal| -> SocketAddr {
        let (host, port) = &leg.candidates[0];
        SocketAddr::new(host.parse().unwrap(), *port)
    };
    for (leg, other) in [(0, 1), (1, 0)] {
        let (leg, remote) = (legs[leg].leg, port_remote(pcmu(), own(&legs[other])));
        let reply = world.command(|n| Command::Complete { n, leg, remote });
        assert!(
            matches!(&reply, Reply::Refused { code, .. } if code == "bad_address"),
            "{reply:?}"
        );
    }
    // Were it done by another name of this host, each hears a stream of its own and is told so.
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.complete(b.leg, port_remote(pcmu(), b.address));
    world.bridge(a.leg, b.leg);
    a.speak(&mut world);
    let echoed = world.rtp_to(b.address)[0].bytes.clone();
    let before = world.sent.len();
    for _ in 0..125 {
        world.datagram(b.socket, b.address, &echoed);
        world.advance_ms(20);
    }
    assert!(world.sent[before..].iter().all(|sent| !sent.is_rtp()));
    assert_eq!(world.facts(b.leg).verdict_in, "source_refused");
    assert_eq!(world.evidence(b.leg, "source_refused")["loop"], "100");
    assert_eq!(world.facts(b.leg).evidence["loops"], "125");
}

#[test]
fn trap_21_our_own_stream_is_a_loop_and_dropped() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak(&mut world);
    let echoed = world.rtp_to(b.address)[0].bytes.clone();
    world.datagram(b.socket, b.address, &echoed);
    assert!(world.rtp_to(a.address).is_empty());
}
