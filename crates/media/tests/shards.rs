//! Calls on two shards that meet (MEDIA.md section 3): everything that a bridge does on one shard, it does across.

mod common;

use common::shards::*;
use common::*;
use offhook_dsp::{Codec as Speech, Decoder, Encoder, EncoderOptions, g711};
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};
use offhook_rtp::header::Fields;
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet};

#[test]
fn two_legs_on_two_shards_hear_each_other_untouched() {
    let (mut shards, mut a, mut b) = phones_apart();
    talk(&mut shards, &mut a, &mut b, 100);
    for phone in [&a, &b] {
        let sent = shards.heard(phone);
        assert_eq!(sent.len(), 100);
        for (seed, pair) in sent.windows(2).enumerate() {
            let (one, two) = (pair[0].header(), pair[1].header());
            assert_eq!(two.sequence, one.sequence.wrapping_add(1));
            assert_eq!(two.timestamp, one.timestamp.wrapping_add(160));
            assert_eq!(pair[0].payload(), voice(seed as u16));
        }
    }
    // 1. facts name the other leg and count what crossed; quality and verdicts are as on one shard
    for (phone, other) in [(&a, &b), (&b, &a)] {
        let facts = shards.facts(phone.leg);
        assert_eq!(facts.source, format!("leg:{:#x}", other.leg));
        assert_eq!(facts.evidence["link_sent"], "100");
        assert_eq!(facts.evidence["link_received"], "100");
        assert_eq!(facts.evidence["link_dropped"], "0");
        assert_eq!(
            (facts.verdict_in, facts.verdict_out),
            (String::new(), String::new())
        );
        assert_eq!(
            (facts.quality.packets_in, facts.quality.packets_out),
            (100, 100)
        );
        assert!(facts.quality.mos > 4.0);
    }
}

#[test]
fn codecs_are_transcoded_where_the_listener_is() {
    let mut shards = Shards::new();
    let (mut a, mut b) = (shards.phone(0, pcmu()), shards.phone(1, opus()));
    shards.bridge(a.leg, b.leg);
    let mut encoder =
        Encoder::new(Speech::Opus, 48_000, EncoderOptions::default()).expect("encoder");
    let tone = |hertz: f64, rate: f64, at: usize| {
        (6_000.0 * (std::f64::consts::TAU * hertz * at as f64 / rate).sin()) as i16
    };
    for round in 0..100 {
        let pcm: Vec<i16> = (round * 960..(round + 1) * 960)
            .map(|at| tone(700.0, 48_000.0, at))
            .collect();
        let mut payload = [0; 1_500];
        let len = encoder.encode(&pcm, &mut payload).expect("encoded");
        let packet = b.packet(&payload[..len]);
        shards.send(&b, &packet);
        let pcm = round * 160..(round + 1) * 160;
        let payload: Vec<u8> = pcm
            .map(|at| g711::ulaw_encode(tone(400.0, 8_000.0, at)))
            .collect();
        let packet = a.packet(&payload);
        shards.send(&a, &packet);
        shards.advance_ms(20);
    }
    let phone_hears: Vec<i16> = shards.heard(&a)[20..]
        .iter()
        .flat_map(|sent| sent.payload().iter().map(|byte| g711::ulaw_decode(*byte)))
        .collect();
    assert!(
        level(&phone_hears, 700.0) > -20.0,
        "{}",
        level(&phone_hears, 700.0)
    );
    let mut decoder = Decoder::new(Speech::Opus, 8_000).expect("decoder");
    let mut browser_hears = Vec::new();
    for sent in &shards.heard(&b)[20..] {
        let mut pcm = [0; 960];
        let len = decoder.decode(sent.payload(), &mut pcm).expect("decoded");
        browser_hears.extend(&pcm[..len]);
    }
    assert!(
        level(&browser_hears, 400.0) > -20.0,
        "{}",
        level(&browser_hears, 400.0)
    );
    // 1. the jitter buffer is the listener's, and the quality of the one who is heard tells of it
    assert!(shards.facts(a.leg).quality.buffer_ms >= 20);
    assert!(shards.facts(b.leg).quality.buffer_ms >= 20);
}

