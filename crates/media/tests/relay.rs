//! Plain relay: rewrite, gates, latch, loops, clean-up.

mod common;

use std::net::SocketAddr;

use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};

#[test]
fn a_bridge_passes_payloads_both_ways_under_identities_of_ours() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    for _ in 0..50 {
        a.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    for (from, to) in [(&a, &b), (&b, &a)] {
        let sent = world.rtp_to(to.address);
        assert_eq!(sent.len(), 50);
        let first = sent[0].header();
        assert!(first.marker, "a talk begins with the marker");
        assert!(first.sequence < 0x8000 + 50);
        assert_ne!(first.ssrc, from.ssrc);
        for (i, packet) in sent.iter().enumerate() {
            let header = packet.header();
            assert_eq!(packet.payload(), voice(65_500u16.wrapping_add(i as u16)));
            assert_eq!(header.sequence, first.sequence.wrapping_add(i as u16));
            assert_eq!(
                header.timestamp,
                first.timestamp.wrapping_add(160 * i as u32)
            );
            assert_eq!(header.ssrc, first.ssrc);
        }
    }
    assert!(
        world
            .events
            .iter()
            .any(|(_, event)| matches!(event, Event::FirstMedia { .. }))
    );
}

#[test]
fn trap_1_a_hundred_source_switches_stay_monotonic() {
    let mut world = World::new();
    let (call, legs) = world.open(vec![
        port_offer(pcmu()),
        port_offer(pcmu()),
        port_offer(pcmu()),
    ]);
    let mut phones: Vec<Phone> = legs
        .iter()
        .enumerate()
        .map(|(i, leg)| phone(leg, i as u8))
        .collect();
    for phone in &phones {
        world.complete(phone.leg, port_remote(pcmu(), phone.address));
    }
    let listener = phones[0].address;
    let mut begins = Vec::new();
    for round in 0..100 {
        let talker = 1 + round % 2;
        if round % 10 == 9 {
            let leg = phones[0].leg;
            world.command(|n| Command::Play {
                n,
                leg,
                source: SourceKind::Ringback,
                country: "US".into(),
            });
            begins.push(world.sent.len());
            world.advance_ms(100);
        }
        // What the talker said last was on its way while the other one was heard.
        let straggler = phones[talker].packet(&voice(3));
        let stranger = phones[3 - talker].packet(&voice(4));
        phones[talker].speak(&mut world);
        world.bridge(phones[0].leg, phones[talker].leg);
        begins.push(world.sent.len());
        for at in 0..10 {
            if at == 1 {
                // Late packets of before the switch, of either source: none is heard.
                let before = world.rtp_to(listener).len();
                for (late, from) in [(&straggler, talker), (&stranger, 3 - talker)] {
                    let (socket, address) = (phones[from].socket, phones[from].address);
                    world.datagram(socket, address, late);
                }
                assert_eq!(world.rtp_to(listener).len(), before, "round {round}");
            }
            let held = phones[talker].packet(&voice(1));
            let lost = phones[talker].sequence % 7 == 0;
            let next = phones[talker].packet(&voice(2));
            let (socket, address) = (phones[talker].socket, phones[talker].address);
            world.datagram(socket, address, &next);
            if !lost {
                world.datagram(socket, address, &held);
            }
            world.advance_ms(40);
            // The other one talks on and is not heard.
            phones[3 - talker].speak(&mut world);
        }
    }
    let sent = world.rtp_to(listener);
    assert!(sent.len() > 1_500);
    let (ssrc, seen_first) = (sent[0].header().ssrc, sent[0].header().sequence);
    let mut seen = std::collections::HashSet::new();
    let mut highest = (sent[0].header().sequence, sent[0].header().timestamp);
    for packet in &sent {
        let header = packet.header();
        assert_eq!(header.ssrc, ssrc);
        assert!(seen.insert(header.sequence), "no number is used twice");
        let step = header.sequence.wrapping_sub(highest.0) as i16;
        assert!((-3..=4).contains(&step), "sequence moves by {step}");
        if step > 0 {
            let time = header.timestamp.wrapping_sub(highest.1) as i32;
            assert!((0..8_000).contains(&time), "time stamp moves by {time}");
            highest = (header.sequence, header.timestamp);
        }
    }
    // Each source begins with the marker, one number on, and at the time that has passed on the codec's clock.
    for begin in begins {
        let of_rtp = |sent: &&Sent| sent.is_rtp() && sent.destination == listener;
        let next = world.sent[begin..].iter().find(of_rtp).unwrap();
        assert!(next.header().marker);
        let before = world.sent[..begin].iter().filter(of_rtp);
        let highest = before.max_by_key(|sent| sent.header().sequence.wrapping_sub(seen_first));
        let Some(highest) = highest else { continue };
        let (one, two) = (highest.header(), next.header());
        let skipped = two.sequence.wrapping_sub(one.sequence);
        assert!((1..=2).contains(&skipped), "{skipped} numbers on");
        let ms = (next.at - highest.at).as_millis() as i64;
        let moved = i64::from(two.timestamp.wrapping_sub(one.timestamp)) / 8;
        assert!((moved - ms).abs() <= 40, "{moved} of {ms} ms");
    }
    world.command(|n| Command::CloseCall { n, call });
}

