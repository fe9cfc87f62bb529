//! Rooms: everybody hears everybody else and not himself; silent listeners share a payload; who comes and goes disturbs nobody.

mod common;

use common::*;
use offhook_dsp::{Codec as Speech, Decoder, Encoder, EncoderOptions, g711};
use offhook_media::command::Command;
use offhook_media::event::Reply;

/// On the shard of the world.
const ROOM: u64 = 3 << 56 | 77;

struct Member {
    phone: Phone,
    hertz: f64,
    at: usize,
}

impl Member {
    /// 20 ms of the member's tone, or of silence.
    fn speak(&mut self, world: &mut World, amplitude: f64) {
        let tone = |at: usize| {
            (amplitude * (std::f64::consts::TAU * self.hertz * at as f64 / 8_000.0).sin()) as i16
        };
        let payload: Vec<u8> = (self.at..self.at + 160)
            .map(|at| g711::ulaw_encode(tone(at)))
            .collect();
        self.at += 160;
        let packet = self.phone.packet(&payload);
        world.datagram(self.phone.socket, self.phone.address, &packet);
    }
}

fn join(world: &mut World, leg: u64, muted: bool) -> Reply {
    world.command(|n| Command::Join {
        n,
        leg,
        room: ROOM,
        muted,
        full_band: false,
    })
}

fn members(world: &mut World, tones: &[f64]) -> Vec<Member> {
    let mut members = Vec::new();
    for (index, hertz) in tones.iter().enumerate() {
        let (_, legs) = world.open(vec![port_offer(pcmu())]);
        let phone = phone(&legs[0], index as u8);
        world.complete(phone.leg, port_remote(pcmu(), phone.address));
        assert!(matches!(join(world, phone.leg, false), Reply::Done { .. }));
        members.push(Member {
            phone,
            hertz: *hertz,
            at: 0,
        });
    }
    members
}

/// What a member was sent since `from` packets, as PCM.
fn heard(world: &World, member: &Member, from: usize) -> Vec<i16> {
    world.rtp_to(member.phone.address)[from..]
        .iter()
        .flat_map(|sent| sent.payload().iter().map(|byte| g711::ulaw_decode(*byte)))
        .collect()
}

/// Level of one frequency, dBFS.
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

fn talk(world: &mut World, members: &mut [Member], loud: &[usize], packets: usize) {
    for _ in 0..packets {
        for (index, member) in members.iter_mut().enumerate() {
            let amplitude = if loud.contains(&index) { 6_000.0 } else { 0.0 };
            member.speak(world, amplitude);
        }
        world.advance_ms(20);
    }
}

#[test]
fn each_hears_the_others_and_not_himself() {
    let mut world = World::new();
    let mut room = members(&mut world, &[400.0, 700.0, 1_100.0]);
    talk(&mut world, &mut room, &[0, 1, 2], 100);
    for (index, member) in room.iter().enumerate() {
        let pcm = heard(&world, member, 20);
        assert!(pcm.len() >= 70 * 160, "{}", pcm.len());
        for (other, hertz) in [400.0, 700.0, 1_100.0].into_iter().enumerate() {
            let level = level(&pcm, hertz);
            if other == index {
                assert!(level < -45.0, "{index} hears himself at {level}");
            } else {
                assert!((-18.0..-12.0).contains(&level), "{index} {other} {level}");
            }
        }
    }
}

#[test]
fn silent_listeners_are_sent_the_same_payload_and_numbers_of_their_own() {
    let mut world = World::new();
    let mut room = members(&mut world, &[500.0, 600.0, 700.0, 800.0]);
    talk(&mut world, &mut room, &[0], 50);
    let sent: Vec<Vec<&Sent>> = room[1..]
        .iter()
        .map(|member| world.rtp_to(member.phone.address))
        .collect();
    let count = sent.iter().map(Vec::len).min().expect("listeners");
    assert!(count >= 45);
    for at in 0..count {
        let from_end = |packets: &Vec<&Sent>| packets[packets.len() - 1 - at].payload().to_vec();
        assert_eq!(from_end(&sent[0]), from_end(&sent[1]));
        assert_eq!(from_end(&sent[0]), from_end(&sent[2]));
    }
    assert_ne!(sent[0][0].header().ssrc, sent[1][0].header().ssrc);
    for packets in &sent {
        for pair in packets.windows(2) {
            let (a, b) = (pair[0].header(), pair[1].header());
            assert_eq!(b.sequence, a.sequence.wrapping_add(1));
            assert_eq!(b.timestamp, a.timestamp.wrapping_add(160));
        }
    }
}

#[test]
fn four_speak_at_once_and_a_fifth_is_heard_when_one_falls_silent() {
    let mut world = World::new();
    let tones = [300.0, 450.0, 600.0, 750.0, 1_000.0, 1_300.0];
    let mut room = members(&mut world, &tones);
    talk(&mut world, &mut room, &[0, 1, 2, 3], 30);
    let start = world.rtp_to(room[5].phone.address).len();
    talk(&mut world, &mut room, &[0, 1, 2, 3, 4], 50);
    let pcm = heard(&world, &room[5], start + 10);
    assert!(level(&pcm, 1_000.0) < -45.0, "the fifth waits");
    assert!(level(&pcm, 300.0) > -20.0);
    let start = world.rtp_to(room[5].phone.address).len();
    talk(&mut world, &mut room, &[0, 1, 2, 4], 100);
    let pcm = heard(&world, &room[5], start + 50);
    let fifth = level(&pcm, 1_000.0);
    assert!(fifth > -20.0, "the fifth is heard at {fifth}");
    assert!(level(&pcm, 750.0) < -45.0, "the silent one is not");
}

