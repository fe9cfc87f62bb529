//! Feeds of Opus as far as the engine goes: packets are carried as they came, and sent as the receiver made them.

mod common;

use std::time::Duration;

use common::*;
use offhook_dsp::{Codec, Decoder, MAX_SAMPLES};
use offhook_media::command::Command;
use offhook_media::description::{self, Encoding, Feed, Hidden, Track};
use offhook_media::event::Reply;
use offhook_media::feed::{Frame, Return};
use offhook_media::recording::Piece;

/// TOC bytes of one frame, mono (RFC 6716 section 3.1): SILK of 10, 20 and 60 ms.
const TEN: u8 = 0x00;
const TWENTY: u8 = 0x08;
const SIXTY: u8 = 0x18;

fn spec(track: Track, two_way: bool) -> Feed {
    Feed {
        feed: "f".to_owned(),
        url: "ws://192.0.2.80/".to_owned(),
        address: "192.0.2.80:80".to_owned(),
        track,
        encoding: Encoding::Opus,
        rate: 48_000,
        two_way,
        bearer: Hidden(String::new()),
        account: "a".to_owned(),
        call: "c".to_owned(),
        parameters: Vec::new(),
    }
}

fn start(world: &mut World, leg: u64, spec: Feed) -> Reply {
    world.command(|n| Command::FeedStart { n, leg, spec })
}

fn begin(world: &mut World, leg: u64, track: Track, two_way: bool) -> u64 {
    let reply = start(world, leg, spec(track, two_way));
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    world.fed.last().expect("begun").number
}

fn refused(reply: Reply) -> (String, String) {
    match reply {
        Reply::Refused { code, text, .. } => (code, text),
        other => panic!("{other:?}"),
    }
}

/// Two phones in a call, the first of these codecs.
fn phones(world: &mut World, codecs: [Vec<description::Codec>; 2]) -> [Phone; 2] {
    let offers = codecs.iter().cloned().map(port_offer).collect();
    let (_, legs) = world.open(offers);
    let mut at = 0;
    let phones = codecs.map(|audio| {
        let mut phone = phone(&legs[at], at as u8);
        world.complete(phone.leg, port_remote(audio.clone(), phone.address));
        if audio[0].name == "OPUS" {
            (phone.payload_type, phone.step) = (111, 960);
        }
        at += 1;
        phone
    });
    world.bridge(phones[0].leg, phones[1].leg);
    phones
}

fn packet(toc: u8, seed: u8) -> Vec<u8> {
    vec![toc, seed, seed ^ 0x55, 3]
}

fn frame(toc: u8, seed: u8) -> Return {
    Return::Frame(Frame::new(&packet(toc, seed)).expect("a packet"))
}

fn says(world: &mut World, phone: &mut Phone, seed: u8) {
    let bytes = phone.packet(&packet(TWENTY, seed));
    world.datagram(phone.socket, phone.address, &bytes);
    world.advance_ms(20);
}

fn carried(world: &World, number: u64) -> Vec<Piece> {
    let mine = world.recorded.iter().filter(|(of, _)| *of == number);
    mine.map(|(_, entry)| entry.what.clone()).collect()
}

/// Channel, sequence number and payload of what was carried; a number alone where a packet had no sound.
fn packets(world: &World, number: u64) -> Vec<(u8, u16, Vec<u8>)> {
    let carried = carried(world, number);
    let packets = carried.iter().filter_map(|piece| match piece {
        Piece::Packet {
            channel,
            codec,
            sequence,
            payload,
            ..
        } => {
            assert_eq!(*codec, Codec::Opus);
            Some((*channel, *sequence, payload.to_vec()))
        }
        Piece::Aside {
            channel, sequence, ..
        } => Some((*channel, *sequence, Vec::new())),
        _ => None,
    });
    packets.collect()
}