#[test]
fn the_gates_of_direction_hold_each_way() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    a.speak_for(&mut world, 100);
    let mut held = port_remote(pcmu(), b.address);
    held.direction = Direction::SendOnly;
    world.complete(b.leg, held);
    let before = world.rtp_to(b.address).len();
    a.speak_for(&mut world, 200);
    b.speak_for(&mut world, 200);
    assert_eq!(
        world.rtp_to(b.address).len(),
        before,
        "a peer that only sends is sent nothing"
    );
    assert_eq!(world.rtp_to(a.address).len(), 10);
    let leg = b.leg;
    let facts = world.facts(leg);
    assert_eq!(facts.gate, "on_hold");
    world.complete(b.leg, port_remote(pcmu(), b.address));
    a.speak_for(&mut world, 100);
    assert_eq!(world.rtp_to(b.address).len(), before + 5);
}

#[test]
fn a_leg_bridged_with_itself_echoes() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let mut a = phone(&legs[0], 0);
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.bridge(a.leg, a.leg);
    a.speak_for(&mut world, 200);
    assert_eq!(world.rtp_to(a.address).len(), 10);
    let facts = world.facts(a.leg);
    assert_eq!(
        (
            facts.codec_in.as_str(),
            facts.codec_out.as_str(),
            facts.transcoded
        ),
        ("PCMU", "PCMU", false)
    );
}

