//! Sound that is decoded and encoded: bridges of unequal codecs, players.

mod common;

use common::webrtc::Peer;
use common::*;
use offhook_dsp::{Codec as Dsp, Decoder, Encoder, EncoderOptions, MAX_SAMPLES, Tone, ToneSpec};
use offhook_media::command::Command;
use offhook_media::description::*;

/// On the shard of the world.
const ROOM: u64 = 3 << 56 | 77;

/// Amplitude of a frequency in 8 kHz samples.
fn amplitude(samples: &[i16], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let phase = std::f64::consts::TAU * hertz * i as f64 / 8_000.0;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    2.0 * (re * re + im * im).sqrt() / samples.len() as f64
}

fn decode(codec: Dsp, payloads: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new(codec, 8_000).unwrap();
    let mut out = vec![0; MAX_SAMPLES];
    let mut samples = Vec::new();
    for payload in payloads {
        let len = decoder.decode(payload, &mut out).unwrap();
        samples.extend_from_slice(&out[..len]);
    }
    samples
}

/// Sends one second and a half of a 1 kHz tone in `from` and gives what the other leg sends in `to`.
fn through(from: (&str, u8, u32, Dsp), to: (&str, u8, u32, Dsp)) -> (World, Phone, Vec<i16>) {
    let mut world = World::new();
    let one = vec![codec(from.0, from.1, from.2)];
    let other = vec![codec(to.0, to.1, to.2)];
    let (_, legs) = world.open(vec![port_offer(one.clone()), port_offer(other.clone())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    (a.payload_type, a.step) = (from.1, from.2 / 50);
    world.complete(a.leg, port_remote(one, a.address));
    world.complete(b.leg, port_remote(other, b.address));
    world.bridge(a.leg, b.leg);
    let mut tone = Tone::new(ToneSpec::TEST, 16_000);
    let mut encoder = Encoder::new(from.3, 16_000, EncoderOptions::default()).unwrap();
    let (mut pcm, mut payload) = ([0i16; 320], [0u8; 1_500]);
    for _ in 0..75 {
        tone.fill(&mut pcm);
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        let packet = a.packet(&payload[..len]);
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    let payloads: Vec<Vec<u8>> = world
        .rtp_to(b.address)
        .iter()
        .map(|sent| sent.payload().to_vec())
        .collect();
    let heard = decode(to.3, &payloads);
    (world, b, heard)
}

const PCMU: (&str, u8, u32, Dsp) = ("PCMU", 0, 8_000, Dsp::Pcmu);
const PCMA: (&str, u8, u32, Dsp) = ("PCMA", 8, 8_000, Dsp::Pcma);
const G722: (&str, u8, u32, Dsp) = ("G722", 9, 8_000, Dsp::G722);
const OPUS: (&str, u8, u32, Dsp) = ("OPUS", 111, 48_000, Dsp::Opus);

#[test]
fn a_tone_passes_between_all_pairs_of_codecs() {
    let all = [PCMU, PCMA, G722, OPUS];
    for from in all {
        for to in all.iter().filter(|to| to.0 != from.0) {
            let (mut world, b, heard) = through(from, *to);
            assert!(
                heard.len() >= 8_000,
                "{} to {}: {} samples",
                from.0,
                to.0,
                heard.len()
            );
            let settled = &heard[heard.len() - 6_400..];
            let level = amplitude(settled, 1_000.0);
            assert!(
                (6_000.0..15_000.0).contains(&level),
                "{} to {}: {level}",
                from.0,
                to.0
            );
            assert!(
                amplitude(settled, 1_700.0) < level / 20.0,
                "{} to {}",
                from.0,
                to.0
            );
            let facts = world.facts(b.leg);
            assert!(facts.transcoded);
            assert_eq!(facts.codec_out, to.0);
            let sent = world.rtp_to(b.address);
            let step = to.2 / 50;
            assert!(
                sent.windows(2)
                    .all(|pair| pair[1].at - pair[0].at == std::time::Duration::from_millis(20))
            );
            assert!(sent.windows(2).all(|pair| {
                let (one, two) = (pair[0].header(), pair[1].header());
                two.timestamp == one.timestamp.wrapping_add(step)
                    && two.sequence == one.sequence.wrapping_add(1)
            }));
        }
    }
}

#[test]
fn equal_codecs_are_never_decoded() {
    let (mut world, b, heard) = through(OPUS, OPUS);
    assert!(heard.len() >= 8_000);
    assert!(!world.facts(b.leg).transcoded);
    assert_eq!(world.engine.load(), 2);
}

#[test]
fn a_browser_with_opus_and_a_phone_with_pcmu_hear_each_other() {
    let mut world = World::new();
    let browser = LegOffer {
        path: PathKind::WebRtc,
        keys: KeyKind::Dtls,
        ..port_offer(opus())
    };
    let (_, legs) = world.open(vec![browser, port_offer(pcmu())]);
    let mut peer = Peer::new("198.51.100.5:6000", world.instant());
    peer.describe(&legs[0], true);
    world.complete(legs[0].leg, peer.remote(opus()));
    world.peers.push(peer);
    let mut a = phone(&legs[1], 0);
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.bridge(legs[0].leg, a.leg);
    world.advance_ms(1_000);
    let mut encoder = Encoder::new(Dsp::Opus, 16_000, EncoderOptions::default()).unwrap();
    let (mut pcm, mut payload) = ([0i16; 320], [0u8; 1_500]);
    let mut tone = Tone::new(ToneSpec::TEST, 16_000);
    for _ in 0..100 {
        a.speak(&mut world);
        tone.fill(&mut pcm);
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        let now = world.instant();
        world.peers[0].speak(str0m::format::Codec::Opus, &payload[..len], 960, now);
        world.advance_ms(20);
    }
    let heard: Vec<Vec<u8>> = world
        .rtp_to(a.address)
        .iter()
        .map(|sent| sent.payload().to_vec())
        .collect();
    let heard = decode(Dsp::Pcmu, &heard);
    assert!(amplitude(&heard[heard.len() - 6_400..], 1_000.0) > 6_000.0);
    let packets = &world.peers[0].received;
    assert!(packets.len() >= 95, "{}", packets.len());
    assert!(
        packets
            .windows(2)
            .all(|pair| pair[1].1.header.timestamp == pair[0].1.header.timestamp.wrapping_add(960))
    );
}

#[test]
fn players_sound_until_stopped_and_switch_to_a_bridge() {
    let mut world = World::new();
    let (_, mut a, mut b) = two_phones(&mut world);
    let leg = a.leg;
    for source in [SourceKind::Tone, SourceKind::Ringback, SourceKind::Music] {
        let before = world.rtp_to(a.address).len();
        world.command(|n| Command::Play {
            n,
            leg,
            source,
            country: "DE".to_owned(),
        });
        world.advance_ms(1_000);
        let sent: Vec<Vec<u8>> = world.rtp_to(a.address)[before..]
            .iter()
            .map(|sent| sent.payload().to_vec())
            .collect();
        assert!((49..=51).contains(&sent.len()), "{}", sent.len());
        let heard = decode(Dsp::Pcmu, &sent);
        let level = match source {
            SourceKind::Tone => amplitude(&heard, 1_000.0),
            SourceKind::Ringback => amplitude(&heard, 425.0),
            SourceKind::Music => f64::from(
                heard
                    .iter()
                    .map(|sample| sample.unsigned_abs())
                    .max()
                    .unwrap(),
            ),
        };
        assert!(level > 1_000.0, "{source:?}: {level}");
    }
    world.command(|n| Command::Stop { n, leg });
    let stopped = world.rtp_to(a.address).len();
    world.advance_ms(500);
    b.speak_for(&mut world, 100);
    assert_eq!(world.rtp_to(a.address).len(), stopped);
    world.bridge(a.leg, b.leg);
    b.speak_for(&mut world, 100);
    a.speak(&mut world);
    assert_eq!(world.rtp_to(a.address).len(), stopped + 5);
    let ssrcs: std::collections::HashSet<u32> = world
        .rtp_to(a.address)
        .iter()
        .map(|sent| sent.header().ssrc)
        .collect();
    assert_eq!(ssrcs.len(), 1);
}

#[test]
fn trap_6_comfort_noise_and_gaps_do_not_disturb_a_transcoder() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(pcmu()), port_offer(opus())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(pcmu(), a.address));
    world.complete(b.leg, port_remote(opus(), b.address));
    world.bridge(a.leg, b.leg);
    a.speak_for(&mut world, 500);
    let noise = a.raw(13, false, &[60], false);
    world.datagram(a.socket, a.address, &noise);
    a.timestamp = a.timestamp.wrapping_add(8_000);
    world.advance_ms(1_000);
    let paused = world.rtp_to(b.address).len();
    assert!(paused >= 70, "something is sent every 20 ms: {paused}");
    a.speak_for(&mut world, 500);
    let quality = world.facts(a.leg).quality;
    assert_eq!((quality.lost_in, quality.late_in), (0, 0));
    assert!(quality.jitter_ms < 2.0, "{}", quality.jitter_ms);
}

#[test]
fn trap_6_silence_is_the_noise_that_the_peer_describes() {
    for (level, expected) in [(50u8, -50.0), (66, -66.0), (0, -30.0)] {
        let mut world = World::new();
        let (_, legs) = world.open(vec![
            port_offer(pcmu()),
            port_offer(vec![codec("PCMA", 8, 8_000)]),
        ]);
        let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
        world.complete(a.leg, port_remote(pcmu(), a.address));
        world.complete(b.leg, port_remote(vec![codec("PCMA", 8, 8_000)], b.address));
        world.bridge(a.leg, b.leg);
        let mut tone = Tone::new(ToneSpec::TEST, 8_000);
        let mut encoder = Encoder::new(Dsp::Pcmu, 8_000, EncoderOptions::default()).unwrap();
        sing(&mut world, &mut a, &mut encoder, &mut tone, 50);
        // One packet, then a second of nothing.
        let packet = a.raw(13, false, &[level], false);
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(1_000);
        a.timestamp = a.timestamp.wrapping_add(8_000);
        let silent = world.rtp_to(b.address).len();
        sing(&mut world, &mut a, &mut encoder, &mut tone, 50);
        let sent = world.rtp_to(b.address);
        let payloads: Vec<Vec<u8>> = sent.iter().map(|sent| sent.payload().to_vec()).collect();
        let noise =
            offhook_dsp::level::rms_dbov(&decode(Dsp::Pcma, &payloads[silent - 30..silent]));
        assert!((noise - expected).abs() < 3.0, "{level}: {noise} dBov");
        let speech =
            offhook_dsp::level::rms_dbov(&decode(Dsp::Pcma, &payloads[payloads.len() - 20..]));
        assert!(speech > -20.0, "{speech}");
    }
}

fn with_comfort_noise() -> Vec<Codec> {
    [pcmu(), vec![codec("CN", 13, 8_000)]].concat()
}

/// Two phones with the same codec, of which one falls silent for a second; what the other was sent.
fn a_pause(other: Vec<Codec>) -> (World, Phone, Phone) {
    let mut world = World::new();
    let (_, legs) = world.open(vec![
        port_offer(with_comfort_noise()),
        port_offer(other.clone()),
    ]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(with_comfort_noise(), a.address));
    world.complete(b.leg, port_remote(other, b.address));
    world.bridge(a.leg, b.leg);
    for _ in 0..3 {
        a.speak_for(&mut world, 500);
        let noise = a.raw(13, false, &[60], false);
        world.datagram(a.socket, a.address, &noise);
        a.timestamp = a.timestamp.wrapping_add(8_000);
        world.advance_ms(1_000);
    }
    (world, a, b)
}

#[test]
fn trap_6_comfort_noise_passes_where_both_sides_have_it() {
    let (mut world, _, b) = a_pause(with_comfort_noise());
    let sent = world.rtp_to(b.address);
    let noise: Vec<_> = sent
        .iter()
        .filter(|sent| sent.header().payload_type == 13)
        .collect();
    assert_eq!(noise.len(), 3);
    assert!(noise.iter().all(|sent| sent.payload() == [60]));
    assert_eq!(sent.len(), 3 * 26, "nothing else takes its place");
    for pair in sent.windows(2) {
        let (one, two) = (pair[0].header(), pair[1].header());
        assert_eq!(two.sequence, one.sequence.wrapping_add(1));
    }
    assert!(!world.facts(b.leg).transcoded);
}

#[test]
fn trap_6_a_peer_that_knows_no_comfort_noise_is_sent_something_every_20_ms() {
    let (world, _, b) = a_pause(pcmu());
    let sent = world.rtp_to(b.address);
    assert!(sent.iter().all(|sent| sent.header().payload_type == 0));
    // From the second pause on: the first one says that there are pauses.
    let late: Vec<_> = sent
        .iter()
        .filter(|sent| sent.at.as_millis() > 1_700)
        .collect();
    assert!(late.len() > 125, "{}", late.len());
    let gap = late.windows(2).map(|pair| pair[1].at - pair[0].at).max();
    assert!(
        gap.expect("packets") <= std::time::Duration::from_millis(60),
        "{gap:?}"
    );
}

#[test]
fn trap_19_the_packet_time_the_peer_asks_for_is_kept() {
    // What G.711 is sent in, and Opus, which has no frames of 30 and 50 ms.
    for (asked, g711, opus_ms) in [
        (5, 10, 10),
        (10, 10, 10),
        (20, 20, 20),
        (30, 30, 20),
        (40, 40, 40),
        (50, 50, 40),
        (60, 60, 60),
        (120, 60, 60),
    ] {
        for (audio, ms, clock) in [(pcmu(), g711, 8), (opus(), opus_ms, 48)] {
            let mut world = World::new();
            let (_, legs) = world.open(vec![port_offer(audio.clone())]);
            let a = phone(&legs[0], 0);
            let mut remote = port_remote(audio, a.address);
            remote.ptime = asked;
            world.complete(a.leg, remote);
            let leg = a.leg;
            world.command(|n| Command::Play {
                n,
                leg,
                source: SourceKind::Tone,
                country: "US".to_owned(),
            });
            world.advance_ms(1_200);
            let sent = world.rtp_to(a.address);
            let due = 1_200 / ms;
            assert!(
                (due - 4..=due).contains(&sent.len()),
                "{asked} {ms}: {}",
                sent.len()
            );
            for pair in sent.windows(2) {
                let (one, next) = (pair[0].header(), pair[1].header());
                let step = next.timestamp.wrapping_sub(one.timestamp);
                assert_eq!(step, clock * ms as u32, "{asked}");
                assert_eq!(next.sequence, one.sequence.wrapping_add(1));
            }
            if clock == 8 {
                assert!(sent.iter().all(|one| one.payload().len() == ms * 8));
            }
        }
    }
}

#[test]
fn trap_16_ticks_keep_absolute_time_when_the_shell_wakes_late() {
    let mut world = World::new();
    let (_, a, _) = two_phones(&mut world);
    let leg = a.leg;
    world.command(|n| Command::Play {
        n,
        leg,
        source: SourceKind::Tone,
        country: "US".to_owned(),
    });
    world.advance_coarsely(std::time::Duration::from_millis(7), 1_000);
    let sent = world.rtp_to(a.address).len();
    assert!((349..=350).contains(&sent), "{sent} packets in 7 s");
}

#[test]
fn trap_16_clocks_that_differ_by_200_ppm_make_no_click_in_half_an_hour() {
    for (parts_per_million, in_room) in [(200i64, false), (-200, false), (200, true)] {
        let what = format!("{parts_per_million} ppm, in a room: {in_room}");
        let mut world = World::new();
        let (one, other) = (vec![codec("PCMU", 0, 8_000)], vec![codec("PCMA", 8, 8_000)]);
        let (_, legs) = world.open(vec![port_offer(one.clone()), port_offer(other.clone())]);
        let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
        world.complete(a.leg, port_remote(one, a.address));
        world.complete(b.leg, port_remote(other, b.address));
        if in_room {
            for leg in [a.leg, b.leg] {
                world.command(|n| Command::Join {
                    n,
                    leg,
                    room: ROOM,
                    muted: false,
                    full_band: false,
                });
            }
        } else {
            world.bridge(a.leg, b.leg);
        }
        let mut tone = Tone::new(ToneSpec::TEST, 8_000);
        let mut encoder = Encoder::new(Dsp::Pcmu, 8_000, EncoderOptions::default()).unwrap();
        let (mut pcm, mut payload) = ([0i16; 160], [0u8; 1_500]);
        let (mut steady, mut sent) = (f64::MIN, 0);
        for i in 0..90_000i64 {
            let micros = i * 20_000 + i * 20_000 * parts_per_million / 1_000_000;
            let there = std::time::Duration::from_micros(micros.unsigned_abs());
            while world.elapsed < there {
                let rest = there - world.elapsed;
                world.advance_coarsely(rest.min(std::time::Duration::from_millis(2)), 1);
            }
            tone.fill(&mut pcm);
            let len = encoder.encode(&pcm, &mut payload).unwrap();
            let packet = a.packet(&payload[..len]);
            world.datagram(a.socket, a.address, &packet);
            // Ten seconds at a time, of which the first is the beginning of the tone.
            if i % 500 != 499 {
                continue;
            }
            let payloads: Vec<Vec<u8>> = world
                .rtp_to(b.address)
                .iter()
                .map(|sent| sent.payload().to_vec())
                .collect();
            sent += payloads.len();
            let heard = decode(Dsp::Pcma, &payloads);
            let from = if steady == f64::MIN { 8_000 } else { 0 };
            let noise = clicks(&heard[from..]);
            let level = amplitude(&heard[heard.len() - 8_000..], 1_000.0);
            let minute = i / 3_000;
            if steady == f64::MIN {
                steady = noise;
            }
            // 1: what is left beside the tone is the noise of the codecs all the time, and 2: the tone is as loud as ever.
            assert!(
                noise <= steady + 3.0,
                "{what}: {noise:.1} dB after {steady:.1} dB, minute {minute}"
            );
            assert!(level > 9_000.0, "{what}: {level:.0}, minute {minute}");
            // 3: 360 ms more or less have come than were played, which is more than the buffer holds, and it holds what it held.
            if !in_room {
                let quality = world.facts(a.leg).quality;
                assert!(
                    (1..=100).contains(&quality.buffer_ms),
                    "{what}: {} ms",
                    quality.buffer_ms
                );
                assert_eq!(quality.late_in, 0, "{what}: minute {minute}");
            }
            world.sent.clear();
            world.events.clear();
        }
        // 4: one packet each 20 ms of ours, not of the phone's.
        let ticks = world.elapsed.as_millis() / 20;
        assert!(
            ticks.abs_diff(sent as u128) <= 10,
            "{what}: {sent} of {ticks}"
        );
    }
}

/// Sends a 1 kHz tone of so many packets in a codec of 8 kHz.
fn sing(
    world: &mut World,
    phone: &mut Phone,
    encoder: &mut Encoder,
    tone: &mut Tone,
    packets: usize,
) {
    let (mut pcm, mut payload) = ([0i16; 160], [0u8; 1_500]);
    for _ in 0..packets {
        tone.fill(&mut pcm);
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        let packet = phone.packet(&payload[..len]);
        world.datagram(phone.socket, phone.address, &packet);
        world.advance_ms(20);
    }
}

/// What is left of a tone of 1 kHz without the tone, loudest 2 ms, against the tone: dB.
fn clicks(samples: &[i16]) -> f64 {
    // x[n] - 2 cos(w) x[n-1] + x[n-2] removes a sine of that frequency; a step or a gap is left.
    let c = 2.0 * (std::f64::consts::TAU * 1_000.0 / 8_000.0).cos();
    let at = |i: usize| f64::from(samples[i]);
    let rest: Vec<f64> = (2..samples.len())
        .map(|i| at(i) - c * at(i - 1) + at(i - 2))
        .collect();
    let power = |part: &[f64]| part.iter().map(|x| x * x).sum::<f64>() / part.len() as f64;
    let loudest = rest.chunks_exact(16).map(power).fold(0.0, f64::max);
    10.0 * (loudest / (10_000.0f64.powi(2) / 2.0)).log10()
}

#[test]
fn trap_20_a_codec_changed_in_mid_call_makes_no_click() {
    let mut world = World::new();
    let all = vec![codec("PCMU", 0, 8_000), codec("PCMA", 8, 8_000)];
    let (_, legs) = world.open(vec![port_offer(all.clone()), port_offer(opus())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(all, a.address));
    world.complete(b.leg, port_remote(opus(), b.address));
    world.bridge(a.leg, b.leg);
    let mut tone = Tone::new(ToneSpec::TEST, 8_000);
    let (pcmu, pcma) = ((0, "PCMU", Dsp::Pcmu), (8, "PCMA", Dsp::Pcma));
    for (payload_type, name, which) in [pcmu, pcma, pcmu, pcma] {
        (a.payload_type, a.step) = (payload_type, 160);
        let agreed = vec![codec(name, payload_type, 8_000)];
        world.complete(a.leg, port_remote(agreed, a.address));
        let mut encoder = Encoder::new(which, 8_000, EncoderOptions::default()).unwrap();
        sing(&mut world, &mut a, &mut encoder, &mut tone, 100);
    }
    let sent = world.rtp_to(b.address);
    let payloads: Vec<Vec<u8>> = sent.iter().map(|sent| sent.payload().to_vec()).collect();
    let heard = decode(Dsp::Opus, &payloads);
    // The first fifth of a second is the beginning of the tone; later windows hold changes or none, and sound the same: what
    // is left beside the tone is the noise of the codecs.
    let noise: Vec<f64> = heard.chunks_exact(1_600).skip(1).map(clicks).collect();
    assert!(noise.len() >= 37, "{}", noise.len());
    let steady = noise[..7].iter().copied().fold(f64::MIN, f64::max);
    let loudest = noise.iter().copied().fold(f64::MIN, f64::max);
    assert!(
        loudest <= steady + 3.0,
        "{loudest:.1} dB after {steady:.1} dB: {noise:.1?}"
    );
}