fn marks(world: &World, number: u64) -> Vec<u64> {
    let mine = world.recorded.iter().filter(|(of, _)| *of == number);
    mine.filter(|(_, entry)| matches!(entry.what, Piece::Mark(_)))
        .map(|(_, entry)| entry.at_us / 1_000)
        .collect()
}

/// Arrival (ms), sequence number, time stamp, marker and payload of what a phone was sent since a time.
type Heard = (u64, u16, u32, bool, Vec<u8>);

fn heard(world: &World, phone: &Phone, since: Duration) -> Vec<Heard> {
    let sent = world.rtp_to(phone.address);
    let sent = sent.iter().filter(|sent| sent.at >= since);
    let heard = sent.map(|sent| {
        let header = sent.header();
        (
            sent.at.as_millis() as u64,
            header.sequence,
            header.timestamp,
            header.marker,
            sent.payload().to_vec(),
        )
    });
    heard.collect()
}

#[test]
fn packets_are_carried_as_they_came_and_presses_keep_their_numbers() {
    let mut world = World::new();
    let [mut a, mut b] = phones(&mut world, [opus(), opus()]);
    let number = begin(&mut world, a.leg, Track::Both, false);
    let first = a.sequence;
    for seed in 0..3 {
        says(&mut world, &mut a, seed);
    }
    for seed in 3..5 {
        says(&mut world, &mut b, seed);
    }
    // 1. What is said has the numbers of its sender, what is heard those of the packets that were sent to it.
    let mut expected: Vec<_> = (0..3)
        .map(|seed| (0, first.wrapping_add(seed.into()), packet(TWENTY, seed)))
        .collect();
    let out = heard(&world, &a, Duration::ZERO);
    expected.extend(out.iter().map(|one| (1, one.1, one.4.clone())));
    assert_eq!(packets(&world, number), expected);
    assert_eq!(out.len(), 2);
    // 2. Packets of a press, either way, are told by their numbers alone.
    for (phone, seed) in [(&mut a, 5), (&mut b, 6)] {
        for (duration, end) in [(960u16, 0x0a), (2_400, 0x8a)] {
            let [high, low] = duration.to_be_bytes();
            let bytes = phone.raw(110, duration == 960, &[5, end, high, low], false);
            world.datagram(phone.socket, phone.address, &bytes);
            world.advance_ms(20);
        }
        world.advance_ms(100);
        says(&mut world, phone, seed);
    }
    let late = packets(&world, number).split_off(expected.len());
    for (channel, seed) in [(0, 5), (1, 6)] {
        let mine: Vec<_> = late.iter().filter(|one| one.0 == channel).collect();
        let empty = mine.iter().filter(|one| one.2.is_empty()).count();
        assert!(empty >= 2, "{mine:?}");
        assert!(
            mine.iter().any(|one| one.2 == packet(TWENTY, seed)),
            "{mine:?}"
        );
        let numbers: Vec<u16> = mine.iter().map(|one| one.1).collect();
        assert!(
            numbers
                .windows(2)
                .all(|two| two[1] == two[0].wrapping_add(1)),
            "{numbers:?}"
        );
    }
}

#[test]
fn a_leg_without_opus_is_refused_in_words() {
    let mut world = World::new();
    let [mut a, b] = phones(&mut world, [opus(), pcmu()]);
    for (track, two_way) in [
        (Track::Inbound, false),
        (Track::Outbound, false),
        (Track::Both, true),
    ] {
        let (code, text) = refused(start(&mut world, b.leg, spec(track, two_way)));
        assert_eq!(code, "other_codec");
        assert!(text.contains("PCMU") && text.contains("Opus"), "{text}");
    }
    let mut wrong = spec(Track::Inbound, false);
    wrong.rate = 16_000;
    let (code, text) = refused(start(&mut world, a.leg, wrong));
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("bad_description", "the clock of Opus is 48000 Hz")
    );
    // A leg that has agreed on nothing yet.
    let (_, legs) = world.open(vec![port_offer(opus())]);
    let (_, text) = refused(start(&mut world, legs[0].leg, spec(Track::Inbound, false)));
    assert!(text.contains("no codec yet"), "{text}");
    // The other leg's codec does not matter: what was transcoded for it is carried as it was sent.
    let number = begin(&mut world, a.leg, Track::Both, false);
    says(&mut world, &mut a, 1);
    let mut b = b;
    b.speak_for(&mut world, 200);
    let channels: Vec<u8> = packets(&world, number).iter().map(|one| one.0).collect();
    assert!(
        channels.contains(&0) && channels.contains(&1),
        "{channels:?}"
    );
}