#[test]
fn payload_types_are_mapped_to_the_peers_numbers() {
    let mut world = World::new();
    let strange = vec![codec("PCMU", 96, 8_000)];
    let (_, legs) = world.open(vec![port_offer(pcmu()), port_offer(strange.clone())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.complete(b.leg, port_remote(strange, b.address));
    world.bridge(a.leg, b.leg);
    a.speak_for(&mut world, 100);
    assert!(
        world
            .rtp_to(b.address)
            .iter()
            .all(|sent| sent.header().payload_type == 96)
    );
}

#[test]
fn rule_9_9_padding_and_extensions_do_not_cross() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    let mut packet = a.packet(&voice(1));
    packet[0] |= 0x30;
    packet.splice(12..12, [0xbe, 0xde, 0, 1, 0x10, 0x7f, 0, 0]);
    packet.extend([0, 0, 0, 4]);
    world.datagram(a.socket, a.address, &packet);
    let sent = world.rtp_to(b.address);
    assert_eq!(sent[0].payload(), voice(1));
    assert_eq!(sent[0].bytes[0], 0x80);
}

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

#[test]
fn closing_gives_ports_back_and_says_bye() {
    let mut world = World::new();
    let (call, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 100);
    let reply = world.command(|n| Command::CloseCall { n, call });
    let Reply::Closed { legs, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(legs.len(), 2);
    assert_eq!(legs[0].quality.packets_in, 5);
    assert_eq!(world.released.len(), 2);
    let bye = world.rtcp_to(b.address).last().unwrap().bytes.clone();
    assert!(
        bye.windows(2).any(|pair| pair == [0x81, 203]),
        "a BYE for our stream"
    );
    let again = world.command(|n| Command::CloseCall { n, call });
    assert!(matches!(again, Reply::Closed { legs, .. } if legs.is_empty()));
    a.speak(&mut world);
    assert_eq!(world.engine.legs(), 0);
}

#[test]
fn a_hundred_legs_closed_leave_nothing() {
    let mut world = World::new();
    for _ in 0..50 {
        let (call, mut a, mut b) = two_phones(&mut world);
        a.speak_for(&mut world, 40);
        b.speak(&mut world);
        world.command(|n| Command::CloseCall { n, call });
    }
    assert_eq!(
        (
            world.engine.legs(),
            world.engine.load(),
            world.engine.strays().1
        ),
        (0, 0, 0)
    );
    assert_eq!(world.released.len(), 100);
    let sent = world.sent.len();
    world.advance_ms(20_000);
    assert_eq!(world.sent.len(), sent, "no timer is left");
}

#[test]
fn an_id_of_a_closed_leg_finds_nobody() {
    let mut world = World::new();
    let (call, a, _) = two_phones(&mut world);
    world.command(|n| Command::CloseCall { n, call });
    two_phones(&mut world);
    let leg = a.leg;
    let reply = world.command(|n| Command::Facts { n, leg });
    assert!(
        matches!(&reply, Reply::Refused { code, .. } if code == "unknown_leg"),
        "{reply:?}"
    );
}

#[test]
fn a_panic_ends_the_call_in_hand_and_nothing_else() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    let (_, c, _) = two_phones(&mut world);
    world.break_random(true);
    let (leg, offer) = (c.leg, port_offer(pcmu()));
    let reply = world.command(|n| Command::Update {
        n,
        leg,
        offer,
        restart_ice: true,
        opens_video: false,
    });
    world.break_random(false);
    assert!(
        matches!(&reply, Reply::Refused { code, .. } if code == "engine_busy"),
        "{reply:?}"
    );
    let failed = world
        .events
        .iter()
        .filter(|(_, e)| matches!(e, Event::LegFailed { cause, .. } if cause == "panic"));
    assert_eq!(failed.count(), 2);
    assert_eq!(
        (
            world.engine.legs(),
            world.engine.panics(),
            world.released.len()
        ),
        (2, 1, 2)
    );
    a.speak_for(&mut world, 100);
    assert_eq!(world.rtp_to(b.address).len(), 5);
}

#[test]
fn repeated_commands_have_no_effect() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 100);
    for _ in 0..20 {
        world.complete(a.leg, port_remote(pcmu(), a.address));
        world.complete(b.leg, port_remote(pcmu(), b.address));
        world.bridge(a.leg, b.leg);
        a.speak_for(&mut world, 20);
    }
    let sent = world.rtp_to(b.address);
    assert_eq!(sent.len(), 25);
    assert_eq!(
        sent.iter().filter(|sent| sent.header().marker).count(),
        1,
        "nothing began anew"
    );
}

#[test]
fn duplicates_are_dropped_and_reordered_packets_keep_their_numbers() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    let packets: Vec<Vec<u8>> = (0..6).map(|i| a.packet(&voice(i))).collect();
    for i in [0, 1, 1, 3, 2, 2, 5, 4] {
        world.datagram(a.socket, a.address, &packets[i]);
    }
    let sent = world.rtp_to(b.address);
    let first = sent[0].header();
    let order: Vec<u16> = sent
        .iter()
        .map(|sent| sent.header().sequence.wrapping_sub(first.sequence))
        .collect();
    assert_eq!(order, [0, 1, 3, 2, 5, 4]);
    for (offset, packet) in order.iter().zip(&sent) {
        assert_eq!(packet.payload(), voice(*offset));
        assert_eq!(
            packet.header().timestamp,
            first.timestamp.wrapping_add(160 * u32::from(*offset))
        );
    }
    let quality = world.facts(a.leg).quality;
    assert_eq!(
        (quality.duplicates, quality.reordered, quality.packets_in),
        (2, 2, 6)
    );
}

