//! The named bounds of what one peer or a crowd of strangers can make the engine keep (MEDIA.md section 9).

mod common;

use common::*;
use offhook_media::description::*;
use offhook_media::event::Event;
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet};

#[test]
fn rule_9_5_eight_streams_of_a_peer_are_remembered() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    for ssrc in 1..200 {
        a.ssrc = 0x5000 + ssrc;
        for _ in 0..2 {
            a.speak(&mut world);
            world.advance_ms(20);
        }
    }
    let blocks = |report: &&Sent| match Compound::parse(&report.bytes).unwrap().packets().next() {
        Some(Packet::ReceiverReport(_, blocks) | Packet::SenderReport(_, blocks)) => blocks.count(),
        _ => 0,
    };
    let most = world.rtcp_to(a.address).iter().map(blocks).max();
    assert_eq!(most, Some(8));
    // What b hears is one stream of ours all the while.
    let streams: std::collections::HashSet<u32> = world
        .rtp_to(b.address)
        .iter()
        .map(|sent| sent.header().ssrc)
        .collect();
    assert_eq!(streams.len(), 1);
}

#[test]
fn rule_9_5_a_crowd_of_unknown_requests_is_dropped_unread() {
    let mut world = World::new();
    let offer = LegOffer {
        path: PathKind::WebRtc,
        keys: KeyKind::Dtls,
        ..port_offer(opus())
    };
    let (_, legs) = world.open(vec![offer]);
    let mut peer = webrtc::Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    world.complete(legs[0].leg, peer.remote(opus()));
    // Binding requests with a user name of nobody.
    let request = [
        &[0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42][..],
        &[7; 12],
        &[0, 6, 0, 8],
        b"aa:bbbbb",
    ]
    .concat();
    for port in 0..2_001u16 {
        world.datagram(
            WEBRTC_SOCKET,
            format!("203.0.113.9:{}", 2_000 + port).parse().unwrap(),
            &request,
        );
    }
    assert_eq!(world.sent.len(), 0);
    // 1: in this second nobody new is looked at, whoever it is.
    world.peers.push(peer);
    world.advance_ms(900);
    assert_eq!(world.engine.strays().1, 0);
    // 2: in the next one a peer is.
    world.advance_ms(1_500);
    assert!(world.peers[0].connected);
    // 3: a peer that is known is heard through any crowd.
    for _ in 0..5 {
        for port in 0..2_500u16 {
            world.datagram(
                WEBRTC_SOCKET,
                format!("203.0.113.9:{}", 2_000 + port).parse().unwrap(),
                &request,
            );
        }
        world.advance_ms(1_000);
    }
    world.advance_ms(12_000);
    assert_eq!(world.facts(legs[0].leg).path_state, "connected");
}

#[test]
fn rule_9_4_rtcp_moves_nothing_of_rtp() {
    let mut world = World::new();
    let offer = LegOffer {
        rtcp_mux: false,
        ..port_offer(pcmu())
    };
    let (_, legs) = world.open(vec![offer.clone(), offer]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    for phone in [&a, &b] {
        world.complete(phone.leg, port_remote(pcmu(), phone.address));
    }
    world.bridge(a.leg, b.leg);
    let mut buffer = [0; 64];
    let mut compound = CompoundBuilder::new(&mut buffer);
    compound.receiver_report(7, &[]).unwrap();
    let len = compound.finish();
    let rtcp = offhook_media::SocketId(b.socket.0 + 1);
    for _ in 0..50 {
        // From the phone's host and from a stranger's, on both ports.
        for source in ["192.0.2.11:9999", "203.0.113.5:9999"] {
            for socket in [b.socket, rtcp] {
                world.datagram(socket, source.parse().unwrap(), &buffer[..len]);
            }
        }
        a.speak(&mut world);
        world.advance_ms(100);
    }
    assert_eq!(
        world.rtp_to(b.address).len(),
        50,
        "sound stays where it was"
    );
    let told = |event: &Event| matches!(event, Event::PathChanged { leg, reason, .. } if *leg == b.leg && reason != "signalled");
    assert!(!world.events.iter().any(|(_, event)| told(event)));
    assert!(
        world
            .rtcp_to("203.0.113.5:9999".parse().unwrap())
            .is_empty(),
        "nothing to the stranger"
    );
    assert!(
        !world.rtcp_to("192.0.2.11:9999".parse().unwrap()).is_empty(),
        "reports follow the phone's own RTCP"
    );
}

#[test]
fn rule_9_9_names_and_numbers_of_a_peer_stay_with_us() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    let mut buffer = [0; 128];
    let mut compound = CompoundBuilder::new(&mut buffer);
    compound.receiver_report(a.ssrc, &[]).unwrap();
    compound.cname(a.ssrc, "alice@her-laptop").unwrap();
    let len = compound.finish();
    for _ in 0..400 {
        world.datagram(a.socket, a.address, &buffer[..len]);
        a.speak(&mut world);
        world.advance_ms(20);
    }
    let to_b: Vec<&Sent> = world
        .sent
        .iter()
        .filter(|sent| sent.destination == b.address)
        .collect();
    assert!(to_b.iter().any(|sent| sent.is_rtcp()));
    for sent in to_b {
        assert!(
            !sent.bytes.windows(5).any(|part| part == b"alice"),
            "her name crossed"
        );
        assert!(
            !sent
                .bytes
                .windows(4)
                .any(|part| part == a.ssrc.to_be_bytes()),
            "her stream's number crossed"
        );
    }
}

#[test]
fn trap_14_forks_send_early_and_ringback_sounds_until_one_is_heard() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![
        port_offer(pcmu()),
        port_offer(pcmu()),
        port_offer(pcmu()),
    ]);
    let (a, mut b, c) = (phone(&legs[0], 0), phone(&legs[1], 1), phone(&legs[2], 2));
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.command(|n| offhook_media::command::Command::Play {
        n,
        leg: a.leg,
        source: SourceKind::Ringback,
        country: "US".into(),
    });
    // 1: 183 of both forks; neither is heard, the ringback goes on.
    for fork in [&b, &c] {
        world.complete(fork.leg, port_remote(pcmu(), fork.address));
    }
    world.advance_ms(500);
    let ringing = world.rtp_to(a.address).len();
    assert!(ringing >= 24);
    // 2: one of them is heard, which is told at once and changes nothing by itself.
    b.speak_for(&mut world, 100);
    let heard = |event: &Event| matches!(event, Event::FirstMedia { leg, .. } if *leg == b.leg);
    assert_eq!(
        world
            .events
            .iter()
            .filter(|(_, event)| heard(event))
            .count(),
        1
    );
    world.bridge(a.leg, b.leg);
    b.speak_for(&mut world, 200);
    // 3: the second answers, the first is closed; the caller's stream is one.
    let (mut c, first) = (c, b.leg);
    world.bridge(a.leg, c.leg);
    world.command(|n| offhook_media::command::Command::CloseLeg { n, leg: first });
    c.speak_for(&mut world, 200);
    let sent = world.rtp_to(a.address);
    assert!(sent.len() >= ringing + 20);
    for pair in sent.windows(2) {
        let (one, next) = (pair[0].header(), pair[1].header());
        assert_eq!(next.ssrc, one.ssrc);
        assert_eq!(next.sequence, one.sequence.wrapping_add(1));
        assert!(next.timestamp.wrapping_sub(one.timestamp) < 8_000);
    }
}
