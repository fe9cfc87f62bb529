//! RTCP of our own, and the quality that is told.

mod common;

use common::*;
use offhook_media::description::*;
use offhook_media::event::Event;
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet, ReportBlock, SenderInfo, ntp_middle};

#[test]
fn trap_9_reports_describe_our_streams_and_what_we_heard() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    for i in 0..400 {
        let packet = a.packet(&voice(1));
        if i % 10 != 3 {
            world.datagram(a.socket, a.address, &packet);
        }
        world.advance_ms(20);
    }
    // To b: a sender's reports about the stream we send to it.
    let reports = world.rtcp_to(b.address);
    assert!(reports.len() >= 2);
    assert!((1_000..=2_501).contains(&reports[0].at.as_millis()));
    let sent = world.rtp_to(b.address);
    for report in &reports {
        let mut packets = Compound::parse(&report.bytes).unwrap().packets();
        let Some(Packet::SenderReport(info, blocks)) = packets.next() else {
            panic!("an SR first")
        };
        assert_eq!(info.ssrc, sent[0].header().ssrc);
        assert_eq!(blocks.count(), 0);
        let before = sent.iter().filter(|sent| sent.at <= report.at).count();
        assert_eq!(
            (info.packets as usize, info.octets as usize),
            (before, before * 160)
        );
        let seconds = (info.ntp >> 32) - 0xe000_0000;
        let ms = seconds * 1_000 + (((info.ntp & 0xffff_ffff) * 1_000) >> 32);
        assert!(ms.abs_diff(report.at.as_millis() as u64) <= 1);
        // The RTP time lies on the line of the packets, within a millisecond.
        let expected = sent[0]
            .header()
            .timestamp
            .wrapping_add(((report.at - sent[0].at).as_millis() * 8) as u32);
        assert!((info.rtp.wrapping_sub(expected) as i32).abs() <= 8);
        assert!(
            matches!(packets.next(), Some(Packet::Other(202, _))),
            "CNAME follows"
        );
    }
    // To a: a receiver's reports with its losses.
    let reports = world.rtcp_to(a.address);
    let last = reports.last().unwrap();
    let Some(Packet::ReceiverReport(_, mut blocks)) =
        Compound::parse(&last.bytes).unwrap().packets().next()
    else {
        panic!("an RR first")
    };
    let block = blocks.next().unwrap();
    assert_eq!(block.ssrc, a.ssrc);
    assert!(
        (20..=31).contains(&block.fraction_lost),
        "{}",
        block.fraction_lost
    );
    let quality = world.facts(a.leg).quality;
    assert_eq!(quality.packets_in, 360);
    assert!(
        (9.0..=11.0).contains(&quality.loss_percent),
        "{}",
        quality.loss_percent
    );
}

#[test]
fn round_trip_and_remote_loss_come_from_the_peers_reports() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 3_000);
    let report = world.rtcp_to(b.address)[0].clone();
    let Some(Packet::SenderReport(info, _)) =
        Compound::parse(&report.bytes).unwrap().packets().next()
    else {
        panic!("an SR first")
    };
    // The peer got it 30 ms later, kept it for a while, and its answer takes 30 ms again.
    let held = world.elapsed - report.at - std::time::Duration::from_millis(60);
    let block = ReportBlock {
        ssrc: info.ssrc,
        fraction_lost: 64,
        cumulative_lost: 9,
        extended_highest: 100,
        jitter: 160,
        lsr: ntp_middle(info.ntp),
        dlsr: (held.as_micros() * 65_536 / 1_000_000) as u32,
    };
    let mut buffer = [0; 256];
    let mut compound = CompoundBuilder::new(&mut buffer);
    compound.receiver_report(b.ssrc, &[block]).unwrap();
    let len = compound.finish();
    world.datagram(
        b.socket,
        "203.0.113.5:5000".parse().unwrap(),
        &buffer[..len],
    );
    assert_eq!(
        world.facts(b.leg).quality.rtt_ms,
        0.0,
        "a stranger's report is nothing"
    );
    world.datagram(b.socket, b.address, &buffer[..len]);
    let quality = world.facts(b.leg).quality;
    assert!((quality.rtt_ms - 60.0).abs() <= 5.0, "{}", quality.rtt_ms);
    assert_eq!(
        (quality.remote_loss_percent, quality.remote_jitter_ms),
        (25.0, 20.0)
    );
}