#[test]
fn trap_1_another_clock_is_another_stream() {
    let mut world = World::new();
    let audio = [pcmu(), opus()].concat();
    let (_, legs) = world.open(vec![port_offer(audio.clone())]);
    let a = phone(&legs[0], 0);
    let leg = a.leg;
    world.complete(leg, port_remote(audio, a.address));
    world.command(|n| Command::Play {
        n,
        leg,
        source: SourceKind::Tone,
        country: "US".into(),
    });
    world.advance_ms(200);
    world.complete(leg, port_remote(opus(), a.address));
    world.advance_ms(200);
    let sent = world.rtp_to(a.address);
    let (one, two) = (sent[0].header(), sent.last().unwrap().header());
    assert_eq!((one.payload_type, two.payload_type), (0, 111));
    assert_ne!(one.ssrc, two.ssrc);
    assert!(
        sent.iter()
            .all(|sent| (sent.header().payload_type == 111) == (sent.header().ssrc == two.ssrc))
    );
}

#[test]
fn a_source_that_starts_over_is_heard_again() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 400);
    // Same SSRC, other numbers: a phone that was restarted in the middle.
    (a.sequence, a.timestamp) = (30_000, 5);
    a.speak_for(&mut world, 400);
    let sent = world.rtp_to(b.address);
    assert_eq!(sent.len(), 39, "one packet is lost to the doubt");
    let numbers: Vec<u16> = sent.iter().map(|sent| sent.header().sequence).collect();
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1)),
        "{numbers:?}"
    );
    assert!(sent.windows(2).all(|pair| {
        pair[1]
            .header()
            .timestamp
            .wrapping_sub(pair[0].header().timestamp)
            < 1_000
    }));
}

#[test]
fn a_new_ssrc_takes_over_and_stragglers_of_the_old_one_drop() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 200);
    let mut old = a.clone();
    (a.ssrc, a.sequence, a.timestamp) = (0x7777, 9, 9);
    a.speak_for(&mut world, 100);
    old.speak_for(&mut world, 40);
    a.speak_for(&mut world, 100);
    let sent = world.rtp_to(b.address);
    assert_eq!(sent.len(), 20);
    assert!(
        sent.iter()
            .all(|packet| packet.header().ssrc == sent[0].header().ssrc)
    );
}

#[test]
fn hold_and_resume_keep_the_latched_address() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    let signalled = b.address;
    b.address = "203.0.113.7:9000".parse().unwrap();
    b.speak_for(&mut world, 200);
    for direction in [Direction::SendOnly, Direction::SendRecv] {
        let mut remote = port_remote(pcmu(), signalled);
        remote.direction = direction;
        world.complete(b.leg, remote);
    }
    a.speak_for(&mut world, 100);
    assert_eq!(world.rtp_to(b.address).len(), 5);
    assert!(world.rtp_to(signalled).is_empty());
}

#[test]
fn the_mid_goes_with_each_packet_where_it_is_agreed() {
    let mut world = World::new();
    let offer = LegOffer {
        mid_id: 4,
        mid: "0".to_owned(),
        ..port_offer(pcmu())
    };
    let (_, legs) = world.open(vec![offer]);
    let mut a = phone(&legs[0], 0);
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.bridge(a.leg, a.leg);
    a.speak(&mut world);
    let sent = world.rtp_to(a.address)[0];
    assert_eq!(sent.bytes[12..20], [0xbe, 0xde, 0, 1, 0x40, b'0', 0, 0]);
    assert_eq!(sent.payload().len(), 160);
}

#[test]
fn packets_left_out_on_purpose_leave_no_gap() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    for round in 0..40 {
        a.speak(&mut world);
        if round % 4 == 0 {
            let noise = a.raw(13, false, &[60], false);
            world.datagram(a.socket, a.address, &noise);
        }
        world.advance_ms(20);
    }
    let numbers: Vec<u16> = world
        .rtp_to(b.address)
        .iter()
        .map(|sent| sent.header().sequence)
        .collect();
    // The noise is not agreed: sound is made in its place from the second packet on, and begins a tick late.
    assert_eq!(numbers.len(), 39);
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1)),
        "{numbers:?}"
    );
}
