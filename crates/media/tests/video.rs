//! Video from one peer to another: numbers, streams and feedback are translated, pictures are not touched.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::camera::*;
use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::Reply;
use offhook_rtp::extension::Elements;
use offhook_rtp::header::Header;
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::rtcp::{Compound, Packet, SenderInfo};
use offhook_rtp::srtp::{SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;

#[test]
fn video_passes_with_its_numbers_mapped_and_its_pictures_untouched() {
    let mut it = browsers();
    for _ in 0..3 {
        it.a.frame(&mut it.world, 4);
    }
    let seen = it.b.seen(&it.world);
    assert_eq!(seen.len(), 12);
    let first = seen[0].header();
    for (at, one) in seen.iter().enumerate() {
        let header = one.header();
        // 1: payload type and stream are those that the other side knows.
        assert_eq!(header.payload_type, 100);
        assert_eq!(header.ssrc, it.b.local.ssrc);
        // 2: numbers run on, over the wrap of the source's; the marker ends each frame and only it.
        assert_eq!(header.sequence, first.sequence.wrapping_add(at as u16));
        assert_eq!(header.marker, at % 4 == 3);
        // 3: one time stamp for a frame, a thirtieth of a second apart.
        let frame = (at / 4) as u32;
        assert_eq!(
            header.timestamp,
            first.timestamp.wrapping_add(frame * 3_000)
        );
        assert_eq!(one.payload(), [(at % 4 + 1) as u8; 900]);
        // 4: a service class of its own (RFC 4594).
        assert!(one.video);
    }
    let facts = it.world.facts(it.b.leg).video.expect("a video line");
    assert_eq!((facts.packets_out, facts.gate.as_str()), (12, "open"));
    let facts = it.world.facts(it.a.leg).video.expect("a video line");
    assert_eq!((facts.packets_in, facts.codec_in.as_str()), (12, "VP8"));
}

#[test]
fn trap_18_extensions_cross_under_the_ids_of_the_other_leg_or_not_at_all() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    let seen = it.b.seen(&it.world);
    let elements: Vec<(u8, Vec<u8>)> = Elements::of(&seen[0].header(), &seen[0].bytes)
        .map(|one| (one.id, one.data.to_vec()))
        .collect();
    assert_eq!(elements, [(5, vec![1])]);
}

#[test]
fn trap_17_padding_is_stripped_and_packets_of_padding_alone_leave_no_gap() {
    let mut it = browsers();
    let mut padded = it.a.packet(&[9; 100], false);
    padded[0] |= 0x20;
    padded.extend([0, 0, 0, 4]);
    it.world.datagram(it.a.socket, it.a.address, &padded);
    let mut alone = it.a.packet(&[], false);
    alone[0] |= 0x20;
    alone.extend([0, 0, 0, 4]);
    it.world.datagram(it.a.socket, it.a.address, &alone);
    it.a.send(&mut it.world, &[8; 50], true);
    let seen = it.b.seen(&it.world);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].bytes[0] & 0x20, 0);
    assert_eq!(seen[0].payload(), [9; 100]);
    let [one, two] = [seen[0].header(), seen[1].header()];
    assert_eq!(two.sequence, one.sequence.wrapping_add(1));
}

