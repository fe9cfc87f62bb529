//! Presses: received, passed on, sent, and put into the audio where nothing else is agreed. Those that come in the audio:
//! `digits_inband.rs`.

mod common;

use common::*;
use offhook_media::command::Command;
use offhook_media::description::Codec;
use offhook_media::event::Reply;
use offhook_rtp::event::EventPayload;

/// A press of 160 ms in 10 packets: seven updates and the end three times.
fn press(phone: &mut Phone, event: u8, payload_type: u8, clock: u32) -> Vec<Vec<u8>> {
    press_of(phone, event, payload_type, clock, 8)
}

/// A press of so many packets of 20 ms, of which the last is its end, and two more of the end.
fn press_of(
    phone: &mut Phone,
    event: u8,
    payload_type: u8,
    clock: u32,
    packets: u16,
) -> Vec<Vec<u8>> {
    let unit = u16::try_from(clock / 50).unwrap();
    let durations = (1..=packets).chain([packets, packets]).enumerate();
    let made = durations
        .map(|(i, n)| {
            let payload = EventPayload {
                event,
                end: i + 1 >= usize::from(packets),
                volume: 10,
                duration: unit * n,
            };
            phone.raw(payload_type, i == 0, &payload.to_bytes(), false)
        })
        .collect();
    let passed = u32::from(unit) * u32::from(packets + 2);
    phone.timestamp = phone.timestamp.wrapping_add(passed);
    made
}

fn pair(world: &mut World, one: Vec<Codec>, other: Vec<Codec>) -> (Phone, Phone) {
    let (_, legs) = world.open(vec![port_offer(one.clone()), port_offer(other.clone())]);
    let (mut a, mut b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    (a.payload_type, b.payload_type) = (one[0].payload_type, other[0].payload_type);
    world.complete(a.leg, port_remote(one, a.address));
    world.complete(b.leg, port_remote(other, b.address));
    world.bridge(a.leg, b.leg);
    (a, b)
}

#[test]
fn trap_7_every_loss_pattern_gives_one_press_and_one_press_goes_on() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), pcmu());
    a.speak_for(&mut world, 100);
    for pattern in 1u32..1024 {
        for (i, packet) in press(&mut a, 5, 101, 8_000).iter().enumerate() {
            if pattern & (1 << i) != 0 {
                world.datagram(a.socket, a.address, packet);
            }
            // The last repetitions follow at once.
            world.advance_ms(if i < 7 { 20 } else { 1 });
        }
        world.advance_ms(400);
        assert_eq!(
            world.digits(a.leg).len() as u32,
            pattern,
            "pattern {pattern:#b}"
        );
    }
    let presses = sent_presses(&world, &b, 101);
    assert_eq!(presses.len(), 1023);
    assert!(presses.iter().all(|(event, _)| *event == 5));
}

#[test]
fn events_are_made_anew_on_the_other_legs_clock_and_number() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), opus());
    for packet in press(&mut a, 11, 101, 8_000) {
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    world.advance_ms(400);
    assert_eq!(world.digits(a.leg), [("#".to_owned(), 160)]);
    let presses = sent_presses(&world, &b, 110);
    assert_eq!(presses.len(), 1);
    let ms = u32::from(presses[0].1) / 48;
    assert!((140..=220).contains(&ms), "{ms} ms");
    assert_eq!(world.facts(b.leg).quality.dtmf_out, 1);
    assert_eq!(world.facts(a.leg).quality.dtmf_in, 1);
}

#[test]
fn sound_beside_a_press_is_muted_and_goes_on_after_it_without_a_gap() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), pcmu());
    a.speak_for(&mut world, 200);
    for packet in press(&mut a, 1, 101, 8_000) {
        world.datagram(a.socket, a.address, &packet);
        a.speak(&mut world);
        world.advance_ms(20);
    }
    a.speak_for(&mut world, 400);
    let sent = world.rtp_to(b.address);
    let numbers: Vec<u16> = sent.iter().map(|sent| sent.header().sequence).collect();
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1)),
        "{numbers:?}"
    );
    let first = sent
        .iter()
        .position(|sent| sent.header().payload_type == 101)
        .unwrap();
    let last = sent
        .iter()
        .rposition(|sent| sent.header().payload_type == 101)
        .unwrap();
    assert!(
        sent[first..=last]
            .iter()
            .all(|sent| sent.header().payload_type == 101),
        "no sound inside the press"
    );
    assert!(sent.len() - last >= 15, "sound after it");
}

