//! Cameras of video phones, each with a screen that notes what it is sent.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use offhook_media::SocketId;
use offhook_media::description::*;
use offhook_rtp::extension::{ExtensionWriter, Form};
use offhook_rtp::header::Fields;
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet, RtcpError};

pub const ORIENTATION: &str = "urn:3gpp:video-orientation";
pub const ALL: [&str; 4] = ["nack", "nack pli", "ccm fir", "goog-remb"];

pub fn vp8(payload_type: u8, rtx: u8) -> VideoCodec {
    VideoCodec {
        name: "VP8".to_owned(),
        payload_type,
        rtx,
        form: "VP8".to_owned(),
    }
}

pub fn line(codecs: Vec<VideoCodec>, orientation: u8) -> VideoOffer {
    let extension = Extension {
        id: orientation,
        uri: ORIENTATION.to_owned(),
    };
    VideoOffer {
        codecs,
        extensions: vec![extension],
        ..VideoOffer::default()
    }
}

pub fn feedback(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A camera and a screen on a plain leg.
pub struct Camera {
    pub leg: u64,
    pub local: VideoLocal,
    pub socket: SocketId,
    pub address: SocketAddr,
    pub codec: VideoCodec,
    pub orientation: u8,
    pub ssrc: u32,
    pub repair_ssrc: u32,
    pub sequence: u16,
    pub repairs: u16,
    pub timestamp: u32,
}

impl Camera {
    pub fn new(local: &LegLocal, index: u8, codec: VideoCodec, orientation: u8) -> Self {
        let video = local.video.clone().expect("a video line");
        Self {
            leg: local.leg,
            socket: SocketId(u32::from(video.candidates[0].1) - 41_000),
            local: video,
            address: SocketAddr::new([192, 0, 2, 10 + index].into(), 6_000),
            codec,
            orientation,
            ssrc: 0x2000_0000 + u32::from(index),
            repair_ssrc: 0x3000_0000 + u32::from(index),
            sequence: 65_530,
            repairs: 7,
            timestamp: u32::MAX - 9_000,
        }
    }

    pub fn remote(&self, phone: &Phone, names: &[&str]) -> LegRemote {
        let mut remote = port_remote(pcmu(), phone.address);
        remote.video = Some(Box::new(VideoRemote {
            codecs: vec![self.codec.clone()],
            address: self.address.ip().to_string(),
            port: self.address.port(),
            feedback: feedback(names),
            ..VideoRemote::default()
        }));
        remote
    }

    pub fn packet(&mut self, payload: &[u8], last: bool) -> Vec<u8> {
        let fields = Fields {
            marker: last,
            payload_type: self.codec.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        if last {
            self.timestamp = self.timestamp.wrapping_add(3_000);
        }
        written(fields, self.orientation, payload)
    }

    pub fn repair(&mut self, original: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let fields = Fields {
            marker: false,
            payload_type: self.codec.rtx,
            sequence: self.repairs,
            timestamp,
            ssrc: self.repair_ssrc,
        };
        self.repairs = self.repairs.wrapping_add(1);
        let payload = [&original.to_be_bytes(), payload].concat();
        written(fields, self.orientation, &payload)
    }

    pub fn send(&mut self, world: &mut World, payload: &[u8], last: bool) {
        let packet = self.packet(payload, last);
        world.datagram(self.socket, self.address, &packet);
    }

    /// A frame of so many packets.
    pub fn frame(&mut self, world: &mut World, packets: usize) {
        (1..=packets).for_each(|at| self.send(world, &[at as u8; 900], at == packets));
        world.advance_ms(33);
    }

    pub fn tell(
        &self,
        world: &mut World,
        build: impl FnOnce(&mut CompoundBuilder<'_>) -> Result<(), RtcpError>,
    ) {
        let mut buffer = [0; 1_200];
        let mut compound = CompoundBuilder::new(&mut buffer);
        compound.receiver_report(self.ssrc, &[]).expect("room");
        build(&mut compound).expect("room");
        let len = compound.finish();
        world.datagram(self.socket, self.address, &buffer[..len]);
    }

    pub fn pli(&self, world: &mut World) {
        self.tell(world, |compound| compound.pli(self.ssrc, self.local.ssrc));
    }

    pub fn seen(&self, world: &World) -> Vec<Sent> {
        world.rtp_to(self.address).into_iter().cloned().collect()
    }

    /// Times at which a key frame was asked of this camera.
    pub fn asked(&self, world: &World) -> Vec<Duration> {
        let asks = |sent: &Sent| {
            let compound = Compound::parse(&sent.bytes).expect("a compound");
            compound.packets().any(|packet| match packet {
                Packet::Pli { media, .. } => media == self.ssrc,
                Packet::Fir { mut entries, .. } => entries.any(|(ssrc, _)| ssrc == self.ssrc),
                _ => false,
            })
        };
        let all = world.rtcp_to(self.address);
        all.iter()
            .filter(|one| asks(one))
            .map(|one| one.at)
            .collect()
    }
}

pub fn written(fields: Fields, orientation: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    fields.write(&mut bytes);
    let mut block = ExtensionWriter::new(Form::OneByte);
    block.push(orientation, &[1]).expect("fits");
    block.push(14, &[7, 7]).expect("fits");
    bytes[0] |= 0x10;
    bytes.extend_from_slice(block.finish());
    bytes.extend_from_slice(payload);
    bytes
}

pub fn offer(codec: &VideoCodec, orientation: u8) -> LegOffer {
    LegOffer {
        video: Some(Box::new(line(vec![codec.clone()], orientation))),
        ..port_offer(pcmu())
    }
}

pub struct Pair {
    pub world: World,
    pub call: u64,
    pub phones: [Phone; 2],
    pub a: Camera,
    pub b: Camera,
}

/// Two video phones, bridged; each understands the feedback named.
pub fn pair(codecs: [VideoCodec; 2], names: [&[&str]; 2]) -> Pair {
    let mut world = World::new();
    let [one, two] = codecs;
    let (call, legs) = world.open(vec![offer(&one, 3), offer(&two, 5)]);
    let phones = [phone(&legs[0], 0), phone(&legs[1], 1)];
    let a = Camera::new(&legs[0], 0, one, 3);
    let b = Camera::new(&legs[1], 1, two, 5);
    world.complete(a.leg, a.remote(&phones[0], names[0]));
    world.complete(b.leg, b.remote(&phones[1], names[1]));
    world.bridge(a.leg, b.leg);
    Pair {
        world,
        call,
        phones,
        a,
        b,
    }
}

pub fn browsers() -> Pair {
    pair([vp8(96, 97), vp8(100, 101)], [&ALL, &ALL])
}
