//! Calls on two shards that meet (MEDIA.md section 3): everything that a bridge or a room does on one shard, it does across.

mod common;

use common::*;
use offhook_dsp::{Codec as Speech, Decoder, Encoder, EncoderOptions, g711};
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};
use offhook_media::recording::{Piece, Side};
use offhook_rtp::header::Fields;
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet};

/// Two shards and the way between them.
struct Shards {
    of: [World; 2],
    links: u64,
}

impl Shards {
    fn new() -> Self {
        Self {
            of: World::pair(),
            links: 0,
        }
    }

    /// Carries what crosses until nothing does.
    fn carry(&mut self) {
        loop {
            let [one, other] = &mut self.of;
            let crossed: Vec<_> = one
                .crossed
                .drain(..)
                .chain(other.crossed.drain(..))
                .collect();
            if crossed.is_empty() {
                return;
            }
            for message in crossed {
                let shard = usize::from(message.shard());
                self.of[shard].linked(message);
            }
        }
    }

    fn advance_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.of.iter_mut().for_each(|world| world.advance_ms(1));
            self.carry();
        }
    }

    /// A phone whose call is on this shard.
    fn phone(&mut self, shard: usize, audio: Vec<Codec>) -> Phone {
        let (_, legs) = self.of[shard].open(vec![port_offer(audio.clone())]);
        let index = shard * 100 + self.of[shard].engine.legs() % 100;
        let mut phone = phone(&legs[0], index as u8);
        if audio[0].name == "OPUS" {
            (phone.payload_type, phone.step) = (111, 960);
        }
        self.of[shard].complete(phone.leg, port_remote(audio, phone.address));
        phone
    }

    fn send(&mut self, from: &Phone, packet: &[u8]) {
        self.of[shard_of(from.leg)].datagram(from.socket, from.address, packet);
        self.carry();
    }

    fn command(&mut self, leg: u64, make: impl FnOnce(u64) -> Command) -> Reply {
        self.of[shard_of(leg)].order(make);
        self.carry();
        let mut replies: Vec<Reply> = self.of.iter_mut().flat_map(World::replies).collect();
        assert_eq!(replies.len(), 1, "one command, one reply: {replies:?}");
        replies.remove(0)
    }

    fn done(&mut self, leg: u64, make: impl FnOnce(u64) -> Command) {
        let reply = self.command(leg, make);
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }

    /// What the control thread makes of a bridge.
    fn bridge(&mut self, a: u64, b: u64) {
        self.links += 1;
        let number = self.links;
        for (leg, far) in [(a, b), (b, a)] {
            self.done(leg, |n| Command::Link {
                n,
                leg,
                far,
                number,
            });
        }
    }

    fn join(&mut self, leg: u64, room: u64, muted: bool) -> Reply {
        self.command(leg, |n| Command::Join {
            n,
            leg,
            room,
            muted,
        })
    }

    fn facts(&mut self, leg: u64) -> LegFacts {
        self.of[shard_of(leg)].facts(leg)
    }

    fn heard(&self, phone: &Phone) -> Vec<&Sent> {
        self.of[shard_of(phone.leg)].rtp_to(phone.address)
    }
}

fn shard_of(leg: u64) -> usize {
    (leg >> 56) as usize
}

fn two_phones() -> (Shards, Phone, Phone) {
    let mut shards = Shards::new();
    let (a, b) = (shards.phone(0, pcmu()), shards.phone(1, pcmu()));
    shards.bridge(a.leg, b.leg);
    (shards, a, b)
}

/// Both speak for so many packets.
fn talk(shards: &mut Shards, a: &mut Phone, b: &mut Phone, packets: u16) {
    for seed in 0..packets {
        for phone in [&mut *a, &mut *b] {
            let packet = phone.packet(&voice(seed));
            shards.send(phone, &packet);
        }
        shards.advance_ms(20);
    }
}