#[test]
fn send_digits_presses_one_after_the_other() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), pcmu());
    a.speak_for(&mut world, 100);
    let leg = b.leg;
    world.command(|n| Command::SendDigits {
        n,
        leg,
        digits: "18*a".to_owned(),
        each_ms: 120,
    });
    a.speak_for(&mut world, 2_000);
    let presses = sent_presses(&world, &b, 101);
    assert_eq!(
        presses.iter().map(|press| press.0).collect::<Vec<_>>(),
        [1, 8, 10, 12]
    );
    assert!(
        presses.iter().all(|press| (900..=1_120).contains(&press.1)),
        "{presses:?}"
    );
    let reply = world.command(|n| Command::SendDigits {
        n,
        leg,
        digits: "x".to_owned(),
        each_ms: 100,
    });
    assert!(matches!(reply, Reply::Refused { code, .. } if code == "bad_description"));
}

#[test]
fn digits_go_into_the_audio_where_no_event_is_agreed() {
    let mut world = World::new();
    let plain = vec![codec("PCMU", 0, 8_000)];
    let (mut a, b) = pair(&mut world, pcmu(), plain);
    a.speak_for(&mut world, 100);
    for packet in press(&mut a, 5, 101, 8_000) {
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    world.advance_ms(300);
    let sound: Vec<f64> = world
        .rtp_to(b.address)
        .iter()
        .skip(5)
        .flat_map(|sent| sent.payload().to_vec())
        .map(|byte| f64::from(offhook_dsp::g711::ulaw_decode(byte)))
        .collect();
    assert!(sound.len() >= 160 * 7, "{}", sound.len());
    let power = |hertz: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in sound.iter().enumerate() {
            let phase = std::f64::consts::TAU * hertz * i as f64 / 8_000.0;
            re += sample * phase.cos();
            im += sample * phase.sin();
        }
        (re * re + im * im).sqrt() / sound.len() as f64
    };
    let (low, high) = (power(770.0), power(1336.0));
    assert!(low > 1_000.0 && high > 1_000.0, "{low} {high}");
    assert!(power(941.0) < low / 10.0 && power(1_477.0) < high / 10.0);
}

#[test]
fn a_press_held_when_the_call_is_moved_is_let_go() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), pcmu());
    let packets = press(&mut a, 3, 101, 8_000);
    world.datagram(a.socket, a.address, &packets[0]);
    world.advance_ms(40);
    let leg = b.leg;
    world.command(|n| Command::Stop { n, leg });
    let leg = a.leg;
    world.command(|n| Command::CloseLeg { n, leg });
    world.advance_ms(500);
    assert_eq!(sent_presses(&world, &b, 101).len(), 1);
}

fn send_digits(world: &mut World, leg: u64, digits: String, each_ms: u32) {
    world.command(|n| Command::SendDigits {
        n,
        leg,
        digits,
        each_ms,
    });
}

#[test]
fn the_queue_of_presses_is_bounded() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), pcmu());
    // 1: as many as a command may name, and no more of the next.
    send_digits(&mut world, b.leg, "1".repeat(256), 6_000);
    send_digits(&mut world, b.leg, "2".repeat(45), 6_000);
    assert_eq!(world.facts(b.leg).evidence["digits_dropped"], "44");
    // 2: the peer's own keys wait meanwhile, and of them sixteen.
    for _ in 0..20 {
        for packet in press(&mut a, 5, 101, 8_000) {
            world.datagram(a.socket, a.address, &packet);
            world.advance_ms(20);
        }
    }
    assert_eq!(world.digits(a.leg).len(), 20, "all are told");
    assert_eq!(world.facts(b.leg).evidence["digits_dropped"], "48");
}

#[test]
fn as_many_digits_as_a_command_may_name_are_sent_each_as_long_as_asked() {
    let mut world = World::new();
    let (_, b) = pair(&mut world, pcmu(), pcmu());
    let digits: String = "0123456789ABCD*#".repeat(16);
    send_digits(&mut world, b.leg, digits.clone(), 100);
    // 0.2 s each is how long they are taken to last where pauses follow (API.md 8.1).
    world.advance_ms(256 * 200);
    let presses = sent_presses(&world, &b, 101);
    let names = presses
        .iter()
        .filter_map(|(event, _)| offhook_rtp::event::character(*event));
    assert_eq!(names.collect::<String>(), digits);
    assert!(presses.iter().all(|(_, duration)| *duration == 800));
    assert!(!world.facts(b.leg).evidence.contains_key("digits_dropped"));
}