#[test]
fn trap_22_a_retransmission_names_the_number_that_the_other_side_misses() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 2);
    let (lost, timestamp) = (it.a.sequence, it.a.timestamp);
    let _ = it.a.packet(&[77; 300], false);
    it.a.frame(&mut it.world, 1);
    let seen = it.b.seen(&it.world);
    let missing = seen[1].header().sequence.wrapping_add(1);
    assert_eq!(seen[2].header().sequence, missing.wrapping_add(1));
    // 1: the NACK comes to the source with its own number of the packet.
    it.b.tell(&mut it.world, |compound| {
        compound.nack(it.b.ssrc, it.b.local.ssrc, &[(missing, 0)])
    });
    let asked: Vec<(u32, Vec<(u16, u16)>)> = it
        .world
        .rtcp_to(it.a.address)
        .iter()
        .flat_map(|sent| Compound::parse(&sent.bytes).expect("a compound").packets())
        .filter_map(|packet| match packet {
            Packet::Nack { media, lost, .. } => Some((media, lost.collect())),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [(it.a.ssrc, vec![(lost, 0)])]);
    // 2: the answer is a stream of its own here too; its original number is the missing one.
    let repair = it.a.repair(lost, timestamp, &[77; 300]);
    it.world.datagram(it.a.socket, it.a.address, &repair);
    let seen = it.b.seen(&it.world);
    let repaired = seen.last().expect("sent");
    assert_eq!(repaired.header().payload_type, 101);
    assert_eq!(repaired.header().ssrc, it.b.local.rtx_ssrc);
    assert_eq!(repaired.payload()[..2], missing.to_be_bytes());
    assert_eq!(repaired.payload()[2..], [77; 300]);
    let frame = seen[0].header().timestamp.wrapping_add(3_000);
    assert_eq!(repaired.header().timestamp, frame);
}

#[test]
fn a_peer_without_retransmission_streams_gets_the_packet_itself() {
    let mut it = pair([vp8(96, 97), vp8(100, 0)], [&ALL, &ALL]);
    it.a.frame(&mut it.world, 1);
    let (lost, timestamp) = (it.a.sequence, it.a.timestamp);
    let _ = it.a.packet(&[77; 300], false);
    it.a.frame(&mut it.world, 1);
    let repair = it.a.repair(lost, timestamp, &[77; 300]);
    it.world.datagram(it.a.socket, it.a.address, &repair);
    let seen = it.b.seen(&it.world);
    let (before, repaired) = (seen[0].header(), seen[2].clone());
    let header = repaired.header();
    assert_eq!((header.payload_type, header.ssrc), (100, it.b.local.ssrc));
    assert_eq!(header.sequence, before.sequence.wrapping_add(1));
    assert_eq!(repaired.payload(), [77; 300]);
}

#[test]
fn another_source_continues_the_stream_and_is_asked_for_a_picture() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 2);
    let call = it.call;
    let third = vp8(98, 99);
    let opened = it.world.command(|n| Command::OpenLeg {
        n,
        call,
        offer: offer(&third, 3),
    });
    let Reply::LegOpened { leg, .. } = opened else {
        panic!("{opened:?}")
    };
    let mut c = Camera::new(&leg, 5, third, 3);
    let remote = c.remote(&phone(&leg, 5), &ALL);
    it.world.complete(c.leg, remote);
    it.world.advance_ms(700);
    it.world.bridge(c.leg, it.b.leg);
    let last = it.b.seen(&it.world).last().expect("sent").header();
    // A late packet of the old source goes nowhere.
    it.a.frame(&mut it.world, 1);
    c.frame(&mut it.world, 1);
    let seen = it.b.seen(&it.world);
    assert_eq!(seen.len(), 3);
    let header: Header = seen[2].header();
    assert_eq!(header.ssrc, last.ssrc);
    assert_eq!(header.sequence, last.sequence.wrapping_add(1));
    let ahead = header.timestamp.wrapping_sub(last.timestamp);
    assert!((60_000..70_000).contains(&ahead), "{ahead}");
    assert_eq!(c.asked(&it.world).len(), 1);
}

#[test]
fn echo_shows_the_camera_itself() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![offer(&vp8(96, 97), 3)]);
    let mut a = Camera::new(&legs[0], 0, vp8(96, 97), 3);
    let remote = a.remote(&phone(&legs[0], 0), &ALL);
    world.complete(a.leg, remote);
    world.bridge(a.leg, a.leg);
    a.frame(&mut world, 2);
    let seen = a.seen(&world);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header().ssrc, a.local.ssrc);
    a.pli(&mut world);
    assert!(!a.asked(&world).is_empty());
}

