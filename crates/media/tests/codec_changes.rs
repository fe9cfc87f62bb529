//! Trap 20 where packets were passed on: a codec that changes in mid-call, in one direction to transcoding and back again.

mod common;

#[path = "../../dsp/tests/common/residual.rs"]
mod residual;

use common::kinds::*;
use common::*;
use offhook_dsp::{Decoder, Encoder, EncoderOptions, MAX_SAMPLES, Tone, ToneSpec};
use residual::residuals;

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

/// 5 ms as a phone's ear hears them, dB of the tone: how loud they are, and what of them is no tone that stands or swells.
#[derive(Debug, Clone, Copy)]
struct Piece {
    level: f64,
    beside: f64,
}

fn pieces(pcm: &[i16], rate: u32) -> Vec<Piece> {
    let tone = 10f64.powf(-10.0 / 20.0) / 2f64.sqrt();
    let db = |rms: f64| 20.0 * (rms / tone).max(1e-5).log10();
    let parts = pcm.chunks_exact(rate as usize / 200);
    let level = |part: &[i16]| {
        let power: f64 = part.iter().map(|one| f64::from(*one).powi(2)).sum();
        db((power / part.len() as f64).sqrt() / 32_768.0)
    };
    let found = parts.zip(residuals(pcm, rate, 1_000.0));
    let piece = |(part, rest)| Piece {
        level: level(part),
        beside: db(rest),
    };
    found.map(piece).collect()
}

/// A phone's ear: a decoder for each payload type of a stream, which lives as long as that does.
fn listen(sent: &[&Sent]) -> Vec<Piece> {
    let mut heard: Vec<Piece> = Vec::new();
    let mut hearing: Option<(u32, Kind, Decoder, u32)> = None;
    let mut pcm = vec![0; MAX_SAMPLES];
    for one in sent {
        let header = one.header();
        let found = KINDS
            .iter()
            .find(|kind| kind.payload_type == header.payload_type);
        let kind = *found.unwrap();
        let fresh = || Decoder::new(kind.speech, kind.rate).unwrap();
        let (mut decoder, due) = match hearing.take() {
            Some((ssrc, before, decoder, due)) if ssrc == header.ssrc => {
                (if before == kind { decoder } else { fresh() }, due)
            }
            _ => (fresh(), header.timestamp),
        };
        assert_eq!(
            header.timestamp, due,
            "no sound is missing, none is sent twice"
        );
        let len = decoder.decode(one.payload(), &mut pcm).unwrap();
        heard.extend(pieces(&pcm[..len], kind.rate));
        let ticks = kind.speech.payload_ticks(one.payload()).unwrap();
        hearing = Some((
            header.ssrc,
            kind,
            decoder,
            header.timestamp.wrapping_add(ticks),
        ));
        let late = (one.at - sent[0].at).as_millis() as i64 + 20 - 5 * heard.len() as i64;
        assert!(late <= 40, "{late} ms late");
    }
    heard
}

/// What may be heard of a change: 5 ms so loud and so quiet, and what is beside the tone, dB of it.
#[derive(Debug, Clone, Copy)]
struct Audible {
    levels: [f64; 2],
    beside: f64,
    /// 5 ms that are rougher than a thirtieth of the tone.
    rough: usize,
}

const fn audible(quietest: f64, loudest: f64, beside: f64, rough: usize) -> Audible {
    Audible {
        levels: [quietest, loudest],
        beside,
        rough,
    }
}

/// The noise of the codecs, which is there all the time.
const NOTHING: Audible = audible(-0.5, 0.5, -30.0, 2);
/// Our encoder goes on in the state of the phone's decoder. What is left is the joint of two moments of the phone: its codecs do
/// not delay alike.
const JOINT: Audible = audible(-0.5, 0.5, -17.0, 2);
/// A phone's fresh encoder of Opus or G.722, or a decoder that hears such a frame first, begins within 5 ms.
const START: Audible = audible(-6.0, 0.8, -9.0, 8);
/// Where nothing of the sound before is known, it begins with what it delays: 6.5 ms of silence with Opus, 1.4 with G.722 and 3
/// more where it is resampled.
const START_FROM_SILENCE: Audible = audible(-60.0, 0.8, -9.0, 8);
/// Packets are passed on again, after a few that we made: the phone's decoder goes over from our encoder to a foreign one that
/// has coded the same sound for a while, and was fresh before that.
const BACK: Audible = audible(-4.5, 2.5, -5.0, 20);