#[test]
fn reports_of_separate_ports_use_the_signalled_rtcp_port() {
    let mut world = World::new();
    let offer = LegOffer {
        rtcp_mux: false,
        ..port_offer(pcmu())
    };
    let (_, legs) = world.open(vec![offer]);
    assert_eq!(legs[0].rtcp_port, legs[0].candidates[0].1 + 1);
    let mut a = phone(&legs[0], 0);
    let remote = LegRemote {
        rtcp_port: 5_077,
        ..port_remote(pcmu(), a.address)
    };
    world.complete(a.leg, remote);
    world.bridge(a.leg, a.leg);
    // A stranger's report on that port moves nothing.
    let mut buffer = [0; 64];
    let mut compound = CompoundBuilder::new(&mut buffer);
    compound.receiver_report(1, &[]).unwrap();
    let len = compound.finish();
    let rtcp_socket = offhook_media::SocketId(a.socket.0 + 1);
    world.datagram(
        rtcp_socket,
        "203.0.113.5:5000".parse().unwrap(),
        &buffer[..len],
    );
    a.speak_for(&mut world, 3_000);
    let reports: Vec<&Sent> = world.sent.iter().filter(|sent| sent.is_rtcp()).collect();
    assert!(!reports.is_empty());
    assert!(
        reports
            .iter()
            .all(|sent| sent.destination.port() == 5_077 && sent.socket.0 == a.socket.0 + 1)
    );
}

#[test]
fn our_reports_answer_the_peers_sr() {
    let mut world = World::new();
    let (_, mut a, _) = two_phones(&mut world);
    a.speak(&mut world);
    let info = SenderInfo {
        ssrc: a.ssrc,
        ntp: 0x1234_5678_9abc_def0,
        rtp: 1,
        packets: 1,
        octets: 160,
    };
    let mut buffer = [0; 256];
    let mut compound = CompoundBuilder::new(&mut buffer);
    compound.sender_report(&info, &[]).unwrap();
    let len = compound.finish();
    world.datagram(a.socket, a.address, &buffer[..len]);
    a.speak_for(&mut world, 3_000);
    let report = world.rtcp_to(a.address)[0].clone();
    let Some(Packet::ReceiverReport(_, mut blocks)) =
        Compound::parse(&report.bytes).unwrap().packets().next()
    else {
        panic!("an RR first")
    };
    let block = blocks.next().unwrap();
    assert_eq!(block.lsr, 0x5678_9abc);
    let ms = u64::from(block.dlsr) * 1_000 / 65_536;
    assert!(ms.abs_diff(report.at.as_millis() as u64) <= 1, "{ms}");
}

#[test]
fn quality_is_told_every_five_seconds_while_media_flows() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 16_000);
    let told = |world: &World, of: u64| -> Vec<(u64, Quality)> {
        let found = world.events.iter().filter_map(|(at, event)| match event {
            Event::QualityReported { leg, quality } if *leg == of => {
                Some((at.as_millis() as u64, quality.clone()))
            }
            _ => None,
        });
        found.collect()
    };
    let reports = told(&world, a.leg);
    assert_eq!(
        reports.iter().map(|report| report.0).collect::<Vec<_>>(),
        [5_000, 10_000, 15_000]
    );
    assert!(
        (4.2..=4.5).contains(&reports[2].1.mos),
        "{}",
        reports[2].1.mos
    );
    assert!(reports[2].1.packets_in >= 749);
    world.advance_ms(20_000);
    assert_eq!(
        told(&world, b.leg).len(),
        4,
        "silence is not reported again and again"
    );
}

#[test]
fn a_peer_without_sound_is_there_as_long_as_its_reports_come() {
    let mut world = World::new();
    let (_, _, b) = two_phones(&mut world);
    let report = |world: &mut World, from: &str| {
        let mut buffer = [0; 64];
        let mut compound = CompoundBuilder::new(&mut buffer);
        compound.receiver_report(b.ssrc, &[]).unwrap();
        let len = compound.finish();
        world.datagram(b.socket, from.parse().unwrap(), &buffer[..len]);
        world.advance_ms(5_000);
    };
    let own = b.address.to_string();
    for from in [&own, &own, "203.0.113.5:5000", &own] {
        report(&mut world, from);
    }
    let signs: Vec<u64> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::QualityReported { leg, quality } if *leg == b.leg => Some(quality.signs_in),
            _ => None,
        })
        .collect();
    assert_eq!(signs, [1, 2, 3], "a stranger's report is none");
}
