//! Trap 20 where packets were passed on: a codec that changes in mid-call, in one direction to transcoding and back again.

mod common;

use common::kinds::*;
use common::*;
use offhook_dsp::conceal::Concealer;
use offhook_dsp::{Decoder, Encoder, EncoderOptions, MAX_SAMPLES, Tone, ToneSpec};

/// What the tests hear at, and samples of 20 ms of it.
const RATE: u32 = 8_000;
const FRAME: usize = 160;

const KINDS: [Kind; 4] = [PCMU, PCMA, G722, OPUS];

/// A phone that sings 1 kHz in packets of 20 ms.
struct Singer {
    phone: Phone,
    encoder: Encoder,
    kind: Kind,
}

impl Singer {
    fn new(phone: Phone, kind: Kind) -> Self {
        let mut singer = Self {
            phone,
            encoder: encoder(kind),
            kind,
        };
        singer.dial(kind);
        singer
    }

    fn dial(&mut self, kind: Kind) {
        self.phone.payload_type = kind.payload_type;
        self.phone.step = kind.clock / 50;
    }

    /// In another codec from now on; of another clock it is another stream (RFC 7160).
    fn turn(&mut self, world: &mut World, kind: Kind) {
        if kind.clock != self.kind.clock {
            self.phone.ssrc += 1;
            self.phone.timestamp = self.phone.timestamp.wrapping_mul(7);
        }
        (self.kind, self.encoder) = (kind, encoder(kind));
        self.dial(kind);
        world.complete(
            self.phone.leg,
            port_remote(kind.audio(), self.phone.address),
        );
    }

    fn sing(&mut self, world: &mut World) {
        // 20 ms are whole periods: the tone goes on whatever the rate.
        let (mut pcm, mut payload) = (vec![0; self.kind.rate as usize / 50], vec![0; 1_500]);
        Tone::new(ToneSpec::TEST, self.kind.rate).fill(&mut pcm);
        let len = self.encoder.encode(&pcm, &mut payload).unwrap();
        let packet = self.phone.packet(&payload[..len]);
        world.datagram(self.phone.socket, self.phone.address, &packet);
    }
}

fn encoder(kind: Kind) -> Encoder {
    Encoder::new(kind.speech, kind.rate, EncoderOptions::default()).unwrap()
}

/// A phone's ear: a decoder for each payload type of a stream, what is missing by its time stamps made up of the last period.
#[derive(Default)]
struct Ear {
    heard: Vec<i16>,
    /// Made up, ms.
    missing: usize,
    /// The longest that sound came later than in the beginning, ms.
    latest: i64,
}

fn listen(sent: &[&Sent]) -> Ear {
    let mut ear = Ear::default();
    let mut concealer = Concealer::new(RATE);
    let mut hearing: Option<(u32, Kind, Decoder, u32)> = None;
    let mut pcm = vec![0; MAX_SAMPLES];
    for one in sent {
        let header = one.header();
        let kind = *KINDS
            .iter()
            .find(|kind| kind.payload_type == header.payload_type)
            .unwrap();
        let fresh = || Decoder::new(kind.speech, RATE).unwrap();
        let (mut decoder, due) = match hearing.take() {
            Some((ssrc, before, decoder, due)) if ssrc == header.ssrc => {
                (if before == kind { decoder } else { fresh() }, due)
            }
            _ => (fresh(), header.timestamp),
        };
        let gap = header.timestamp.wrapping_sub(due) as i32;
        assert!(gap >= 0, "sound is not sent twice: {gap}");
        let gap = gap as usize * 1_000 / kind.clock as usize;
        if gap > 0 {
            let mut made_up = vec![0; gap * 8];
            concealer.conceal(&mut made_up);
            ear.heard.extend(made_up);
            ear.missing += gap;
        }
        let len = decoder.decode(one.payload(), &mut pcm).unwrap();
        concealer.real(&mut pcm[..len]);
        ear.heard.extend_from_slice(&pcm[..len]);
        let ticks = kind.speech.payload_ticks(one.payload()).unwrap();
        hearing = Some((
            header.ssrc,
            kind,
            decoder,
            header.timestamp.wrapping_add(ticks),
        ));
        let played = ear.heard.len() as i64 / 8;
        let late = (one.at - sent[0].at).as_millis() as i64 + 20 - played;
        ear.latest = ear.latest.max(late);
    }
    ear
}

/// The level of 20 ms of the tone, and what is beside it, dB below the test tone.
fn measure(frame: &[i16]) -> (f64, f64) {
    let turn = std::f64::consts::TAU * 1_000.0 / f64::from(RATE);
    let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
    for (at, sample) in frame.iter().enumerate() {
        let (sine, cosine) = (turn * at as f64).sin_cos();
        let sample = f64::from(*sample);
        re += sample * cosine;
        im += sample * sine;
        all += sample * sample;
    }
    let tone = 2.0 * (re * re + im * im) / frame.len() as f64;
    let full = 5.0e7 * frame.len() as f64;
    let db = |power: f64| 10.0 * (power.max(1.0) / full).log10();
    (db(tone), db(all - tone))
}