#[test]
fn two_legs_on_two_shards_hear_each_other_untouched() {
    let (mut shards, mut a, mut b) = two_phones();
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
    let (mut shards, mut a, b) = two_phones();
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
    let (mut shards, mut a, b) = two_phones();
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
    let (mut shards, mut a, mut b) = two_phones();
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
    let (mut shards, mut a, mut b) = two_phones();
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
    let (mut shards, mut a, mut b) = two_phones();
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
    let (mut shards, mut a, mut b) = two_phones();
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
        let (mut shards, mut a, mut b) = two_phones();
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
    let (mut shards, a, b) = two_phones();
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
    let (mut shards, mut a, _) = two_phones();
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

const ROOM: u64 = 77;

struct Member {
    phone: Phone,
    hertz: f64,
    at: usize,
}

fn member(shards: &mut Shards, shard: usize, hertz: f64) -> Member {
    let phone = shards.phone(shard, pcmu());
    let reply = shards.join(phone.leg, ROOM, false);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    Member {
        phone,
        hertz,
        at: 0,
    }
}

fn speak(shards: &mut Shards, members: &mut [Member], packets: usize) {
    for _ in 0..packets {
        for member in members.iter_mut() {
            let tone = |at: usize| {
                (6_000.0 * (std::f64::consts::TAU * member.hertz * at as f64 / 8_000.0).sin())
                    as i16
            };
            let payload: Vec<u8> = (member.at..member.at + 160)
                .map(|at| g711::ulaw_encode(tone(at)))
                .collect();
            member.at += 160;
            let packet = member.phone.packet(&payload);
            shards.send(&member.phone, &packet);
        }
        shards.advance_ms(20);
    }
}

fn level(pcm: &[i16], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in pcm.iter().enumerate() {
        let phase = std::f64::consts::TAU * hertz * at as f64 / 8_000.0;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    let size = 2.0 * (re * re + im * im).sqrt() / pcm.len() as f64 / 32_768.0;
    20.0 * (size + 1e-9).log10()
}

fn pcm(shards: &Shards, member: &Member, from: usize) -> Vec<i16> {
    shards.heard(&member.phone)[from..]
        .iter()
        .flat_map(|sent| sent.payload().iter().map(|byte| g711::ulaw_decode(*byte)))
        .collect()
}

#[test]
fn members_of_both_shards_hear_the_others_and_not_themselves() {
    let mut shards = Shards::new();
    let tones = [400.0, 700.0, 1_100.0, 1_500.0];
    let mut room: Vec<Member> = [(0, 0), (1, 1), (2, 1), (3, 0)]
        .map(|(index, shard): (usize, usize)| member(&mut shards, shard, tones[index]))
        .into();
    // 1. one who is muted on the other shard hears and is not heard
    let mut listener = member(&mut shards, 1, 300.0);
    shards.join(listener.phone.leg, ROOM, true);
    for _ in 0..100 {
        speak(&mut shards, std::slice::from_mut(&mut listener), 0);
        let packet = listener.phone.packet(&voice(1));
        shards.send(&listener.phone, &packet);
        speak(&mut shards, &mut room, 1);
    }
    for (index, one) in room.iter().enumerate() {
        let heard = pcm(&shards, one, 20);
        assert!(heard.len() >= 70 * 160, "{index}: {}", heard.len());
        for (other, hertz) in tones.into_iter().enumerate() {
            let level = level(&heard, hertz);
            if other == index {
                assert!(level < -45.0, "{index} hears himself at {level}");
            } else {
                assert!((-19.0..-11.0).contains(&level), "{index} {other} {level}");
            }
        }
    }
    let heard = pcm(&shards, &listener, 20);
    assert!(heard.len() >= 70 * 160);
    assert!(tones.into_iter().all(|hertz| level(&heard, hertz) > -20.0));
    // 2. their packets count up as on one shard
    for packets in [shards.heard(&room[1].phone), shards.heard(&listener.phone)] {
        for pair in packets.windows(2) {
            let (one, two) = (pair[0].header(), pair[1].header());
            assert_eq!(two.sequence, one.sequence.wrapping_add(1));
            assert_eq!(two.timestamp, one.timestamp.wrapping_add(160));
        }
    }
}

#[test]
fn a_room_goes_on_without_members_of_its_own_shard() {
    let mut shards = Shards::new();
    let first = member(&mut shards, 0, 400.0);
    let mut room = vec![
        member(&mut shards, 1, 700.0),
        member(&mut shards, 1, 1_100.0),
    ];
    speak(&mut shards, &mut room, 10);
    let leg = first.phone.leg;
    shards.command(leg, |n| Command::CloseLeg { n, leg });
    let before = shards.heard(&room[0].phone).len();
    speak(&mut shards, &mut room, 60);
    let heard = pcm(&shards, &room[0], before + 10);
    assert!(heard.len() >= 45 * 160, "{}", heard.len());
    assert!(level(&heard, 1_100.0) > -20.0);
    // 1. who leaves is gone on both shards; an empty room is no more
    for member in &room {
        let leg = member.phone.leg;
        shards.done(leg, |n| Command::Stop { n, leg });
        assert_eq!(shards.facts(leg).source, "none");
    }
    let sent: Vec<usize> = room
        .iter()
        .map(|one| shards.heard(&one.phone).len())
        .collect();
    speak(&mut shards, &mut room, 20);
    assert_eq!(
        room.iter()
            .map(|one| shards.heard(&one.phone).len())
            .collect::<Vec<_>>(),
        sent
    );
    assert_eq!(shards.of[0].engine.load(), 0);
}

#[test]
fn codecs_of_a_far_member_may_change() {
    let mut shards = Shards::new();
    let near = member(&mut shards, 0, 500.0);
    let far = shards.phone(1, pcmu());
    shards.join(far.leg, ROOM, false);
    let mut room = vec![near];
    speak(&mut shards, &mut room, 20);
    assert!(
        shards
            .heard(&far)
            .iter()
            .all(|sent| sent.header().payload_type == 0)
    );
    let audio = vec![codec("G722", 9, 8_000)];
    let mut changed = port_offer(audio.clone());
    changed.audio.extend(pcmu());
    let leg = far.leg;
    shards.command(leg, |n| Command::Update {
        n,
        leg,
        offer: changed,
        restart_ice: false,
        opens_video: false,
    });
    shards.of[1].complete(far.leg, port_remote(audio, far.address));
    shards.carry();
    let before = shards.heard(&far).len();
    speak(&mut shards, &mut room, 40);
    let sent = &shards.heard(&far)[before..];
    assert!(sent.len() >= 38, "{}", sent.len());
    assert!(sent.iter().all(|sent| sent.header().payload_type == 9));
}

#[test]
fn a_full_room_turns_members_of_other_shards_away() {
    let mut shards = Shards::new();
    for index in 0..501u64 {
        let phone = shards.phone((index % 2) as usize, pcmu());
        let reply = shards.join(phone.leg, ROOM, false);
        if index < 500 {
            assert!(matches!(reply, Reply::Done { .. }), "{index}: {reply:?}");
        } else {
            let Reply::Refused { code, .. } = reply else {
                panic!("{reply:?}")
            };
            assert_eq!(code, "room_full");
        }
    }
    let phone = shards.phone(1, pcmu());
    let reply = shards.join(phone.leg, ROOM, false);
    assert!(matches!(reply, Reply::Refused { ref code, .. } if code == "room_full"));
    assert_eq!(shards.facts(phone.leg).source, "none");
}

#[test]
fn a_member_of_another_shard_records_the_room() {
    let mut shards = Shards::new();
    let mut room = vec![member(&mut shards, 0, 400.0), member(&mut shards, 1, 700.0)];
    let leg = room[1].phone.leg;
    let spec = Recording {
        recording: "r1".into(),
        file: "r1.wav".into(),
        side: Side::Room,
        max_seconds: 0,
        silence_ms: 0,
    };
    shards.done(leg, |n| Command::RecordStart {
        n,
        leg,
        spec: spec.clone(),
    });
    speak(&mut shards, &mut room, 20);
    assert_eq!(shards.of[0].begun.len(), 1, "the room's shard records");
    let sounds = |shards: &Shards| {
        let entries = shards.of[0].recorded.iter();
        entries
            .filter(|(_, entry)| matches!(entry.what, Piece::Sound { .. }))
            .count()
    };
    assert!(sounds(&shards) >= 15);
    shards.done(leg, |n| Command::RecordStop {
        n,
        leg,
        recording: "r1".into(),
    });
    let reply = shards.command(leg, |n| Command::RecordStop {
        n,
        leg,
        recording: "r1".into(),
    });
    assert!(matches!(reply, Reply::Refused { ref code, .. } if code == "unknown_recording"));
}

// ---- video

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