#[test]
fn a_leg_that_goes_over_to_another_codec_ends_its_feed_and_no_packet_of_opus_follows() {
    let mut world = World::new();
    let both = || [opus(), pcmu()].concat();
    let [a, mut b] = phones(&mut world, [both(), opus()]);
    let number = begin(&mut world, a.leg, Track::Inbound, true);
    for seed in 0..8 {
        world.returned(a.leg, number, frame(TWENTY, seed));
    }
    world.returned(a.leg, number, Return::Mark("m".to_owned()));
    world.advance_ms(100);
    assert_eq!(world.facts(a.leg).source, "feed");
    world.complete(a.leg, port_remote(pcmu(), a.address));
    let since = world.elapsed;
    let words: Vec<String> = carried(&world, number)
        .iter()
        .map(|one| format!("{one:?}"))
        .collect();
    assert_eq!(words, ["Mark(\"m\")", "End(\"codec\")"]);
    assert!(world.facts(a.leg).source.starts_with("leg:"));
    // What still comes of its receiver is for nobody, and the other party is heard in the codec that was agreed.
    world.returned(a.leg, number, frame(TWENTY, 9));
    for seed in 0..20 {
        says(&mut world, &mut b, seed);
    }
    let sent = world.rtp_to(a.address);
    let mut types = sent
        .iter()
        .filter(|sent| sent.at > since)
        .map(|sent| sent.header().payload_type);
    assert!(types.clone().count() > 5 && types.all(|number| number == 0));
    let (code, _) = refused(start(&mut world, a.leg, spec(Track::Inbound, false)));
    assert_eq!(code, "other_codec");
}

