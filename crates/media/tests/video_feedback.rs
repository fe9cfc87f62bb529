//! What watchers of video ask for: key frames, packets again, a bit rate; translated, in the form that each peer knows.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::camera::*;
use common::*;
use offhook_media::command::Command;
use offhook_media::event::{Event, Reply};
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet};

#[test]
fn trap_22_key_frames_are_asked_for_on_bridge_and_at_most_every_half_second() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    // 1: a picture begins with one.
    assert_eq!(it.a.asked(&it.world).len(), 1);
    it.world.advance_ms(1_000);
    let before = it.a.asked(&it.world).len();
    for _ in 0..10 {
        it.b.pli(&mut it.world);
        it.world.advance_ms(100);
    }
    // 2: ten wishes within a second are two or three requests, none closer than 500 ms to another.
    let asked = it.a.asked(&it.world);
    assert!((2..=3).contains(&(asked.len() - before)), "{asked:?}");
    let closest = asked.windows(2).map(|two| two[1] - two[0]).min();
    assert!(closest.expect("several") >= Duration::from_millis(500));
    // 3: the wish made meanwhile is not forgotten.
    it.world.advance_ms(1_000);
    it.b.pli(&mut it.world);
    it.world.advance_ms(100);
    it.b.pli(&mut it.world);
    let now = it.a.asked(&it.world).len();
    it.world.advance_ms(500);
    assert_eq!(it.a.asked(&it.world).len(), now + 1);
}

