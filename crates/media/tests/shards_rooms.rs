//! Rooms with members of two shards (MEDIA.md section 3): everything that a room does on one shard, it does across.

mod common;

use common::shards::*;
use common::*;
use offhook_dsp::g711;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::Reply;
use offhook_media::recording::{Piece, Side};

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
fn the_others_hear_no_gap_when_a_far_member_hears_something_else() {
    for audio in [pcmu(), vec![codec("G722", 9, 8_000)]] {
        let mut shards = Shards::new();
        let mut room = vec![member(&mut shards, 0, 400.0)];
        let listener = member(&mut shards, 0, 0.0);
        let far = shards.phone(1, audio);
        let leg = far.leg;
        shards.join(leg, ROOM, false);
        speak(&mut shards, &mut room, 50);
        let before = shards.heard(&listener.phone).len();
        // It goes, and comes back: the rate of the mix is what it was.
        shards.done(leg, |n| Command::PlayFiles {
            n,
            leg,
            play: "p".into(),
            files: vec!["music/waiting".into()],
            rounds: 0,
            until_digit: false,
        });
        speak(&mut shards, &mut room, 25);
        shards.join(leg, ROOM, false);
        speak(&mut shards, &mut room, 25);
        let heard = pcm(&shards, &listener, before);
        assert_eq!(heard.len(), 50 * 160);
        let levels: Vec<f64> = heard.chunks(160).map(|some| level(some, 400.0)).collect();
        assert!(levels.iter().all(|one| *one > -16.0), "{levels:?}");
    }
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