#[test]
fn rule_8_1_what_comes_back_is_sent_untouched_under_numbers_and_times_of_ours() {
    let mut world = World::new();
    let [a, mut b] = phones(&mut world, [opus(), opus()]);
    let number = begin(&mut world, a.leg, Track::Inbound, true);
    for seed in 100..110 {
        says(&mut world, &mut b, seed);
    }
    let before = heard(&world, &a, Duration::ZERO).pop().expect("heard");
    let since = world.elapsed;
    // 1. Of 60, 20 and 10 ms, handed over as they are played.
    let tocs = [
        SIXTY, TWENTY, TEN, TEN, TWENTY, SIXTY, TEN, TEN, TWENTY, TWENTY,
    ];
    let lengths = tocs.map(|toc| {
        [(SIXTY, 60), (TWENTY, 20), (TEN, 10)]
            .iter()
            .find(|one| one.0 == toc)
            .expect("known")
            .1
    });
    for (seed, toc) in tocs.iter().enumerate() {
        world.returned(a.leg, number, frame(*toc, seed as u8));
        // The shell hands over 60 ms before.
        if let Some(before) = seed.checked_sub(1) {
            world.advance_ms(lengths[before]);
        }
    }
    world.returned(a.leg, number, Return::Mark("end".to_owned()));
    world.advance_ms(200);
    let out = heard(&world, &a, since);
    let payloads: Vec<Vec<u8>> = out.iter().map(|one| one.4.clone()).collect();
    let expected: Vec<Vec<u8>> = tocs
        .iter()
        .enumerate()
        .map(|(seed, toc)| packet(*toc, seed as u8))
        .collect();
    assert_eq!(payloads, expected);
    // 2. The stream goes on: numbers without a gap, a marker at the first alone, time as it passed and then as long as they are.
    for (at, one) in out.iter().enumerate() {
        assert_eq!(one.1, before.1.wrapping_add(1 + at as u16));
        assert_eq!(one.3, at == 0, "{at}");
    }
    let passed = u64::from(out[0].2.wrapping_sub(before.2)) / 48;
    assert_eq!(passed, out[0].0 - before.0);
    for (two, ms) in out.windows(2).zip(lengths) {
        assert_eq!(two[1].2.wrapping_sub(two[0].2), ms as u32 * 48);
        // Each leaves when the one before it is over, to a tick.
        let gap = two[1].0 - two[0].0;
        assert!(gap.abs_diff(ms) <= 10, "{gap} for {ms}");
    }
    // 3. The mark comes when its place is played: with the tick that the last sound is in.
    let played = marks(&world, number);
    let last = out.last().expect("sent").0;
    assert_eq!(played.len(), 1);
    assert!((last..=last + 20).contains(&played[0]), "{played:?} {last}");
    // 4. Silence: nothing is sent, then the next number, the time that passed, and a marker.
    let since = world.elapsed;
    world.returned(a.leg, number, frame(TWENTY, 77));
    world.advance_ms(100);
    let again = heard(&world, &a, since);
    assert_eq!(again.len(), 1);
    let (old, new) = (out.last().expect("sent"), &again[0]);
    assert_eq!((new.1, new.3), (old.1.wrapping_add(1), true));
    assert_eq!(u64::from(new.2.wrapping_sub(old.2)), (new.0 - old.0) * 48);
    // 5. Half a second later the other party is heard again, in the same stream.
    world.advance_ms(600);
    assert!(world.facts(a.leg).source.starts_with("leg:"));
    let since = world.elapsed;
    says(&mut world, &mut b, 120);
    let back = heard(&world, &a, since);
    assert_eq!(
        (back[0].1, &back[0].4),
        (new.1.wrapping_add(1), &packet(TWENTY, 120))
    );
}

#[test]
fn clear_forgets_what_waits_and_a_mark_waits_for_a_long_packet() {
    let mut world = World::new();
    let [a, _] = phones(&mut world, [opus(), opus()]);
    let number = begin(&mut world, a.leg, Track::Inbound, true);
    // 1. Cleared before its time.
    for seed in 0..5 {
        world.returned(a.leg, number, frame(TWENTY, seed));
    }
    world.returned(a.leg, number, Return::Mark("late".to_owned()));
    world.advance_ms(20);
    world.returned(a.leg, number, Return::Clear);
    assert_eq!(marks(&world, number).len(), 1);
    let since = world.elapsed + Duration::from_millis(1);
    world.advance_ms(100);
    assert_eq!(heard(&world, &a, since), []);
    // 2. A packet of 60 ms has left, its mark waits until it has been played.
    let since = world.elapsed;
    world.returned(a.leg, number, frame(SIXTY, 1));
    while heard(&world, &a, since).is_empty() {
        world.advance_ms(1);
    }
    world.returned(a.leg, number, Return::Mark("after".to_owned()));
    assert_eq!(marks(&world, number).len(), 1);
    world.advance_ms(100);
    let begun = heard(&world, &a, since)[0].0;
    let told = marks(&world, number)[1];
    assert!((begun + 40..=begun + 60).contains(&told), "{begun} {told}");
    // 3. Cleared while such a packet sounds: a mark behind it comes all the same.
    world.returned(a.leg, number, frame(SIXTY, 2));
    let since = world.elapsed;
    while heard(&world, &a, since).is_empty() {
        world.advance_ms(1);
    }
    world.returned(a.leg, number, Return::Clear);
    world.returned(a.leg, number, Return::Mark("behind".to_owned()));
    world.advance_ms(100);
    assert_eq!(marks(&world, number).len(), 3);
}

