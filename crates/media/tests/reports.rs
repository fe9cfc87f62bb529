//! RTCP of our own, and the quality that is told.

mod common;

use std::time::Duration;

use common::*;
use offhook_media::command::Command;
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

/// When each of our reports left and what RTP time it tells, in milliseconds since the first packet; both as NTP and RTP have
/// them.
fn told_line(world: &World, to: &Phone) -> Vec<(f64, f64)> {
    let first = world.rtp_to(to.address)[0].header().timestamp;
    let reports = world.rtcp_to(to.address);
    let infos = reports.iter().filter_map(|report| {
        match Compound::parse(&report.bytes).unwrap().packets().next() {
            Some(Packet::SenderReport(info, _)) => Some(info),
            _ => None,
        }
    });
    infos
        .map(|info| {
            let ntp = (info.ntp - (0xe000_0000 << 32)) as f64 / 4_294_967.296;
            (ntp, f64::from(info.rtp.wrapping_sub(first)) / 8.0)
        })
        .collect()
}

/// The largest distance of a point from the straight line that fits them best, and by how much it is not as steep as real time.
fn off_the_line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut both, mut square) = (0.0, 0.0);
    for point in points {
        both += (point.0 - x) * (point.1 - y);
        square += (point.0 - x).powi(2);
    }
    let slope = both / square;
    let off = points
        .iter()
        .map(|point| (point.1 - y - slope * (point.0 - x)).abs());
    (off.fold(0.0, f64::max), slope - 1.0)
}

/// Lets time pass up to so many microseconds after the beginning.
fn run_to(world: &mut World, micros: u64) {
    let there = Duration::from_micros(micros);
    while world.elapsed < there {
        world.advance_coarsely((there - world.elapsed).min(Duration::from_millis(1)), 1);
    }
}

#[test]
fn trap_9_the_line_of_our_reports_is_straight_though_the_source_jitters_and_drifts() {
    for parts_per_million in [0i64, 200, -200] {
        let mut world = World::new();
        let (_, mut a, b) = two_phones(&mut world);
        let mut dice = 0x2545_f491u32;
        let mut below = |bound: u32| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u64::from((dice >> 8) % bound)
        };
        // Up to 40 ms late, so that packets overtake each other.
        let mut arrivals: Vec<(u64, Vec<u8>)> = (0..9_000u64)
            .map(|i| {
                let sent = i64::try_from(i * 20_000).unwrap();
                let sent = sent + sent * parts_per_million / 1_000_000;
                let sent = u64::try_from(sent).unwrap();
                (sent + below(40_000), a.packet(&voice(1)))
            })
            .collect();
        arrivals.sort_by_key(|arrival| arrival.0);
        for (micros, packet) in &arrivals {
            run_to(&mut world, *micros);
            world.datagram(a.socket, a.address, packet);
        }
        let told = told_line(&world, &b);
        // From the first seconds on, in which nobody knows yet how early a packet may come.
        let told: Vec<(f64, f64)> = told.into_iter().filter(|point| point.0 > 5_000.0).collect();
        assert!(told.len() >= 20);
        let (off, slope) = off_the_line(&told);
        let what = format!(
            "{parts_per_million} ppm: off by {off:.2} ms, {:.0} ppm",
            slope * 1e6
        );
        assert!(off <= 1.0, "{what}");
        assert!(
            (slope * 1e6 + parts_per_million as f64).abs() <= 20.0,
            "{what}"
        );
    }
}