#[test]
fn a_press_crosses_once() {
    let (mut shards, mut a, b) = phones_apart();
    let stamp = a.timestamp;
    for step in 1..=8u16 {
        let end = if step == 8 { 0x80 } else { 0 };
        let length = (step * 160).to_be_bytes();
        a.timestamp = stamp;
        let packet = a.raw(101, step == 1, &[5, end | 10, length[0], length[1]], false);
        shards.send(&a, &packet);
        shards.advance_ms(20);
    }
    shards.advance_ms(200);
    assert_eq!(shards.of[0].digits(a.leg), [("5".to_owned(), 160)]);
    let sent = shards.heard(&b);
    let presses: Vec<_> = sent
        .iter()
        .filter(|sent| sent.header().payload_type == 101)
        .collect();
    let ends = presses
        .iter()
        .filter(|sent| sent.payload()[1] & 0x80 != 0)
        .count();
    assert_eq!(ends, 3, "the end is sent three times");
    assert!(presses.iter().all(|sent| sent.payload()[0] == 5));
}

#[test]
fn the_cause_of_silence_is_told_to_the_leg_on_the_other_shard() {
    let (mut shards, mut a, b) = phones_apart();
    for seed in 0..150 {
        let packet = a.packet(&voice(seed));
        shards.send(&a, &packet);
        shards.advance_ms(20);
    }
    assert_eq!(shards.of[1].verdicts(b.leg, "in")[0].1, "no_packets");
    let evidence = shards.of[0].evidence(a.leg, "no_source");
    assert_eq!(evidence["verdict"], "no_packets");
    assert!(shards.of[1].verdicts(b.leg, "out").is_empty());
}

#[test]
fn another_bridge_ends_a_link_on_both_sides_and_late_messages_do_not_harm() {
    let (mut shards, mut a, mut b) = phones_apart();
    talk(&mut shards, &mut a, &mut b, 10);
    let mut c = shards.phone(1, pcmu());
    // 1. what the first link's end says is still on its way when the legs are linked anew
    shards.of[1].bridge(b.leg, c.leg);
    let late: Vec<_> = shards.of[1].crossed.drain(..).collect();
    shards.bridge(a.leg, b.leg);
    late.into_iter()
        .for_each(|message| shards.of[0].linked(message));
    let before = (shards.heard(&a).len(), shards.heard(&b).len());
    talk(&mut shards, &mut a, &mut b, 20);
    assert_eq!(shards.heard(&a).len(), before.0 + 20);
    assert_eq!(shards.heard(&b).len(), before.1 + 20);
    // 2. in order, the other leg is left alone
    shards.of[1].bridge(b.leg, c.leg);
    shards.carry();
    let before = shards.heard(&a).len();
    talk(&mut shards, &mut b, &mut c, 20);
    assert_eq!(shards.heard(&a).len(), before);
    assert_eq!(shards.heard(&c).len(), 20);
    assert_eq!(shards.facts(a.leg).source, "none");
    assert!(!shards.facts(a.leg).evidence.contains_key("link_sent"));
}

#[test]
fn the_same_bridge_again_changes_nothing() {
    let (mut shards, mut a, mut b) = phones_apart();
    talk(&mut shards, &mut a, &mut b, 10);
    shards.bridge(b.leg, a.leg);
    talk(&mut shards, &mut a, &mut b, 10);
    assert_eq!(shards.facts(a.leg).evidence["link_sent"], "20");
    let numbers: Vec<u16> = shards
        .heard(&b)
        .iter()
        .map(|sent| sent.header().sequence)
        .collect();
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
    );
}

#[test]
fn music_is_heard_by_one_side_while_the_other_still_speaks() {
    let (mut shards, mut a, mut b) = phones_apart();
    talk(&mut shards, &mut a, &mut b, 10);
    let leg = b.leg;
    shards.done(leg, |n| Command::Play {
        n,
        leg,
        source: SourceKind::Tone,
        country: "US".into(),
    });
    let before = (
        shards.heard(&a).len(),
        shards.facts(b.leg).evidence["link_received"].clone(),
    );
    talk(&mut shards, &mut a, &mut b, 10);
    // 1. b is still heard, a is not even sent across
    assert_eq!(shards.heard(&a).len(), before.0 + 10);
    assert_eq!(shards.facts(b.leg).evidence["link_received"], before.1);
    assert_eq!(shards.facts(b.leg).source, "tone");
    // 2. back again
    shards.bridge(a.leg, b.leg);
    talk(&mut shards, &mut a, &mut b, 10);
    assert_eq!(shards.facts(b.leg).source, format!("leg:{:#x}", a.leg));
    assert_eq!(shards.heard(&b).last().expect("sent").payload(), voice(9));
}

