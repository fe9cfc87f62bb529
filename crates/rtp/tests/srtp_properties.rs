//! SRTP under a bad network: whatever is lost, swapped or doubled, what arrives is what was sent, once.

use std::collections::HashSet;
use std::time::Instant;

use offhook_rtp::header::{FIXED_LEN, Fields};
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{MAX_OVERHEAD, SrtpError, SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;
use proptest::collection::vec;
use proptest::prelude::*;

const SSRC: u32 = 0xdead_beef;

fn keys(suite: Suite) -> MasterKeys {
    MasterKeys::new(
        suite,
        &vec![0x5a; suite.key_len()],
        &vec![0xa5; suite.salt_len()],
    )
    .unwrap()
}

fn plain(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; FIXED_LEN];
    Fields {
        marker: true,
        payload_type: 111,
        sequence,
        timestamp: 960,
        ssrc: SSRC,
    }
    .write(&mut packet)
    .unwrap();
    packet.extend_from_slice(payload);
    packet
}

fn seal(out: &mut SrtpOut, mut packet: Vec<u8>) -> Result<Vec<u8>, SrtpError> {
    let len = packet.len();
    packet.resize(len + MAX_OVERHEAD, 0);
    let sealed = out.seal(&mut packet, len)?;
    packet.truncate(sealed);
    Ok(packet)
}

fn open(into: &mut SrtpIn, mut packet: Vec<u8>) -> Result<Vec<u8>, SrtpError> {
    let len = into.open(&mut packet, Instant::now())?;
    packet.truncate(len);
    Ok(packet)
}

/// What the network does to one packet.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Doubled,
    /// Held back until so many others have passed.
    Late(usize),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Doubled),
        2 => (1..100_usize).prop_map(Fate::Late),
    ]
}

fn network(fates: &[Fate]) -> Vec<usize> {
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (at, fate) in fates.iter().enumerate() {
        match fate {
            Fate::Arrives => order.push((at, at)),
            Fate::Lost => {}
            Fate::Doubled => order.extend([(at, at), (at + 3, at)]),
            Fate::Late(by) => order.push((at + by, at)),
        }
    }
    order.sort();
    order.into_iter().map(|(_, packet)| packet).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn seal_then_open_is_identity(
        suite in proptest::sample::select(Suite::ALL.to_vec()),
        first in prop_oneof![any::<u16>(), 65_300..=65_535_u16],
        fates in vec(fate(), 1..400),
        payload in vec(any::<u8>(), 0..200),
    ) {
        // The first packet arrives first: a receiver that missed a wrap before it is another property.
        let mut fates = fates;
        fates[0] = Fate::Arrives;
        let (mut out, mut into) = (SrtpOut::new(&keys(suite)).unwrap(), SrtpIn::new(&keys(suite)).unwrap());
        let sent: Vec<_> = (0..fates.len()).map(|at| plain(first.wrapping_add(at as u16), &payload)).collect();
        let sealed: Vec<_> = sent.iter().map(|packet| seal(&mut out, packet.clone()).unwrap()).collect();
        let mut taken = HashSet::new();
        for at in network(&fates) {
            match open(&mut into, sealed[at].clone()) {
                Ok(opened) => {
                    prop_assert!(taken.insert(at), "packet {} came through twice", at);
                    prop_assert_eq!(&opened, &sent[at]);
                }
                Err(error) => {
                    prop_assert_eq!(error, SrtpError::Replayed);
                    prop_assert!(taken.contains(&at), "packet {} refused at its first coming", at);
                }
            }
        }
    }

    #[test]
    fn the_index_of_a_sender_never_falls_and_none_is_used_twice(
        sequences in vec(prop_oneof![any::<u16>(), 0..200_u16, 65_400..=65_535_u16], 1..300),
    ) {
        let suite = Suite::AesCm128HmacSha1_80;
        let mut out = SrtpOut::new(&keys(suite)).unwrap();
        let mut highest = None;
        // One plain text and one SSRC: equal cipher texts of a sequence number would mean an equal index.
        let mut cipher_texts = HashSet::new();
        for sequence in sequences {
            if let Ok(sealed) = seal(&mut out, plain(sequence, &[0; 32])) {
                prop_assert!(cipher_texts.insert(sealed[FIXED_LEN..].to_vec()), "an index was used twice");
            }
            let index = out.index(SSRC);
            prop_assert!(index >= highest);
            highest = index;
        }
    }

    #[test]
    fn in_order_the_index_strictly_grows(first in any::<u16>(), steps in vec(1..3000_u16, 1..200)) {
        let mut out = SrtpOut::new(&keys(Suite::AeadAes128Gcm)).unwrap();
        let mut sequence = first;
        let mut last = None;
        for step in steps {
            seal(&mut out, plain(sequence, &[])).unwrap();
            let index = out.index(SSRC);
            prop_assert!(index > last);
            prop_assert_eq!(index.map(|index| index as u16), Some(sequence));
            last = index;
            sequence = sequence.wrapping_add(step);
        }
    }

    #[test]
    fn srtcp_seal_then_open_is_identity(
        suite in proptest::sample::select(Suite::ALL.to_vec()),
        body in vec(any::<u8>(), 0..600),
        rounds in 1..20_usize,
    ) {
        let (mut out, mut into) = (SrtpOut::new(&keys(suite)).unwrap(), SrtpIn::new(&keys(suite)).unwrap());
        let mut report = vec![0x80, 201, 0, 1, 1, 2, 3, 4];
        report.extend_from_slice(&body);
        for _ in 0..rounds {
            let mut buffer = report.clone();
            buffer.resize(report.len() + MAX_OVERHEAD, 0);
            let len = out.seal_rtcp(&mut buffer, report.len()).unwrap();
            buffer.truncate(len);
            let mut again = buffer.clone();
            let opened = into.open_rtcp(&mut buffer).unwrap();
            prop_assert_eq!(&buffer[..opened], report.as_slice());
            prop_assert_eq!(into.open_rtcp(&mut again), Err(SrtpError::Replayed));
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(
        suite in proptest::sample::select(Suite::ALL.to_vec()),
        packets in vec(vec(any::<u8>(), 0..100), 1..40),
    ) {
        let mut into = SrtpIn::new(&keys(suite)).unwrap();
        for mut packet in packets {
            if let Some(first) = packet.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            prop_assert!(into.open(&mut packet.clone(), Instant::now()).is_err());
            prop_assert!(into.open_rtcp(&mut packet).is_err());
        }
    }
}
