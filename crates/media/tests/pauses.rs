//! Silence that is announced: Opus that leaves it out, comfort noise in the place of sound, and what each becomes for the other
//! (MEDIA.md section 8, trap 6).

mod common;

use std::time::Duration;

use common::shards::Shards;
use common::*;
use offhook_dsp::{
    Codec as Dsp, Decoder, Encoder, EncoderOptions, MAX_SAMPLES, Tone, ToneSpec, level,
    opus as wire,
};
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::Reply;

/// What the background of the speakers here sounds like, -dBov.
const BACKGROUND: f32 = 60.0;

fn with_comfort_noise(of: Vec<Codec>) -> Vec<Codec> {
    [of, vec![codec("CN", 13, 8_000)]].concat()
}

/// Opus of a peer that asks for silence to be left out.
fn opus_with_dtx() -> Vec<Codec> {
    let mut audio = opus();
    audio[0].fmtp = "minptime=10; useinbandfec=1;usedtx=1".to_owned();
    audio
}

/// A speaker with a room around him: a voice, or its background alone.
struct Speaker {
    phone: Phone,
    encoder: Encoder,
    voice: Tone,
    dice: u32,
    /// The last packet announced silence.
    rests: bool,
    left_out: usize,
}

impl Speaker {
    fn new(phone: Phone, codec: Dsp, dtx: bool) -> Self {
        let options = EncoderOptions {
            dtx,
            ..EncoderOptions::default()
        };
        let spec = ToneSpec {
            hertz: [160.0, 480.0],
            dbfs: -16.0,
            // Syllables: a steady tone is background to Opus.
            on_ms: 150,
            off_ms: 70,
        };
        Self {
            phone,
            encoder: Encoder::new(codec, 16_000, options).unwrap(),
            voice: Tone::new(spec, 16_000),
            dice: 7,
            rests: false,
            left_out: 0,
        }
    }

    /// So many packets of 20 ms, as browsers send them: of a pause the first, and those that describe it.
    fn send(&mut self, world: &mut World, packets: usize, speaks: bool) {
        // Uniform noise has the third of the power of its peak.
        let peak = 32_768.0 * 10f32.powf(-BACKGROUND / 20.0) * 3f32.sqrt();
        for _ in 0..packets {
            let (mut pcm, mut payload) = ([0i16; 320], [0u8; 1_500]);
            if speaks {
                self.voice.fill(&mut pcm);
            }
            for sample in &mut pcm {
                self.dice = self
                    .dice
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                let noise = peak * (self.dice as i32 as f32 / 2_147_483_648.0);
                *sample = sample.saturating_add(noise as i16);
            }
            let len = self.encoder.encode(&pcm, &mut payload).unwrap();
            let payload = &payload[..len];
            let rests = self.encoder.codec() == Dsp::Opus && wire::is_dtx(payload);
            if std::mem::replace(&mut self.rests, rests) && rests {
                self.phone.timestamp = self.phone.timestamp.wrapping_add(self.phone.step);
                self.left_out += 1;
            } else {
                let packet = self.phone.packet(payload);
                world.datagram(self.phone.socket, self.phone.address, &packet);
            }
            world.advance_ms(20);
        }
    }
}

/// A world in which a speaker in Opus with DTX talks two seconds, is silent four, and talks one; what the other leg was sent.
fn a_pause_of_opus(other: Vec<Codec>) -> (World, Speaker, Phone) {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(opus()), port_offer(other.clone())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    (a.payload_type, a.step) = (111, 960);
    world.complete(a.leg, port_remote(opus(), a.address));
    world.complete(b.leg, port_remote(other, b.address));
    world.bridge(a.leg, b.leg);
    let mut speaker = Speaker::new(a, Dsp::Opus, true);
    speaker.send(&mut world, 100, true);
    speaker.send(&mut world, 200, false);
    speaker.send(&mut world, 50, true);
    (world, speaker, b)
}

fn millis(sent: &Sent) -> u128 {
    sent.at.as_millis()
}

/// Numbers without a gap, and a clock that follows the time that has passed, to a packet and a half.
fn assert_one_stream(sent: &[&Sent], clock: u32) {
    for pair in sent.windows(2) {
        let (one, two) = (pair[0].header(), pair[1].header());
        assert_eq!(two.sequence, one.sequence.wrapping_add(1));
        assert_eq!(two.ssrc, one.ssrc);
        let passed =
            i128::from(two.timestamp.wrapping_sub(one.timestamp)) / i128::from(clock / 1_000);
        let elapsed = (pair[1].at - pair[0].at).as_millis() as i128;
        assert!(
            (passed - elapsed).abs() <= 30,
            "{passed} ms of sound in {elapsed}"
        );
    }
}

fn assert_nothing_was_concealed(world: &mut World, leg: u64) {
    let quality = world.facts(leg).quality;
    assert_eq!(quality.concealed_ms, 0, "{quality:?}");
    assert_eq!((quality.lost_in, quality.late_in), (0, 0), "{quality:?}");
    assert!(quality.jitter_ms < 2.0, "{}", quality.jitter_ms);
}