/// When each press towards a phone began, and how long it was, in milliseconds.
fn begun(world: &World, to: &Phone) -> Vec<(u64, u64)> {
    let mut begun: Vec<(u32, u64, u64)> = Vec::new();
    for sent in world.rtp_to(to.address) {
        let header = sent.header();
        if header.payload_type != 101 {
            continue;
        }
        if begun.last().is_none_or(|last| last.0 != header.timestamp) {
            let at = u64::try_from(sent.at.as_millis()).unwrap();
            begun.push((header.timestamp, at, 0));
        }
        let payload = EventPayload::parse(sent.payload()).expect("event");
        begun.last_mut().unwrap().2 = u64::from(payload.duration) / 8;
    }
    begun
        .into_iter()
        .map(|(_, at, length)| (at, length))
        .collect()
}

/// The shortest presses and pauses of ITU-T Q.24, for two minutes.
#[test]
fn who_presses_as_fast_as_detectors_take_it_is_kept_up_with() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), pcmu());
    let keys: Vec<u8> = (0..1_500u32).map(|at| (at * 7 % 16) as u8).collect();
    for key in &keys {
        for packet in press_of(&mut a, *key, 101, 8_000, 2) {
            world.datagram(a.socket, a.address, &packet);
            world.advance_ms(20);
        }
    }
    world.advance_ms(1_000);
    let presses = sent_presses(&world, &b, 101);
    assert!(
        presses.iter().map(|press| press.0).eq(keys.iter().copied()),
        "{} of {} went on",
        presses.len(),
        keys.len()
    );
    // Each as a detector takes it.
    let begun = begun(&world, &b);
    for two in begun.windows(2) {
        let ((at, length), (next, _)) = (two[0], two[1]);
        assert!(length >= 40, "{length} ms at {at}");
        assert!(next - at - length >= 40, "a pause after {at}");
    }
}

/// The next key goes down when the one before it is let go: each is told an end, and a pause after it.
#[test]
fn keys_held_back_to_back_for_minutes_do_not_fall_behind() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), pcmu());
    for (packets, presses, least) in [(50u16, 300usize, 880), (6, 2_500, 40)] {
        world.sent.clear();
        let mut went_down = Vec::new();
        for at in 0..presses {
            went_down.push(u64::try_from(world.elapsed.as_millis()).unwrap());
            let made = press_of(&mut a, (at % 10) as u8, 101, 8_000, packets);
            for (i, packet) in made.iter().enumerate() {
                world.datagram(a.socket, a.address, packet);
                world.advance_ms(if i < usize::from(packets) { 20 } else { 0 });
            }
            a.timestamp = a.timestamp.wrapping_sub(2 * 160);
        }
        world.advance_ms(1_000);
        let begun = begun(&world, &b);
        assert_eq!(begun.len(), presses, "of {packets} packets each");
        let late = begun.iter().zip(&went_down).map(|(one, down)| one.0 - down);
        let most = late.max().unwrap();
        assert!(most < 1_000, "{most} ms behind");
        // As long as it was but for what the end before it takes; a brief one no briefer than a detector needs.
        let most = u64::from(packets + 1) * 20;
        let odd = begun.iter().find(|one| !(least..=most).contains(&one.1));
        assert_eq!(odd, None);
    }
    assert!(!world.facts(b.leg).evidence.contains_key("digits_dropped"));
}

/// RFC 4733 2.5.1.3: a duration has 16 bits, 1.4 s at 48 kHz.
#[test]
fn a_key_held_for_minutes_is_one_press_and_the_next_is_another() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, opus(), pcmu());
    let mut earlier = 0u32;
    let send = |world: &mut World, a: &mut Phone, marker, duration: u32, end| {
        let payload = EventPayload {
            event: 4,
            end,
            volume: 10,
            duration: u16::try_from(duration).unwrap(),
        };
        let packet = a.raw(110, marker, &payload.to_bytes(), false);
        world.datagram(a.socket, a.address, &packet);
    };
    for n in 1..=9_000u32 {
        if n * 960 - earlier > 0xffff {
            send(&mut world, &mut a, false, 0xffff, false);
            earlier += 0xffff;
            a.timestamp = a.timestamp.wrapping_add(0xffff);
        }
        send(&mut world, &mut a, n == 1, n * 960 - earlier, n == 9_000);
        world.advance_coarsely(std::time::Duration::from_millis(20), 1);
    }
    // 1: it is told with its full length.
    assert_eq!(world.digits(a.leg), [("4".to_owned(), 180_000)]);
    // 2: it goes on as one, of half a minute, in segments of the other clock: one marker and one end.
    world.advance_ms(200);
    let events: Vec<(bool, EventPayload)> = world
        .rtp_to(b.address)
        .iter()
        .filter(|sent| sent.header().payload_type == 101)
        .map(|sent| {
            let payload = EventPayload::parse(sent.payload()).unwrap();
            (sent.header().marker, payload)
        })
        .collect();
    assert_eq!(events.iter().filter(|one| one.0).count(), 1);
    assert_eq!(events.iter().filter(|one| one.1.end).count(), 3);
    let full = events
        .iter()
        .filter(|one| one.1.duration == u16::MAX)
        .count();
    let ms = (full * 0xffff + usize::from(events.last().unwrap().1.duration)) / 8;
    assert!((30_000..=30_040).contains(&ms), "{ms} ms");
    // 3: and the next press is another.
    a.timestamp = a.timestamp.wrapping_add(2 * 0xffff);
    for packet in press(&mut a, 4, 110, 48_000) {
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    world.advance_ms(200);
    assert_eq!(world.digits(a.leg).len(), 2);
    let begun = world.rtp_to(b.address);
    let begun = begun.iter().filter(|sent| sent.header().marker);
    assert_eq!(begun.count(), 2);
}