#[test]
fn direction_and_refusal_are_kept_for_each_line() {
    let mut it = browsers();
    let mut remote = it.b.remote(&it.phones[1], &ALL);
    remote.video.as_mut().expect("video").direction = Direction::SendOnly;
    it.world.complete(it.b.leg, remote);
    it.a.frame(&mut it.world, 1);
    it.b.frame(&mut it.world, 1);
    // 1: who only sends video is not shown any, and hears all the same.
    assert!(it.b.seen(&it.world).is_empty());
    assert_eq!(it.a.seen(&it.world).len(), 1);
    it.phones[0].speak(&mut it.world);
    assert_eq!(it.world.rtp_to(it.phones[1].address).len(), 1);
    // 2: who takes no video any more gets none.
    it.world
        .complete(it.b.leg, port_remote(pcmu(), it.phones[1].address));
    it.a.frame(&mut it.world, 1);
    it.b.frame(&mut it.world, 1);
    assert!(it.b.seen(&it.world).is_empty());
    assert_eq!(it.a.seen(&it.world).len(), 1);
}

#[test]
fn video_is_added_to_a_call_of_sound_and_its_ports_come_back_at_the_end() {
    let mut world = World::new();
    let (call, mut phone_a, phone_b) = two_phones(&mut world);
    let mut legs = Vec::new();
    for (one, index) in [(&phone_a, 0u8), (&phone_b, 1)] {
        let (leg, offer) = (one.leg, offer(&vp8(96, 97), 3));
        let reply = world.command(|n| Command::Update {
            n,
            leg,
            offer,
            restart_ice: false,
            opens_video: true,
        });
        let Reply::LegOpened { leg, .. } = reply else {
            panic!("{reply:?}")
        };
        let camera = Camera::new(&leg, index, vp8(96, 97), 3);
        let remote = camera.remote(one, &ALL);
        world.complete(one.leg, remote);
        legs.push(camera);
    }
    let [mut a, b]: [Camera; 2] = legs.try_into().ok().expect("two");
    a.frame(&mut world, 2);
    assert_eq!(b.seen(&world).len(), 2);
    phone_a.speak(&mut world);
    assert_eq!(world.rtp_to(phone_b.address).len(), 1);
    let reply = world.command(|n| Command::ListLegs { n });
    let Reply::Legs { legs, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(legs.len(), 2, "a lent leg is nobody's");
    let reply = world.command(|n| Command::CloseCall { n, call });
    let Reply::Closed { legs, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(legs.len(), 2);
    assert_eq!(world.released.len(), 4);
    assert_eq!(world.engine.legs(), 0);
}

#[test]
fn reports_tell_of_the_video_stream_on_the_clock_of_its_source() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 2);
    let (ntp, rtp) = (it.world.ntp(), it.a.timestamp);
    it.a.tell(&mut it.world, |compound| {
        compound.sender_report(
            &SenderInfo {
                ssrc: it.a.ssrc,
                ntp,
                rtp,
                packets: 2,
                octets: 1_800,
            },
            &[],
        )
    });
    let started = it.world.elapsed;
    it.world.advance_ms(3_000);
    let seen = it.b.seen(&it.world)[0].header();
    let offset = seen.timestamp.wrapping_sub(u32::MAX - 9_000);
    let sent = it.world.rtcp_to(it.b.address);
    let reports: Vec<(Duration, u32, u32)> = sent
        .iter()
        .flat_map(|one| {
            let packets = Compound::parse(&one.bytes).expect("a compound").packets();
            packets.map(move |packet| (one.at, packet))
        })
        .filter_map(|(at, packet)| match packet {
            Packet::SenderReport(info, _) if info.ssrc == it.b.local.ssrc => {
                Some((at, info.rtp, info.packets))
            }
            _ => None,
        })
        .collect();
    let (at, told, packets) = *reports.first().expect("a report");
    assert_eq!(packets, 2);
    let expected = rtp
        .wrapping_add(offset)
        .wrapping_add(((at - started).as_millis() * 90) as u32);
    assert!(
        told.wrapping_sub(expected).wrapping_add(90) <= 180,
        "{told} {expected}"
    );
}

