//! Invariant: no record breaks a leg, and keys come only with the certificate that was described; a real handshake is mixed in, damaged or not.

use std::net::SocketAddr;
use std::sync::Arc;

use dimpl::{Config, Dtls, DtlsCertificate, Output};
use offhook_media::description::{KeyKind, LegRemote, PathKind};
use offhook_media::event::Event;

use crate::bytes::{Bytes, piece};
use crate::house::{House, offer, remote, socket_of};

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let how = script.u8();
    let (active, described) = (how & 1 != 0, how & 2 != 0);
    let mut house = House::new();
    let mut ours = offer(PathKind::Port, KeyKind::Dtls);
    ours.dtls_active = active;
    let local = house.open(vec![ours]).remove(0);
    let (socket, address) = (
        socket_of(&local),
        SocketAddr::new([192, 0, 2, 9].into(), 5_000),
    );
    let certificate = certificate();
    let shown = if described {
        certificate.fingerprint_str()
    } else {
        ["AA"; 32].join(":")
    };
    house.complete(
        local.leg,
        LegRemote {
            fingerprints: vec![("sha-256".to_owned(), shown)],
            ..remote(address)
        },
    );
    let mut peer = Dtls::new_12(Arc::new(Config::default()), certificate, house.instant());
    peer.set_active(!active);
    let mut taken = 0;
    while !script.is_empty() {
        let how = script.u8();
        match how % 4 {
            0 => house.datagram(socket, address, script.piece(1_500)),
            1 => house.pass(u64::from(script.u16())),
            _ => {
                let (at, flip) = (script.u16(), script.u8());
                let said: Vec<Vec<u8>> = house.sent[taken..]
                    .iter()
                    .map(|(_, bytes)| bytes.clone())
                    .collect();
                taken = house.sent.len();
                for mut flight in turn(&mut peer, &said, &house) {
                    let at = usize::from(at) % flight.len();
                    flight[at] ^= flip;
                    house.datagram(socket, address, &flight);
                }
            }
        }
    }
    let keys = house
        .events
        .iter()
        .any(|event| matches!(event, Event::KeysReady { .. }));
    assert!(described || !keys, "keys for a stranger");
    house.close();
}

/// One certificate for all runs: drawing one costs more than a run.
fn certificate() -> DtlsCertificate {
    static ONE: std::sync::OnceLock<DtlsCertificate> = std::sync::OnceLock::new();
    let drawn = || dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
    ONE.get_or_init(drawn).clone()
}

/// The peer hears what was said, and says what it has to.
fn turn(peer: &mut Dtls, said: &[Vec<u8>], house: &House) -> Vec<Vec<u8>> {
    // Errors of the peer are its own affair: it has been lied to.
    let _ = peer.handle_timeout(house.instant());
    for record in said.iter().filter(|record| (20..64).contains(&record[0])) {
        let _ = peer.handle_packet(record);
    }
    let (mut flights, mut buffer) = (Vec::new(), vec![0; 2_048]);
    loop {
        match peer.poll_output(&mut buffer) {
            Output::Packet(bytes) => flights.push(bytes.to_vec()),
            Output::Timeout(_) | Output::BufferTooSmall { .. } => return flights,
            _ => {}
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let turns = [2, 0, 0, 0].repeat(8);
    let hello = [
        &[
            22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 1, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 48,
        ][..],
        &[0xfe, 0xfd],
        &[3; 50],
    ]
    .concat();
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let of = |bytes: &[u8]| [&[0][..], &piece(bytes)].concat();
    let mut all: Vec<Vec<u8>> = (0..4)
        .map(|how| [vec![how], turns.clone()].concat())
        .collect();
    all.push(
        [
            vec![2],
            of(&hello),
            of(&alert),
            vec![1, 0x30, 0],
            turns.clone(),
        ]
        .concat(),
    );
    all.push(
        [
            vec![3, 2, 0, 0, 0, 2, 0, 40, 1],
            vec![1, 0x08, 0],
            turns,
            of(&alert),
        ]
        .concat(),
    );
    all
}