/// Detectors are given 60 ms of each tone: ten a second are kept up with.
#[test]
fn keys_that_go_into_the_audio_are_kept_up_with_too() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, pcmu(), vec![codec("PCMU", 0, 8_000)]);
    for at in 0..600u32 {
        for packet in press_of(&mut a, (at % 10) as u8, 101, 8_000, 3) {
            world.datagram(a.socket, a.address, &packet);
            world.advance_ms(20);
        }
        world.advance_ms(20);
        a.timestamp = a.timestamp.wrapping_add(160);
    }
    world.advance_ms(2_000);
    let facts = world.facts(b.leg);
    assert_eq!(facts.quality.dtmf_out, 600);
    assert!(!facts.evidence.contains_key("digits_dropped"));
}

#[test]
fn trap_8_events_on_another_clock_than_the_audio_are_read_by_their_own() {
    let mut world = World::new();
    let odd = vec![
        codec("OPUS", 111, 48_000),
        codec("TELEPHONE-EVENT", 126, 8_000),
    ];
    let (mut a, b) = pair(&mut world, odd, pcmu());
    for packet in press(&mut a, 7, 126, 8_000) {
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    world.advance_ms(300);
    assert_eq!(world.digits(a.leg), [("7".to_owned(), 160)]);
    assert_eq!(sent_presses(&world, &b, 101).len(), 1);
}

#[test]
fn trap_8_all_pairs_of_codecs_and_event_clocks() {
    let with_events = |name: &str, number: u8, clock: u32, events: u32| {
        vec![
            codec(name, number, clock),
            codec("TELEPHONE-EVENT", 101, events),
        ]
    };
    let sides = [
        (with_events("PCMU", 0, 8_000, 8_000), 8_000),
        (with_events("PCMA", 8, 8_000, 8_000), 8_000),
        (with_events("G722", 9, 8_000, 8_000), 8_000),
        (with_events("OPUS", 111, 48_000, 48_000), 48_000),
        // A peer that knows events on one clock alone.
        (with_events("OPUS", 111, 48_000, 8_000), 8_000),
    ];
    for (from, from_clock) in &sides {
        for (to, to_clock) in &sides {
            let what = format!("{}/{from_clock} to {}/{to_clock}", from[0].name, to[0].name);
            let mut world = World::new();
            let (mut a, b) = pair(&mut world, from.clone(), to.clone());
            a.step = from[0].clock / 50;
            for event in [5, 5, 11] {
                let began = world.elapsed;
                for packet in press(&mut a, event, 101, *from_clock) {
                    world.datagram(a.socket, a.address, &packet);
                    world.advance_ms(20);
                }
                world.advance_ms(400);
                // The phone's clock is that of its sound, whatever its events count on.
                let passed = u32::try_from((world.elapsed - began).as_millis()).unwrap();
                let moved = from_clock / 1_000 * 200;
                a.timestamp = a
                    .timestamp
                    .wrapping_add(passed * (from[0].clock / 1_000) - moved);
            }
            // 1: what is told, in milliseconds.
            let told: Vec<(String, u64)> = ["5", "5", "#"]
                .into_iter()
                .map(|digit| (digit.to_owned(), 160))
                .collect();
            assert_eq!(world.digits(a.leg), told, "{what}");
            // 2: what goes on: each once, as long on the other side's clock, to a tick.
            let presses = sent_presses(&world, &b, 101);
            assert_eq!(presses.len(), 3, "{what}");
            for (press, event) in presses.iter().zip([5, 5, 11]) {
                let ms = u32::from(press.1) * 1_000 / to_clock;
                assert_eq!(press.0, event, "{what}");
                assert!((140..=220).contains(&ms), "{what}: {ms} ms");
            }
            // 3: a press begins at the time it has on the clock of the sound.
            let sent = world.rtp_to(b.address);
            let begins: Vec<_> = sent.iter().filter(|sent| sent.header().marker).collect();
            assert_eq!(begins.len(), 3, "{what}");
            for two in begins.windows(2) {
                let elapsed = (two[1].at - two[0].at).as_millis() as i64;
                let ticks = two[1]
                    .header()
                    .timestamp
                    .wrapping_sub(two[0].header().timestamp);
                let ms = i64::from(ticks) * 1_000 / i64::from(to[0].clock);
                assert!((ms - elapsed).abs() <= 20, "{what}: {ms} in {elapsed} ms");
            }
        }
    }
}

/// Beside Opus some count their presses on 8 kHz and name 48 kHz.
#[test]
fn trap_8_a_press_on_the_wrong_clock_is_as_long_as_it_was() {
    let mut world = World::new();
    let (mut a, b) = pair(&mut world, opus(), pcmu());
    for packet in press(&mut a, 7, 110, 8_000) {
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    world.advance_ms(300);
    assert_eq!(world.digits(a.leg), [("7".to_owned(), 160)]);
    let presses = sent_presses(&world, &b, 101);
    assert_eq!(presses.len(), 1);
    assert!((1_120..=1_760).contains(&presses[0].1), "{presses:?}");
}

/// Whatever is lost, no digit is, and none is made.
#[test]
fn ten_thousand_digits_are_exact_at_five_percent_loss() {
    for (events, payload_type, clock) in [(pcmu(), 101, 8_000), (opus(), 110, 48_000)] {
        let mut world = World::new();
        let (mut a, b) = pair(&mut world, events, pcmu());
        let mut dice = 0x2545_f491u32;
        let mut below = |bound: u32| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 16) % bound
        };
        let mut pressed = Vec::new();
        for _ in 0..5_000 {
            let event = u8::try_from(below(16)).unwrap();
            pressed.push(event);
            for packet in press(&mut a, event, payload_type, clock) {
                if below(20) != 0 {
                    world.datagram(a.socket, a.address, &packet);
                }
                world.advance_coarsely(std::time::Duration::from_millis(20), 1);
            }
            // The next begins before the one before it has gone on with an end told three times and its pause.
            world.advance_coarsely(std::time::Duration::from_millis(20), 2);
            a.timestamp = a.timestamp.wrapping_add(clock / 1_000 * 40);
        }
        world.advance_ms(400);
        let told: Vec<u8> = world
            .digits(a.leg)
            .iter()
            .map(|(digit, _)| {
                offhook_rtp::event::code(digit.chars().next().unwrap()).expect("a digit")
            })
            .collect();
        assert_eq!(told.len(), pressed.len());
        assert!(told == pressed, "another digit, or another order");
        let went_on: Vec<u8> = sent_presses(&world, &b, 101)
            .iter()
            .map(|press| press.0)
            .collect();
        assert!(went_on == pressed, "{} went on", went_on.len());
    }
}

