//! Mute and gain of a room's members (MEDIA.md section 3): changed in mid-room, without leaving and without a click.

mod common;

use common::shards::Shards;
use common::*;
use offhook_dsp::g711;
use offhook_media::command::Command;
use offhook_media::event::Reply;

/// On the shard of the world.
const ROOM: u64 = 3 << 56 | 77;
const HERTZ: f64 = 430.0;
/// What is said, dBFS.
const SAID: f64 = -14.75;

fn tone(at: usize) -> Vec<u8> {
    let sine = |at: usize| (std::f64::consts::TAU * HERTZ * at as f64 / 8_000.0).sin();
    let samples = at * 160..(at + 1) * 160;
    samples
        .map(|at| g711::ulaw_encode((6_000.0 * sine(at)) as i16))
        .collect()
}

fn member(world: &mut World, index: u8) -> Phone {
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let phone = phone(&legs[0], index);
    world.complete(phone.leg, port_remote(pcmu(), phone.address));
    join(world, phone.leg);
    phone
}

fn join(world: &mut World, leg: u64) {
    done(world, |n| Command::Join {
        n,
        leg,
        room: ROOM,
        muted: false,
        full_band: false,
    });
}

fn done(world: &mut World, make: impl FnOnce(u64) -> Command) {
    let reply = world.command(make);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

fn refused(reply: Reply) -> String {
    let Reply::Refused { code, text, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(code, "bad_description");
    text
}

fn pcm<'a>(sent: impl IntoIterator<Item = &'a Sent>) -> Vec<i16> {
    let payloads = sent.into_iter().flat_map(|sent| sent.payload().to_vec());
    payloads.map(g711::ulaw_decode).collect()
}

/// Level of the tone, dBFS.
fn level(pcm: &[i16]) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in pcm.iter().enumerate() {
        let phase = std::f64::consts::TAU * HERTZ * at as f64 / 8_000.0;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    let size = 2.0 * (re * re + im * im).sqrt() / pcm.len() as f64 / 32_768.0;
    20.0 * (size + 1e-9).log10()
}

/// The largest departure from a steady tone, as a share of the amplitude that was said.
fn roughness(pcm: &[i16]) -> f64 {
    let turn = 2.0 * (std::f64::consts::TAU * HERTZ / 8_000.0).cos();
    let departs = pcm.windows(3).map(|three| {
        let [before, at, after] = [three[0], three[1], three[2]].map(f64::from);
        (after - turn * at + before).abs()
    });
    departs.fold(0.0, f64::max) / 6_000.0
}

fn talk(world: &mut World, speaker: &mut Phone, at: &mut usize, packets: usize) {
    for _ in 0..packets {
        let packet = speaker.packet(&tone(*at));
        *at += 1;
        world.datagram(speaker.socket, speaker.address, &packet);
        world.advance_ms(20);
    }
}

/// What the listener hears of 40 packets, the first five not counted: they are on their way still.
fn settled(world: &mut World, speaker: &mut Phone, at: &mut usize, listener: &Phone) -> f64 {
    talk(world, speaker, at, 5);
    let before = world.rtp_to(listener.address).len();
    talk(world, speaker, at, 35);
    level(&pcm(world.rtp_to(listener.address)[before..]
        .iter()
        .copied()))
}

#[test]
fn a_member_is_louder_or_softer_to_all_others_and_hears_what_he_heard() {
    let mut world = World::new();
    let (mut speaker, listener) = (member(&mut world, 1), member(&mut world, 2));
    let (leg, mut at) = (speaker.leg, 0);
    talk(&mut world, &mut speaker, &mut at, 10);
    for decibels in [0, -6, -40, 9, 0] {
        done(&mut world, |n| Command::Gain { n, leg, decibels });
        let heard = settled(&mut world, &mut speaker, &mut at, &listener);
        assert!(
            (heard - SAID - f64::from(decibels)).abs() < 0.7,
            "{decibels} {heard}"
        );
    }
    // 1. the way there is a ramp, no click
    let before = world.rtp_to(listener.address).len();
    talk(&mut world, &mut speaker, &mut at, 10);
    done(&mut world, |n| Command::Gain {
        n,
        leg,
        decibels: -40,
    });
    talk(&mut world, &mut speaker, &mut at, 10);
    let rough = roughness(&pcm(world.rtp_to(listener.address)[before..]
        .iter()
        .copied()));
    assert!(rough < 0.1, "{rough}");
    // 2. what is too loud is cut at full scale, not wrapped
    done(&mut world, |n| Command::Gain {
        n,
        leg,
        decibels: 12,
    });
    let heard = settled(&mut world, &mut speaker, &mut at, &listener);
    assert!((-4.0..0.0).contains(&heard), "{heard}");
    // 3. it is over with the stay in the room
    done(&mut world, |n| Command::Stop { n, leg });
    join(&mut world, leg);
    let heard = settled(&mut world, &mut speaker, &mut at, &listener);
    assert!((heard - SAID).abs() < 0.7, "{heard}");
}

#[test]
fn gains_are_bounded_and_of_members_only() {
    let mut world = World::new();
    let phone = member(&mut world, 1);
    let leg = phone.leg;
    for decibels in [-41, 13, i32::MAX, i32::MIN] {
        let text = refused(world.command(|n| Command::Gain { n, leg, decibels }));
        assert_eq!(text, "the gain of a member is -40 to 12 dB");
    }
    done(&mut world, |n| Command::Stop { n, leg });
    let text = refused(world.command(|n| Command::Gain {
        n,
        leg,
        decibels: 3,
    }));
    assert_eq!(text, "the leg is in no room");
    let muted = true;
    let text = refused(world.command(|n| Command::Mute { n, leg, muted }));
    assert_eq!(text, "the leg is in no room");
}

#[test]
fn a_member_is_muted_in_mid_word_without_a_click_and_goes_on_hearing() {
    let mut world = World::new();
    let (mut speaker, listener) = (member(&mut world, 1), member(&mut world, 2));
    let (leg, mut at) = (speaker.leg, 0);
    talk(&mut world, &mut speaker, &mut at, 20);
    let before = world.rtp_to(listener.address).len();
    talk(&mut world, &mut speaker, &mut at, 10);
    done(&mut world, |n| Command::Mute {
        n,
        leg,
        muted: true,
    });
    talk(&mut world, &mut speaker, &mut at, 30);
    let heard = pcm(world.rtp_to(listener.address)[before..].iter().copied());
    // 1. what he said fades within a tick
    let rough = roughness(&heard);
    assert!(rough < 0.12, "{rough}");
    assert!(level(&heard[..9 * 160]) > -16.0);
    assert!(heard[12 * 160..].iter().all(|sample| sample.abs() < 64));
    // 2. and is there again
    done(&mut world, |n| Command::Mute {
        n,
        leg,
        muted: false,
    });
    let heard = settled(&mut world, &mut speaker, &mut at, &listener);
    assert!((heard - SAID).abs() < 0.7, "{heard}");
    // 3. he was sent the room all the time
    let sent = world.rtp_to(speaker.address);
    assert!(sent.len() >= at - 2, "{} of {at}", sent.len());
}

#[test]
fn muting_who_hears_a_prompt_does_not_end_it() {
    let mut world = World::new();
    let mut speaker = member(&mut world, 1);
    let listener = member(&mut world, 2);
    let (leg, mut at) = (speaker.leg, 0);
    done(&mut world, |n| Command::PlayFiles {
        n,
        leg,
        play: "p".to_owned(),
        files: vec!["hello".to_owned()],
        rounds: 0,
        until_digit: false,
    });
    done(&mut world, |n| Command::Mute {
        n,
        leg,
        muted: true,
    });
    assert_eq!(world.facts(leg).source, "files");
    // Back in the room he is still muted.
    done(&mut world, |n| Command::Stop { n, leg });
    assert_eq!(world.facts(leg).source, format!("room:{ROOM:#x}"));
    let heard = settled(&mut world, &mut speaker, &mut at, &listener);
    assert!(heard < -60.0, "{heard}");
}

#[test]
fn members_of_other_shards_are_muted_and_made_louder_too() {
    let mut shards = Shards::new();
    let (mut speaker, listener) = (shards.phone(1, pcmu()), shards.phone(0, pcmu()));
    for leg in [listener.leg, speaker.leg] {
        shards.join(leg, 77, false);
    }
    let (leg, mut at) = (speaker.leg, 0);
    let mut heard = |shards: &mut Shards, speaker: &mut Phone| {
        let mut before = 0;
        for index in 0..40 {
            if index == 5 {
                before = shards.heard(&listener).len();
            }
            let packet = speaker.packet(&tone(at));
            at += 1;
            shards.send(speaker, &packet);
            shards.advance_ms(20);
        }
        level(&pcm(shards.heard(&listener)[before..].iter().copied()))
    };
    assert!((heard(&mut shards, &mut speaker) - SAID).abs() < 0.7);
    shards.done(leg, |n| Command::Gain {
        n,
        leg,
        decibels: -12,
    });
    let softer = heard(&mut shards, &mut speaker);
    assert!((softer - SAID + 12.0).abs() < 0.7, "{softer}");
    for (muted, range) in [(true, -200.0..-60.0), (false, -28.0..-25.0)] {
        shards.done(leg, |n| Command::Mute { n, leg, muted });
        let heard = heard(&mut shards, &mut speaker);
        assert!(range.contains(&heard), "{muted} {heard}");
    }
}
