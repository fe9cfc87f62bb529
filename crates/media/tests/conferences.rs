//! What conferences hear beside their members: chimes for all, prompts and music for one, who keeps his place meanwhile.

mod common;

use std::sync::Arc;

use common::shards::Shards;
use common::*;
use offhook_dsp::{Codec as Dsp, Encoder, EncoderOptions, Tone, ToneSpec, g711};
use offhook_media::clip::{Clip, Wanted};
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};
use offhook_media::recording::{Piece, Side};

/// On the shard of the world.
const ROOM: u64 = 3 << 56 | 77;
/// Of the chimes here.
const HERTZ: f64 = 1_000.0;

fn member(world: &mut World, index: u8) -> Phone {
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let phone = phone(&legs[0], index);
    world.complete(phone.leg, port_remote(pcmu(), phone.address));
    join(world, phone.leg);
    phone
}

fn join(world: &mut World, leg: u64) {
    let reply = world.command(|n| Command::Join {
        n,
        leg,
        room: ROOM,
        muted: false,
        full_band: false,
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

fn chime(world: &mut World) {
    let reply = world.command(|n| Command::Chime {
        n,
        room: ROOM,
        file: "tones/joined".to_owned(),
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

/// So many packets of a steady tone, in the codec that was asked for.
fn tone(wanted: &Wanted, packets: usize) -> Arc<Clip> {
    let mut encoder = Encoder::new(wanted.codec, 16_000, EncoderOptions::default()).unwrap();
    let mut tone = Tone::new(ToneSpec::TEST, 16_000);
    let mut frame = || {
        let (mut pcm, mut payload) = ([0i16; 320], [0u8; 1_500]);
        tone.fill(&mut pcm);
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        payload[..len].into()
    };
    let packets = (0..packets).map(|_| frame()).collect();
    Arc::new(Clip { packets })
}

/// Answers what is wanted by a tone; how many files that were.
fn answer(world: &mut World, packets: usize) -> usize {
    let wanted = std::mem::take(&mut world.wanted);
    let count = wanted.len();
    for one in wanted {
        let clip = tone(&one, packets);
        world.fetched(one, Ok(clip));
    }
    count
}

fn pcm(sent: &[&Sent], from_ms: u128, to_ms: u128) -> Vec<i16> {
    let within = |sent: &&&Sent| (from_ms..to_ms).contains(&sent.at.as_millis());
    let payloads = sent.iter().filter(within).map(|sent| sent.payload());
    payloads
        .flatten()
        .map(|byte| g711::ulaw_decode(*byte))
        .collect()
}

/// Level of the chimes' tone, dBFS.
fn level(pcm: &[i16]) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in pcm.iter().enumerate() {
        let phase = std::f64::consts::TAU * HERTZ * at as f64 / 8_000.0;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    let size = 2.0 * (re * re + im * im).sqrt() / pcm.len().max(1) as f64 / 32_768.0;
    20.0 * (size + 1e-9).log10()
}

#[test]
fn a_chime_is_heard_by_everybody_beside_what_is_said_and_leaves_no_gap() {
    let mut world = World::new();
    let mut speaker = member(&mut world, 1);
    let listener = member(&mut world, 2);
    for at in 0..100 {
        if at == 50 {
            chime(&mut world);
        }
        if at == 52 {
            assert_eq!(answer(&mut world, 20), 1);
        }
        speaker.speak(&mut world);
        world.advance_ms(20);
    }
    for phone in [&speaker, &listener] {
        let sent = world.rtp_to(phone.address);
        assert!((level(&pcm(&sent, 1_080, 1_400)) + 10.0).abs() < 2.0);
        assert!(level(&pcm(&sent, 500, 1_000)) < -30.0);
        assert!(level(&pcm(&sent, 1_500, 1_900)) < -30.0);
        for pair in sent.windows(2) {
            let (one, two) = (pair[0].header(), pair[1].header());
            assert_eq!(two.sequence, one.sequence.wrapping_add(1));
            assert_eq!(two.timestamp, one.timestamp.wrapping_add(160));
        }
    }
}

#[test]
fn a_hundred_who_come_at_once_are_one_chime_a_second() {
    let mut world = World::new();
    let listener = member(&mut world, 1);
    let mut fetched = 0;
    for _ in 0..150 {
        chime(&mut world);
        world.advance_ms(20);
        fetched += answer(&mut world, 5);
    }
    assert_eq!(fetched, 3);
    let sent = world.rtp_to(listener.address);
    // Each sounds 100 ms of its second.
    for second in [0, 1_000, 2_000] {
        assert!(level(&pcm(&sent, second + 60, second + 120)) > -14.0);
        assert!(level(&pcm(&sent, second + 200, second + 1_000)) < -60.0);
    }
}

#[test]
fn a_chime_without_a_room_or_a_file_is_nothing_and_a_long_one_is_cut() {
    let mut world = World::new();
    chime(&mut world);
    assert!(world.wanted.is_empty());
    let listener = member(&mut world, 1);
    chime(&mut world);
    let wanted = world.wanted.pop().expect("a file");
    world.fetched(wanted, Err("there is no such sound".to_owned()));
    world.advance_ms(1_100);
    assert!(level(&pcm(&world.rtp_to(listener.address), 0, 1_100)) < -60.0);
    chime(&mut world);
    assert_eq!(answer(&mut world, 500), 1);
    world.advance_ms(3_000);
    let sent = world.rtp_to(listener.address);
    assert!(level(&pcm(&sent, 1_200, 3_000)) > -12.0);
    assert!(level(&pcm(&sent, 3_200, 4_000)) < -60.0);
    let refused = world.command(|n| Command::Chime {
        n,
        room: ROOM,
        file: String::new(),
    });
    assert!(matches!(refused, Reply::Refused { .. }), "{refused:?}");
}

fn play(world: &mut World, leg: u64, rounds: u32) {
    let reply = world.command(|n| Command::PlayFiles {
        n,
        leg,
        play: "p".to_owned(),
        files: vec!["music/waiting".to_owned()],
        rounds,
        until_digit: false,
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

fn record(world: &mut World, leg: u64, side: Side) -> Reply {
    let spec = Recording {
        recording: format!("{side:?}"),
        file: format!("{side:?}.wav"),
        side,
        max_seconds: 0,
        silence_ms: 0,
    };
    world.command(|n| Command::RecordStart { n, leg, spec })
}

/// The ends of recordings.
fn ends(world: &World) -> usize {
    let end = |piece: &Piece| matches!(piece, Piece::End(_));
    world
        .recorded
        .iter()
        .filter(|(_, entry)| end(&entry.what))
        .count()
}

fn finished(world: &World) -> Vec<String> {
    let told = world.events.iter().filter_map(|(_, event)| match event {
        Event::PlayFinished { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    told.collect()
}

#[test]
fn who_hears_music_keeps_his_place_and_the_rooms_recording_goes_on() {
    let mut world = World::new();
    let mut alone = member(&mut world, 1);
    // 1. the room is recorded, and its only member hears music: neither is over, and he is not in the recording
    assert!(matches!(
        record(&mut world, alone.leg, Side::Room),
        Reply::Done { .. }
    ));
    play(&mut world, alone.leg, 0);
    for _ in 0..50 {
        alone.speak(&mut world);
        world.advance_ms(20);
        answer(&mut world, 10);
    }
    assert_eq!(world.facts(alone.leg).source, "files");
    assert_eq!(ends(&world), 0);
    let sounds = world
        .recorded
        .iter()
        .filter_map(|(_, entry)| match &entry.what {
            Piece::Sound { samples, .. } => Some(samples.iter().all(|sample| *sample == 0)),
            _ => None,
        });
    let silent: Vec<bool> = sounds.collect();
    assert!(
        silent.len() >= 45 && silent.iter().all(|one| *one),
        "{}",
        silent.len()
    );
    let heard = pcm(&world.rtp_to(alone.address), 300, 1_000);
    assert!(level(&heard) > -12.0, "he hears it");
    // 2. a recording of the room may begin and be paused while he hears music
    let named = |n| Command::RecordPause {
        n,
        leg: alone.leg,
        recording: "Room".to_owned(),
    };
    assert!(matches!(world.command(named), Reply::Done { .. }));
    // 3. another comes: the first hears the room again, without a gap in his stream
    let mut second = member(&mut world, 2);
    join(&mut world, alone.leg);
    assert_eq!(finished(&world), ["replaced"]);
    for _ in 0..50 {
        second.speak(&mut world);
        world.advance_ms(20);
    }
    let sent = world.rtp_to(alone.address);
    assert!(level(&pcm(&sent, 1_200, 2_000)) < -30.0, "no music");
    let loud = pcm(&sent, 1_300, 2_000);
    assert!(offhook_dsp::level::rms_dbov(&loud) > -40.0, "but the other");
    for pair in sent.windows(2) {
        assert_eq!(
            pair[1].header().sequence,
            pair[0].header().sequence.wrapping_add(1)
        );
    }
    // 4. the last who leaves ends the recording, also amid music
    let (a, b) = (alone.leg, second.leg);
    world.command(|n| Command::CloseLeg { n, leg: b });
    play(&mut world, a, 0);
    world.advance_ms(100);
    assert_eq!(ends(&world), 0);
    world.command(|n| Command::CloseLeg { n, leg: a });
    assert_eq!(ends(&world), 1);
}

#[test]
fn a_prompt_that_ends_gives_the_member_back_and_what_replaces_it_does_not() {
    let mut world = World::new();
    let (first, second) = (member(&mut world, 1), member(&mut world, 2));
    assert!(matches!(
        record(&mut world, first.leg, Side::Room),
        Reply::Done { .. }
    ));
    // 1. over: back in the room, once
    play(&mut world, first.leg, 1);
    world.advance_ms(20);
    answer(&mut world, 5);
    world.advance_ms(300);
    assert_eq!(world.facts(first.leg).source, format!("room:{ROOM:#x}"));
    // 2. a prompt that replaces a prompt keeps the place
    play(&mut world, first.leg, 0);
    play(&mut world, first.leg, 0);
    let leg = first.leg;
    world.command(|n| Command::Stop { n, leg });
    assert_eq!(world.facts(first.leg).source, format!("room:{ROOM:#x}"));
    // 3. a bridge takes both members out, from the music, too: the room is over, and its recording
    play(&mut world, first.leg, 0);
    world.bridge(first.leg, second.leg);
    assert_eq!(ends(&world), 1);
    join(&mut world, first.leg);
    assert_eq!(world.facts(first.leg).source, format!("room:{ROOM:#x}"));
    assert_eq!(
        finished(&world),
        ["finished", "replaced", "stopped", "replaced"]
    );
}

#[test]
fn a_tap_of_a_member_hears_what_he_says_and_hears_through_joining_and_leaving() {
    let mut world = World::new();
    let (mut a, mut b) = (member(&mut world, 1), member(&mut world, 2));
    let leg = a.leg;
    for side in [Side::Says, Side::Hears, Side::Both] {
        assert!(matches!(record(&mut world, leg, side), Reply::Done { .. }));
    }
    let spec = Feed {
        feed: "f".to_owned(),
        url: "ws://192.0.2.80/".to_owned(),
        address: "192.0.2.80:80".to_owned(),
        track: Track::Both,
        encoding: Encoding::L16,
        rate: 16_000,
        two_way: false,
        bearer: Hidden(String::new()),
        account: String::new(),
        call: String::new(),
        parameters: Vec::new(),
    };
    let reply = world.command(|n| Command::FeedStart { n, leg, spec });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    let talk = |world: &mut World, a: &mut Phone, b: &mut Phone| {
        world.recorded.clear();
        for _ in 0..50 {
            a.speak(world);
            b.speak(world);
            world.advance_ms(20);
        }
        let mut counts = [[0usize; 2]; 4];
        for (number, entry) in &world.recorded {
            if let Piece::Packet { channel, .. } = entry.what {
                counts[*number as usize - 1][usize::from(channel)] += 1;
            }
        }
        counts
    };
    let whole = |counts: [[usize; 2]; 4]| {
        let [says, hears, both, fed] = counts;
        assert!(says[0] >= 48 && says[1] == 0, "{counts:?}");
        assert!(hears[0] >= 48 && hears[1] == 0, "{counts:?}");
        assert!(both[0] >= 48 && both[1] >= 48, "{counts:?}");
        assert_eq!(fed, both);
    };
    // 1. in the room, 2. in a bridge, 3. in the room again
    whole(talk(&mut world, &mut a, &mut b));
    world.bridge(a.leg, b.leg);
    whole(talk(&mut world, &mut a, &mut b));
    join(&mut world, a.leg);
    join(&mut world, b.leg);
    whole(talk(&mut world, &mut a, &mut b));
    // 4. hearing music, he says and hears on
    play(&mut world, a.leg, 0);
    world.advance_ms(20);
    answer(&mut world, 50);
    whole(talk(&mut world, &mut a, &mut b));
    assert_eq!(ends(&world), 0);
    world.command(|n| Command::CloseLeg { n, leg });
    assert_eq!(ends(&world), 4);
}

#[test]
fn a_member_on_another_shard_keeps_his_place_and_hears_chimes() {
    let mut shards = Shards::new();
    let far = shards.phone(1, pcmu());
    let reply = shards.join(far.leg, 5, false);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    shards.advance_ms(100);
    let leg = far.leg;
    let spec = Recording {
        recording: "r".to_owned(),
        file: "r.wav".to_owned(),
        side: Side::Room,
        max_seconds: 0,
        silence_ms: 0,
    };
    let reply = shards.command(leg, |n| Command::RecordStart { n, leg, spec });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    let reply = shards.command(leg, |n| Command::PlayFiles {
        n,
        leg,
        play: "p".to_owned(),
        files: vec!["music/waiting".to_owned()],
        rounds: 0,
        until_digit: false,
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    shards.advance_ms(1_000);
    let over = |shards: &Shards| shards.of.iter().map(ends).sum::<usize>();
    assert_eq!(over(&shards), 0, "the room is not over");
    let reply = shards.join(leg, 5, false);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    let before = shards.heard(&far).len();
    shards.advance_ms(500);
    assert!(shards.heard(&far).len() >= before + 23);
    assert_eq!(over(&shards), 0);
    let room = 5;
    let reply = shards.command(room, |n| Command::Chime {
        n,
        room,
        file: "tones/joined".to_owned(),
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    let wanted = shards.of[0].wanted.pop().expect("a file");
    assert!(wanted.room && wanted.codec == Dsp::G722, "{wanted:?}");
    let clip = tone(&wanted, 10);
    shards.of[0].fetched(wanted, Ok(clip));
    let before = shards.heard(&far).len();
    shards.advance_ms(300);
    let heard = shards.heard(&far);
    assert!(level(&pcm(&heard[before..], 0, u128::MAX)) > -16.0);
    shards.command(leg, |n| Command::CloseLeg { n, leg });
    shards.advance_ms(100);
    assert_eq!(over(&shards), 1);
}
