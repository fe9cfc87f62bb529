//! Every verdict this engine gives, when it is due and what it rests on.

mod common;

use common::webrtc::{Peer, webrtc_offer};
use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::Event;
use offhook_rtp::rtcp::{CompoundBuilder, ReportBlock};

/// "Try again": the system has no room for what is to be sent.
const EAGAIN: i32 = 11;

/// The first verdict of a direction, which must come within half a second of its due time.
fn first(world: &World, leg: u64, direction: &str, due_ms: u64) -> String {
    let (at, verdict) = world
        .verdicts(leg, direction)
        .first()
        .cloned()
        .expect("a verdict");
    assert!(
        (due_ms..=due_ms + 500).contains(&at),
        "{verdict} at {at}, due at {due_ms}"
    );
    verdict
}

fn browser(world: &mut World) -> (LegLocal, Peer) {
    let offer = LegOffer {
        path: PathKind::WebRtc,
        keys: KeyKind::Dtls,
        ..port_offer(opus())
    };
    let (_, legs) = world.open(vec![offer]);
    let peer = Peer::new("198.51.100.5:6000", world.instant());
    (legs[0].clone(), peer)
}

#[test]
fn no_packets_after_two_seconds_and_heard_ends_it() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    world.advance_ms(3_000);
    assert_eq!(first(&world, a.leg, "in", 2_000), "no_packets");
    assert_eq!(first(&world, b.leg, "out", 2_000), "no_source");
    a.speak_for(&mut world, 500);
    let told = world.verdicts(a.leg, "in");
    assert_eq!(told.last().unwrap().1, "heard");
    assert!(told.last().unwrap().0 < 3_020, "at once");
    assert_eq!(world.verdicts(b.leg, "out").last().unwrap().1, "heard");
    let facts = world.facts(a.leg);
    assert_eq!(facts.verdict_in, "");
}

#[test]
fn what_this_machine_dropped_unread_is_told_with_the_silence() {
    let mut world = World::new();
    let (_, a, b) = two_phones(&mut world);
    // 1. of the leg whose socket it was, added up
    for lost in [3, 4] {
        world.unread(a.socket, lost);
    }
    world.advance_ms(3_000);
    assert_eq!(first(&world, a.leg, "in", 2_000), "no_packets");
    assert_eq!(world.evidence(a.leg, "no_packets")["socket_drops"], "7");
    let facts = world.facts(a.leg);
    assert_eq!(facts.evidence["socket_drops"], "7");
    assert_eq!(facts.quality.unread_in, 7);
    // 2. and of no other
    let other = world.facts(b.leg);
    assert_eq!(other.quality.unread_in, 0);
    assert!(!other.evidence.contains_key("socket_drops"));
}

#[test]
fn what_was_dropped_at_the_shared_port_may_have_been_any_browsers() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![webrtc_offer(pcmu()), port_offer(pcmu())]);
    world.unread(WEBRTC_SOCKET, 5);
    assert_eq!(world.facts(legs[0].leg).evidence["port_drops"], "5");
    assert_eq!(world.facts(legs[1].leg).quality.unread_in, 0);
    // One that comes later has nothing to do with it.
    let (_, later) = world.open(vec![webrtc_offer(pcmu())]);
    assert_eq!(world.facts(later[0].leg).quality.unread_in, 0);
}

#[test]
fn a_full_queue_towards_the_network_is_counted_and_no_verdict() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    for _ in 0..150 {
        a.speak(&mut world);
        b.speak(&mut world);
        world.send_failed(b.socket, b.address, EAGAIN);
        world.advance_ms(20);
    }
    let facts = world.facts(b.leg);
    assert_eq!(
        (facts.evidence["unsent"].as_str(), &facts.verdict_out[..]),
        ("150", "")
    );
}

#[test]
fn nothing_is_judged_while_sound_flows() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    for _ in 0..1_000 {
        a.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    assert!(
        !world
            .events
            .iter()
            .any(|(_, event)| matches!(event, Event::SilenceFound { .. }))
    );
}

