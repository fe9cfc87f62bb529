//! Invariant: no order of commands, however odd their fields, and of packets between them breaks the engine; each has one reply, and `Exit` leaves nothing.

use std::net::SocketAddr;

use offhook_media::SocketId;
use offhook_media::command::Command;
use offhook_media::description::{
    Direction, Encoding, Feed, Hidden, KeyKind, LegLocal, LegOffer, PathKind, Recording,
    SourceKind, Track,
};
use offhook_media::event::Reply;
use offhook_media::recording::Side;
use offhook_rtp::header::Fields;

use crate::bytes::{Bytes, piece};
use crate::house::{House, offer, remote, socket_of};

/// Legs of one script: more find nothing new.
const MOST: usize = 12;

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let mut house = House::new();
    let mut legs: Vec<LegLocal> = Vec::new();
    while !script.is_empty() {
        let kind = script.u8();
        if kind % 16 == 15 {
            raw(&mut house, script.piece(600));
        } else if kind % 16 >= 12 {
            media(&mut house, &legs, kind, &mut script);
        } else if let Some(opened) = ask(&mut house, &legs, kind, &mut script) {
            legs.extend(opened);
        }
    }
    house.close();
}

/// A command as it may come over the control socket; one that is not understood is answered there.
fn raw(house: &mut House, bytes: &[u8]) {
    if let Ok(command) = rmp_serde::from_slice::<Command>(bytes) {
        house.command(|_| command);
    }
}

fn end_of(index: usize) -> SocketAddr {
    SocketAddr::new([192, 0, 2, 10 + (index % 100) as u8].into(), 5_000)
}

/// Packets and time.
fn media(house: &mut House, legs: &[LegLocal], kind: u8, script: &mut Bytes<'_>) {
    let index = usize::from(script.u8()) % MOST;
    let found = legs.get(index).filter(|leg| leg.ufrag.is_empty());
    match (kind % 16, found) {
        (12, Some(leg)) => {
            let fields = Fields {
                marker: kind & 0x10 != 0,
                payload_type: [0, 111, 101, 13, 96][usize::from(script.u8() % 5)],
                sequence: script.u16(),
                timestamp: script.u32(),
                ssrc: 7,
            };
            let mut packet = vec![0; 12];
            fields.write(&mut packet);
            packet.extend_from_slice(script.piece(400));
            house.datagram(socket_of(leg), end_of(index), &packet);
        }
        (13, _) => house.datagram(
            SocketId(100 + index as u32),
            end_of(index),
            script.piece(300),
        ),
        _ => house.pass(u64::from(script.u16() % 4_000)),
    }
}

fn ask(
    house: &mut House,
    legs: &[LegLocal],
    kind: u8,
    script: &mut Bytes<'_>,
) -> Option<Vec<LegLocal>> {
    let index = usize::from(script.u8()) % MOST;
    let how = script.u8();
    let leg_at = |index: usize| legs.get(index).map_or(77, |leg| leg.leg);
    let leg = leg_at(index);
    let room = u64::from(how % 3);
    let ours = || {
        let webrtc = legs
            .get(index)
            .map_or(how & 1 != 0, |leg| !leg.ufrag.is_empty());
        let (path, keys) = if webrtc {
            (PathKind::WebRtc, KeyKind::Dtls)
        } else {
            (PathKind::Port, KeyKind::Plain)
        };
        let mut offer = offer(path, keys);
        offer.ptime = [20, 10, 60, 0, 7, u32::MAX][usize::from(how >> 2) % 6];
        offer.detect_digits = how & 2 != 0;
        offer
    };
    let recording = || format!("recording{}", how % 4);
    let reply = match kind % 16 {
        0 if legs.len() < MOST => house.command(|n| Command::OpenCall {
            n,
            offers: vec![ours()],
            near: leg_at(0),
        }),
        1 => {
            let mut remote = remote(end_of(index));
            remote.ptime = [20, 10, 60, 0, 7, u32::MAX][usize::from(how >> 3) % 6];
            (remote.ufrag, remote.password) = ("abcd".to_owned(), "p".repeat(22));
            remote.direction = [
                Direction::SendRecv,
                Direction::SendOnly,
                Direction::RecvOnly,
                Direction::Inactive,
            ][usize::from(how & 3)];
            if how & 4 != 0 {
                remote.audio.rotate_left(1);
            }
            house.command(|n| Command::Complete { n, leg, remote })
        }
        2 => house.command(|n| Command::Update {
            n,
            leg,
            offer: ours(),
            restart_ice: how & 1 != 0,
            opens_video: false,
        }),
        3 => house.command(|n| Command::Bridge {
            n,
            a: leg,
            b: leg_at(usize::from(how) % MOST),
        }),
        4 => house.command(|n| Command::Join {
            n,
            leg,
            room,
            muted: how & 4 != 0,
            full_band: how & 8 != 0,
        }),
        5 => {
            let source =
                [SourceKind::Tone, SourceKind::Music, SourceKind::Ringback][usize::from(how % 3)];
            house.command(|n| Command::Play {
                n,
                leg,
                source,
                country: "GB".into(),
            })
        }
        6 => {
            let files = vec!["one".to_owned(); usize::from(how % 5)];
            house.command(|n| Command::PlayFiles {
                n,
                leg,
                play: "p".into(),
                files,
                rounds: u32::from(how % 3),
                until_digit: true,
            })
        }
        7 => {
            let spec = Recording {
                recording: recording(),
                file: "a.wav".into(),
                side: [Side::Both, Side::Says, Side::Hears, Side::Room][usize::from(how % 4)],
                max_seconds: u32::from(how & 1),
                silence_ms: u32::from(how) * 10,
            };
            house.command(|n| Command::RecordStart { n, leg, spec })
        }
        8 => house.command(|n| Command::RecordStop {
            n,
            leg,
            recording: recording(),
        }),
        9 => house.command(|n| Command::SendDigits {
            n,
            leg,
            digits: "1#x".repeat(usize::from(how % 8)),
            each_ms: u32::from(how) << 4,
        }),
        10 => return rarer(house, leg, index as u64 + 1, how, ours()),
        _ => house.command(|n| Command::CloseLeg { n, leg }),
    };
    match reply {
        Reply::CallOpened { legs, .. } => Some(legs),
        _ => None,
    }
}

