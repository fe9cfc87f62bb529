//! Plain relay: rewrite, gates, clean-up, sources that change.

mod common;

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