#[test]
fn stopped_after_five_seconds_and_the_other_side_knows_the_cause() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    for _ in 0..100 {
        a.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    b.speak_for(&mut world, 8_000);
    // The last packet of a came at 1.98 s.
    assert_eq!(first(&world, a.leg, "in", 6_980), "stopped");
    assert_eq!(first(&world, b.leg, "out", 6_980), "no_source");
    assert_eq!(world.evidence(b.leg, "no_source")["verdict"], "stopped");
    let stopped = world
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::MediaStopped { leg, .. } if *leg == a.leg));
    assert_eq!(stopped.count(), 1);
    a.speak(&mut world);
    assert!(
        world
            .events
            .iter()
            .any(|(_, event)| matches!(event, Event::MediaResumed { leg } if *leg == a.leg))
    );
}

#[test]
fn ice_no_checks() {
    let mut world = World::new();
    let (local, mut peer) = browser(&mut world);
    let remote = peer.remote(opus());
    world.complete(local.leg, remote);
    world.advance_ms(3_000);
    assert_eq!(first(&world, local.leg, "in", 2_000), "ice_no_checks");
    assert_eq!(first(&world, local.leg, "out", 2_000), "no_address");
}

#[test]
fn dtls_no_hello_when_both_sides_wait() {
    let mut world = World::new();
    let (local, mut peer) = browser(&mut world);
    peer.describe(&local, false);
    world.complete(local.leg, peer.remote(opus()));
    world.peers.push(peer);
    world.advance_ms(3_000);
    assert_eq!(first(&world, local.leg, "in", 2_000), "dtls_no_hello");
    assert_eq!(first(&world, local.leg, "out", 2_000), "no_keys");
    assert_eq!(
        world.evidence(local.leg, "dtls_no_hello")["role"],
        "passive"
    );
}

#[test]
fn dtls_failed_names_the_error() {
    let mut world = World::new();
    let (local, mut peer) = browser(&mut world);
    // The peer that checks the path leaves DTLS to another stack, which gives up after its hello.
    peer.describe(&local, false);
    world.complete(local.leg, peer.remote(opus()));
    let address = peer.addresses[0];
    world.peers.push(peer);
    world.advance_ms(200);
    let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
    let config = std::sync::Arc::new(dimpl::Config::default());
    let mut client = dimpl::Dtls::new_12(config, certificate, world.instant());
    client.set_active(true);
    client.handle_timeout(world.instant()).unwrap();
    let mut record = [0; 2048];
    while let dimpl::Output::Packet(bytes) = client.poll_output(&mut record) {
        let bytes = bytes.to_vec();
        world.peers[0].deaf = true;
        world.datagram(offhook_media::SocketId(1), address, &bytes);
    }
    let fatal_handshake_failure = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    world.datagram(
        offhook_media::SocketId(1),
        address,
        &fatal_handshake_failure,
    );
    world.advance_ms(1_900);
    world.peers[0].deaf = false;
    world.advance_ms(600);
    assert_eq!(first(&world, local.leg, "in", 2_000), "dtls_failed");
    assert!(
        world
            .evidence(local.leg, "dtls_failed")
            .contains_key("error")
    );
    assert_eq!(world.facts(local.leg).keys_state, "failed");
}

#[test]
fn srtp_auth_when_nothing_opens() {
    let mut world = World::new();
    let (local, mut peer) = browser(&mut world);
    peer.describe(&local, true);
    world.complete(local.leg, peer.remote(opus()));
    let address = peer.addresses[0];
    world.peers.push(peer);
    world.advance_ms(1_000);
    let mut forger = phone(&local, 0);
    forger.payload_type = 111;
    for _ in 0..150 {
        let packet = forger.packet(&voice(1));
        world.datagram(offhook_media::SocketId(1), address, &packet);
        world.advance_ms(20);
    }
    assert_eq!(first(&world, local.leg, "in", 2_000), "srtp_auth");
    let evidence = world.evidence(local.leg, "srtp_auth");
    assert_eq!(evidence["suite"], "AEAD_AES_256_GCM");
}