/// What has few fields.
fn rarer(
    house: &mut House,
    leg: u64,
    call: u64,
    how: u8,
    offer: LegOffer,
) -> Option<Vec<LegLocal>> {
    let room = u64::from(how % 3);
    let (feed, recording) = ("feed".to_owned(), format!("recording{}", how % 4));
    let reply = match how % 15 {
        0 => house.command(|n| Command::Facts { n, leg }),
        1 => house.command(|n| Command::Stop { n, leg }),
        2 => house.command(|n| Command::Chime {
            n,
            room,
            file: "tones/joined".into(),
        }),
        3 => house.command(|n| Command::Hush { n, leg }),
        4 => house.command(|n| Command::RequestKeyFrame { n, leg }),
        5 => house.command(|n| Command::ListLegs { n }),
        6 => house.command(|n| Command::RecordPause { n, leg, recording }),
        7 => house.command(|n| Command::RecordResume { n, leg, recording }),
        8 | 9 => {
            let encoding =
                [Encoding::Mulaw, Encoding::L16, Encoding::Opus][usize::from(how / 45) % 3];
            let spec = Feed {
                feed,
                url: "ws://192.0.2.9/".into(),
                address: "192.0.2.9:80".into(),
                track: [Track::Inbound, Track::Outbound, Track::Both][usize::from(how / 15) % 3],
                encoding,
                rate: if encoding == Encoding::Opus {
                    48_000
                } else {
                    8_000
                },
                two_way: how % 15 == 9,
                bearer: Hidden(String::new()),
                account: String::new(),
                call: String::new(),
                parameters: Vec::new(),
            };
            house.command(|n| Command::FeedStart { n, leg, spec })
        }
        10 => house.command(|n| Command::FeedStop { n, leg, feed }),
        11 => house.command(|n| Command::CloseCall { n, call }),
        12 => house.command(|n| Command::Mute {
            n,
            leg,
            muted: how & 16 != 0,
        }),
        13 => {
            let decibels = i32::from(how) - 128;
            house.command(|n| Command::Gain { n, leg, decibels })
        }
        _ => house.command(|n| Command::OpenLeg { n, call, offer }),
    };
    match reply {
        Reply::LegOpened { leg, .. } => Some(vec![leg]),
        _ => None,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let opened = [0, 20, 0, 0, 20, 0, 1, 0, 0, 1, 1, 0];
    let sound = |leg: u8, at: u8| {
        [
            &[12, leg, 0, 0, at, 0, 0, at, 160][..],
            &piece(&[0x55; 160]),
            &[14, 0, 0, 20],
        ]
        .concat()
    };
    let talk: Vec<u8> = (0..6)
        .flat_map(|at| [sound(0, at), sound(1, at)].concat())
        .collect();
    let of = |command: &Command| {
        [
            vec![15],
            piece(&rmp_serde::to_vec_named(command).expect("written")),
        ]
        .concat()
    };
    let odd = of(&Command::SendDigits {
        n: 9,
        leg: 1,
        digits: "*".repeat(50),
        each_ms: u32::MAX,
    });
    vec![
        [
            &opened[..],
            &[3, 0, 1],
            &talk,
            &[9, 0, 3],
            &talk,
            &[11, 0, 0],
        ]
        .concat(),
        [
            &opened[..],
            &[4, 0, 1, 4, 1, 1],
            &talk,
            &[7, 0, 1],
            &talk,
            &[8, 0, 1, 4, 0, 2],
        ]
        .concat(),
        [
            &opened[..],
            &[1, 1, 4, 3, 0, 1],
            &talk,
            &[5, 0, 1, 6, 1, 2],
            &talk,
            &odd,
        ]
        .concat(),
        [
            &[0, 20, 1, 0, 20, 0][..],
            &[1, 0, 0, 1, 1, 0, 3, 0, 1, 2, 0, 1],
            &talk,
            &[10, 0, 0, 10, 1, 1],
        ]
        .concat(),
        // Everything that has few fields, in a room and outside.
        [
            &opened[..],
            &[4, 0, 1, 7, 0, 3, 10, 0, 2, 10, 1, 9],
            &talk,
            &(0..13)
                .flat_map(|how| [10, how & 1, how])
                .collect::<Vec<u8>>(),
            &talk,
        ]
        .concat(),
    ]
}
