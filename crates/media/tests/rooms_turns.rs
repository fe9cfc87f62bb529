//! Who begins and who ceases to speak in a room goes on hearing the others, without a click, a gap or a word of before (MEDIA.md
//! section 6, one encode per distinct mix; section 8, traps 19 and 20).

mod common;

use common::kinds::*;
use common::shards::*;
use common::*;
use offhook_dsp::{Decoder, Encoder, EncoderOptions, MAX_SAMPLES, Tone, ToneSpec};
use offhook_media::event::Reply;

/// On shard 0.
const ROOM: u64 = 77;
/// What is heard all the time, Hz: 20 ms of it are no whole number of its periods, so that none can be missed unnoticed.
const HERTZ: f32 = 1_015.0;
/// The one who takes turns sends levels (RFC 6464) under this number; by them it is known that he fell silent.
const LEVEL: u8 = 1;

struct Member {
    phone: Phone,
    kind: Kind,
    encoder: Encoder,
    tone: Tone,
}

impl Member {
    fn new(shards: &mut Shards, shard: usize, kind: Kind, ptime: u32, hertz: f32) -> Self {
        let mut offer = port_offer(kind.audio());
        offer.audio_level_id = LEVEL;
        let world = &mut shards.of[shard];
        let (_, legs) = world.open(vec![offer]);
        let mut phone = phone(&legs[0], u8::from(hertz == HERTZ));
        let mut remote = port_remote(kind.audio(), phone.address);
        remote.ptime = ptime;
        world.complete(phone.leg, remote);
        (phone.payload_type, phone.step) = (kind.payload_type, kind.clock / 50);
        let reply = shards.join(phone.leg, ROOM, false);
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
        let spec = ToneSpec {
            hertz: [hertz, 0.0],
            ..ToneSpec::TEST
        };
        Self {
            phone,
            kind,
            encoder: Encoder::new(kind.speech, kind.rate, EncoderOptions::default()).unwrap(),
            tone: Tone::new(spec, kind.rate),
        }
    }

    fn send(&mut self, shards: &mut Shards, speaks: bool) {
        let samples = (self.kind.rate / 50) as usize;
        let (mut pcm, mut payload) = (vec![0; samples], vec![0; 1_500]);
        if speaks {
            self.tone.fill(&mut pcm);
        }
        let len = self.encoder.encode(&pcm, &mut payload).unwrap();
        let mut packet = self.phone.packet(&[]);
        packet[0] |= 0x10;
        let level = if speaks { 16 } else { 127 };
        packet.extend([0xbe, 0xde, 0, 1, LEVEL << 4, level, 0, 0]);
        packet.extend(&payload[..len]);
        shards.send(&self.phone, &packet);
    }

    fn heard(&self, sent: &[&Sent]) -> Vec<i16> {
        let mut decoder = Decoder::new(self.kind.speech, 8_000).unwrap();
        let (mut out, mut samples) = (vec![0; MAX_SAMPLES], Vec::new());
        for one in sent {
            let len = decoder.decode(one.payload(), &mut out).unwrap();
            samples.extend_from_slice(&out[..len]);
        }
        samples
    }
}

/// What is left of 5 ms at a time without the tone, RMS: in the middle, and the loudest.
fn besides(samples: &[i16]) -> (f64, f64) {
    let turn = std::f64::consts::TAU * f64::from(HERTZ) / 8_000.0;
    let at = |i: usize| f64::from(samples[i]);
    let rest: Vec<f64> = (2..samples.len())
        .map(|i| at(i) - 2.0 * turn.cos() * at(i - 1) + at(i - 2))
        .collect();
    let loud = |part: &[f64]| (part.iter().map(|x| x * x).sum::<f64>() / part.len() as f64).sqrt();
    let mut pieces: Vec<f64> = rest.chunks_exact(40).map(loud).collect();
    pieces.sort_by(f64::total_cmp);
    (pieces[pieces.len() / 2], pieces[pieces.len() - 1])
}

/// For twelve seconds one sings, and another says a word now and then, of another length each time; what he hears.
fn takes_turns(shard: usize, kind: Kind, ptime: u32) {
    let what = format!("{} of {ptime} ms on shard {shard}", kind.name);
    let mut shards = Shards::new();
    let mut singer = Member::new(&mut shards, 0, PCMU, 20, HERTZ);
    let mut other = Member::new(&mut shards, shard, kind, ptime, 600.0);
    for tick in 0..600 {
        singer.send(&mut shards, true);
        other.send(&mut shards, tick % 75 >= 63 + tick / 75 % 3);
        shards.advance_ms(20);
    }
    let sent = &shards.heard(&other.phone)[10..];
    // 1. one stream, whose time is that which passes
    for pair in sent.windows(2) {
        let (one, two) = (pair[0].header(), pair[1].header());
        assert_eq!(two.sequence, one.sequence.wrapping_add(1), "{what}");
        let first = sent[0].header();
        let ms = two.timestamp.wrapping_sub(first.timestamp) / (kind.clock / 1_000);
        let passed = (pair[1].at - sent[0].at).as_millis() as i64;
        let off = (i64::from(ms) - passed).abs();
        assert!(off <= 10, "{what}: {ms} ms of sound in {passed}");
    }
    // 2. and nothing but the tone in it: no click where he begins to speak or ceases
    let heard = other.heard(sent);
    let (usual, loudest) = besides(&heard[4_000..]);
    // G.722 on a steady tone has more than one state that it may settle in; without care it is sixty times.
    let most = if kind == G722 { 10.0 } else { 6.0 };
    assert!(
        loudest <= most * usual,
        "{what}: {loudest:.0} beside {usual:.0}"
    );
}

#[test]
fn who_begins_and_ceases_to_speak_hears_the_others_without_a_click() {
    for shard in [0, 1] {
        for ptime in [10, 20, 30, 40, 50, 60] {
            takes_turns(shard, PCMU, ptime);
        }
        for kind in [PCMA, G722, OPUS] {
            takes_turns(shard, kind, 20);
            takes_turns(shard, kind, 60);
        }
    }
}
