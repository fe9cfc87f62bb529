//! Players of files: fetched once, sent as they are, over in every way that there is.

mod common;

use std::sync::Arc;

use common::*;
use offhook_media::clip::{Clip, Wanted};
use offhook_media::command::Command;
use offhook_media::event::{Event, Reply};

/// Packets of one byte's value, so that a listener can tell which it heard.
fn clip(value: u8, packets: usize) -> Result<Arc<Clip>, String> {
    let packets = (0..packets).map(|_| vec![value; 160].into()).collect();
    Ok(Arc::new(Clip { packets }))
}

fn play(world: &mut World, leg: u64, name: &str, files: &[&str], rounds: u32, until_digit: bool) {
    let files = files.iter().map(|file| (*file).to_owned()).collect();
    let play = name.to_owned();
    let reply = world.command(|n| Command::PlayFiles {
        n,
        leg,
        play,
        files,
        rounds,
        until_digit,
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

/// Answers every sound that is wanted by one of so many packets, whose bytes are the file's name's first.
fn answer(world: &mut World, packets: usize) {
    for wanted in std::mem::take(&mut world.wanted) {
        let value = wanted.file.as_bytes()[0];
        world.fetched(wanted, clip(value, packets));
    }
}

/// What the peer heard, packet by packet.
fn heard(world: &World, phone: &Phone) -> String {
    let sent = world.rtp_to(phone.address);
    sent.iter()
        .map(|one| char::from(one.payload()[0]))
        .collect()
}

fn finished(world: &World) -> Vec<(String, String, u64)> {
    let told = world.events.iter().filter_map(|(_, event)| match event {
        Event::PlayFinished {
            play,
            reason,
            played_ms,
            ..
        } => Some((play.clone(), reason.clone(), *played_ms)),
        _ => None,
    });
    told.collect()
}

fn over(play: &str, reason: &str, played_ms: u64) -> Vec<(String, String, u64)> {
    vec![(play.to_owned(), reason.to_owned(), played_ms)]
}

fn one_phone(world: &mut World) -> Phone {
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let phone = phone(&legs[0], 0);
    world.complete(phone.leg, port_remote(pcmu(), phone.address));
    phone
}

#[test]
fn files_are_played_in_order_and_as_often_as_asked() {
    let mut world = World::new();
    let phone = one_phone(&mut world);
    play(&mut world, phone.leg, "p", &["a", "b", "c"], 2, false);
    for _ in 0..60 {
        world.advance_ms(20);
        answer(&mut world, 3);
    }
    assert_eq!(heard(&world, &phone), "aaabbbcccaaabbbccc");
    assert_eq!(finished(&world), over("p", "finished", 360));
    let sent = world.rtp_to(phone.address);
    assert!(sent.windows(2).all(|two| {
        let (one, two) = (two[0].header(), two[1].header());
        two.sequence == one.sequence.wrapping_add(1)
            && two.timestamp == one.timestamp.wrapping_add(160)
    }));
    assert!(sent[0].header().marker);
    assert_eq!(world.facts(phone.leg).source, "none");
}

#[test]
fn a_single_file_is_played_again_and_again() {
    for (rounds, expected) in [(1, "aa"), (3, "aaaaaa")] {
        let mut world = World::new();
        let phone = one_phone(&mut world);
        play(&mut world, phone.leg, "p", &["a"], rounds, false);
        world.advance_ms(20);
        answer(&mut world, 2);
        world.advance_ms(400);
        assert_eq!(heard(&world, &phone), expected);
    }
    let mut world = World::new();
    let phone = one_phone(&mut world);
    play(&mut world, phone.leg, "p", &["a"], 0, false);
    world.advance_ms(20);
    answer(&mut world, 2);
    world.advance_ms(2_000);
    assert_eq!(heard(&world, &phone), "a".repeat(100));
    assert_eq!(finished(&world), []);
}

#[test]
fn a_player_costs_no_encoder_and_each_file_is_fetched_once_a_round() {
    let mut world = World::new();
    let phone = one_phone(&mut world);
    play(&mut world, phone.leg, "p", &["a", "b", "c"], 0, false);
    world.advance_ms(40);
    assert_eq!(world.engine.load(), 1);
    let names = |wanted: &[Wanted]| {
        wanted
            .iter()
            .map(|one| one.file.clone())
            .collect::<String>()
    };
    assert_eq!(names(&world.wanted), "ab");
    answer(&mut world, 2);
    world.advance_ms(100);
    assert_eq!(names(&world.wanted), "c");
    answer(&mut world, 2);
    world.advance_ms(2_000);
    assert_eq!(
        names(&world.wanted),
        "",
        "for ever, and nothing is fetched again"
    );
    assert!(heard(&world, &phone).starts_with("aabbccaabbcc"));
    assert_eq!(finished(&world), []);
}

#[test]
fn nothing_is_sent_before_the_first_file_is_there_and_nothing_of_it_is_lost() {
    let mut world = World::new();
    let phone = one_phone(&mut world);
    play(&mut world, phone.leg, "p", &["a"], 1, false);
    world.advance_ms(500);
    assert_eq!(heard(&world, &phone), "");
    answer(&mut world, 3);
    world.advance_ms(200);
    assert_eq!(heard(&world, &phone), "aaa");
}

#[test]
fn a_press_ends_it_only_where_that_was_asked() {
    for (until_digit, expected) in [(true, "digit"), (false, "finished")] {
        let mut world = World::new();
        let mut phone = one_phone(&mut world);
        play(&mut world, phone.leg, "p", &["a"], 1, until_digit);
        world.advance_ms(20);
        answer(&mut world, 10);
        world.advance_ms(40);
        for (marker, payload) in [(true, [5, 10, 0, 160]), (false, [5, 0x8a, 1, 64])] {
            let packet = phone.raw(101, marker, &payload, false);
            world.datagram(phone.socket, phone.address, &packet);
            world.advance_ms(20);
        }
        world.advance_ms(300);
        let reasons: Vec<String> = finished(&world)
            .into_iter()
            .map(|(_, reason, _)| reason)
            .collect();
        assert_eq!(reasons, [expected]);
        assert_eq!(world.digits(phone.leg).len(), 1);
    }
}

#[test]
fn what_fed_the_leg_before_does_so_again_afterwards() {
    let mut world = World::new();
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 100);
    play(&mut world, b.leg, "p", &["~"], 1, false);
    world.advance_ms(20);
    answer(&mut world, 5);
    let before = world.rtp_to(b.address).len();
    a.speak_for(&mut world, 100);
    let during: Vec<u8> = world.rtp_to(b.address)[before..]
        .iter()
        .map(|one| one.payload()[0])
        .collect();
    assert_eq!(during, [b'~'; 5], "only the file is heard");
    world.advance_ms(40);
    let before = world.rtp_to(b.address).len();
    a.speak_for(&mut world, 100);
    assert_eq!(world.rtp_to(b.address).len() - before, 5);
    assert!(
        world.rtp_to(b.address)[before..]
            .iter()
            .all(|one| one.payload()[0] != b'~')
    );
    assert_eq!(finished(&world), over("p", "finished", 100));
    let sent = world.rtp_to(b.address);
    assert!(
        sent.windows(2)
            .all(|two| two[1].header().sequence == two[0].header().sequence.wrapping_add(1))
    );
}

#[test]
fn a_member_of_a_room_comes_back_to_it_as_muted_as_it_was() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    for (leg, muted) in [(a.leg, false), (b.leg, true)] {
        world.command(|n| Command::Join {
            n,
            leg,
            room: 3 << 56 | 9,
            muted,
            full_band: false,
        });
    }
    for phone in [&a, &b] {
        play(&mut world, phone.leg, "p", &["a"], 1, false);
    }
    world.advance_ms(40);
    answer(&mut world, 5);
    world.advance_ms(200);
    assert_eq!(finished(&world).len(), 2);
    assert_eq!(world.facts(b.leg).source, "room:0x300000000000009");
    let (before_a, before_b) = (world.rtp_to(a.address).len(), world.rtp_to(b.address).len());
    for _ in 0..25 {
        a.speak(&mut world);
        b.speak(&mut world);
        world.advance_ms(20);
    }
    let loud = |phone: &Phone, from: usize| {
        let sent = world.rtp_to(phone.address);
        sent[from..]
            .iter()
            .filter(|one| one.payload().iter().any(|byte| byte & 0x7f < 0x40))
            .count()
    };
    assert!(loud(&b, before_b) > 15, "the one who is not muted is heard");
    assert_eq!(loud(&a, before_a), 0, "the muted one is not");
}

#[test]
fn stop_bridge_and_another_player_end_it_and_say_how() {
    let mut world = World::new();
    let (_, a, b) = two_phones(&mut world);
    play(&mut world, b.leg, "first", &["a"], 1, false);
    play(&mut world, b.leg, "second", &["b"], 1, false);
    let leg = b.leg;
    world.command(|n| Command::Stop { n, leg });
    assert_eq!(world.facts(b.leg).source, format!("leg:{:#x}", a.leg));
    play(&mut world, b.leg, "third", &["c"], 1, false);
    world.bridge(a.leg, b.leg);
    play(&mut world, b.leg, "fourth", &["d"], 1, false);
    world.command(|n| Command::CloseLeg { n, leg });
    let told: Vec<(String, String)> = finished(&world)
        .into_iter()
        .map(|(play, reason, _)| (play, reason))
        .collect();
    let expected = [
        ("first", "replaced"),
        ("second", "stopped"),
        ("third", "replaced"),
        ("fourth", "ended"),
    ];
    assert_eq!(
        told,
        expected.map(|(play, reason)| (play.to_owned(), reason.to_owned()))
    );
}

#[test]
fn a_bad_file_ends_it_with_the_reason_and_a_late_answer_is_nobodys() {
    let mut world = World::new();
    let phone = one_phone(&mut world);
    play(&mut world, phone.leg, "p", &["a", "b"], 1, false);
    world.advance_ms(20);
    let mut wanted = std::mem::take(&mut world.wanted);
    let late = wanted.remove(0);
    world.fetched(wanted.remove(0), Err("b: no WAV file".to_owned()));
    let text = world.events.iter().find_map(|(_, event)| match event {
        Event::PlayFinished { reason, text, .. } if reason == "failed" => Some(text.clone()),
        _ => None,
    });
    assert_eq!(text.as_deref(), Some("b: no WAV file"));
    world.fetched(late, clip(b'a', 5));
    world.advance_ms(200);
    assert_eq!(heard(&world, &phone), "");
}

#[test]
fn another_codec_in_the_middle_goes_on_at_the_same_place() {
    let mut world = World::new();
    let phone = one_phone(&mut world);
    play(&mut world, phone.leg, "p", &["a"], 1, false);
    world.advance_ms(20);
    answer(&mut world, 20);
    world.advance_ms(200);
    let leg = phone.leg;
    let pcma = vec![codec("PCMA", 8, 8_000)];
    let offer = port_offer([pcmu(), pcma.clone()].concat());
    world.command(|n| Command::Update {
        n,
        leg,
        offer,
        restart_ice: false,
        opens_video: false,
    });
    world.complete(leg, port_remote(pcma, phone.address));
    world.advance_ms(20);
    assert_eq!(world.wanted[0].codec.name(), "PCMA");
    world.wanted[0].file = "A".to_owned();
    answer(&mut world, 20);
    world.advance_ms(1_000);
    let heard = heard(&world, &phone);
    let (first, second) = heard.split_at(heard.find('A').expect("the second codec is heard"));
    assert!(
        first.len() + second.len() <= 20 && second.len() >= 8,
        "{heard}"
    );
    assert_eq!(finished(&world).len(), 1);
}

#[test]
fn packets_are_as_long_as_the_peer_asks() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let phone = phone(&legs[0], 0);
    let mut remote = port_remote(pcmu(), phone.address);
    remote.ptime = 30;
    world.complete(phone.leg, remote);
    play(&mut world, phone.leg, "p", &["a"], 1, false);
    world.advance_ms(20);
    assert_eq!(world.wanted[0].packet_ms, 30);
    answer(&mut world, 4);
    world.advance_ms(400);
    let stamps: Vec<u32> = world
        .rtp_to(phone.address)
        .iter()
        .map(|one| one.header().timestamp)
        .collect();
    assert_eq!(stamps.len(), 4);
    assert!(
        stamps
            .windows(2)
            .all(|two| two[1].wrapping_sub(two[0]) == 240)
    );
}

#[test]
fn a_player_has_bounds() {
    let mut world = World::new();
    let phone = one_phone(&mut world);
    let leg = phone.leg;
    for files in [vec![], vec!["a".to_owned(); 65], vec!["a".repeat(256)]] {
        let reply = world.command(|n| Command::PlayFiles {
            n,
            leg,
            play: "p".to_owned(),
            files,
            rounds: 1,
            until_digit: false,
        });
        assert!(
            matches!(&reply, Reply::Refused { code, .. } if code == "bad_description"),
            "{reply:?}"
        );
    }
    assert_eq!(world.facts(leg).source, "none");
}
