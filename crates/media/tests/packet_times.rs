//! Trap 19: packets of 10 to 60 ms in and out, and Opus packets of several frames, through the transcoder and a room.

mod common;

use common::kinds::*;
use common::*;
use offhook_dsp::{Decoder, Encoder, EncoderOptions, MAX_SAMPLES, Tone, ToneSpec};
use offhook_media::command::Command;
use offhook_media::event::Reply;

const TIMES: [u32; 6] = [10, 20, 30, 40, 50, 60];
const ROOM: u64 = 3 << 56 | 78;
/// What the tests hear at.
const RATE: u32 = 8_000;

/// Opus has no frames of 30 and 50 ms: those are sent in 20 and 40.
fn sends(kind: Kind, ms: u32) -> u32 {
    match ms {
        30 | 50 if kind == OPUS => ms - 10,
        _ => ms,
    }
}

/// A period is nine samples of 8 kHz, by which a jitter buffer can stretch it; 10 ms are no whole number of them, so that
/// none can be missed or come twice unnoticed.
const TONE: ToneSpec = ToneSpec {
    hertz: [8_000.0 / 9.0, 0.0],
    ..ToneSpec::TEST
};

/// A phone that sings it in packets of so many milliseconds.
struct Singer {
    phone: Phone,
    encoder: Encoder,
    tone: Tone,
    ms: u32,
    /// Frames of 20 ms, packed (RFC 6716 section 3.2.5).
    packed: bool,
    kind: Kind,
}

impl Singer {
    fn new(phone: Phone, kind: Kind, ms: u32, packed: bool) -> Self {
        let mut singer = Self {
            phone,
            encoder: encoder(kind),
            tone: Tone::new(TONE, kind.rate),
            ms,
            packed,
            kind,
        };
        singer.phone.payload_type = kind.payload_type;
        singer.phone.step = kind.clock / 1_000 * ms;
        singer
    }

    fn frame(&mut self, ms: u32) -> Vec<u8> {
        let (mut pcm, mut payload) = (
            vec![0; (self.kind.rate / 1_000 * ms) as usize],
            vec![0; 1_500],
        );
        self.tone.fill(&mut pcm);
        let len = self.encoder.encode(&pcm, &mut payload).unwrap();
        payload.truncate(len);
        payload
    }

    fn payload(&mut self) -> Vec<u8> {
        if !self.packed {
            return self.frame(self.ms);
        }
        let frames: Vec<Vec<u8>> = (0..self.ms / 20).map(|_| self.frame(20)).collect();
        pack(&frames)
    }

    fn sing(&mut self, world: &mut World, ms: u32) {
        for _ in 0..ms / self.ms {
            let payload = self.payload();
            let packet = self.phone.packet(&payload);
            world.datagram(self.phone.socket, self.phone.address, &packet);
            world.advance_ms(u64::from(self.ms));
        }
    }
}

fn encoder(kind: Kind) -> Encoder {
    Encoder::new(kind.speech, kind.rate, EncoderOptions::default()).unwrap()
}

/// A packet of code 3 with frames of different sizes.
fn pack(frames: &[Vec<u8>]) -> Vec<u8> {
    let toc = frames[0][0];
    assert!(
        frames.iter().all(|frame| frame[0] == toc),
        "one configuration"
    );
    let mut packet = vec![toc | 3, 0x80 | frames.len() as u8];
    for frame in &frames[..frames.len() - 1] {
        let len = frame.len() - 1;
        assert!(len < 252, "one octet says the length");
        packet.push(len as u8);
    }
    frames.iter().for_each(|frame| packet.extend(&frame[1..]));
    packet
}

fn decode(kind: Kind, sent: &[&Sent]) -> Vec<i16> {
    let mut decoder = Decoder::new(kind.speech, RATE).unwrap();
    let (mut out, mut samples) = (vec![0; MAX_SAMPLES], Vec::new());
    for one in sent {
        let len = decoder.decode(one.payload(), &mut out).unwrap();
        samples.extend_from_slice(&out[..len]);
    }
    samples
}

/// The tone is there, and nothing stands out of the steady noise of the codecs: no 5 ms have six times the usual.
fn assert_sings(samples: &[i16], what: &str) {
    let turn = std::f64::consts::TAU * f64::from(TONE.hertz[0]) / f64::from(RATE);
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let (sine, cosine) = (turn * at as f64).sin_cos();
        re += f64::from(*sample) * cosine;
        im += f64::from(*sample) * sine;
    }
    let level = 2.0 * (re * re + im * im).sqrt() / samples.len() as f64;
    assert!((7_000.0..14_500.0).contains(&level), "{what}: {level}");
    // This takes the tone out and leaves steps and gaps.
    let at = |i: usize| f64::from(samples[i]);
    let rest: Vec<f64> = (2..samples.len())
        .map(|i| at(i) - 2.0 * turn.cos() * at(i - 1) + at(i - 2))
        .collect();
    let loud = |part: &[f64]| (part.iter().map(|x| x * x).sum::<f64>() / part.len() as f64).sqrt();
    let mut pieces: Vec<f64> = rest.chunks_exact(40).map(loud).collect();
    let loudest = pieces.iter().copied().fold(0.0, f64::max);
    pieces.sort_by(f64::total_cmp);
    let usual = pieces[pieces.len() / 2];
    // -60 dB of full scale.
    let limit = (6.0 * usual).max(32.8);
    assert!(loudest <= limit, "{what}: {loudest:.0} beside {usual:.0}");
}