#[test]
fn wrong_payload_type_names_the_number_and_counts() {
    let mut world = World::new();
    let (_, mut a, _) = two_phones(&mut world);
    a.payload_type = 9;
    a.speak_for(&mut world, 3_000);
    assert_eq!(first(&world, a.leg, "in", 2_000), "wrong_payload_type");
    let evidence = world.evidence(a.leg, "wrong_payload_type");
    assert_eq!(evidence["payload_type"], "9");
    assert!(evidence["packets"].parse::<u32>().unwrap() >= 95);
}

#[test]
fn source_refused_names_the_address() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 100);
    let mut stranger = b.clone();
    stranger.address = "203.0.113.9:1234".parse().unwrap();
    // Never five in a row: each third is missing so much that it is no steady stream.
    for _ in 0..150 {
        stranger.sequence = stranger.sequence.wrapping_add(500);
        stranger.speak(&mut world);
        world.advance_ms(20);
    }
    assert_eq!(first(&world, b.leg, "in", 2_000), "source_refused");
    assert_eq!(
        world.evidence(b.leg, "source_refused")["source"],
        "203.0.113.9:1234"
    );
    assert_eq!(
        world.evidence(b.leg, "source_refused")["expected"],
        b.address.to_string()
    );
}

#[test]
fn digital_silence_from_payloads_and_from_levels() {
    let mut world = World::new();
    let (_, mut a, _) = two_phones(&mut world);
    for _ in 0..350 {
        let packet = a.packet(&[0xff; 160]);
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    assert_eq!(first(&world, a.leg, "in", 5_000), "digital_silence");
    a.speak_for(&mut world, 500);
    assert_eq!(world.verdicts(a.leg, "in").last().unwrap().1, "heard");

    let mut world = World::new();
    let offer = LegOffer {
        audio_level_id: 1,
        ..port_offer(pcmu())
    };
    let (_, legs) = world.open(vec![offer]);
    let mut a = phone(&legs[0], 0);
    world.complete(a.leg, port_remote(pcmu(), a.address));
    for _ in 0..350 {
        let mut packet = a.packet(&voice(1));
        packet[0] |= 0x10;
        packet.splice(12..12, [0xbe, 0xde, 0, 1, 0x10, 127, 0, 0]);
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    assert_eq!(first(&world, a.leg, "in", 5_000), "digital_silence");
}

#[test]
fn comfort_noise_only() {
    let mut world = World::new();
    let (_, mut a, _) = two_phones(&mut world);
    for _ in 0..70 {
        let packet = a.raw(13, false, &[60], true);
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(100);
    }
    assert_eq!(first(&world, a.leg, "in", 5_000), "comfort_noise_only");
}

#[test]
fn on_hold_is_said_and_is_no_fault() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    let mut held = port_remote(pcmu(), a.address);
    held.direction = Direction::RecvOnly;
    world.complete(a.leg, held);
    for _ in 0..150 {
        b.speak(&mut world);
        world.advance_ms(20);
    }
    assert_eq!(first(&world, a.leg, "in", 2_000), "on_hold");
    assert!(world.verdicts(a.leg, "out").is_empty());
    world.complete(a.leg, port_remote(pcmu(), a.address));
    a.speak_for(&mut world, 1_000);
    assert_eq!(world.verdicts(a.leg, "in").last().unwrap().1, "heard");
}

#[test]
fn no_address_until_the_peer_names_one() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let leg = legs[0].leg;
    world.complete(
        leg,
        LegRemote {
            audio: pcmu(),
            ptime: 20,
            ..LegRemote::default()
        },
    );
    world.advance_ms(3_000);
    assert_eq!(first(&world, leg, "out", 2_000), "no_address");
}

#[test]
fn no_source_when_nothing_feeds_the_leg() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let a = phone(&legs[0], 0);
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.advance_ms(3_000);
    assert_eq!(first(&world, a.leg, "out", 2_000), "no_source");
    let leg = a.leg;
    world.command(|n| Command::Play {
        n,
        leg,
        source: SourceKind::Music,
        country: "US".to_owned(),
    });
    world.advance_ms(500);
    assert_eq!(world.verdicts(a.leg, "out").last().unwrap().1, "heard");
}