#[test]
fn a_prompt_comes_back_to_the_link() {
    let (mut shards, mut a, mut b) = phones_apart();
    talk(&mut shards, &mut a, &mut b, 5);
    let leg = b.leg;
    shards.done(leg, |n| Command::PlayFiles {
        n,
        leg,
        play: "one".into(),
        files: vec!["missing".into()],
        rounds: 1,
        until_digit: false,
    });
    shards.advance_ms(40);
    let wanted = shards.of[1].wanted.remove(0);
    shards.of[1].fetched(wanted, Err("no such file".into()));
    assert_eq!(shards.facts(b.leg).source, format!("leg:{:#x}", a.leg));
    let before = shards.heard(&b).len();
    talk(&mut shards, &mut a, &mut b, 10);
    assert_eq!(shards.heard(&b).len(), before + 10);
}

#[test]
fn who_hangs_up_on_either_side_leaves_nothing_behind() {
    for gone in [0, 1] {
        let (mut shards, mut a, mut b) = phones_apart();
        talk(&mut shards, &mut a, &mut b, 5);
        let (leg, other) = if gone == 0 {
            (a.leg, b.leg)
        } else {
            (b.leg, a.leg)
        };
        let reply = shards.command(leg, |n| Command::CloseLeg { n, leg });
        assert!(matches!(reply, Reply::Closed { .. }));
        let facts = shards.facts(other);
        assert_eq!(facts.source, "none");
        assert!(!facts.evidence.contains_key("link_sent"));
        shards.advance_ms(1_000);
        assert!(shards.of.iter().all(|world| world.crossed.is_empty()));
    }
}

#[test]
fn a_half_without_its_other_half_is_told_so() {
    let (mut shards, a, b) = phones_apart();
    let leg = b.leg;
    // 1. the goodbye is lost on the way
    shards.of[1].order(|n| Command::CloseLeg { n, leg });
    shards.of[1].replies();
    shards.of[1].crossed.clear();
    assert_ne!(shards.facts(a.leg).source, "none");
    shards.advance_ms(600);
    assert_eq!(shards.facts(a.leg).source, "none");
    // 2. the other leg of a new bridge is gone already
    let reply = shards.command(leg, |n| Command::Link {
        n,
        leg,
        far: a.leg,
        number: 9,
    });
    assert!(
        matches!(reply, Reply::Refused { ref code, .. } if code == "unknown_leg"),
        "{reply:?}"
    );
    let leg = a.leg;
    shards.done(leg, |n| Command::Link {
        n,
        leg,
        far: b.leg,
        number: 9,
    });
    shards.advance_ms(600);
    assert_eq!(shards.facts(a.leg).source, "none");
}

#[test]
fn packets_without_room_on_the_way_are_counted_and_named() {
    let (mut shards, mut a, _) = phones_apart();
    for seed in 0..10 {
        let packet = a.packet(&voice(seed));
        shards.of[0].datagram(a.socket, a.address, &packet);
        for message in std::mem::take(&mut shards.of[0].crossed) {
            assert!(message.is_media());
            shards.of[0].unlinked(message);
        }
    }
    let facts = shards.facts(a.leg);
    assert_eq!(facts.evidence["link_dropped"], "10");
}

// ---- rooms

fn vp8() -> VideoOffer {
    VideoOffer {
        codecs: vec![VideoCodec {
            name: "VP8".into(),
            payload_type: 96,
            rtx: 97,
            form: "VP8".into(),
        }],
        ..VideoOffer::default()
    }
}

struct Camera {
    leg: u64,
    socket: offhook_media::SocketId,
    address: std::net::SocketAddr,
    ours: u32,
    sequence: u16,
}

fn camera(shards: &mut Shards, shard: usize) -> Camera {
    let mut offer = port_offer(pcmu());
    offer.video = Some(Box::new(vp8()));
    let (_, legs) = shards.of[shard].open(vec![offer]);
    let phone = phone(&legs[0], 20 + shard as u8);
    let local = legs[0].video.clone().expect("a video line");
    let address = std::net::SocketAddr::new([192, 0, 2, 20 + shard as u8].into(), 6_000);
    let mut remote = port_remote(pcmu(), phone.address);
    remote.video = Some(Box::new(VideoRemote {
        codecs: vp8().codecs,
        address: address.ip().to_string(),
        port: address.port(),
        feedback: ["nack", "nack pli", "goog-remb"].map(str::to_owned).into(),
        ..VideoRemote::default()
    }));
    shards.of[shard].complete(phone.leg, remote);
    Camera {
        leg: phone.leg,
        socket: offhook_media::SocketId(u32::from(local.candidates[0].1) - 41_000),
        address,
        ours: local.ssrc,
        sequence: 100,
    }
}

