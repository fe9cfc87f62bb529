//! The control protocol's bytes: maps by field name, the tag first, lists as arrays.

mod common;

use common::*;
use offhook_media::command::{Command, shard_of};
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
) -> Vec<u8> {
    let bytes = rmp_serde::to_vec_named(value).expect("encodes");
    assert_eq!(&rmp_serde::from_slice::<T>(&bytes).expect("decodes"), value);
    bytes
}

#[test]
fn a_command_is_a_map_that_begins_with_its_tag() {
    let bytes = round_trip(&Command::Stop { n: 7, leg: 1 << 40 });
    assert_eq!(
        bytes,
        b"\x83\xa1t\xa4Stop\xa1n\x07\xa3leg\xcf\x00\x00\x01\x00\x00\x00\x00\x00"
    );
    round_trip(&Command::OpenCall {
        n: 1,
        offers: vec![port_offer(opus())],
        near: 0,
    });
    round_trip(&Command::Complete {
        n: 2,
        leg: 3,
        remote: port_remote(pcmu(), "192.0.2.1:9".parse().unwrap()),
    });
}

#[test]
fn replies_and_events_survive() {
    let mut world = World::new();
    let (call, a, _) = two_phones(&mut world);
    let facts = world.facts(a.leg);
    round_trip(&Reply::FactsFound { n: 1, facts });
    round_trip(&world.command(|n| Command::ListLegs { n }));
    round_trip(&world.command(|n| Command::CloseCall { n, call }));
    round_trip(&Event::Heard {
        leg: a.leg,
        direction: "in".to_owned(),
    });
    assert_eq!((shard_of(call), shard_of(a.leg)), (3, 3));
}

#[test]
fn unknown_fields_are_ignored_and_absent_ones_have_the_defaults_of_python() {
    let bytes = b"\x83\xa1t\xa4Stop\xa3new\x01\xa1n\x07";
    assert!(
        rmp_serde::from_slice::<Command>(bytes).is_err(),
        "a leg is needed"
    );
    let bytes = b"\x84\xa1t\xa4Stop\xa3new\x01\xa1n\x07\xa3leg\x05";
    assert_eq!(
        rmp_serde::from_slice::<Command>(bytes).unwrap(),
        Command::Stop { n: 7, leg: 5 }
    );
    let bytes = b"\x83\xa4path\xa4port\xa4keys\xa5plain\xa5audio\x90";
    let offer: LegOffer = rmp_serde::from_slice(bytes).unwrap();
    assert_eq!(
        (offer.rtcp_mux, offer.latch, offer.direction, offer.ptime),
        (true, Latch::Nat, Direction::SendRecv, 20)
    );
}

#[test]
fn exit_closes_everything() {
    let mut world = World::new();
    two_phones(&mut world);
    two_phones(&mut world);
    let reply = world.command(|n| Command::Exit { n });
    assert!(matches!(reply, Reply::Done { .. }));
    assert_eq!((world.engine.legs(), world.released.len()), (0, 4));
}

#[test]
fn refusals_name_their_code() {
    let mut world = World::new();
    let offer = |audio| port_offer(audio);
    for (command, expected) in [
        (
            Command::OpenCall {
                n: 1,
                offers: vec![offer(Vec::new())],
                near: 0,
            },
            "bad_description",
        ),
        (
            Command::OpenLeg {
                n: 1,
                call: 9,
                offer: offer(pcmu()),
            },
            "unknown_call",
        ),
        (Command::CloseLeg { n: 1, leg: 9 }, "unknown_leg"),
    ] {
        let reply = world.command(|_| command);
        assert!(
            matches!(&reply, Reply::Refused { code, .. } if code == expected),
            "{reply:?}"
        );
    }
    assert_eq!(world.released.len(), 2, "ports of refused legs come back");
    assert_eq!(world.engine.legs(), 0);
}