/// What may be heard of a change.
#[derive(Clone, Copy)]
struct Audible {
    /// Frames of 20 ms in a row that are none of the steady tone, and how loud they may be, dB.
    frames: usize,
    loudest: f64,
    /// What is beside the steady tone, dB below it: the noise of the codecs.
    beside: f64,
}

/// Between G.711 of both laws: nothing.
const NOTHING: Audible = audible(0, 0.0, -38.0);
/// A fresh encoder of G.722 or Opus, be it the phone's or ours, is silent for the few milliseconds that it looks ahead: one
/// frame of the tone has a hole.
const START_G722: Audible = audible(1, 1.0, -30.0);
const START_OPUS: Audible = audible(1, 1.0, -20.0);
/// A decoder that joins Opus in mid-stream, ours where the packets were passed on and the phone's where they are again, does
/// not know what its packets refer to.
const JOIN_OPUS: Audible = audible(12, 4.0, -18.0);

const fn audible(frames: usize, loudest: f64, beside: f64) -> Audible {
    Audible {
        frames,
        loudest,
        beside,
    }
}

fn assert_sings(ear: &Ear, audible: Audible, what: &str) {
    assert_eq!(ear.missing, 0, "{what}: no sound is missing");
    assert!(ear.latest <= 40, "{what}: {} ms late", ear.latest);
    let frames = ear.heard.chunks_exact(FRAME).map(measure);
    let heard: Vec<(f64, f64)> = frames.skip(3).collect();
    let mut row = 0;
    for (at, (level, beside)) in heard.iter().enumerate() {
        let steady = level.abs() <= 1.0 && *beside <= audible.beside;
        row = if steady { 0 } else { row + 1 };
        assert!(
            row <= audible.frames,
            "{what}: {row} in frame {at}: {heard:.1?}"
        );
        let bounds = -6.5..=audible.loudest.max(1.0);
        assert!(
            bounds.contains(level),
            "{what}: {level:.1} dB in frame {at}: {heard:.1?}"
        );
    }
}

/// One phone of `first` changes to `other` and back, twice; the other one has `first` all the time.
struct Change {
    first: Kind,
    other: Kind,
    /// What the phone that changes may hear; the other one hears no more than the start of a codec.
    changing: Audible,
    still: Audible,
}

impl Change {
    /// `slot`: where the ticks lie between the packets, ms. `shaky`: packets come up to 9 ms late.
    fn call(&self, slot: usize, shaky: bool) {
        let (first, other) = (self.first, self.other);
        let mut world = World::new();
        for _ in 0..slot {
            world.open(vec![port_offer(first.audio())]);
        }
        let both = [first.audio(), other.audio()].concat();
        let (_, legs) = world.open(vec![port_offer(both), port_offer(first.audio())]);
        let (a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
        world.complete(a.leg, port_remote(first.audio(), a.address));
        world.complete(b.leg, port_remote(first.audio(), b.address));
        world.bridge(a.leg, b.leg);
        let (mut a, mut b) = (Singer::new(a, first), Singer::new(b, first));
        for kind in [first, other, first, other, first] {
            if a.kind != kind {
                a.turn(&mut world, kind);
            }
            for packet in 0..25 {
                let late = if shaky { packet * 7 % 10 } else { 0 };
                world.advance_ms(late);
                a.sing(&mut world);
                b.sing(&mut world);
                world.advance_ms(20 - late);
            }
            assert_eq!(world.facts(a.phone.leg).transcoded, kind == other);
            assert_eq!(world.facts(b.phone.leg).transcoded, kind == other);
        }
        let (one, two) = (first.name, other.name);
        let what = format!("{one} to {two} and back, slot {slot}, shaky {shaky}");
        for (phone, audible, who) in [(a, self.changing, "it"), (b, self.still, "the other")] {
            let ear = listen(&world.rtp_to(phone.phone.address));
            assert!(ear.heard.len() / FRAME >= 124, "{what}: heard by {who}");
            assert_sings(&ear, audible, &format!("{what}, heard by {who}"));
        }
    }
}

#[test]
fn trap_20_from_passing_on_to_transcoding_and_back_without_a_click() {
    let change = |first, other, changing, still| Change {
        first,
        other,
        changing,
        still,
    };
    let changes = [
        change(PCMA, PCMU, NOTHING, NOTHING),
        change(PCMU, G722, START_G722, START_G722),
        change(PCMU, OPUS, START_OPUS, START_OPUS),
        change(OPUS, PCMU, JOIN_OPUS, START_OPUS),
    ];
    for change in changes {
        for slot in [0, 3, 8, 13, 18] {
            change.call(slot, false);
            change.call(slot, true);
        }
    }
}