impl Audible {
    /// Of a change from `first` to `other`, or back; `changes`: to the phone whose codec it is.
    fn expected(first: Kind, other: Kind, back: bool, changes: bool) -> Self {
        let stateful = |kind: Kind| kind == G722 || kind == OPUS;
        match (back, changes) {
            (true, _) if stateful(first) => BACK,
            (true, _) => NOTHING,
            (false, true) if !stateful(other) => NOTHING,
            (false, true) if stateful(first) => START,
            (false, false) if stateful(first) && stateful(other) => START,
            (false, false) if first == OPUS => START,
            (false, false) if first == G722 => JOINT,
            (false, false) if !stateful(other) => NOTHING,
            (false, _) => START_FROM_SILENCE,
        }
    }

    fn assert_all(self, part: &[Piece], what: &str) {
        let [quietest, loudest] = self.levels;
        for (at, piece) in part.iter().enumerate() {
            let fits = (quietest..=loudest).contains(&piece.level) && piece.beside <= self.beside;
            assert!(fits, "{what}: {piece:.1?} at {} ms of {self:?}", 5 * at);
        }
        let rough = part.iter().filter(|piece| piece.beside > -30.0).count();
        assert!(rough <= self.rough, "{what}: {rough} are rough: {part:.1?}");
    }
}

/// Between two changes, packets.
const PACKETS: u64 = 30;

/// One phone of `first` changes to `other` and back, twice; the other one has `first` all the time. `slot`: where the ticks lie
/// between the packets, ms. `shaky`: packets come up to 9 ms late.
fn call(first: Kind, other: Kind, slot: usize, shaky: bool) {
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
        for packet in 0..PACKETS {
            let late = if shaky { packet * 7 % 10 } else { 0 };
            world.advance_ms(late);
            a.sing(&mut world);
            b.sing(&mut world);
            world.advance_ms(20 - late);
        }
        for singer in [&a, &b] {
            let facts = world.facts(singer.phone.leg);
            assert_eq!(facts.transcoded, kind == other, "what can be passed on is");
        }
    }
    let what = format!(
        "{} to {}, slot {slot}, shaky {shaky}",
        first.name, other.name
    );
    for (singer, changes) in [(a, true), (b, false)] {
        let heard = listen(&world.rtp_to(singer.phone.address));
        let between = 4 * PACKETS as usize;
        assert!(heard.len() >= 5 * between - 8, "{what}: {}", heard.len());
        for change in 1..5 {
            let back = change % 2 == 0;
            // The buffers of both ways may hold 30 ms.
            let part = &heard[change * between - 6..heard.len().min((change + 1) * between - 6)];
            let what = format!("{what}, change {change}, heard by who changes: {changes}");
            Audible::expected(first, other, back, changes).assert_all(part, &what);
        }
    }
}

#[test]
fn trap_20_from_passing_on_to_transcoding_and_back_without_a_click() {
    for first in KINDS {
        for other in KINDS.into_iter().filter(|other| *other != first) {
            for slot in [0, 8, 18] {
                call(first, other, slot, false);
                call(first, other, slot, true);
            }
        }
    }
}

#[test]
fn trap_20_another_packet_time_in_mid_call_makes_no_click() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(PCMU.audio()), port_offer(G722.audio())]);
    let (a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(PCMU.audio(), a.address));
    world.complete(b.leg, port_remote(G722.audio(), b.address));
    world.bridge(a.leg, b.leg);
    let mut a = Singer::new(a, PCMU);
    for ptime in [20, 40, 20, 10] {
        let mut remote = port_remote(G722.audio(), b.address);
        remote.ptime = ptime;
        world.complete(b.leg, remote);
        for _ in 0..PACKETS {
            a.sing(&mut world);
            world.advance_ms(20);
        }
    }
    let sent = world.rtp_to(b.address);
    let mut decoder = Decoder::new(G722.speech, G722.rate).unwrap();
    let (mut pcm, mut heard) = (vec![0; MAX_SAMPLES], Vec::new());
    for one in sent {
        let len = decoder.decode(one.payload(), &mut pcm).unwrap();
        heard.extend_from_slice(&pcm[..len]);
    }
    NOTHING.assert_all(
        &pieces(&heard, G722.rate)[40..],
        "packets of 20, 40, 20 and 10 ms",
    );
}