#[test]
fn trap_22_fir_and_pli_are_told_to_each_peer_in_the_form_it_knows() {
    let mut it = pair([vp8(96, 0), vp8(96, 0)], [&["ccm fir"], &["nack pli"]]);
    it.a.frame(&mut it.world, 1);
    it.b.frame(&mut it.world, 1);
    it.world.advance_ms(1_000);
    let (before_a, before_b) = (it.a.asked(&it.world).len(), it.b.asked(&it.world).len());
    it.world.sent.clear();
    it.b.pli(&mut it.world);
    it.a.tell(&mut it.world, |compound| {
        compound.fir(it.a.ssrc, it.a.local.ssrc, 1)
    });
    let asked = |address| {
        let sent = it.world.rtcp_to(address);
        let packets = sent
            .iter()
            .flat_map(|one| Compound::parse(&one.bytes).expect("a compound").packets());
        packets
            .filter_map(|packet| match packet {
                Packet::Pli { media, .. } => Some(("pli", media)),
                Packet::Fir { mut entries, .. } => entries.next().map(|(ssrc, _)| ("fir", ssrc)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(it.a.address), [("fir", it.a.ssrc)]);
    assert_eq!(asked(it.b.address), [("pli", it.b.ssrc)]);
    assert!(before_a > 0 && before_b > 0);
}

#[test]
fn a_peer_without_feedback_is_asked_by_signalling() {
    let mut it = pair([vp8(96, 0), vp8(96, 0)], [&[], &ALL]);
    it.a.frame(&mut it.world, 1);
    it.world.advance_ms(1_200);
    let wanted = |world: &World| {
        let mine =
            |event: &Event| matches!(event, Event::KeyFrameWanted { leg } if *leg == it.a.leg);
        world.events.iter().filter(|(_, event)| mine(event)).count()
    };
    let before = wanted(&it.world);
    it.b.pli(&mut it.world);
    assert_eq!(wanted(&it.world), before + 1);
    assert!(it.a.asked(&it.world).is_empty());
    // The other way: what signalling was told reaches the other peer by RTCP.
    it.b.frame(&mut it.world, 1);
    it.world.advance_ms(1_200);
    let before = it.b.asked(&it.world).len();
    let leg = it.b.leg;
    let reply = it.world.command(|n| Command::RequestKeyFrame { n, leg });
    assert!(matches!(reply, Reply::Done { .. }));
    assert_eq!(it.b.asked(&it.world).len(), before + 1);
}

#[test]
fn a_bit_rate_is_passed_on_for_the_stream_of_the_source() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    it.world.sent.clear();
    it.b.tell(&mut it.world, |compound| {
        compound.remb(it.b.ssrc, 1_500_000, &[it.b.local.ssrc])
    });
    let sent = it.world.rtcp_to(it.a.address);
    let told: Vec<(u64, Vec<u32>)> = sent
        .iter()
        .flat_map(|one| Compound::parse(&one.bytes).expect("a compound").packets())
        .filter_map(|packet| match packet {
            Packet::Remb(remb) => Some((remb.bits, remb.sources.collect())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(1_500_000, vec![it.a.ssrc])]);
}

/// The packet types in each datagram of RTCP that a camera was sent.
fn told(camera: &Camera, world: &World) -> Vec<Vec<u8>> {
    let types = |sent: &Sent| {
        let compound = Compound::parse(&sent.bytes).expect("a compound");
        let packets = compound.packets();
        packets
            .map(|packet| match packet {
                Packet::SenderReport(..) => 200,
                Packet::ReceiverReport(..) => 201,
                Packet::Nack { .. } => 205,
                Packet::Pli { .. } | Packet::Fir { .. } | Packet::Remb(_) => 206,
                Packet::Goodbye(_) => 203,
                Packet::Other(kind, _) => kind,
            })
            .collect()
    };
    let all = world.rtcp_to(camera.address);
    all.iter().map(|sent| types(sent)).collect()
}

#[test]
fn rfc_5506_feedback_goes_alone_to_a_peer_that_agreed_to_it_and_after_a_report_to_another() {
    for known in [ALL.as_slice(), &["nack", "ccm fir", "goog-remb"]] {
        let mut it = pair([vp8(96, 97), vp8(100, 101)], [known, known]);
        let mut remote = it.a.remote(&it.phones[0], known);
        remote.video.as_mut().expect("video").reduced_size = true;
        it.world.complete(it.a.leg, remote);
        it.a.frame(&mut it.world, 3);
        it.b.frame(&mut it.world, 3);
        it.world.advance_ms(1_000);
        let numbers = [&it.a, &it.b].map(|camera| {
            let seen = camera.seen(&it.world);
            seen.last().expect("sent").header().sequence
        });
        it.world.sent.clear();
        for (by, number) in [&it.a, &it.b].into_iter().zip(numbers) {
            let (ours, theirs) = (by.ssrc, by.local.ssrc);
            by.pli(&mut it.world);
            by.tell(&mut it.world, |it| it.nack(ours, theirs, &[(number, 0)]));
            by.tell(&mut it.world, |it| it.remb(ours, 900_000, &[theirs]));
        }
        // 1: who agreed to reduced sizes gets each wish by itself.
        assert_eq!(told(&it.a, &it.world), [[206], [205], [206]]);
        // 2: who did not gets a report and a name before it (RFC 4585 section 3.1).
        let whole = [[201, 202, 206], [201, 202, 205], [201, 202, 206]];
        assert_eq!(told(&it.b, &it.world), whole);
        // 3: reports are whole for both (RFC 5506 section 3.4.2).
        it.world.sent.clear();
        it.world.advance_ms(8_000);
        for camera in [&it.a, &it.b] {
            let reports = told(camera, &it.world);
            assert!(!reports.is_empty());
            assert!(
                reports
                    .iter()
                    .all(|one| matches!(one[..], [200 | 201, 202])),
                "{reports:?}"
            );
        }
    }
}

#[test]
fn rfc_5506_feedback_that_comes_alone_is_taken_of_a_believed_peer_only() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    it.world.advance_ms(1_000);
    let before = it.a.asked(&it.world).len();
    let mut buffer = [0; 64];
    let mut alone = CompoundBuilder::new(&mut buffer);
    alone.pli(it.b.ssrc, it.b.local.ssrc).expect("room");
    let len = alone.finish();
    // 1: a stranger asks for nothing.
    let elsewhere = SocketAddr::new([198, 51, 100, 9].into(), 9_999);
    it.world.datagram(it.b.socket, elsewhere, &buffer[..len]);
    assert_eq!(it.a.asked(&it.world).len(), before);
    // 2: the peer does, whether or not its description said so.
    it.world.datagram(it.b.socket, it.b.address, &buffer[..len]);
    assert_eq!(it.a.asked(&it.world).len(), before + 1);
}