#[test]
fn trap_6_opus_dtx_becomes_comfort_noise_where_that_is_agreed() {
    for (audio, payload_type) in [(pcmu(), 0), (vec![codec("G722", 9, 8_000)], 9)] {
        let (mut world, speaker, b) = a_pause_of_opus(with_comfort_noise(audio));
        assert!(speaker.left_out > 120, "{}", speaker.left_out);
        let sent = world.rtp_to(b.address);
        assert_one_stream(&sent, 8_000);
        // 1. the pause is told of again and again, and is as loud as the background was
        let noise: Vec<&&Sent> = sent
            .iter()
            .filter(|sent| sent.header().payload_type == 13)
            .collect();
        assert!((7..=14).contains(&noise.len()), "{}", noise.len());
        for one in &noise {
            assert_eq!(one.payload().len(), 1);
            assert!(!one.header().marker);
        }
        let settled = &noise[2..];
        let told: Vec<u8> = settled.iter().map(|one| one.payload()[0]).collect();
        assert!(
            told.iter().all(|level| (50..=75).contains(level)),
            "{told:?}"
        );
        // 2. between them nothing is sent: the nine packets with which Opus describes its silence are no words
        let (first, last) = (millis(noise[0]), millis(noise[noise.len() - 1]));
        let between = sent
            .iter()
            .filter(|sent| millis(sent) > first && millis(sent) < last)
            .filter(|sent| sent.header().payload_type == payload_type);
        let between: Vec<u128> = between.map(|sent| millis(sent)).collect();
        // Opus itself takes the noise for a word once, and rests again 200 ms later.
        assert!(between.len() <= 10, "{between:?}");
        assert!(last - first > 3_000, "{first} to {last}");
        let gaps = noise
            .windows(2)
            .map(|pair| millis(pair[1]) - millis(pair[0]));
        assert!(gaps.max().unwrap() <= 420);
        // 3. the next word begins a talk spurt
        let after = sent.iter().find(|sent| millis(sent) > last).unwrap();
        assert_eq!(after.header().payload_type, payload_type);
        assert!(after.header().marker);
        assert!(sent.iter().filter(|sent| millis(sent) > last).count() > 45);
        assert_nothing_was_concealed(&mut world, speaker.phone.leg);
    }
}

#[test]
fn trap_6_opus_dtx_is_sound_every_20_ms_where_comfort_noise_is_not_agreed() {
    let (mut world, speaker, b) = a_pause_of_opus(pcmu());
    let sent = world.rtp_to(b.address);
    assert_one_stream(&sent, 8_000);
    assert!(sent.iter().all(|sent| sent.header().payload_type == 0));
    let gaps = sent.windows(2).map(|pair| pair[1].at - pair[0].at);
    assert_eq!(gaps.max().unwrap(), Duration::from_millis(20));
    // The background goes on: as loud as before, not a fading word and not dead silence.
    let silence: Vec<Vec<u8>> = sent
        .iter()
        .filter(|sent| (4_000..5_800).contains(&millis(sent)))
        .map(|sent| sent.payload().to_vec())
        .collect();
    assert!(silence.len() > 85);
    let heard = level::rms_dbov(&decoded(Dsp::Pcmu, &silence));
    assert!((-72.0..-50.0).contains(&heard), "{heard} dBov");
    assert_nothing_was_concealed(&mut world, speaker.phone.leg);
}

fn decoded(codec: Dsp, payloads: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new(codec, 8_000).unwrap();
    let (mut out, mut samples) = (vec![0; MAX_SAMPLES], Vec::new());
    for payload in payloads {
        let len = decoder.decode(payload, &mut out).unwrap();
        samples.extend_from_slice(&out[..len]);
    }
    samples
}

/// A phone talks a second, then describes four seconds of silence by comfort noise every 400 ms, and talks again.
fn a_pause_of_comfort_noise(other: Vec<Codec>) -> (World, Phone, Phone) {
    let mut world = World::new();
    let described = with_comfort_noise(pcmu());
    let (_, legs) = world.open(vec![
        port_offer(described.clone()),
        port_offer(other.clone()),
    ]);
    let (a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(described, a.address));
    world.complete(b.leg, port_remote(other, b.address));
    world.bridge(a.leg, b.leg);
    let mut speaker = Speaker::new(a, Dsp::Pcmu, false);
    speaker.send(&mut world, 50, true);
    for _ in 0..10 {
        let a = &mut speaker.phone;
        let noise = a.raw(13, false, &[52], false);
        world.datagram(a.socket, a.address, &noise);
        a.timestamp = a.timestamp.wrapping_add(3_200);
        world.advance_ms(400);
    }
    speaker.send(&mut world, 50, true);
    (world, speaker.phone, b)
}

