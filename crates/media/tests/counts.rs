//! What was made up for a leg's losses is counted for as long as the leg lives (MEDIA.md section 7), whoever decodes it meanwhile.

mod common;

use common::kinds::*;
use common::*;
use offhook_dsp::{Encoder, EncoderOptions, Tone, ToneSpec};
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};

const ROOM: u64 = 3 << 56 | 79;

struct Speaker {
    phone: Phone,
    kind: Kind,
    encoder: Encoder,
    tone: Tone,
}

impl Speaker {
    fn new(world: &mut World, kind: Kind, index: u8) -> Self {
        let (_, legs) = world.open(vec![port_offer(kind.audio())]);
        let mut phone = phone(&legs[0], index);
        world.complete(phone.leg, port_remote(kind.audio(), phone.address));
        (phone.payload_type, phone.step) = (kind.payload_type, kind.clock / 50);
        Self {
            phone,
            kind,
            encoder: Encoder::new(kind.speech, kind.rate, EncoderOptions::default()).unwrap(),
            tone: Tone::new(ToneSpec::TEST, kind.rate),
        }
    }

    /// A second of sound, of which every tenth packet does not come.
    fn speak(&mut self, world: &mut World) {
        for number in 0..50 {
            let mut pcm = vec![0; (self.kind.rate / 50) as usize];
            let mut payload = [0; 1_500];
            self.tone.fill(&mut pcm);
            let len = self.encoder.encode(&pcm, &mut payload).unwrap();
            let packet = self.phone.packet(&payload[..len]);
            if number % 10 != 5 {
                world.datagram(self.phone.socket, self.phone.address, &packet);
            }
            world.advance_ms(20);
        }
    }

    fn quality(&self, world: &mut World) -> Quality {
        world.facts(self.phone.leg).quality
    }
}

fn done(world: &mut World, make: impl FnOnce(u64) -> Command) {
    let reply = world.command(make);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
}

/// The last that was told of a leg without being asked.
fn told(world: &World, of: u64) -> Quality {
    let mut told = world.events.iter().rev();
    let found = told.find_map(|(_, event)| match event {
        Event::QualityReported { leg, quality } if *leg == of => Some(quality.clone()),
        _ => None,
    });
    found.expect("told every five seconds")
}

#[test]
fn section_7_hold_and_another_bridge_take_nothing_from_what_was_counted() {
    let mut world = World::new();
    let mut a = Speaker::new(&mut world, OPUS, 0);
    let mut b = Speaker::new(&mut world, PCMU, 1);
    let (one, other) = (a.phone.leg, b.phone.leg);
    world.bridge(one, other);
    (0..3).for_each(|_| a.speak(&mut world));
    let before = a.quality(&mut world);
    // 1. fifteen packets of 20 ms
    assert!((280..=320).contains(&before.concealed_ms), "{before:?}");
    // 2. b hears music: what a says is decoded for nobody
    done(&mut world, |n| Command::Play {
        n,
        leg: other,
        source: SourceKind::Music,
        country: "US".to_owned(),
    });
    a.speak(&mut world);
    assert_eq!(a.quality(&mut world).concealed_ms, before.concealed_ms);
    // 3. and hears a again, until he hangs up
    world.bridge(one, other);
    (0..3).for_each(|_| a.speak(&mut world));
    let after = a.quality(&mut world);
    assert!((560..=640).contains(&after.concealed_ms), "{after:?}");
    let reply = world.command(|n| Command::CloseLeg { n, leg: other });
    assert!(matches!(reply, Reply::Closed { .. }), "{reply:?}");
    b.phone.leg = 0;
    (0..5).for_each(|_| a.speak(&mut world));
    assert_eq!(told(&world, one).concealed_ms, after.concealed_ms);
}

#[test]
fn section_7_who_speaks_in_a_room_is_counted_in_every_word() {
    let mut world = World::new();
    let mut a = Speaker::new(&mut world, PCMU, 0);
    let b = Speaker::new(&mut world, PCMA, 1);
    for leg in [a.phone.leg, b.phone.leg] {
        done(&mut world, |n| Command::Join {
            n,
            leg,
            room: ROOM,
            muted: false,
            full_band: false,
        });
    }
    for word in 1..=3 {
        (0..2).for_each(|_| a.speak(&mut world));
        // He pauses so long that he is decoded no more.
        world.advance_ms(1_500);
        let counted = a.quality(&mut world).concealed_ms;
        assert!(
            (word * 190..=word * 300).contains(&counted),
            "{counted} ms in {word} words"
        );
        a.phone.timestamp += 1_500 * 8;
    }
    world.advance_ms(5_000);
    let loss = told(&world, a.phone.leg);
    assert!(loss.concealed_ms >= 570, "{loss:?}");
    assert!(loss.mos < 4.3, "{loss:?}");
}
