//! Invariant: no STUN message, signed or not, breaks a leg, fills a table or is answered with more than was sent; unsigned ones change nothing.

use std::collections::HashMap;
use std::net::SocketAddr;

use aws_lc_rs::hmac;
use offhook_media::command::Command;
use offhook_media::description::{KeyKind, LegLocal, LegRemote, PathKind};

use crate::bytes::{Bytes, piece};
use crate::house::{House, SHARED, offer, remote};

/// Addresses of one leg in the demultiplexer.
const MAX_SOURCES: usize = 8;
const USERNAME: u16 = 0x0006;
const INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const CONTROLLING: u16 = 0x802a;

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let mut house = House::new();
    let local = house
        .open(vec![offer(PathKind::WebRtc, KeyKind::Dtls)])
        .remove(0);
    let mut paid: HashMap<SocketAddr, usize> = HashMap::new();
    let mut signed = 0;
    while !script.is_empty() {
        let how = script.u8();
        let source = SocketAddr::new(
            [198, 51, 100, how >> 3].into(),
            6_000 + u16::from(script.u8()),
        );
        let before = house.engine.strays().1;
        match how & 7 {
            0 | 1 => {
                let message = script.piece(1_200);
                *paid.entry(source).or_default() += message.len();
                house.datagram(SHARED, source, message);
                assert_eq!(house.engine.strays().1, before, "nobody signed this");
            }
            2..=4 => {
                signed += 1;
                let message = sign(&local, script.u8(), script.piece(600));
                *paid.entry(source).or_default() += message.len();
                house.datagram(SHARED, source, &message);
            }
            5 => house.pass(u64::from(script.u16())),
            6 => house.complete(local.leg, description()),
            _ => {
                let (leg, offer) = (local.leg, offer(PathKind::WebRtc, KeyKind::Dtls));
                house.command(|n| Command::Update {
                    n,
                    leg,
                    offer,
                    restart_ice: how & 8 != 0,
                    opens_video: false,
                });
            }
        }
        assert!(house.engine.strays().1 <= MAX_SOURCES.min(signed));
    }
    for (destination, paid) in paid {
        let told = house
            .sent
            .iter()
            .filter(|(to, bytes)| *to == destination && bytes[0] < 4);
        assert!(
            told.map(|(_, bytes)| bytes.len()).sum::<usize>() <= paid,
            "an answer is larger than its question"
        );
    }
    house.close();
}

fn description() -> LegRemote {
    LegRemote {
        ufrag: "abcd".to_owned(),
        password: "p".repeat(22),
        fingerprints: vec![("sha-256".to_owned(), ["AA"; 32].join(":"))],
        ..remote(SocketAddr::new([0, 0, 0, 0].into(), 0))
    }
}

/// A request with the right user name and integrity, whatever else is in it.
fn sign(local: &LegLocal, kind: u8, attributes: &[u8]) -> Vec<u8> {
    let mut message = vec![0, kind & 3, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([kind; 12]);
    attribute(
        &mut message,
        USERNAME,
        format!("{}:abcd", local.ufrag).as_bytes(),
    );
    message.extend_from_slice(attributes);
    message.resize(message.len().next_multiple_of(4), 0);
    length(&mut message, 24);
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        local.password.as_bytes(),
    );
    let tag = hmac::sign(&key, &message);
    attribute(&mut message, INTEGRITY, tag.as_ref());
    length(&mut message, 0);
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn length(message: &mut [u8], more: usize) {
    let length = (message.len() - 20 + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut check = Vec::new();
    attribute(&mut check, PRIORITY, &[0, 0, 0, 2]);
    attribute(&mut check, CONTROLLING, &[1; 8]);
    let plain = [vec![2, 0, 1], piece(&check)].concat();
    attribute(&mut check, USE_CANDIDATE, &[]);
    let nominates = |from: u8| [vec![from << 3 | 2, from, 1], piece(&check)].concat();
    let unsigned = [
        vec![0, 0],
        piece(&[&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat()),
    ]
    .concat();
    let many: Vec<u8> = (0..20).flat_map(nominates).collect();
    vec![
        [
            plain.clone(),
            vec![6, 0],
            nominates(1),
            vec![5, 0, 0x40, 0],
            nominates(2),
        ]
        .concat(),
        [
            vec![6, 0],
            nominates(1),
            vec![15, 0],
            nominates(1),
            plain,
            unsigned.clone(),
        ]
        .concat(),
        [vec![6, 0], many, unsigned].concat(),
    ]
}
