//! Presses that come as tones in the audio (DTMF-1): told, passed on as events, or left as sound.

mod common;

use common::*;
use offhook_media::description::Codec;

/// G.711 packets of 20 ms: `ms` of the two tones of 5, then as much silence.
fn tone_packets(phone: &mut Phone, ms: usize) -> Vec<Vec<u8>> {
    let sample = |at: usize| {
        let sine = |hertz: f64| (std::f64::consts::TAU * hertz * at as f64 / 8_000.0).sin();
        ((sine(770.0) + sine(1_336.0)) * 6_000.0) as i16
    };
    (0..ms / 10)
        .map(|packet| {
            let sounding = packet < ms / 20;
            let payload: Vec<u8> = (0..160)
                .map(|at| {
                    if sounding {
                        sample(packet * 160 + at)
                    } else {
                        0
                    }
                })
                .map(offhook_dsp::g711::ulaw_encode)
                .collect();
            phone.packet(&payload)
        })
        .collect()
}

fn pressed(world: &World, of: u64) -> Vec<(String, String)> {
    let told = world.events.iter().filter_map(|(_, event)| match event {
        offhook_media::event::Event::Digit {
            leg, digit, method, ..
        } if *leg == of => Some((digit.clone(), method.clone())),
        _ => None,
    });
    told.collect()
}

/// A phone without telephone-event, listened to, and one with or without.
fn tone_call(world: &mut World, other: Vec<Codec>) -> (Phone, Phone) {
    let plain = vec![codec("PCMU", 0, 8_000)];
    let mut offer = port_offer(pcmu());
    offer.detect_digits = true;
    let (_, legs) = world.open(vec![offer, port_offer(other.clone())]);
    let (a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    world.complete(a.leg, port_remote(plain, a.address));
    world.complete(b.leg, port_remote(other, b.address));
    world.bridge(a.leg, b.leg);
    (a, b)
}

#[test]
fn dtmf_1_a_tone_becomes_an_event_where_events_are_agreed_and_is_muted() {
    let mut world = World::new();
    let (mut a, b) = tone_call(&mut world, pcmu());
    for packet in tone_packets(&mut a, 200) {
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    world.advance_ms(300);
    assert_eq!(
        pressed(&world, a.leg),
        [("5".to_owned(), "inband".to_owned())]
    );
    let presses = sent_presses(&world, &b, 101);
    assert_eq!(presses.len(), 1);
    let ms = presses[0].1 / 8;
    assert!((160..=240).contains(&ms), "{ms} ms");
    // What leaks before it is known is shorter than a digit.
    let loud = |sent: &&Sent| {
        sent.header().payload_type == 0
            && sent
                .payload()
                .iter()
                .any(|byte| offhook_dsp::g711::ulaw_decode(*byte).abs() > 2_000)
    };
    let leaked = world.rtp_to(b.address).into_iter().filter(loud).count();
    assert!(leaked <= 2, "{leaked} packets of tone went on");
}

#[test]
fn dtmf_1_a_tone_passes_as_sound_where_no_events_are_agreed() {
    let mut world = World::new();
    let (mut a, b) = tone_call(&mut world, vec![codec("PCMU", 0, 8_000)]);
    let packets = tone_packets(&mut a, 200);
    for packet in &packets {
        world.datagram(a.socket, a.address, packet);
        world.advance_ms(20);
    }
    assert_eq!(
        pressed(&world, a.leg),
        [("5".to_owned(), "inband".to_owned())]
    );
    assert_eq!(world.rtp_to(b.address).len(), packets.len());
    for (sent, packet) in world.rtp_to(b.address).iter().zip(&packets) {
        assert_eq!(sent.payload(), &packet[12..], "untouched");
    }
}

#[test]
fn dtmf_1_tones_are_not_looked_for_where_the_peer_sends_events() {
    let mut world = World::new();
    let mut offer = port_offer(pcmu());
    offer.detect_digits = true;
    let (_, legs) = world.open(vec![offer, port_offer(pcmu())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    for phone in [&a, &b] {
        world.complete(phone.leg, port_remote(pcmu(), phone.address));
    }
    world.bridge(a.leg, b.leg);
    for packet in tone_packets(&mut a, 200) {
        world.datagram(a.socket, a.address, &packet);
        world.advance_ms(20);
    }
    assert_eq!(pressed(&world, a.leg), []);
}
