//! DTLS-SRTP without ICE, and RTCP on a port of its own that shakes hands for itself (RFC 5764 section 4.2).

mod common;

use std::net::SocketAddr;

use common::camera::{line, vp8};
use common::shaking::{Phone, *};
use common::*;
use offhook_media::SocketId;
use offhook_media::description::*;
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet, ReportBlock};
use offhook_rtp::srtp::SrtpOut;

/// A call like that, with an echo: the phone's two ports, at these addresses.
fn call_apart(
    world: &mut World,
    latch: Latch,
    active: bool,
    at: [&str; 2],
) -> (LegLocal, Phone, Phone) {
    let (_, legs) = world.open(vec![apart(active, latch)]);
    let sound = Phone::new(world, &legs[0], at[0], !active);
    let mut reports = Phone::new(world, &legs[0], at[1], !active);
    reports.begin_anew(world, sound.certificate.clone());
    reports.socket = SocketId(reports.socket.0 + 1);
    world.complete(legs[0].leg, sound.remote(INSIDE));
    world.bridge(legs[0].leg, legs[0].leg);
    (legs[0].clone(), sound, reports)
}

/// Says by the keys of one port, and from another, that half of what we sent was lost.
fn complain(world: &mut World, keys: &mut SrtpOut, ssrc: u32, from: &Phone) {
    let mut packet = vec![0; 256];
    let mut compound = CompoundBuilder::new(&mut packet);
    let block = ReportBlock {
        ssrc,
        fraction_lost: 128,
        cumulative_lost: 50,
        extended_highest: 100,
        jitter: 0,
        lsr: 0,
        dlsr: 0,
    };
    compound.receiver_report(77, &[block]).unwrap();
    compound.cname(77, "phone").unwrap();
    let len = compound.finish();
    let sealed = keys.seal_rtcp(&mut packet, len).unwrap();
    world.datagram(from.socket, from.address, &packet[..sealed]);
}

fn speak_for(world: &mut World, phone: &mut Phone, packets: u32) {
    for _ in 0..packets {
        phone.speak(world);
        world.advance_ms(20);
    }
}

#[test]
fn the_rtcp_port_shakes_hands_for_itself_and_carries_reports_both_ways() {
    for active in [false, true] {
        let mut world = World::new();
        let at = [INSIDE, "192.0.2.20:5001"];
        let (local, mut sound, mut reports) = call_apart(&mut world, Latch::Exact, active, at);
        exchange(&mut world, &mut [&mut sound, &mut reports], 10);
        // 1: two associations, of which one is the leg's.
        assert!(sound.keys.is_some() && reports.keys.is_some());
        assert_eq!(keys_ready(&world), 1);
        // 2: our reports go to the port of its own and open with its keys, not with those of the sound.
        speak_for(&mut world, &mut sound, 200);
        assert!(world.rtcp_to(sound.address).is_empty());
        let told = world.rtcp_to(reports.address)[0].bytes.clone();
        let (mut by_sound, mut by_reports) = (told.clone(), told);
        let inward = &mut sound.keys.as_mut().unwrap().1;
        assert!(inward.open_rtcp(&mut by_sound).is_err());
        let inward = &mut reports.keys.as_mut().unwrap().1;
        let len = inward.open_rtcp(&mut by_reports).expect("it opens");
        let mut packets = Compound::parse(&by_reports[..len]).unwrap().packets();
        assert!(matches!(packets.next(), Some(Packet::SenderReport(..))));
        // 3: of the peer's reports those count that its own keys open, from its own address.
        let ssrc = world.rtp_to(sound.address)[0].header().ssrc;
        let loss = |world: &mut World| world.facts(local.leg).quality.remote_loss_percent;
        let (mut keys, _) = sound.keys.take().unwrap();
        complain(&mut world, &mut keys, ssrc, &reports);
        let (mut keys, _) = reports.keys.take().unwrap();
        let own = reports.address;
        reports.address = "192.0.2.20:5003".parse().unwrap();
        complain(&mut world, &mut keys, ssrc, &reports);
        assert_eq!(loss(&mut world), 0.0);
        reports.address = own;
        complain(&mut world, &mut keys, ssrc, &reports);
        assert_eq!(loss(&mut world), 50.0);
    }
}

#[test]
fn without_a_handshake_for_reports_sound_flows_and_no_report_leaves() {
    for active in [false, true] {
        let mut world = World::new();
        let at = [INSIDE, "192.0.2.20:5001"];
        let (_, mut sound, reports) = call_apart(&mut world, Latch::Nat, active, at);
        exchange(&mut world, &mut [&mut sound], 10);
        speak_for(&mut world, &mut sound, 2_000);
        assert_eq!(world.rtp_to(sound.address).len(), 2_000);
        let reported = world.sent.iter().filter(|sent| sent.is_rtcp()).count();
        assert_eq!(reported, 0, "neither plain nor with other keys");
        // We ask a passive peer for it, and give up: the flight is not sent for ever.
        let asked = reports.told(&world).len();
        assert_eq!(asked > 0, active);
        speak_for(&mut world, &mut sound, 3_000);
        assert_eq!(reports.told(&world).len(), asked);
    }
}