#[test]
fn a_stranger_on_the_video_port_is_not_shown() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    let packet = it.a.packet(&[1; 100], true);
    let elsewhere = SocketAddr::new([198, 51, 100, 9].into(), 9_999);
    it.world.datagram(it.a.socket, elsewhere, &packet);
    assert_eq!(it.b.seen(&it.world).len(), 1);
    // Its own stream that comes back is a loop.
    let mut looped = it.a.packet(&[1; 100], true);
    looped[8..12].copy_from_slice(&it.a.local.ssrc.to_be_bytes());
    it.world.datagram(it.a.socket, it.a.address, &looped);
    assert_eq!(it.b.seen(&it.world).len(), 1);
}

#[test]
fn payload_types_of_a_bundle_belong_to_one_line() {
    let mut world = World::new();
    let clash = LegOffer {
        path: PathKind::WebRtc,
        keys: KeyKind::Dtls,
        address: String::new(),
        video: Some(Box::new(line(vec![vp8(111, 0)], 3))),
        ..port_offer(opus())
    };
    let reply = world.command(|n| Command::OpenCall {
        n,
        offers: vec![clash],
        near: 0,
    });
    assert!(
        matches!(&reply, Reply::Refused { code, .. } if code == "bad_description"),
        "{reply:?}"
    );
}

/// MEDIA.md traps 4 and 15 for the second line of a phone: keys of its own, and nothing in the clear.
#[test]
fn the_video_of_an_sdes_phone_has_keys_of_its_own() {
    let suite = Suite::ALL[0];
    let mut world = World::new();
    let secured = LegOffer {
        keys: KeyKind::Sdes,
        suites: vec![suite.name().to_owned()],
        ..offer(&vp8(100, 0), 5)
    };
    let (_, legs) = world.open(vec![offer(&vp8(96, 97), 3), secured]);
    let phones = [phone(&legs[0], 0), phone(&legs[1], 1)];
    let mut a = Camera::new(&legs[0], 0, vp8(96, 97), 3);
    let mut b = Camera::new(&legs[1], 1, vp8(100, 0), 5);
    // 1: two lines, two keys.
    assert_ne!(legs[1].crypto[0].key, b.local.crypto[0].key);
    world.complete(a.leg, a.remote(&phones[0], &ALL));
    world.bridge(a.leg, b.leg);
    a.frame(&mut world, 2);
    assert!(b.seen(&world).is_empty(), "no key, no packet");
    let hex = |fill: u8| format!("{fill:02x}").repeat(suite.key_len() + suite.salt_len());
    let key = |fill: u8| {
        vec![Crypto {
            suite: suite.name().to_owned(),
            key: hex(fill),
        }]
    };
    let mut remote = b.remote(&phones[1], &ALL);
    remote.crypto = key(7);
    remote.video.as_mut().expect("video").crypto = key(9);
    world.complete(b.leg, remote);
    a.frame(&mut world, 2);
    // 2: what it is sent opens by the key announced for that line, and is the picture.
    let text = b.local.crypto[0].key.clone();
    let ours: Vec<u8> = (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let mut inward = SrtpIn::new(&MasterKeys::from_inline(suite, &ours).expect("key")).expect("in");
    let seen = b.seen(&world);
    assert_eq!(seen.len(), 2);
    for (at, one) in seen.iter().enumerate() {
        let mut bytes = one.bytes.clone();
        let len = inward.open(&mut bytes, world.instant()).expect("opens");
        let header = Header::parse(&bytes[..len]).expect("RTP");
        assert_eq!(header.payload(&bytes[..len]), [(at + 1) as u8; 900]);
    }
    // 3: what it sends is taken under its own key of the line, and not under that of its sound.
    let theirs = |fill: u8| vec![fill; suite.key_len() + suite.salt_len()];
    for (fill, count) in [(7, 0), (9, 1)] {
        let keys = MasterKeys::from_inline(suite, &theirs(fill)).expect("key");
        let mut out = SrtpOut::new(&keys).expect("out");
        let mut packet = b.packet(&[5; 400], true);
        let len = packet.len();
        packet.resize(len + 40, 0);
        let sealed = out.seal(&mut packet, len).expect("sealed");
        world.datagram(b.socket, b.address, &packet[..sealed]);
        assert_eq!(a.seen(&world).len(), count, "key {fill}");
    }
    // 4: the source was asked for a picture when the way opened.
    assert!(!a.asked(&world).is_empty());
}