#[test]
fn trap_9_the_line_of_our_reports_goes_on_through_source_switches() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![
        port_offer(pcmu()),
        port_offer(pcmu()),
        port_offer(pcmu()),
    ]);
    let mut phones: Vec<Phone> = (0u8..).zip(&legs).map(|(i, leg)| phone(leg, i)).collect();
    for phone in &phones {
        world.complete(phone.leg, port_remote(pcmu(), phone.address));
    }
    let listener = phones[0].clone();
    // Each at its own phase of the 20 ms, which no clock of a whole millisecond knows.
    let phases = [0, 3_130, 14_770];
    for round in 0..120u64 {
        let talker = 1 + (round % 2) as usize;
        world.bridge(listener.leg, phones[talker].leg);
        for i in 0..50u64 {
            run_to(&mut world, (round * 50 + i) * 20_000 + phases[talker]);
            let sounds = phones[talker].packet(&voice(1));
            world.datagram(phones[talker].socket, phones[talker].address, &sounds);
            // The other one's clock goes on, though nobody hears it.
            phones[3 - talker].packet(&voice(1));
        }
    }
    let told = told_line(&world, &listener);
    assert!(told.len() >= 20);
    let (off, slope) = off_the_line(&told);
    assert!(
        off <= 1.0 && slope.abs() < 1e-5,
        "off by {off:.2} ms, {:.0} ppm",
        slope * 1e6
    );
}

#[test]
fn trap_9_each_report_tells_the_time_of_the_packets_about_it_whoever_makes_them() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    let leg = b.leg;
    for round in 0..12 {
        // Of the other phone, of ours, and of the other phone again before a packet of ours is over.
        a.speak_for(&mut world, 4_000);
        world.command(|n| Command::Play {
            n,
            leg,
            source: [SourceKind::Tone, SourceKind::Ringback][round % 2],
            country: "US".to_owned(),
        });
        world.advance_ms(4_007);
        world.bridge(b.leg, a.leg);
    }
    let sent = world.rtp_to(b.address);
    let mut told = 0;
    for report in world.rtcp_to(b.address) {
        let compound = Compound::parse(&report.bytes).unwrap();
        let Some(Packet::SenderReport(info, _)) = compound.packets().next() else {
            continue;
        };
        let last = sent.iter().rfind(|sent| sent.at <= report.at).unwrap();
        let passed = (report.at - last.at).as_millis() as u32;
        let expected = last.header().timestamp.wrapping_add(passed * 8);
        let off = info.rtp.wrapping_sub(expected) as i32;
        assert!(off.abs() <= 8, "{off} units at {:?}", report.at);
        told += 1;
    }
    assert!(told >= 15, "{told} reports");
}

#[test]
fn trap_9_the_round_trip_is_that_of_the_wire_however_long_the_peer_thinks() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    for wire_ms in [0u64, 4, 37, 150, 600] {
        // A report of ours, then the peer's own after so long.
        let before = world.rtcp_to(b.address).len();
        while world.rtcp_to(b.address).len() == before {
            a.speak(&mut world);
            world.advance_ms(20);
        }
        let report = world.rtcp_to(b.address)[before].clone();
        let compound = Compound::parse(&report.bytes).unwrap();
        let Some(Packet::SenderReport(info, _)) = compound.packets().next() else {
            panic!("an SR first")
        };
        a.speak_for(&mut world, 720);
        let held = world.elapsed - report.at - Duration::from_millis(wire_ms);
        let block = ReportBlock {
            ssrc: info.ssrc,
            fraction_lost: 0,
            cumulative_lost: 0,
            extended_highest: 100,
            jitter: 0,
            lsr: ntp_middle(info.ntp),
            dlsr: (held.as_micros() * 65_536 / 1_000_000) as u32,
        };
        let mut buffer = [0; 256];
        let mut compound = CompoundBuilder::new(&mut buffer);
        compound.receiver_report(b.ssrc, &[block]).unwrap();
        let len = compound.finish();
        world.datagram(b.socket, b.address, &buffer[..len]);
        let rtt = world.facts(b.leg).quality.rtt_ms;
        assert!((rtt - wire_ms as f64).abs() <= 5.0, "{rtt} of {wire_ms} ms");
    }
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
    let held = world.elapsed - report.at - Duration::from_millis(60);
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
