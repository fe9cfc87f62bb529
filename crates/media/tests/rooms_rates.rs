//! Rates of rooms (MEDIA.md section 6): who comes or goes changes nothing of what the others hear, whatever rate he needs.

mod common;

use common::shards::Shards;
use common::*;
use offhook_dsp::{Codec as Speech, Decoder, Encoder, EncoderOptions, g711};
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::Reply;
use offhook_media::recording::{Piece, Side};

/// On the shard of the world.
const ROOM: u64 = 3 << 56 | 77;

/// One who says a steady tone in G.711, and all that he has said.
struct Speaker {
    phone: Phone,
    hertz: f64,
    said: Vec<i16>,
}

impl Speaker {
    fn packet(&mut self) -> Vec<u8> {
        let from = self.said.len();
        let tone = |at: usize| sine(6_000.0, self.hertz, 8_000.0, at);
        let payload: Vec<u8> = (from..from + 160)
            .map(|at| g711::ulaw_encode(tone(at)))
            .collect();
        self.said
            .extend(payload.iter().map(|byte| g711::ulaw_decode(*byte)));
        self.phone.packet(&payload)
    }

    fn speak(&mut self, world: &mut World) {
        let packet = self.packet();
        world.datagram(self.phone.socket, self.phone.address, &packet);
    }
}

fn sine(amplitude: f64, hertz: f64, rate: f64, at: usize) -> i16 {
    (amplitude * (std::f64::consts::TAU * hertz * at as f64 / rate).sin()) as i16
}

fn member(world: &mut World, index: u8, audio: Vec<Codec>) -> Phone {
    member_of(world, index, audio, false)
}

