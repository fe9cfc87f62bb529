//! Invariant: no RTP or RTCP of a video line breaks its bridge, and no number of a stream of ours is used twice.

use std::collections::HashSet;
use std::net::SocketAddr;

use offhook_media::SocketId;
use offhook_media::description::{
    Extension, KeyKind, LegLocal, LegOffer, LegRemote, PathKind, VideoCodec, VideoOffer,
    VideoRemote,
};
use offhook_rtp::header::{Fields, Header};
use offhook_rtp::rtcp::is_rtcp;

use crate::bytes::{Bytes, piece};
use crate::house::{House, offer, remote};

const CODEC: u8 = 96;
const REPAIR: u8 = 97;

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let mut house = House::new();
    let ends = [0, 1].map(|index| SocketAddr::new([192, 0, 2, 10 + index].into(), 6_000));
    let legs = house.open(vec![line(), line()]);
    for (leg, end) in legs.iter().zip(ends) {
        house.complete(leg.leg, screen(end));
    }
    house.bridge(legs[0].leg, legs[1].leg);
    while !script.is_empty() {
        let how = script.u8();
        let side = usize::from(how & 1);
        let socket = socket(&legs[side]);
        match how >> 1 & 7 {
            // 1: any bytes.
            0 => house.datagram(socket, ends[side], script.piece(1_400)),
            // 2: a packet of the picture or a retransmission, with extensions or without.
            1..=4 => {
                let repair = how & 0x40 != 0;
                let fields = Fields {
                    marker: how & 0x20 != 0,
                    payload_type: if repair { REPAIR } else { CODEC },
                    sequence: script.u16(),
                    timestamp: script.u32(),
                    ssrc: if repair {
                        8
                    } else {
                        7 + u32::from(how >> 7) * 50
                    },
                };
                let mut packet = vec![0; 12];
                fields.write(&mut packet);
                packet[0] |= how & 0x10;
                packet.extend_from_slice(script.piece(1_300));
                house.datagram(socket, ends[side], &packet);
            }
            // 3: feedback on the streams that there are.
            5 => {
                let mut report = script.piece(800).to_vec();
                let video = legs[side].video.as_ref().map_or(0, |video| video.ssrc);
                if report.len() >= 12 && how & 0x20 != 0 {
                    report[8..12].copy_from_slice(&video.to_be_bytes());
                }
                house.datagram(socket, ends[side], &report);
            }
            6 => house.pass(u64::from(script.u16() % 2_000)),
            _ => {
                let mut changed = screen(ends[side]);
                if how & 0x20 != 0 {
                    changed.video = None;
                }
                if let Some(video) = &mut changed.video {
                    video.reduced_size = how & 0x40 != 0;
                }
                house.complete(legs[side].leg, changed);
            }
        }
    }
    let mut seen = HashSet::new();
    for (_, bytes) in house.sent.iter().filter(|(_, bytes)| !is_rtcp(bytes)) {
        let header = Header::parse_sealed(bytes).expect("a packet of ours");
        assert!(
            seen.insert((header.ssrc, header.sequence)),
            "a number was used twice"
        );
    }
    house.close();
}

fn formats() -> Vec<VideoCodec> {
    vec![VideoCodec {
        name: "VP8".to_owned(),
        payload_type: CODEC,
        rtx: REPAIR,
        form: "VP8".to_owned(),
    }]
}

fn line() -> LegOffer {
    let extension = Extension {
        id: 3,
        uri: "urn:3gpp:video-orientation".to_owned(),
    };
    LegOffer {
        video: Some(Box::new(VideoOffer {
            codecs: formats(),
            extensions: vec![extension],
            ..VideoOffer::default()
        })),
        ..offer(PathKind::Port, KeyKind::Plain)
    }
}

fn screen(address: SocketAddr) -> LegRemote {
    let names = ["nack", "nack pli", "ccm fir", "goog-remb"];
    LegRemote {
        video: Some(Box::new(VideoRemote {
            codecs: formats(),
            address: address.ip().to_string(),
            port: address.port(),
            feedback: names.map(str::to_owned).to_vec(),
            ..VideoRemote::default()
        })),
        ..remote(SocketAddr::new(address.ip(), address.port() - 1_000))
    }
}

fn socket(local: &LegLocal) -> SocketId {
    let video = local.video.as_ref().expect("a video line");
    SocketId(u32::from(video.candidates[0].1) - 41_000)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let packet = |how: u8, sequence: u16, payload: &[u8]| {
        [
            &[how][..],
            &sequence.to_be_bytes(),
            &[0, 0, 0x0b, 0xb8],
            &piece(payload),
        ]
        .concat()
    };
    let extended = [&[0xbe, 0xde, 0, 1, 0x30, 1, 0, 0][..], &[1; 90]].concat();
    let frame: Vec<u8> = [65_534u16, 65_535, 0, 2]
        .iter()
        .flat_map(|at| packet(0x12, *at, &extended))
        .collect();
    let repair = packet(0x42, 9, &[0, 1, 5, 5, 5, 5]);
    let report = |kind: u8, format: u8, rest: &[u8]| {
        let words = (8 + rest.len()) as u16 / 4;
        let whole = [
            &[0x80 | format, kind][..],
            &words.to_be_bytes(),
            &[0, 0, 0, 1, 0, 0, 0, 2],
            rest,
        ]
        .concat();
        [&[0x2b][..], &piece(&whole)].concat()
    };
    vec![
        [
            frame.clone(),
            report(205, 1, &[0, 1, 0, 3]),
            repair,
            report(206, 1, &[]),
            vec![12, 2, 0],
            frame.clone(),
        ]
        .concat(),
        [
            frame,
            report(206, 4, &[0, 0, 0, 7, 1, 0, 0, 0]),
            vec![0x2e],
            packet(2, 5, &[9; 50]),
            vec![0x0e],
        ]
        .concat(),
    ]
}