#[test]
fn digits_asked_for_before_the_answer_wait_for_it() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let a = phone(&legs[0], 0);
    let leg = a.leg;
    world.command(|n| Command::SendDigits {
        n,
        leg,
        digits: "42".to_owned(),
        each_ms: 100,
    });
    world.advance_ms(500);
    world.complete(leg, port_remote(pcmu(), a.address));
    world.advance_ms(1_000);
    assert_eq!(
        sent_presses(&world, &a, 101)
            .iter()
            .map(|press| press.0)
            .collect::<Vec<_>>(),
        [4, 2]
    );
}

#[test]
fn dtmf_5_a_peer_that_is_told_by_signalling_gets_no_tone() {
    let plain = vec![codec("PCMU", 0, 8_000)];
    for told in [false, true] {
        let mut world = World::new();
        let (_, legs) = world.open(vec![port_offer(pcmu()), port_offer(plain.clone())]);
        let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
        world.complete(a.leg, port_remote(pcmu(), a.address));
        let mut remote = port_remote(plain.clone(), b.address);
        remote.digits_elsewhere = told;
        world.complete(b.leg, remote);
        world.bridge(a.leg, b.leg);
        for packet in press(&mut a, 5, 101, 8_000) {
            world.datagram(a.socket, a.address, &packet);
            world.advance_ms(20);
        }
        world.advance_ms(400);
        assert_eq!(world.digits(a.leg).len(), 1, "it is told here either way");
        assert_eq!(world.facts(b.leg).quality.dtmf_out, u64::from(!told));
    }
}