#[test]
fn rule_9_2_the_rtcp_port_of_a_phone_behind_nat_is_known_by_its_certificate() {
    let mut world = World::new();
    let at = [OUTSIDE, "198.51.100.20:31001"];
    let (local, mut sound, mut reports) = call_apart(&mut world, Latch::Nat, false, at);
    // 1: somebody else's certificate gets no keys and no reports.
    let mut stranger = Phone::new(&world, &local, "203.0.113.9:4001", true);
    stranger.socket = reports.socket;
    exchange(&mut world, &mut [&mut stranger], 10);
    exchange(&mut world, &mut [&mut sound, &mut reports], 10);
    assert!(reports.keys.is_some());
    // 2: the phone's own says where reports go, and a description once more leaves them there.
    let again = LegRemote {
        ptime: 40,
        ..sound.remote(INSIDE)
    };
    world.complete(local.leg, again);
    speak_for(&mut world, &mut sound, 200);
    let told = world.sent.iter().filter(|sent| sent.is_rtcp());
    let to: Vec<SocketAddr> = told.map(|sent| sent.destination).collect();
    assert!(!to.is_empty() && to.iter().all(|address| *address == reports.address));
    // 3: a new certificate builds new associations on both ports, and reports go on.
    let renewed = dimpl::certificate::generate_self_signed_certificate().unwrap();
    sound.begin_anew(&world, renewed.clone());
    reports.begin_anew(&world, renewed);
    world.complete(local.leg, sound.remote(INSIDE));
    exchange(&mut world, &mut [&mut sound, &mut reports], 10);
    world.sent.clear();
    speak_for(&mut world, &mut sound, 400);
    let mut told = world.rtcp_to(reports.address)[0].bytes.clone();
    let inward = &mut reports.keys.as_mut().expect("keys").1;
    inward.open_rtcp(&mut told).expect("it opens");
}

/// What was said of the reports, and that nothing was of the sound.
fn told_of_reports(world: &World, leg: u64) -> Vec<(u64, String)> {
    assert_eq!(world.verdicts(leg, "in"), []);
    assert_eq!(world.verdicts(leg, "out"), []);
    world.verdicts(leg, "reports")
}

fn known(world: &mut World, leg: u64, of: &str) -> String {
    let facts = world.facts(leg);
    assert_eq!(
        (facts.verdict_in.as_str(), facts.verdict_out.as_str()),
        ("", "")
    );
    facts.evidence.get(of).cloned().unwrap_or_default()
}

#[test]
fn a_handshake_that_never_comes_to_the_rtcp_port_is_named_in_the_end_and_may_come_late() {
    let mut world = World::new();
    let at = [INSIDE, "192.0.2.20:5001"];
    let (local, mut sound, mut reports) = call_apart(&mut world, Latch::Exact, false, at);
    exchange(&mut world, &mut [&mut sound], 10);
    // 1: while it may still come, nothing is said.
    speak_for(&mut world, &mut sound, 1_200);
    assert_eq!(told_of_reports(&world, local.leg), []);
    assert_eq!(known(&mut world, local.leg, "rtcp_keys"), "waiting");
    // 2: then it is named, beside sound that has no verdict.
    speak_for(&mut world, &mut sound, 100);
    let told = told_of_reports(&world, local.leg);
    assert!(
        matches!(&told[..], [(25_000..=25_500, name)] if name == "rtcp_dtls_no_hello"),
        "{told:?}"
    );
    assert_eq!(
        known(&mut world, local.leg, "rtcp_verdict"),
        "rtcp_dtls_no_hello"
    );
    let evidence = world.evidence(local.leg, "rtcp_dtls_no_hello");
    assert_eq!(evidence["role"], "passive");
    assert_eq!(evidence["line"], "audio");
    assert_eq!(evidence["port"], local.rtcp_port.to_string());
    // 3: one that comes late ends it.
    reports.begin_anew(&world, sound.certificate.clone());
    exchange(&mut world, &mut [&mut reports], 10);
    speak_for(&mut world, &mut sound, 50);
    assert!(reports.keys.is_some());
    let told = told_of_reports(&world, local.leg);
    assert_eq!(told.last().map(|(_, name)| name.as_str()), Some("heard"));
    assert_eq!(known(&mut world, local.leg, "rtcp_keys"), "ready");
    assert_eq!(known(&mut world, local.leg, "rtcp_verdict"), "");
}

#[test]
fn another_certificate_on_the_rtcp_port_is_named_and_gets_no_reports() {
    let mut world = World::new();
    let at = [INSIDE, "192.0.2.20:5001"];
    let (local, mut sound, mut reports) = call_apart(&mut world, Latch::Exact, false, at);
    let other = dimpl::certificate::generate_self_signed_certificate().unwrap();
    reports.begin_anew(&world, other);
    exchange(&mut world, &mut [&mut sound, &mut reports], 10);
    speak_for(&mut world, &mut sound, 200);
    let told = told_of_reports(&world, local.leg);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, "rtcp_dtls_fingerprint");
    let evidence = world.evidence(local.leg, "rtcp_dtls_fingerprint");
    assert_eq!(evidence["seen"], reports.fingerprint);
    assert_eq!(evidence["expected"], sound.fingerprint);
    assert_eq!(known(&mut world, local.leg, "rtcp_keys"), "failed");
    assert!(world.sent.iter().all(|sent| !sent.is_rtcp()));
}

