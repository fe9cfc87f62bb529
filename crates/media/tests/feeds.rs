//! Feeds as far as the engine goes: what is copied, and what becomes of the sound that comes back.

mod common;

use common::*;
use offhook_dsp::g711;
use offhook_media::command::Command;
use offhook_media::description::{Encoding, Feed, Hidden, Track};
use offhook_media::event::Reply;
use offhook_media::feed::Return;
use offhook_media::recording::Piece;

fn spec(name: &str, track: Track, two_way: bool) -> Feed {
    Feed {
        feed: name.to_owned(),
        url: "ws://192.0.2.80/".to_owned(),
        address: "192.0.2.80:80".to_owned(),
        track,
        encoding: Encoding::L16,
        rate: 16_000,
        two_way,
        bearer: Hidden("the-token".to_owned()),
        account: "a".to_owned(),
        call: "c".to_owned(),
        parameters: Vec::new(),
    }
}

fn start(world: &mut World, leg: u64, name: &str, track: Track, two_way: bool) -> Reply {
    let spec = spec(name, track, two_way);
    world.command(|n| Command::FeedStart { n, leg, spec })
}

fn begin(world: &mut World, leg: u64, track: Track, two_way: bool) -> u64 {
    let reply = start(world, leg, "f", track, two_way);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    world.fed.last().expect("begun").number
}

fn stop(world: &mut World, leg: u64, name: &str) -> Reply {
    let feed = name.to_owned();
    world.command(|n| Command::FeedStop { n, leg, feed })
}