#[test]
fn what_waits_in_the_shard_is_bounded_and_of_the_form_that_was_agreed() {
    let mut world = World::new();
    let [a, _] = phones(&mut world, [opus(), opus()]);
    let number = begin(&mut world, a.leg, Track::Inbound, true);
    // 1. Samples are nothing to a feed of Opus.
    world.returned(a.leg, number, Return::Sound(vec![8_000; 320].into()));
    assert!(world.facts(a.leg).source.starts_with("leg:"));
    // 2. 400 ms wait at most.
    let since = world.elapsed;
    for seed in 0..50 {
        world.returned(a.leg, number, frame(TWENTY, seed));
    }
    world.advance_ms(1_500);
    let seeds: Vec<u8> = heard(&world, &a, since)
        .iter()
        .map(|one| one.4[1])
        .collect();
    assert_eq!(seeds, (0..20).collect::<Vec<u8>>());
    // 3. Packets are nothing to a feed of samples.
    world.command(|n| Command::FeedStop {
        n,
        leg: a.leg,
        feed: "f".to_owned(),
    });
    let mut samples = spec(Track::Inbound, true);
    (samples.encoding, samples.rate) = (Encoding::L16, 16_000);
    assert!(matches!(
        start(&mut world, a.leg, samples),
        Reply::Done { .. }
    ));
    let number = world.fed.last().expect("begun").number;
    world.returned(a.leg, number, frame(TWENTY, 1));
    assert!(world.facts(a.leg).source.starts_with("leg:"));
}

#[test]
fn a_digit_in_the_sound_takes_the_place_of_packets() {
    let mut world = World::new();
    let without_events = || opus()[..1].to_vec();
    let [a, _] = phones(&mut world, [without_events(), opus()]);
    let number = begin(&mut world, a.leg, Track::Inbound, true);
    let leg = a.leg;
    let since = world.elapsed;
    world.command(|n| Command::SendDigits {
        n,
        leg,
        digits: "5".to_owned(),
        each_ms: 100,
    });
    for seed in 0..20 {
        world.returned(a.leg, number, frame(TWENTY, seed));
        world.advance_ms(20);
    }
    world.advance_ms(100);
    let out = heard(&world, &a, since);
    let ours: Vec<&Heard> = out.iter().filter(|one| one.4.len() != 4).collect();
    let theirs: Vec<u8> = out
        .iter()
        .filter(|one| one.4.len() == 4)
        .map(|one| one.4[1])
        .collect();
    assert!((4..=8).contains(&ours.len()), "{}", ours.len());
    assert!(
        theirs.len() >= 10 && theirs.last() == Some(&19),
        "{theirs:?}"
    );
    assert!(theirs.windows(2).all(|two| two[0] < two[1]), "{theirs:?}");
    assert!(
        out.windows(2)
            .all(|two| two[1].1 == two[0].1.wrapping_add(1))
    );
}

#[test]
fn whatever_bytes_come_only_whole_packets_of_opus_are_frames() {
    let mut state = 0x1234_5678_u32;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 9) as u8
    };
    let mut decoder = Decoder::new(Codec::Opus, 48_000).expect("decoder");
    let mut out = vec![0; MAX_SAMPLES];
    let (mut good, mut bad) = (0, 0);
    for _ in 0..4_000 {
        let length = usize::from(byte()) * usize::from(byte() % 8) % 1_500;
        let bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
        match Frame::new(&bytes) {
            Ok(frame) => {
                good += 1;
                assert!(frame.bytes() == bytes && bytes.len() <= 1_275 && frame.ticks() <= 5_760);
                assert_eq!(decoder.decode(&bytes, &mut out), Ok(frame.ticks() as usize));
            }
            Err(text) => {
                bad += 1;
                assert!(text.contains("Opus"), "{text}");
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} {bad}");
}