#[test]
fn trap_6_comfort_noise_becomes_noise_in_opus() {
    let (mut world, a, b) = a_pause_of_comfort_noise(opus());
    let sent = world.rtp_to(b.address);
    assert_one_stream(&sent, 48_000);
    let gaps = sent.windows(2).map(|pair| pair[1].at - pair[0].at);
    assert_eq!(gaps.max().unwrap(), Duration::from_millis(20));
    let silence: Vec<Vec<u8>> = sent
        .iter()
        .filter(|sent| (2_000..4_800).contains(&millis(sent)))
        .map(|sent| sent.payload().to_vec())
        .collect();
    let heard = level::rms_dbov(&decoded(Dsp::Opus, &silence));
    assert!((heard + 52.0).abs() < 5.0, "{heard} dBov");
    assert_nothing_was_concealed(&mut world, a.leg);
}

#[test]
fn trap_6_comfort_noise_becomes_dtx_where_the_peer_asks_for_it() {
    let (mut world, a, b) = a_pause_of_comfort_noise(opus_with_dtx());
    let sent = world.rtp_to(b.address);
    assert_one_stream(&sent, 48_000);
    let silence: Vec<&&Sent> = sent
        .iter()
        .filter(|sent| (2_000..4_800).contains(&millis(sent)))
        .collect();
    // Two in 400 ms: what the silence sounds like, and that it goes on.
    assert!((10..=24).contains(&silence.len()), "{}", silence.len());
    assert!(silence.iter().any(|sent| wire::is_dtx(sent.payload())));
    let gaps = silence.windows(2).map(|pair| pair[1].at - pair[0].at);
    assert!(gaps.max().unwrap() <= Duration::from_millis(420));
    let last = sent.iter().filter(|sent| millis(sent) > 5_200);
    assert!(last.count() > 35, "the next word comes whole");
    assert_nothing_was_concealed(&mut world, a.leg);
}

const ROOM: u64 = 3 << 56 | 5;

fn member(world: &mut World, index: u8, audio: &[Codec]) -> Phone {
    let (_, legs) = world.open(vec![port_offer(audio.to_vec())]);
    let mut member = phone(&legs[0], index);
    (member.payload_type, member.step) = (audio[0].payload_type, audio[0].clock / 50);
    world.complete(member.leg, port_remote(audio.to_vec(), member.address));
    let leg = member.leg;
    let reply = world.command(|n| Command::Join {
        n,
        leg,
        room: ROOM,
        muted: false,
        full_band: false,
    });
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    member
}

fn count(sent: &[&Sent], from: u128, to: u128, payload_type: u8) -> usize {
    let within = |sent: &&&Sent| (from..to).contains(&millis(sent));
    let mut of_it = sent.iter().filter(within).map(|sent| sent.header());
    let count = of_it
        .by_ref()
        .filter(|one| one.payload_type == payload_type);
    count.count()
}

#[test]
fn trap_6_a_room_in_which_nobody_speaks_is_comfort_noise_or_sound_as_agreed() {
    let mut world = World::new();
    let quiet = member(&mut world, 1, &with_comfort_noise(pcmu()));
    let plain = member(&mut world, 2, &pcmu());
    let browser = member(&mut world, 3, &opus());
    let sparing = member(&mut world, 4, &opus_with_dtx());
    let speaker = member(&mut world, 5, &opus());
    let mut speaker = Speaker::new(speaker, Dsp::Opus, true);
    // 1. somebody speaks from 2 s to 3 s; his browser needs a while to know his background from words
    world.advance_ms(2_000);
    speaker.send(&mut world, 50, true);
    speaker.send(&mut world, 400, false);
    for (phone, number, pauses) in [
        (&quiet, 0, true),
        (&plain, 0, false),
        (&browser, 111, false),
    ] {
        let sent = world.rtp_to(phone.address);
        assert_one_stream(&sent, if number == 0 { 8_000 } else { 48_000 });
        let (before, after) = (
            count(&sent, 200, 1_900, number),
            count(&sent, 8_000, 11_000, number),
        );
        // 2. speech comes whole to everybody
        assert!(count(&sent, 2_100, 3_000, number) >= 42, "{number}");
        if pauses {
            assert_eq!((before, after), (0, 0));
            let told = count(&sent, 8_000, 11_000, 13);
            assert!((7..=8).contains(&told), "{told}");
        } else {
            assert!(before >= 83 && after >= 148, "{before} {after}");
            assert_eq!(count(&sent, 0, 11_000, 13), 0);
        }
    }
    let sent = world.rtp_to(sparing.address);
    assert_one_stream(&sent, 48_000);
    assert!(count(&sent, 8_000, 11_000, 111) <= 20);
    assert!(count(&sent, 2_100, 3_000, 111) >= 42);
}

#[test]
fn trap_6_a_member_on_another_shard_hears_comfort_noise_too() {
    let mut shards = Shards::new();
    let near = shards.phone(0, pcmu());
    let far = shards.phone(1, with_comfort_noise(pcmu()));
    for phone in [&near, &far] {
        let reply = shards.join(phone.leg, 5, false);
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }
    shards.advance_ms(3_000);
    let sent = shards.heard(&far);
    assert_one_stream(&sent, 8_000);
    assert!(
        (6..=9).contains(&count(&sent, 200, 3_000, 13)),
        "{}",
        sent.len()
    );
    assert_eq!(count(&sent, 300, 3_000, 0), 0);
    assert!(count(&shards.heard(&near), 200, 3_000, 0) > 135);
}