fn code(reply: Reply) -> String {
    match reply {
        Reply::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

/// Channels of packets, and everything else in words.
fn carried(world: &World, number: u64) -> (Vec<u8>, Vec<String>) {
    let mine = || world.recorded.iter().filter(|(of, _)| *of == number);
    let channels = mine().filter_map(|(_, entry)| match entry.what {
        Piece::Packet { channel, .. } => Some(channel),
        _ => None,
    });
    let others = mine().filter(|(_, entry)| !matches!(entry.what, Piece::Packet { .. }));
    (
        channels.collect(),
        others
            .map(|(_, entry)| format!("{:?}", entry.what))
            .collect(),
    )
}

/// 20 ms of a square wave that is 8,000 loud.
fn sound() -> Return {
    Return::Sound(
        (0..320)
            .map(|at| if at / 16 % 2 == 0 { 8_000 } else { -8_000 })
            .collect(),
    )
}

fn loud(payload: &[u8]) -> bool {
    payload
        .iter()
        .any(|byte| g711::ulaw_decode(*byte).unsigned_abs() > 4_000)
}

/// How many of the packets to a phone since a time hold the receiver's sound, and how many hold silence.
fn heard(world: &World, phone: &Phone, since: std::time::Duration) -> (usize, usize) {
    let packets: Vec<bool> = world
        .rtp_to(phone.address)
        .iter()
        .filter(|sent| sent.at >= since)
        .map(|sent| loud(sent.payload()))
        .collect();
    let loud = packets.iter().filter(|loud| **loud).count();
    (loud, packets.len() - loud)
}

/// One telephone-event press.
fn press(world: &mut World, phone: &mut Phone, event: u8) {
    for (at, end) in [(160u16, false), (320, false), (800, true)] {
        let payload = [
            event,
            if end { 0x8a } else { 0x0a },
            (at >> 8) as u8,
            at as u8,
        ];
        let packet = phone.raw(101, at == 160, &payload, false);
        world.datagram(phone.socket, phone.address, &packet);
        world.advance_ms(20);
    }
}

#[test]
fn each_track_is_carried_with_presses_until_it_is_stopped() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    let both = begin(&mut world, a.leg, Track::Both, false);
    for (name, track) in [("in", Track::Inbound), ("out", Track::Outbound)] {
        start(&mut world, a.leg, name, track, false);
    }
    a.speak_for(&mut world, 60);
    b.speak_for(&mut world, 40);
    press(&mut world, &mut a, 5);
    // 1. What is said is channel 0, what is heard channel 1; presses go with what is said.
    assert_eq!(carried(&world, both).0, [0, 0, 0, 1, 1]);
    assert_eq!(carried(&world, both + 1).0, [0, 0, 0]);
    assert_eq!(carried(&world, both + 2).0, [1, 1]);
    for (number, presses) in [(both, 1), (both + 1, 1), (both + 2, 0)] {
        assert_eq!(carried(&world, number).1, vec!["Digit('5', 100)"; presses]);
    }
    // 2. After its end nothing comes; the others go on.
    assert!(matches!(stop(&mut world, a.leg, "f"), Reply::Done { .. }));
    a.speak_for(&mut world, 40);
    assert_eq!(
        carried(&world, both).1,
        ["Digit('5', 100)", "End(\"stopped\")"]
    );
    assert_eq!(
        (
            carried(&world, both).0.len(),
            carried(&world, both + 1).0.len()
        ),
        (5, 5)
    );
    // 3. The end of the leg ends them.
    let leg = a.leg;
    world.command(|n| Command::CloseLeg { n, leg });
    assert_eq!(carried(&world, both + 2).1, ["End(\"ended\")"]);
}

#[test]
fn taps_are_bounded_and_only_one_feed_is_heard() {
    let mut world = World::new();
    let (_, a, _) = two_phones(&mut world);
    begin(&mut world, a.leg, Track::Inbound, true);
    let again = start(&mut world, a.leg, "f", Track::Inbound, false);
    assert_eq!(code(again), "bad_description");
    let second = start(&mut world, a.leg, "g", Track::Inbound, true);
    assert_eq!(code(second), "too_many_taps");
    for name in ["2", "3", "4"] {
        let reply = start(&mut world, a.leg, name, Track::Both, false);
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }
    let fifth = start(&mut world, a.leg, "5", Track::Both, false);
    assert_eq!(code(fifth), "too_many_taps");
    assert_eq!(code(stop(&mut world, a.leg, "nothing")), "unknown_feed");
    let mut wrong = spec("w", Track::Both, false);
    wrong.rate = 44_100;
    let leg = a.leg;
    let reply = world.command(|n| Command::FeedStart {
        n,
        leg,
        spec: wrong,
    });
    assert_eq!(code(reply), "bad_description");
    // Its token is not shown.
    let shown = format!("{:?}", spec("f", Track::Both, true));
    assert!(!shown.contains("the-token"), "{shown}");
}

#[test]
fn what_comes_back_takes_the_leg_while_it_sounds_and_gives_it_back() {
    let mut world = World::new();
    let (_, a, mut b) = two_phones(&mut world);
    let number = begin(&mut world, a.leg, Track::Inbound, true);
    b.speak_for(&mut world, 100);
    let bridged = world.facts(a.leg).source;
    let since = world.elapsed;
    // 1. A second of sound, handed over as it is played, is heard whole and without a gap.
    for _ in 0..50 {
        world.returned(a.leg, number, sound());
        world.advance_ms(20);
    }
    world.returned(a.leg, number, Return::Mark("end".to_owned()));
    assert_eq!(world.facts(a.leg).source, "feed");
    world.advance_ms(100);
    let (loud, _) = heard(&world, &a, since);
    assert!((50..=51).contains(&loud), "{loud}");
    // 2. Its mark is told when its place has been played: 60 ms are gathered before.
    let marks: Vec<u64> = world
        .recorded
        .iter()
        .filter(|(_, entry)| matches!(&entry.what, Piece::Mark(name) if name == "end"))
        .map(|(_, entry)| entry.at_us / 1_000)
        .collect();
    assert_eq!(marks.len(), 1);
    assert!((1_120..=1_220).contains(&marks[0]), "{marks:?}");
    // 3. Half a second later the leg hears again what it heard before.
    world.advance_ms(600);
    assert_eq!(world.facts(a.leg).source, bridged);
    let since = world.elapsed;
    b.speak_for(&mut world, 100);
    assert_eq!(
        world
            .rtp_to(a.address)
            .iter()
            .filter(|sent| sent.at >= since)
            .count(),
        5
    );
}

#[test]
fn clear_silences_at_once_and_echoes_the_marks() {
    let mut world = World::new();
    let (_, a, _) = two_phones(&mut world);
    let number = begin(&mut world, a.leg, Track::Inbound, true);
    for _ in 0..10 {
        world.returned(a.leg, number, sound());
    }
    world.returned(a.leg, number, Return::Mark("late".to_owned()));
    world.advance_ms(60);
    assert!(carried(&world, number).1.is_empty());
    world.returned(a.leg, number, Return::Clear);
    assert_eq!(carried(&world, number).1, ["Mark(\"late\")"]);
    world.advance_ms(20);
    let since = world.elapsed + std::time::Duration::from_millis(1);
    world.advance_ms(200);
    assert_eq!(heard(&world, &a, since), (0, 10));
    // A mark with nothing before it comes back at once.
    world.returned(a.leg, number, Return::Mark("now".to_owned()));
    assert_eq!(carried(&world, number).1.len(), 2);
}

#[test]
fn a_feed_without_a_voice_and_one_that_is_over_are_not_heard() {
    let mut world = World::new();
    let (_, a, mut b) = two_phones(&mut world);
    let deaf = begin(&mut world, a.leg, Track::Both, false);
    world.returned(a.leg, deaf, sound());
    assert!(world.facts(a.leg).source.starts_with("leg:"));
    start(&mut world, a.leg, "two", Track::Both, true);
    let number = world.fed.last().expect("begun").number;
    world.returned(a.leg, number, sound());
    assert_eq!(world.facts(a.leg).source, "feed");
    // Its receiver is gone: the bridge stands again, and its place is free.
    world.returned(a.leg, number, Return::Over);
    assert!(world.facts(a.leg).source.starts_with("leg:"));
    world.returned(a.leg, number, sound());
    b.speak_for(&mut world, 40);
    assert!(world.facts(a.leg).source.starts_with("leg:"));
    let reply = start(&mut world, a.leg, "two", Track::Both, true);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

#[test]
fn files_and_a_new_bridge_take_the_leg_and_marks_are_not_lost() {
    let mut world = World::new();
    let (_, a, b) = two_phones(&mut world);
    let number = begin(&mut world, a.leg, Track::Both, true);
    world.returned(a.leg, number, sound());
    world.returned(a.leg, number, Return::Mark("m".to_owned()));
    let leg = a.leg;
    world.command(|n| Command::PlayFiles {
        n,
        leg,
        play: "p".to_owned(),
        files: vec!["x".to_owned()],
        rounds: 1,
        until_digit: false,
    });
    assert_eq!(carried(&world, number).1, ["Mark(\"m\")"]);
    // Files are heard to their end before the receiver is.
    world.returned(a.leg, number, sound());
    assert_eq!(world.facts(a.leg).source, "files");
    world.command(|n| Command::Stop { n, leg });
    assert!(world.facts(a.leg).source.starts_with("leg:"));
    world.returned(a.leg, number, sound());
    assert_eq!(world.facts(a.leg).source, "feed");
    world.bridge(a.leg, b.leg);
    assert!(world.facts(a.leg).source.starts_with("leg:"));
}