fn film(shards: &mut Shards, camera: &mut Camera, frames: usize) {
    for frame in 0..frames {
        let fields = Fields {
            marker: true,
            payload_type: 96,
            sequence: camera.sequence,
            timestamp: frame as u32 * 3_000,
            ssrc: 0x2000_0000 + shard_of(camera.leg) as u32,
        };
        camera.sequence += 1;
        let mut bytes = vec![0; 12];
        fields.write(&mut bytes);
        bytes.extend([frame as u8; 50]);
        shards.of[shard_of(camera.leg)].datagram(camera.socket, camera.address, &bytes);
        shards.carry();
        shards.advance_ms(33);
    }
}

fn feedback(shards: &mut Shards, camera: &Camera, build: impl FnOnce(&mut CompoundBuilder<'_>)) {
    let mut room = [0u8; 500];
    let mut compound = CompoundBuilder::new(&mut room);
    compound.receiver_report(9, &[]).expect("report");
    compound.cname(9, "peer").expect("name");
    build(&mut compound);
    let len = compound.finish();
    shards.of[shard_of(camera.leg)].datagram(camera.socket, camera.address, &room[..len]);
    shards.carry();
}

#[test]
fn pictures_and_what_peers_ask_of_them_cross() {
    let mut shards = Shards::new();
    let (mut a, b) = (camera(&mut shards, 0), camera(&mut shards, 1));
    shards.bridge(a.leg, b.leg);
    film(&mut shards, &mut a, 30);
    let shown = shards.of[1].rtp_to(b.address);
    let shown: Vec<_> = shown
        .iter()
        .filter(|sent| sent.header().ssrc == b.ours)
        .collect();
    assert_eq!(shown.len(), 30);
    for (frame, sent) in shown.iter().enumerate() {
        assert_eq!(sent.payload(), [frame as u8; 50]);
        assert_eq!(sent.header().payload_type, 96);
    }
    let (first, last) = (shown[0].header().sequence, shown[29].header().sequence);
    assert_eq!(last, first.wrapping_add(29));
    let asked = |shards: &Shards, wanted: &dyn Fn(&Packet<'_>) -> bool| {
        let sent = shards.of[0].rtcp_to(a.address);
        let found = sent.iter().filter(|sent| {
            let compound = Compound::parse(&sent.bytes).expect("RTCP");
            compound.packets().any(|packet| wanted(&packet))
        });
        found.count()
    };
    let pli = |packet: &Packet<'_>| {
        matches!(
            packet,
            Packet::Pli {
                media: 0x2000_0000,
                ..
            }
        )
    };
    let before = asked(&shards, &pli);
    assert!(before >= 1, "a picture begins with a key frame");
    // 1. the viewer wants a key frame
    shards.advance_ms(600);
    feedback(&mut shards, &b, |compound| {
        compound.pli(9, b.ours).expect("PLI")
    });
    assert_eq!(asked(&shards, &pli), before + 1);
    // 2. it lost a packet: the camera is asked by its own number
    let lost = first.wrapping_add(10);
    feedback(&mut shards, &b, |compound| {
        compound.nack(9, b.ours, &[(lost, 0)]).expect("NACK")
    });
    let nack = |packet: &Packet<'_>| match packet {
        Packet::Nack {
            media: 0x2000_0000,
            lost,
            ..
        } => lost.clone().eq([(110, 0)]),
        _ => false,
    };
    assert_eq!(asked(&shards, &nack), 1);
    // 3. it can take so much
    feedback(&mut shards, &b, |compound| {
        compound.remb(9, 500_000, &[b.ours]).expect("REMB")
    });
    let remb = |packet: &Packet<'_>| matches!(packet, Packet::Remb(remb) if remb.bits >= 490_000);
    assert_eq!(asked(&shards, &remb), 1);
    assert!(
        !shards.of[0]
            .events
            .iter()
            .any(|(_, event)| matches!(event, Event::LegFailed { .. }))
    );
}