#[test]
fn a_handshake_of_ours_that_the_rtcp_port_leaves_unanswered_has_failed() {
    let mut world = World::new();
    let at = [INSIDE, "192.0.2.20:5001"];
    let (local, mut sound, _) = call_apart(&mut world, Latch::Nat, true, at);
    exchange(&mut world, &mut [&mut sound], 10);
    speak_for(&mut world, &mut sound, 1_250);
    let told = told_of_reports(&world, local.leg);
    assert!(!told.is_empty(), "{told:?}");
    assert_eq!(told[0].1, "rtcp_dtls_failed");
    assert_eq!(world.facts(local.leg).keys_state, "ready");
    assert_ne!(known(&mut world, local.leg, "rtcp_dtls_error"), "");
}

/// A phone with a camera whose sound, reports and picture have keys, and the port of the picture's reports, which has none.
fn seen(world: &mut World) -> (LegLocal, Phone, Phone) {
    let offer = LegOffer {
        video: Some(Box::new(line(vec![vp8(96, 0)], 3))),
        ..apart(false, Latch::Exact)
    };
    let (_, legs) = world.open(vec![offer]);
    let local = legs[0].clone();
    let mut sound = Phone::new(world, &local, INSIDE, true);
    let video = local.video.clone().expect("a video line");
    let at = |address: &str, port: u16| {
        let mut one = Phone::new(world, &local, address, true);
        one.begin_anew(world, sound.certificate.clone());
        one.socket = SocketId(u32::from(port) - 41_000);
        one
    };
    let mut reports = at("192.0.2.20:5001", local.rtcp_port);
    let mut picture = at("192.0.2.20:5002", video.candidates[0].1);
    let reports_of_picture = at("192.0.2.20:5003", video.rtcp_port);
    let remote = LegRemote {
        video: Some(Box::new(VideoRemote {
            codecs: vec![vp8(96, 0)],
            address: "192.0.2.20".to_owned(),
            port: 5_002,
            rtcp_port: 5_003,
            ..VideoRemote::default()
        })),
        ..sound.remote(INSIDE)
    };
    world.complete(local.leg, remote);
    world.bridge(local.leg, local.leg);
    let all = &mut [&mut sound, &mut reports, &mut picture];
    exchange(world, all, 10);
    assert!(all.iter().all(|phone| phone.keys.is_some()));
    (local, sound, reports_of_picture)
}

#[test]
fn a_handshake_that_never_comes_to_the_rtcp_port_of_video_is_named_too() {
    let mut world = World::new();
    let (local, mut sound, mut reports) = seen(&mut world);
    // 1: nothing is said while it may still come, 2: then it is, and which line it is.
    speak_for(&mut world, &mut sound, 1_200);
    assert_eq!(told_of_reports(&world, local.leg), []);
    speak_for(&mut world, &mut sound, 100);
    let told = told_of_reports(&world, local.leg);
    assert!(
        matches!(&told[..], [(25_000..=25_500, name)] if name == "rtcp_dtls_no_hello"),
        "{told:?}"
    );
    let evidence = world.evidence(local.leg, "rtcp_dtls_no_hello");
    let port = local.video.as_ref().unwrap().rtcp_port;
    assert_eq!(
        (evidence["line"].as_str(), evidence["port"].as_str()),
        ("video", port.to_string().as_str())
    );
    // 3: one that comes late ends it.
    exchange(&mut world, &mut [&mut reports], 10);
    speak_for(&mut world, &mut sound, 50);
    assert!(reports.keys.is_some());
    let told = told_of_reports(&world, local.leg);
    assert_eq!(told.last().map(|(_, name)| name.as_str()), Some("heard"));
}

#[test]
fn another_certificate_on_the_rtcp_port_of_video_is_named_until_the_line_is_gone() {
    let mut world = World::new();
    let (local, mut sound, mut reports) = seen(&mut world);
    let other = dimpl::certificate::generate_self_signed_certificate().unwrap();
    reports.begin_anew(&world, other);
    exchange(&mut world, &mut [&mut reports], 10);
    speak_for(&mut world, &mut sound, 200);
    let told = told_of_reports(&world, local.leg);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, "rtcp_dtls_fingerprint");
    let evidence = world.evidence(local.leg, "rtcp_dtls_fingerprint");
    assert_eq!(evidence["line"], "video");
    assert_eq!(evidence["seen"], reports.fingerprint);
    world.complete(local.leg, sound.remote(INSIDE));
    speak_for(&mut world, &mut sound, 50);
    let told = told_of_reports(&world, local.leg);
    assert_eq!(told.last().map(|(_, name)| name.as_str()), Some("heard"));
}
