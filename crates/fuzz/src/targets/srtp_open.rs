//! Invariant: only what the peer sealed opens, once and unchanged, and nothing that strangers send keeps it from opening.

use std::time::Duration;

use aws_lc_rs::digest;
use offhook_rtp::header::Fields;
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{MAX_OVERHEAD, SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;

use crate::bytes::{Bytes, piece};

#[allow(clippy::disallowed_methods)]
pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let suite = Suite::ALL[usize::from(script.u8()) % Suite::ALL.len()];
    // Keys of this input alone: what was sealed for another would be the peer's, too.
    let own = digest::digest(&digest::SHA256, data);
    let bytes = |count: usize| {
        own.as_ref()
            .iter()
            .copied()
            .cycle()
            .take(count)
            .collect::<Vec<u8>>()
    };
    let keys =
        MasterKeys::new(suite, &bytes(suite.key_len()), &bytes(suite.salt_len())).expect("keys");
    let mut out = SrtpOut::new(&keys).expect("keys");
    let mut into = SrtpIn::new(&keys).expect("keys");
    let mut now = std::time::Instant::now();
    let (mut sequence, mut last) = (script.u16() >> 1, Vec::new());
    while !script.is_empty() {
        now += Duration::from_millis(20);
        match script.u8() % 5 {
            // 1: bytes that nobody sealed.
            0 => {
                let mut packet = script.piece(1_500).to_vec();
                assert!(packet == last || into.open(&mut packet, now).is_err());
            }
            1 => assert!(into.open_rtcp(&mut script.piece(1_500).to_vec()).is_err()),
            // 2: a sealed packet, damaged in one place.
            2 if !last.is_empty() => {
                let mut packet = last.clone();
                let at = usize::from(script.u16()) % packet.len();
                packet[at] ^= script.u8() | 1;
                assert!(into.open(&mut packet, now).is_err());
            }
            // 3: the same once more.
            3 if !last.is_empty() => assert!(into.open(&mut last.clone(), now).is_err()),
            // 4: the next of the peer, after some that were lost.
            _ => {
                sequence = sequence.wrapping_add(1 + u16::from(script.u8() % 100));
                let plain = rtp(sequence, script.piece(200));
                last = plain.clone();
                last.resize(plain.len() + MAX_OVERHEAD, 0);
                let len = out.seal(&mut last, plain.len()).expect("sealed");
                last.truncate(len);
                let mut packet = last.clone();
                let len = into.open(&mut packet, now).expect("what was sealed opens");
                assert_eq!(&packet[..len], plain);
            }
        }
    }
}

fn rtp(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let fields = Fields {
        marker: false,
        payload_type: 111,
        sequence,
        timestamp: 960,
        ssrc: 0x1234_5678,
    };
    let mut packet = vec![0; 12];
    fields.write(&mut packet);
    packet.extend_from_slice(payload);
    packet
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sound = [&[4, 0][..], &piece(&[5; 40])].concat();
    let forged = [&[0][..], &piece(&rtp(3, &[1; 60]))].concat();
    let report = [
        &[1][..],
        &piece(&[
            0x81, 201, 0, 1, 0, 0, 0, 1, 0x80, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        ]),
    ]
    .concat();
    (0..6)
        .map(|suite| {
            let head = vec![suite, 0xff, 0xfe];
            [
                head,
                sound.clone(),
                forged.clone(),
                vec![2, 0, 20, 9],
                vec![3],
                report.clone(),
                sound.clone(),
            ]
            .concat()
        })
        .collect()
}