fn member_of(world: &mut World, index: u8, audio: Vec<Codec>, full_band: bool) -> Phone {
    let (_, legs) = world.open(vec![port_offer(audio.clone())]);
    let mut phone = phone(&legs[0], index);
    if audio[0].name == "OPUS" {
        (phone.payload_type, phone.step) = (111, 960);
    }
    if audio[0].name == "G722" {
        phone.payload_type = 9;
    }
    world.complete(phone.leg, port_remote(audio, phone.address));
    let leg = phone.leg;
    let reply = world.command(|n| Command::Join {
        n,
        leg,
        room: ROOM,
        muted: false,
        full_band,
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    phone
}

fn speaker(world: &mut World, index: u8, hertz: f64) -> Speaker {
    Speaker {
        phone: member(world, index, pcmu()),
        hertz,
        said: Vec::new(),
    }
}

fn g722() -> Vec<Codec> {
    vec![codec("G722", 9, 8_000)]
}

fn pcm<'a>(sent: impl IntoIterator<Item = &'a Sent>) -> Vec<i16> {
    let payloads = sent.into_iter().flat_map(|sent| sent.payload().to_vec());
    payloads.map(g711::ulaw_decode).collect()
}

/// What is heard is what was said, sample by sample, with nothing missing, doubled or bent in the middle.
fn is_part_of(heard: &[i16], said: &[i16]) -> bool {
    // The silence before the first packet is no part of it.
    let begin = heard.iter().position(|sample| sample.abs() > 1_000);
    let heard = &heard[begin.expect("sound")..];
    said.windows(heard.len()).any(|some| some == heard)
}

/// The largest departure from a steady tone, as a share of its amplitude: what a gap, a jump of phase or a click is.
fn roughness(pcm: &[i16], hertz: f64, rate: f64) -> f64 {
    let turn = 2.0 * (std::f64::consts::TAU * hertz / rate).cos();
    let peak = pcm
        .iter()
        .map(|one| f64::from(one.abs()))
        .fold(1.0, f64::max);
    let departs = pcm.windows(3).map(|three| {
        let [before, at, after] = [three[0], three[1], three[2]].map(f64::from);
        (after - turn * at + before).abs()
    });
    departs.fold(0.0, f64::max) / peak
}

#[test]
fn who_speaks_is_heard_to_the_sample_while_the_first_wide_member_comes_and_the_last_goes() {
    for (audio, other) in [(opus(), 0.0), (g722(), 0.0), (opus(), 700.0)] {
        let mut world = World::new();
        let mut speaks = [speaker(&mut world, 1, 430.0), speaker(&mut world, 2, other)];
        let listener = member(&mut world, 3, pcmu());
        let mut wide = None;
        for at in 0..200 {
            match at {
                50 => wide = Some(member(&mut world, 4, audio.clone())),
                150 => {
                    let leg = wide.as_ref().expect("came").leg;
                    world.command(|n| Command::CloseLeg { n, leg });
                }
                _ => {}
            }
            speaks.iter_mut().for_each(|one| one.speak(&mut world));
            world.advance_ms(20);
        }
        let heard = |phone: &Phone| {
            let heard = pcm(world.rtp_to(phone.address)[10..].iter().copied());
            assert!(heard.len() >= 185 * 160, "{}", heard.len());
            heard
        };
        // 1. who speaks, too, hears the other
        let [one, two] = &speaks;
        assert!(is_part_of(&heard(&two.phone), &one.said));
        if other > 0.0 {
            assert!(is_part_of(&heard(&one.phone), &two.said));
            continue;
        }
        // 2. who only listens hears him
        assert!(is_part_of(&heard(&listener), &one.said));
        // 3. and the newcomer hears it
        let sent = world.rtp_to(wide.expect("came").address);
        assert!(sent.len() >= 95, "{}", sent.len());
        let codec = Speech::from_name(&audio[0].name).expect("codec");
        let mut decoder = Decoder::new(codec, 16_000).expect("decoder");
        let mut heard = Vec::new();
        for one in &sent {
            let mut pcm = [0; 1_920];
            let len = decoder.decode(one.payload(), &mut pcm).expect("decoded");
            heard.extend(&pcm[..len]);
        }
        let rough = roughness(&heard[20 * 320..], 430.0, 16_000.0);
        assert!(rough < 0.1, "{rough}");
    }
}

#[test]
fn who_comes_from_another_shard_changes_nothing_either() {
    let mut shards = Shards::new();
    let mut speaks = Speaker {
        phone: shards.phone(0, pcmu()),
        hertz: 430.0,
        said: Vec::new(),
    };
    let listener = shards.phone(1, pcmu());
    for leg in [speaks.phone.leg, listener.leg] {
        shards.join(leg, 77, false);
    }
    let wide = shards.phone(1, opus());
    for at in 0..150 {
        let leg = wide.leg;
        match at {
            50 => drop(shards.join(leg, 77, false)),
            100 => shards.done(leg, |n| Command::Stop { n, leg }),
            _ => {}
        }
        let packet = speaks.packet();
        shards.send(&speaks.phone, &packet);
        shards.advance_ms(20);
    }
    let heard = pcm(shards.heard(&listener)[10..].iter().copied());
    assert!(heard.len() >= 135 * 160, "{}", heard.len());
    assert!(is_part_of(&heard, &speaks.said));
    assert!(shards.heard(&wide).len() >= 45);
}

#[test]
fn a_recording_of_the_room_has_one_rate_and_no_click_where_somebody_comes_or_goes() {
    let mut world = World::new();
    let mut speaks = speaker(&mut world, 1, 430.0);
    let leg = member(&mut world, 2, pcmu()).leg;
    let spec = Recording {
        recording: "r".into(),
        file: "r.wav".into(),
        side: Side::Room,
        max_seconds: 0,
        silence_ms: 0,
    };
    world.command(|n| Command::RecordStart { n, leg, spec });
    assert_eq!(world.begun[0].rate, 16_000);
    let mut wide = None;
    for at in 0..150 {
        match at {
            50 => wide = Some(member(&mut world, 4, opus()).leg),
            100 => {
                let leg = wide.expect("came");
                world.command(|n| Command::CloseLeg { n, leg });
            }
            _ => {}
        }
        speaks.speak(&mut world);
        world.advance_ms(20);
    }
    let mut recorded = Vec::new();
    for (_, entry) in &world.recorded {
        let Piece::Sound { rate, samples } = &entry.what else {
            continue;
        };
        assert_eq!(*rate, 16_000);
        recorded.extend(samples.iter().copied());
    }
    assert!(recorded.len() >= 145 * 320, "{}", recorded.len());
    let rough = roughness(&recorded[10 * 320..], 430.0, 16_000.0);
    assert!(rough < 0.05, "{rough}");
}

#[test]
fn wide_and_narrow_members_hear_each_other_each_at_his_rate() {
    let mut world = World::new();
    let mut narrow = speaker(&mut world, 1, 430.0);
    let listener = member(&mut world, 2, pcmu());
    let mut wide = member(&mut world, 3, g722());
    let hears = member(&mut world, 4, g722());
    let options = EncoderOptions::default();
    let mut encoder = Encoder::new(Speech::G722, 16_000, options).expect("encoder");
    for at in 0..100 {
        let tone = |at: usize| sine(6_000.0, 5_000.0, 16_000.0, at);
        let said: Vec<i16> = (at * 320..(at + 1) * 320).map(tone).collect();
        let mut payload = [0; 200];
        let len = encoder.encode(&said, &mut payload).expect("encoded");
        let packet = wide.packet(&payload[..len]);
        world.datagram(wide.socket, wide.address, &packet);
        narrow.speak(&mut world);
        world.advance_ms(20);
    }
    let levels = |pcm: &[i16], rate: f64| [430.0, 5_000.0].map(|hertz| level(pcm, hertz, rate));
    // 1. what a narrow-band ear cannot hear is left out before it, and no image of it is there
    let heard = pcm(world.rtp_to(listener.address)[20..].iter().copied());
    let [low, _] = levels(&heard, 8_000.0);
    assert!((low + 14.7).abs() < 1.0, "{low}");
    let image = level(&heard, 3_000.0, 8_000.0);
    assert!(image < -60.0, "{image}");
    // 2. a wide-band ear hears both
    let mut decoder = Decoder::new(Speech::G722, 16_000).expect("decoder");
    let mut heard = Vec::new();
    for one in &world.rtp_to(hears.address)[20..] {
        let mut pcm = [0; 640];
        let len = decoder.decode(one.payload(), &mut pcm).expect("decoded");
        heard.extend(&pcm[..len]);
    }
    for level in levels(&heard, 16_000.0) {
        assert!((level + 14.7).abs() < 1.5, "{level}");
    }
}

/// One who says a tone for every ear and one of 12 kHz in Opus.
struct Musician {
    phone: Phone,
    encoder: Encoder,
    at: usize,
}

impl Musician {
    fn new(phone: Phone) -> Self {
        let options = EncoderOptions {
            bitrate: Some(96_000),
            ..EncoderOptions::default()
        };
        let encoder = Encoder::new(Speech::Opus, 48_000, options).expect("encoder");
        let at = 0;
        Self { phone, encoder, at }
    }

    fn play(&mut self, world: &mut World) {
        let both =
            |at: usize| sine(6_000.0, 430.0, 48_000.0, at) + sine(6_000.0, 12_000.0, 48_000.0, at);
        let pcm: Vec<i16> = (self.at..self.at + 960).map(both).collect();
        self.at += 960;
        let mut payload = [0; 1_500];
        let len = self.encoder.encode(&pcm, &mut payload).expect("encoded");
        let packet = self.phone.packet(&payload[..len]);
        world.datagram(self.phone.socket, self.phone.address, &packet);
    }
}

fn opus_pcm(sent: &[&Sent]) -> Vec<i16> {
    let mut decoder = Decoder::new(Speech::Opus, 48_000).expect("decoder");
    let mut heard = Vec::new();
    for one in sent {
        let mut pcm = [0; 5_760];
        let len = decoder.decode(one.payload(), &mut pcm).expect("decoded");
        heard.extend(&pcm[..len]);
    }
    heard
}

fn limited() -> Vec<Codec> {
    let mut audio = opus();
    audio[0].fmtp = "useinbandfec=1; maxplaybackrate=16000".to_owned();
    audio
}

#[test]
fn who_asks_for_48_khz_hears_12_and_nobody_else_does() {
    let mut world = World::new();
    let mut plays = Musician::new(member_of(&mut world, 1, opus(), true));
    let asks = member_of(&mut world, 2, opus(), true);
    let asks_not = member_of(&mut world, 3, opus(), false);
    let cannot = member_of(&mut world, 4, limited(), true);
    let narrow = member_of(&mut world, 5, pcmu(), true);
    for _ in 0..100 {
        plays.play(&mut world);
        world.advance_ms(20);
    }
    let levels = |phone: &Phone| {
        let heard = opus_pcm(&world.rtp_to(phone.address)[25..]);
        [430.0, 12_000.0].map(|hertz| level(&heard, hertz, 48_000.0))
    };
    // 1. by who asked for it, at its level
    let [low, high] = levels(&asks);
    assert!(
        (low + 14.7).abs() < 1.5 && (high + 14.7).abs() < 2.5,
        "{low} {high}"
    );
    // 2. by nobody who did not, or whose peer does not play so much (RFC 7587 section 6.1)
    for phone in [&asks_not, &cannot] {
        let [low, high] = levels(phone);
        assert!((low + 14.7).abs() < 1.5 && high < -60.0, "{low} {high}");
    }
    // 3. nor as an image by who hears G.711
    let heard = pcm(world.rtp_to(narrow.address)[25..].iter().copied());
    let rough = roughness(&heard, 430.0, 8_000.0);
    assert!(rough < 0.1, "{rough}");
    // 4. not by who says it
    let own = levels(&plays.phone);
    assert!(own.iter().all(|level| *level < -60.0), "{own:?}");
}

#[test]
fn who_plays_already_is_heard_by_the_first_who_asks_for_48_khz_and_nobody_else_notices() {
    let mut world = World::new();
    let mut plays = Musician::new(member_of(&mut world, 1, opus(), false));
    let (narrow, wide) = (
        member(&mut world, 2, pcmu()),
        member_of(&mut world, 3, opus(), false),
    );
    let mut asks = None;
    for at in 0..200 {
        match at {
            50 => asks = Some(member_of(&mut world, 4, opus(), true)),
            150 => {
                let leg = asks.as_ref().expect("came").leg;
                world.command(|n| Command::CloseLeg { n, leg });
            }
            _ => {}
        }
        plays.play(&mut world);
        world.advance_ms(20);
    }
    // 1. the newcomer hears all of it
    let sent = world.rtp_to(asks.expect("came").address);
    let heard = opus_pcm(&sent[10..]);
    for hertz in [430.0, 12_000.0] {
        let level = level(&heard, hertz, 48_000.0);
        assert!((level + 14.7).abs() < 2.5, "{hertz} {level}");
    }
    // 2. for the others there is neither gap nor click
    let heard = pcm(world.rtp_to(narrow.address)[20..].iter().copied());
    assert!(heard.len() >= 175 * 160);
    let rough = roughness(&heard, 430.0, 8_000.0);
    assert!(rough < 0.1, "{rough}");
    let heard = opus_pcm(&world.rtp_to(wide.address)[20..]);
    let rough = roughness(&heard, 430.0, 48_000.0);
    assert!(rough < 0.1, "{rough}");
}

/// Level of one frequency, dBFS.
fn level(pcm: &[i16], hertz: f64, rate: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in pcm.iter().enumerate() {
        let phase = std::f64::consts::TAU * hertz * at as f64 / rate;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    let size = 2.0 * (re * re + im * im).sqrt() / pcm.len() as f64 / 32_768.0;
    20.0 * (size + 1e-9).log10()
}