#[test]
fn muted_by_command_until_a_source_feeds_the_leg() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    a.speak_for(&mut world, 500);
    let (muted, listener) = (a.leg, b.leg);
    world.command(|n| Command::Hush { n, leg: listener });
    let (heard, before) = (world.rtp_to(b.address).len(), world.rtp_to(a.address).len());
    for _ in 0..150 {
        a.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    // 1: whose partner is muted hears nothing, which is no fault; who is muted hears on.
    assert_eq!(first(&world, listener, "out", 2_000), "muted");
    assert_eq!(world.rtp_to(b.address).len(), heard);
    assert!(world.rtp_to(a.address).len() >= before + 149);
    assert_eq!(world.verdicts(muted, "out"), []);
    // 2: with a source that is over.
    world.bridge(muted, listener);
    for _ in 0..25 {
        a.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    assert_eq!(world.verdicts(listener, "out").last().unwrap().1, "heard");
    assert!(world.rtp_to(b.address).len() > heard);
}

#[test]
fn send_error_and_unreachable_name_errno_and_host() {
    for unreachable in [false, true] {
        let mut world = World::new();
        let (_, mut a, mut b) = two_phones(&mut world);
        for _ in 0..150 {
            a.speak(&mut world);
            b.speak(&mut world);
            if unreachable {
                world.unreachable(b.socket, b.address);
            } else {
                world.send_failed(b.socket, b.address, 101);
            }
            world.advance_ms(20);
        }
        let expected = if unreachable {
            "unreachable"
        } else {
            "send_error"
        };
        assert_eq!(first(&world, b.leg, "out", 2_000), expected);
        let evidence = world.evidence(b.leg, expected);
        let named = if unreachable {
            evidence["origin"] == "192.0.2.254"
        } else {
            evidence["errno"] == "101"
        };
        assert!(named, "{evidence:?}");
        for _ in 0..300 {
            a.speak(&mut world);
            b.speak(&mut world);
            world.advance_ms(20);
        }
        assert_eq!(
            world.verdicts(b.leg, "out").last().unwrap().1,
            "heard",
            "errors age"
        );
    }
}

#[test]
fn overloaded_when_the_sound_we_make_comes_too_late() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let a = phone(&legs[0], 0);
    let leg = a.leg;
    world.complete(leg, port_remote(pcmu(), a.address));
    world.command(|n| Command::Play {
        n,
        leg,
        source: SourceKind::Tone,
        country: "US".to_owned(),
    });
    // A shard that has no time for its slots.
    world.advance_coarsely(std::time::Duration::from_millis(70), 40);
    assert_eq!(first(&world, leg, "out", 2_000), "overloaded");
    assert!(world.evidence(leg, "overloaded")["late_ticks"] != "0");
    world.advance_ms(6_000);
    assert_eq!(world.verdicts(leg, "out").last().unwrap().1, "heard");
}

#[test]
fn not_acknowledged_after_two_reports_that_stand_still() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    a.speak(&mut world);
    let ours = world.rtp_to(b.address)[0].header().ssrc;
    let block = ReportBlock {
        ssrc: ours,
        fraction_lost: 0,
        cumulative_lost: 0,
        extended_highest: 7,
        jitter: 0,
        lsr: 0,
        dlsr: 0,
    };
    for _ in 0..4 {
        for _ in 0..100 {
            a.speak(&mut world);
            b.speak(&mut world);
            world.advance_ms(20);
        }
        let mut buffer = [0; 256];
        let mut compound = CompoundBuilder::new(&mut buffer);
        compound.receiver_report(b.ssrc, &[block]).unwrap();
        let len = compound.finish();
        world.datagram(b.socket, b.address, &buffer[..len]);
    }
    world.advance_ms(300);
    // The reports stood still at 4 and 6 s, the first one came at 2 s.
    assert_eq!(first(&world, b.leg, "out", 6_000), "not_acknowledged");
}

#[test]
fn a_changed_verdict_waits_five_seconds() {
    let mut world = World::new();
    let (_, mut a, _) = two_phones(&mut world);
    world.advance_ms(2_300);
    a.payload_type = 9;
    a.speak_for(&mut world, 8_000);
    let told = world.verdicts(a.leg, "in");
    let names: Vec<&str> = told.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["no_packets", "wrong_payload_type"]);
    assert!(told[1].0 - told[0].0 >= 5_000, "{told:?}");
}