#[test]
fn a_muted_member_hears_and_is_not_heard() {
    let mut world = World::new();
    let mut room = members(&mut world, &[500.0, 900.0]);
    join(&mut world, room[0].phone.leg, true);
    talk(&mut world, &mut room, &[0, 1], 60);
    assert!(level(&heard(&world, &room[1], 10), 500.0) < -45.0);
    assert!(level(&heard(&world, &room[0], 10), 900.0) > -20.0);
    join(&mut world, room[0].phone.leg, false);
    let start = world.rtp_to(room[1].phone.address).len();
    talk(&mut world, &mut room, &[0, 1], 60);
    assert!(level(&heard(&world, &room[1], start + 20), 500.0) > -20.0);
}

#[test]
fn who_leaves_is_gone_and_the_room_ticks_on() {
    let mut world = World::new();
    let mut room = members(&mut world, &[400.0, 700.0, 1_100.0]);
    talk(&mut world, &mut room, &[0, 1, 2], 30);
    // The first member conducts.
    let leg = room[0].phone.leg;
    world.command(|n| Command::CloseLeg { n, leg });
    let gone = room.remove(0);
    let (before, sent) = (
        world.rtp_to(room[0].phone.address).len(),
        world.rtp_to(gone.phone.address).len(),
    );
    talk(&mut world, &mut room, &[0, 1], 60);
    let pcm = heard(&world, &room[0], before + 10);
    assert!(pcm.len() >= 45 * 160);
    assert!(level(&pcm, 400.0) < -45.0);
    assert!(level(&pcm, 1_100.0) > -20.0);
    assert_eq!(world.rtp_to(gone.phone.address).len(), sent);
    // A bridge takes a member out; an empty room leaves nothing behind.
    let (a, b) = (room[0].phone.leg, room[1].phone.leg);
    world.bridge(a, b);
    assert!(world.facts(a).source.starts_with("leg:"));
    join(&mut world, a, false);
    assert_eq!(world.facts(a).source, "room:0x30000000000004d");
    assert_eq!(world.facts(b).source, "none");
    world.command(|n| Command::Stop { n, leg: a });
    assert_eq!(world.facts(a).source, "none");
    world.advance_ms(100);
}

#[test]
fn codecs_meet_in_a_room() {
    let mut world = World::new();
    let mut room = members(&mut world, &[500.0, 800.0]);
    let (_, legs) = world.open(vec![port_offer(opus())]);
    let mut wide = phone(&legs[0], 9);
    (wide.payload_type, wide.step) = (111, 960);
    world.complete(wide.leg, port_remote(opus(), wide.address));
    join(&mut world, wide.leg, false);
    let mut encoder =
        Encoder::new(Speech::Opus, 48_000, EncoderOptions::default()).expect("encoder");
    for round in 0..100 {
        let tone = |at: usize| {
            (6_000.0 * (std::f64::consts::TAU * 1_200.0 * at as f64 / 48_000.0).sin()) as i16
        };
        let pcm: Vec<i16> = (round * 960..(round + 1) * 960).map(tone).collect();
        let mut payload = [0; 1_500];
        let len = encoder.encode(&pcm, &mut payload).expect("encoded");
        let packet = wide.packet(&payload[..len]);
        world.datagram(wide.socket, wide.address, &packet);
        talk(&mut world, &mut room, &[0], 1);
    }
    let phone_hears = heard(&world, &room[1], 30);
    assert!(level(&phone_hears, 1_200.0) > -20.0);
    assert!(level(&phone_hears, 500.0) > -20.0);
    let mut decoder = Decoder::new(Speech::Opus, 8_000).expect("decoder");
    let mut browser_hears = Vec::new();
    for sent in &world.rtp_to(wide.address)[30..] {
        let mut pcm = [0; 960];
        let len = decoder.decode(sent.payload(), &mut pcm).expect("decoded");
        browser_hears.extend(&pcm[..len]);
    }
    assert!(level(&browser_hears, 500.0) > -20.0);
    assert!(level(&browser_hears, 1_200.0) < -40.0, "not himself");
}

#[test]
fn a_full_room_says_so() {
    let mut world = World::new();
    for index in 0..501u64 {
        let (_, legs) = world.open(vec![port_offer(pcmu())]);
        let reply = join(&mut world, legs[0].leg, false);
        if index < 500 {
            assert!(matches!(reply, Reply::Done { .. }), "{index}");
        } else {
            let Reply::Refused { code, text, .. } = reply else {
                panic!("{reply:?}");
            };
            assert_eq!(code, "room_full");
            assert!(text.contains("500"));
        }
    }
}