/// What was sent is one stream of packets of so many milliseconds.
fn assert_packets(sent: &[&Sent], kind: Kind, ms: u32, what: &str) {
    for pair in sent.windows(2) {
        let (one, two) = (pair[0].header(), pair[1].header());
        assert_eq!(two.sequence, one.sequence.wrapping_add(1), "{what}");
        let step = two.timestamp.wrapping_sub(one.timestamp);
        assert_eq!(step, kind.clock / 1_000 * ms, "{what}");
    }
    let [first, .., last] = sent else {
        panic!("{what}: {} packets", sent.len())
    };
    let passed = (last.at - first.at).as_millis() as i64;
    let of_sound = (sent.len() - 1) as i64 * i64::from(ms);
    assert!(
        (passed - of_sound).abs() <= 60,
        "{what}: {of_sound} of {passed} ms"
    );
}

fn through(from: Kind, to: Kind, ms_in: u32, ms_out: u32, packed: bool) {
    let what = format!(
        "{} of {ms_in} to {} of {ms_out} ms, packed {packed}",
        from.name, to.name
    );
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(from.audio()), port_offer(to.audio())]);
    let (a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(from.audio(), a.address));
    let mut remote = port_remote(to.audio(), b.address);
    remote.ptime = ms_out;
    world.complete(b.leg, remote);
    world.bridge(a.leg, b.leg);
    let mut singer = Singer::new(a, from, ms_in, packed);
    singer.sing(&mut world, 1_200);
    let sent = world.rtp_to(b.address);
    assert_packets(&sent, to, sends(to, ms_out), &what);
    let heard = decode(to, &sent);
    // What is heard of 1.2 s, without the beginning.
    assert!(heard.len() >= 1_000 * 8, "{what}: {}", heard.len());
    assert_sings(&heard[300 * 8..1_000 * 8], &what);
    let quality = world.facts(singer.phone.leg).quality;
    assert_eq!(
        (quality.concealed_ms, quality.late_in, quality.lost_in),
        (0, 0, 0),
        "{what}"
    );
}

#[test]
fn trap_19_all_packet_times_through_a_transcoder() {
    for (from, to) in [(PCMU, OPUS), (OPUS, PCMU), (G722, PCMA)] {
        for ms_in in TIMES.into_iter().filter(|ms| sends(from, *ms) == *ms) {
            for ms_out in TIMES {
                through(from, to, ms_in, ms_out, false);
            }
        }
    }
    for (ms_in, ms_out) in [(40, 20), (60, 20), (60, 60), (40, 30)] {
        through(OPUS, PCMU, ms_in, ms_out, true);
        through(OPUS, G722, ms_in, ms_out, true);
    }
}

#[test]
fn trap_19_all_packet_times_in_a_room() {
    let mut world = World::new();
    let kinds = [PCMU, PCMA, G722, OPUS, PCMA, PCMU];
    let mut singers = Vec::new();
    // Each sends packets of one length and asks for another one.
    for (index, ms) in TIMES.into_iter().enumerate() {
        let kind = kinds[index];
        let (_, legs) = world.open(vec![port_offer(kind.audio())]);
        let phone = phone(&legs[0], index as u8);
        let mut remote = port_remote(kind.audio(), phone.address);
        remote.ptime = TIMES[(index + 2) % TIMES.len()];
        world.complete(phone.leg, remote);
        let leg = phone.leg;
        let reply = world.command(|n| Command::Join {
            n,
            leg,
            room: ROOM,
            muted: false,
            full_band: false,
        });
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
        singers.push(Singer::new(phone, kind, ms, false));
    }
    for at in 0..singers.len() {
        // The one before falls silent first: what is left of him would be heard as a click.
        world.advance_ms(600);
        let from: Vec<usize> = singers
            .iter()
            .map(|one| world.rtp_to(one.phone.address).len())
            .collect();
        let singer = &mut singers[at];
        singer.sing(&mut world, 1_200);
        let sings = format!("{} of {} ms", singer.kind.name, singer.ms);
        for (index, hearer) in singers.iter().enumerate().filter(|one| one.0 != at) {
            let ms = sends(hearer.kind, TIMES[(index + 2) % TIMES.len()]);
            let what = format!("{sings} in a room to {} of {ms} ms", hearer.kind.name);
            let sent = &world.rtp_to(hearer.phone.address)[from[index]..];
            assert_packets(sent, hearer.kind, ms, &what);
            let heard = decode(hearer.kind, sent);
            assert!(heard.len() >= 1_000 * 8, "{what}: {}", heard.len());
            assert_sings(&heard[400 * 8..1_000 * 8], &what);
        }
    }
}
