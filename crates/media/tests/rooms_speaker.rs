//! Who speaks (MEDIA.md section 3): the loudest of a room, and whether a watched peer speaks, as events.

mod common;

use common::shards::Shards;
use common::*;
use offhook_dsp::g711;
use offhook_media::command::Command;
use offhook_media::event::{Event, Reply};

/// On the shard of the world.
const ROOM: u64 = 3 << 56 | 77;

/// 20 ms of noise of this amplitude.
fn noise(amplitude: i32, at: usize) -> Vec<u8> {
    let mut dice = (at as u32 + 1).wrapping_mul(0x9e37_79b9);
    let mut sample = || {
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        (((dice as i32 >> 16) * amplitude) >> 15) as i16
    };
    (0..160).map(|_| g711::ulaw_encode(sample())).collect()
}

fn member(world: &mut World, index: u8) -> Phone {
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let phone = phone(&legs[0], index);
    world.complete(phone.leg, port_remote(pcmu(), phone.address));
    let leg = phone.leg;
    done(world, |n| Command::Join {
        n,
        leg,
        room: ROOM,
        muted: false,
        full_band: false,
    });
    phone
}

fn done(world: &mut World, make: impl FnOnce(u64) -> Command) {
    let reply = world.command(make);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

/// Packets of each with his amplitude.
fn talk(world: &mut World, phones: &mut [Phone], amplitudes: &[i32], packets: usize) {
    for at in 0..packets {
        for (phone, amplitude) in phones.iter_mut().zip(amplitudes) {
            let packet = phone.packet(&noise(*amplitude, at));
            world.datagram(phone.socket, phone.address, &packet);
        }
        world.advance_ms(20);
    }
}

/// (ms, leg) of each change of a room's speaker.
fn speakers(world: &World, room: u64) -> Vec<(u64, u64)> {
    let told = world.events.iter().filter_map(|(at, event)| match event {
        Event::RoomSpeaker { room: of, leg } if *of == room => Some((at.as_millis() as u64, *leg)),
        _ => None,
    });
    told.collect()
}

fn who(world: &World) -> Vec<u64> {
    speakers(world, ROOM).into_iter().map(|one| one.1).collect()
}

#[test]
fn the_loudest_of_a_room_is_told_when_it_changes_and_silence_too() {
    let mut world = World::new();
    let mut phones = [1, 2, 3].map(|index| member(&mut world, index));
    let [a, b, _] = phones.clone().map(|phone| phone.leg);
    // 1. nobody speaks: nothing is told
    talk(&mut world, &mut phones, &[0, 0, 0], 50);
    assert_eq!(who(&world), []);
    // 2. somebody does, and stays the speaker while another is hardly as loud
    talk(&mut world, &mut phones, &[8_000, 0, 0], 50);
    assert_eq!(who(&world), [a]);
    let (at, _) = speakers(&world, ROOM)[0];
    assert!((1_300..1_700).contains(&at), "{at}");
    talk(&mut world, &mut phones, &[8_000, 8_000, 0], 100);
    assert_eq!(who(&world), [a]);
    // 3. another who is clearly louder takes over, and who is muted has nothing to say
    talk(&mut world, &mut phones, &[2_000, 16_000, 0], 60);
    assert_eq!(who(&world), [a, b]);
    done(&mut world, |n| Command::Mute {
        n,
        leg: b,
        muted: true,
    });
    talk(&mut world, &mut phones, &[2_000, 16_000, 0], 60);
    assert_eq!(who(&world), [a, b, a]);
    // 4. silence is told after a second
    talk(&mut world, &mut phones, &[0, 0, 0], 100);
    assert_eq!(who(&world), [a, b, a, 0]);
}

#[test]
fn who_take_turns_quickly_are_told_twice_a_second_at_most() {
    let mut world = World::new();
    let mut phones = [1, 2].map(|index| member(&mut world, index));
    for _ in 0..20 {
        talk(&mut world, &mut phones, &[12_000, 0], 30);
        talk(&mut world, &mut phones, &[0, 12_000], 30);
    }
    let told = speakers(&world, ROOM);
    assert!(told.len() >= 4, "{told:?}");
    for pair in told.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 500, "{told:?}");
    }
}

#[test]
fn a_speaker_of_another_shard_is_told_by_the_shard_of_the_room() {
    let mut shards = Shards::new();
    let (mut far, near) = (shards.phone(1, pcmu()), shards.phone(0, pcmu()));
    for leg in [near.leg, far.leg] {
        shards.join(leg, 77, false);
    }
    for at in 0..50 {
        let packet = far.packet(&noise(8_000, at));
        shards.send(&far, &packet);
        shards.advance_ms(20);
    }
    let told = speakers(&shards.of[0], 77);
    assert_eq!(told.iter().map(|one| one.1).collect::<Vec<_>>(), [far.leg]);
    assert_eq!(speakers(&shards.of[1], 77), []);
}

/// (ms, active) of each change of a leg's voice.
fn voice(world: &World, of: u64) -> Vec<(u64, bool)> {
    let told = world.events.iter().filter_map(|(at, event)| match event {
        Event::VoiceActivity { leg, active } if *leg == of => {
            Some((at.as_millis() as u64, *active))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn a_watched_peer_is_told_of_when_it_begins_and_when_it_ceases_to_speak() {
    let mut world = World::new();
    let (_, a, b) = two_phones(&mut world);
    world.bridge(a.leg, b.leg);
    let (leg, mut pair) = (a.leg, [a, b]);
    let told = |world: &World| -> Vec<bool> {
        let told = voice(world, leg);
        told.into_iter().map(|one| one.1).collect()
    };
    // 1. who is not watched is not told of
    talk(&mut world, &mut pair, &[8_000, 8_000], 20);
    assert_eq!(told(&world), []);
    let on = true;
    done(&mut world, |n| Command::WatchVoice { n, leg, on });
    talk(&mut world, &mut pair, &[0, 8_000], 50);
    assert_eq!(told(&world), []);
    // 2. a click is no word, and a word is told at once
    talk(&mut world, &mut pair, &[8_000, 0], 2);
    talk(&mut world, &mut pair, &[0, 0], 50);
    assert_eq!(told(&world), []);
    let before = world.elapsed.as_millis() as u64;
    talk(&mut world, &mut pair, &[8_000, 0], 20);
    assert_eq!(told(&world), [true]);
    assert!(voice(&world, leg)[0].0 - before <= 60);
    // 3. a breath ends nothing; silence does, though no packet comes that could say so
    talk(&mut world, &mut pair, &[0, 0], 15);
    talk(&mut world, &mut pair, &[8_000, 0], 10);
    assert_eq!(told(&world), [true]);
    let before = world.elapsed.as_millis() as u64;
    world.advance_ms(2_000);
    assert_eq!(told(&world), [true, false]);
    let ceased = voice(&world, leg)[1].0 - before;
    assert!((450..=800).contains(&ceased), "{ceased}");
    // 4. who watches no more hears no more
    done(&mut world, |n| Command::WatchVoice { n, leg, on: false });
    talk(&mut world, &mut pair, &[8_000, 0], 20);
    assert_eq!(told(&world).len(), 2);
    assert_eq!(voice(&world, pair[1].leg), []);
}
