//! Recordings as far as the engine goes: what is copied, when, and how it ends.

mod common;

use common::*;
use offhook_media::command::Command;
use offhook_media::description::Recording;
use offhook_media::event::Reply;
use offhook_media::recording::{Piece, Side};

fn spec(name: &str, side: Side) -> Recording {
    Recording {
        recording: name.to_owned(),
        file: format!("{name}.wav"),
        side,
        max_seconds: 0,
        silence_ms: 0,
    }
}

fn start(world: &mut World, leg: u64, name: &str, side: Side) -> Reply {
    let spec = spec(name, side);
    world.command(|n| Command::RecordStart { n, leg, spec })
}

/// Channels of the packets of a recording, in order, and how it ended.
fn copied(world: &World, number: u64) -> (Vec<u8>, Vec<&'static str>) {
    let mine = || world.recorded.iter().filter(|(of, _)| *of == number);
    let channels = mine().filter_map(|(_, entry)| match entry.what {
        Piece::Packet { channel, .. } => Some(channel),
        _ => None,
    });
    let ends = mine().filter_map(|(_, entry)| match entry.what {
        Piece::End(reason) => Some(reason),
        _ => None,
    });
    (channels.collect(), ends.collect())
}

#[test]
fn both_directions_are_copied_with_their_times_until_the_leg_is_gone() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    a.speak_for(&mut world, 100);
    assert!(matches!(
        start(&mut world, a.leg, "r", Side::Both),
        Reply::Done { .. }
    ));
    assert_eq!((world.begun.len(), world.begun[0].rate), (1, 8_000));
    a.speak_for(&mut world, 100);
    b.speak_for(&mut world, 60);
    assert_eq!(copied(&world, 1).0, [0, 0, 0, 0, 0, 1, 1, 1]);
    let times: Vec<u64> = world
        .recorded
        .iter()
        .map(|(_, entry)| entry.at_us / 1_000)
        .collect();
    assert_eq!(times, [0, 20, 40, 60, 80, 100, 120, 140]);
    let leg = a.leg;
    world.command(|n| Command::CloseLeg { n, leg });
    b.speak_for(&mut world, 100);
    assert_eq!(
        copied(&world, 1),
        (vec![0, 0, 0, 0, 0, 1, 1, 1], vec!["ended"])
    );
}

#[test]
fn one_side_alone_and_what_a_player_says_are_copied() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    start(&mut world, a.leg, "says", Side::Says);
    start(&mut world, a.leg, "hears", Side::Hears);
    a.speak_for(&mut world, 60);
    b.speak_for(&mut world, 40);
    assert_eq!(
        (copied(&world, 1).0.len(), copied(&world, 2).0.len()),
        (3, 2)
    );
    let leg = a.leg;
    world.command(|n| Command::Play {
        n,
        leg,
        source: offhook_media::description::SourceKind::Tone,
        country: "US".to_owned(),
    });
    world.advance_ms(210);
    assert_eq!(copied(&world, 2).0.len(), 12);
}

#[test]
fn a_pause_copies_nothing_and_is_told_once() {
    let mut world = World::new();
    let (_, mut a, _) = two_phones(&mut world);
    start(&mut world, a.leg, "r", Side::Says);
    let (leg, recording) = (a.leg, "r".to_owned());
    for pause in [true, true, false, false] {
        let recording = recording.clone();
        world.command(|n| {
            if pause {
                Command::RecordPause { n, leg, recording }
            } else {
                Command::RecordResume { n, leg, recording }
            }
        });
        a.speak_for(&mut world, 100);
    }
    world.command(|n| Command::RecordStop { n, leg, recording });
    let told: Vec<String> = world
        .recorded
        .iter()
        .filter(|(_, entry)| !matches!(entry.what, Piece::Packet { .. }))
        .map(|(_, entry)| format!("{:?} {}", entry.what, entry.at_us / 1_000))
        .collect();
    assert_eq!(told, ["Pause 0", "Resume 200", "End(\"stopped\") 400"]);
    assert_eq!(copied(&world, 1).0.len(), 10);
}

#[test]
fn taps_are_bounded_and_wrong_names_are_refused() {
    let mut world = World::new();
    let (_, a, _) = two_phones(&mut world);
    for name in ["1", "2", "3", "4"] {
        assert!(matches!(
            start(&mut world, a.leg, name, Side::Both),
            Reply::Done { .. }
        ));
    }
    let code = |reply: Reply| match reply {
        Reply::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        code(start(&mut world, a.leg, "5", Side::Both)),
        "too_many_taps"
    );
    world
        .engine
        .handle(offhook_media::Input::RecordingOver(1), world.now());
    assert_eq!(
        code(start(&mut world, a.leg, "2", Side::Both)),
        "bad_description"
    );
    assert_eq!(
        code(start(&mut world, a.leg, "r", Side::Room)),
        "bad_description"
    );
    let leg = a.leg;
    let reply = world.command(|n| Command::RecordStop {
        n,
        leg,
        recording: "1".to_owned(),
    });
    assert_eq!(code(reply), "unknown_recording");
}

#[test]
fn a_room_is_recorded_until_its_last_member_leaves() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    for leg in [a.leg, b.leg] {
        world.command(|n| Command::Join {
            n,
            leg,
            room: 3 << 56 | 9,
            muted: false,
            full_band: false,
        });
    }
    assert!(matches!(
        start(&mut world, b.leg, "r", Side::Room),
        Reply::Done { .. }
    ));
    a.speak_for(&mut world, 500);
    let leg = b.leg;
    world.command(|n| Command::CloseLeg { n, leg });
    a.speak_for(&mut world, 500);
    let leg = a.leg;
    world.command(|n| Command::Stop { n, leg });
    let mixed: Vec<usize> = world
        .recorded
        .iter()
        .filter_map(|(_, entry)| match &entry.what {
            Piece::Sound { samples, .. } => Some(samples.len()),
            _ => None,
        })
        .collect();
    assert!(
        mixed.len() >= 48 && mixed.iter().all(|len| *len == 160 || *len == 320),
        "{mixed:?}"
    );
    assert_eq!(copied(&world, 1).1, ["ended"]);
}
