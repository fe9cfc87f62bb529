//! What holds whatever the order of commands and whatever arrives: no panic, no number used twice, no leak.

mod common;

use std::collections::HashSet;

use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::Reply;
use offhook_media::{PACKET_SIZE, SocketId};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Action {
    Open(bool),
    Complete(usize, u8, bool),
    Update(usize, bool),
    Bridge(usize, usize),
    Play(usize, u8),
    Stop(usize),
    Digits(usize),
    Facts(usize),
    CloseLeg(usize),
    Speak(usize, u8, u16),
    Garbage(u32, Vec<u8>),
    Advance(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let leg = 0usize..6;
    prop_oneof![
        1 => any::<bool>().prop_map(Action::Open),
        2 => (leg.clone(), 0u8..4, any::<bool>()).prop_map(|(leg, hold, opus)| Action::Complete(leg, hold, opus)),
        1 => (leg.clone(), any::<bool>()).prop_map(|(leg, restart)| Action::Update(leg, restart)),
        2 => (leg.clone(), leg.clone()).prop_map(|(a, b)| Action::Bridge(a, b)),
        1 => (leg.clone(), 0u8..3).prop_map(|(leg, kind)| Action::Play(leg, kind)),
        1 => leg.clone().prop_map(Action::Stop),
        1 => leg.clone().prop_map(Action::Digits),
        1 => leg.clone().prop_map(Action::Facts),
        1 => leg.clone().prop_map(Action::CloseLeg),
        10 => (leg, prop_oneof![Just(0u8), Just(111), Just(101), Just(13), any::<u8>()], 0u16..4)
            .prop_map(|(leg, payload_type, skip)| Action::Speak(leg, payload_type, skip)),
        2 => (prop_oneof![Just(1u32), 100u32..112], prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(socket, bytes)| Action::Garbage(socket, bytes)),
        4 => (1u64..400).prop_map(Action::Advance),
    ]
}

fn both() -> Vec<Codec> {
    let mut audio = pcmu();
    audio.extend(opus());
    audio
}

fn perform(world: &mut World, legs: &mut Vec<(Phone, bool)>, action: Action) {
    let at = |legs: &Vec<(Phone, bool)>, index: usize| {
        legs.get(index).map_or(77, |(phone, _)| phone.leg)
    };
    match action {
        Action::Open(webrtc) => {
            let mut offer = port_offer(both());
            if webrtc {
                (offer.path, offer.keys) = (PathKind::WebRtc, KeyKind::Dtls);
            }
            if let Reply::CallOpened { legs: opened, .. } = world.command(|n| Command::OpenCall {
                n,
                offers: vec![offer],
                near: 0,
            }) {
                let mut phone = phone_of(&opened[0], legs.len() as u8, webrtc);
                phone.ssrc = 0x2000 + legs.len() as u32;
                legs.push((phone, webrtc));
            }
        }
        Action::Complete(index, hold, first_opus) => {
            let audio = if first_opus {
                [opus(), pcmu()].concat()
            } else {
                both()
            };
            let address = legs
                .get(index)
                .map_or("192.0.2.1:5".parse().unwrap(), |(phone, _)| phone.address);
            let mut remote = port_remote(audio, address);
            remote.direction = [
                Direction::SendRecv,
                Direction::SendOnly,
                Direction::RecvOnly,
                Direction::Inactive,
            ][usize::from(hold)];
            (remote.ufrag, remote.password) = ("abcd".into(), "p".repeat(22));
            remote.fingerprints = vec![("sha-256".into(), "AA".into())];
            let leg = at(legs, index);
            world.command(|n| Command::Complete { n, leg, remote });
        }
        Action::Update(index, restart_ice) => {
            let mut offer = port_offer(both());
            if legs.get(index).is_some_and(|(_, webrtc)| *webrtc) {
                (offer.path, offer.keys) = (PathKind::WebRtc, KeyKind::Dtls);
            }
            let leg = at(legs, index);
            world.command(|n| Command::Update {
                n,
                leg,
                offer,
                restart_ice,
                opens_video: false,
            });
        }
        Action::Bridge(a, b) => {
            let (a, b) = (at(legs, a), at(legs, b));
            world.command(|n| Command::Bridge { n, a, b });
        }
        Action::Play(index, kind) => {
            let leg = at(legs, index);
            let source =
                [SourceKind::Tone, SourceKind::Music, SourceKind::Ringback][usize::from(kind)];
            world.command(|n| Command::Play {
                n,
                leg,
                source,
                country: "GB".into(),
            });
        }
        Action::Stop(index) => drop(world.command(|n| Command::Stop {
            n,
            leg: at(legs, index),
        })),
        Action::Digits(index) => {
            let leg = at(legs, index);
            world.command(|n| Command::SendDigits {
                n,
                leg,
                digits: "1#".into(),
                each_ms: 80,
            });
        }
        Action::Facts(index) => drop(world.command(|n| Command::Facts {
            n,
            leg: at(legs, index),
        })),
        Action::CloseLeg(index) => drop(world.command(|n| Command::CloseLeg {
            n,
            leg: at(legs, index),
        })),
        Action::Speak(index, payload_type, skip) => {
            let Some((phone, false)) = legs.get_mut(index) else {
                return;
            };
            phone.sequence = phone.sequence.wrapping_add(skip);
            let payload = if payload_type == 101 {
                vec![5, 0x0a, 0, 160]
            } else {
                voice(phone.sequence)
            };
            let packet = phone.raw(
                payload_type & 0x7f,
                skip == 3,
                &payload,
                payload_type != 101,
            );
            let (socket, address) = (phone.socket, phone.address);
            world.datagram(socket, address, &packet);
        }
        Action::Garbage(socket, bytes) => {
            world.datagram(SocketId(socket), "192.0.2.10:5000".parse().unwrap(), &bytes);
        }
        Action::Advance(ms) => world.advance_ms(ms),
    }
}

fn phone_of(local: &LegLocal, index: u8, webrtc: bool) -> Phone {
    let mut stand_in = local.clone();
    if webrtc {
        stand_in.candidates = vec![("10.0.0.1".into(), 41_999)];
    }
    phone(&stand_in, index)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_commands_and_packets_panics_or_repeats_a_number(actions in prop::collection::vec(action(), 1..120)) {
        let mut world = World::new();
        let mut legs = Vec::new();
        for action in actions {
            perform(&mut world, &mut legs, action);
        }
        prop_assert_eq!(world.engine.panics(), 0);
        let mut seen = HashSet::new();
        for sent in world.sent.iter().filter(|sent| sent.is_rtp()) {
            prop_assert!(sent.bytes.len() <= PACKET_SIZE);
            let header = sent.header();
            // The epochs of a wrap are far longer than these calls.
            prop_assert!(seen.insert((header.ssrc, header.sequence)), "a number was used twice: {:?}", header);
        }
        world.command(|n| Command::Exit { n });
        prop_assert_eq!((world.engine.legs(), world.engine.strays().1), (0, 0));
        let quiet = world.sent.len();
        world.advance_ms(10_000);
        prop_assert_eq!(world.sent.len(), quiet);
    }
}
