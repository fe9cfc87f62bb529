//! Video from one peer to another: numbers, streams and feedback are translated, pictures are not touched.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use offhook_media::SocketId;
use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::{Event, Reply};
use offhook_rtp::extension::{Elements, ExtensionWriter, Form};
use offhook_rtp::header::{Fields, Header};
use offhook_rtp::keys::MasterKeys;
use offhook_rtp::rtcp::{Compound, CompoundBuilder, Packet, RtcpError, SenderInfo};
use offhook_rtp::srtp::{SrtpIn, SrtpOut};
use offhook_rtp::suite::Suite;

const ORIENTATION: &str = "urn:3gpp:video-orientation";
const ALL: [&str; 4] = ["nack", "nack pli", "ccm fir", "goog-remb"];

fn vp8(payload_type: u8, rtx: u8) -> VideoCodec {
    VideoCodec {
        name: "VP8".to_owned(),
        payload_type,
        rtx,
        form: "VP8".to_owned(),
    }
}

fn line(codecs: Vec<VideoCodec>, orientation: u8) -> VideoOffer {
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

fn feedback(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A camera and a screen on a plain leg.
struct Camera {
    leg: u64,
    local: VideoLocal,
    socket: SocketId,
    address: SocketAddr,
    codec: VideoCodec,
    orientation: u8,
    ssrc: u32,
    repair_ssrc: u32,
    sequence: u16,
    repairs: u16,
    timestamp: u32,
}

impl Camera {
    fn new(local: &LegLocal, index: u8, codec: VideoCodec, orientation: u8) -> Self {
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

    fn remote(&self, phone: &Phone, names: &[&str]) -> LegRemote {
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

    fn packet(&mut self, payload: &[u8], last: bool) -> Vec<u8> {
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

    fn repair(&mut self, original: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
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

    fn send(&mut self, world: &mut World, payload: &[u8], last: bool) {
        let packet = self.packet(payload, last);
        world.datagram(self.socket, self.address, &packet);
    }

    /// A frame of so many packets.
    fn frame(&mut self, world: &mut World, packets: usize) {
        (1..=packets).for_each(|at| self.send(world, &[at as u8; 900], at == packets));
        world.advance_ms(33);
    }

    fn tell(
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

    fn pli(&self, world: &mut World) {
        self.tell(world, |compound| compound.pli(self.ssrc, self.local.ssrc));
    }

    fn seen(&self, world: &World) -> Vec<Sent> {
        world.rtp_to(self.address).into_iter().cloned().collect()
    }

    /// Times at which a key frame was asked of this camera.
    fn asked(&self, world: &World) -> Vec<Duration> {
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

fn written(fields: Fields, orientation: u8, payload: &[u8]) -> Vec<u8> {
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

fn offer(codec: &VideoCodec, orientation: u8) -> LegOffer {
    LegOffer {
        video: Some(Box::new(line(vec![codec.clone()], orientation))),
        ..port_offer(pcmu())
    }
}

struct Pair {
    world: World,
    call: u64,
    phones: [Phone; 2],
    a: Camera,
    b: Camera,
}

/// Two video phones, bridged; each understands the feedback named.
fn pair(codecs: [VideoCodec; 2], names: [&[&str]; 2]) -> Pair {
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

fn browsers() -> Pair {
    pair([vp8(96, 97), vp8(100, 101)], [&ALL, &ALL])
}

#[test]
fn video_passes_with_its_numbers_mapped_and_its_pictures_untouched() {
    let mut it = browsers();
    for _ in 0..3 {
        it.a.frame(&mut it.world, 4);
    }
    let seen = it.b.seen(&it.world);
    assert_eq!(seen.len(), 12);
    let first = seen[0].header();
    for (at, one) in seen.iter().enumerate() {
        let header = one.header();
        // 1: payload type and stream are those that the other side knows.
        assert_eq!(header.payload_type, 100);
        assert_eq!(header.ssrc, it.b.local.ssrc);
        // 2: numbers run on, over the wrap of the source's; the marker ends each frame and only it.
        assert_eq!(header.sequence, first.sequence.wrapping_add(at as u16));
        assert_eq!(header.marker, at % 4 == 3);
        // 3: one time stamp for a frame, a thirtieth of a second apart.
        let frame = (at / 4) as u32;
        assert_eq!(
            header.timestamp,
            first.timestamp.wrapping_add(frame * 3_000)
        );
        assert_eq!(one.payload(), [(at % 4 + 1) as u8; 900]);
        // 4: a service class of its own (RFC 4594).
        assert!(one.video);
    }
    let facts = it.world.facts(it.b.leg).video.expect("a video line");
    assert_eq!((facts.packets_out, facts.gate.as_str()), (12, "open"));
    let facts = it.world.facts(it.a.leg).video.expect("a video line");
    assert_eq!((facts.packets_in, facts.codec_in.as_str()), (12, "VP8"));
}

#[test]
fn trap_18_extensions_cross_under_the_ids_of_the_other_leg_or_not_at_all() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    let seen = it.b.seen(&it.world);
    let elements: Vec<(u8, Vec<u8>)> = Elements::of(&seen[0].header(), &seen[0].bytes)
        .map(|one| (one.id, one.data.to_vec()))
        .collect();
    assert_eq!(elements, [(5, vec![1])]);
}

#[test]
fn trap_17_padding_is_stripped_and_packets_of_padding_alone_leave_no_gap() {
    let mut it = browsers();
    let mut padded = it.a.packet(&[9; 100], false);
    padded[0] |= 0x20;
    padded.extend([0, 0, 0, 4]);
    it.world.datagram(it.a.socket, it.a.address, &padded);
    let mut alone = it.a.packet(&[], false);
    alone[0] |= 0x20;
    alone.extend([0, 0, 0, 4]);
    it.world.datagram(it.a.socket, it.a.address, &alone);
    it.a.send(&mut it.world, &[8; 50], true);
    let seen = it.b.seen(&it.world);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].bytes[0] & 0x20, 0);
    assert_eq!(seen[0].payload(), [9; 100]);
    let [one, two] = [seen[0].header(), seen[1].header()];
    assert_eq!(two.sequence, one.sequence.wrapping_add(1));
}

#[test]
fn trap_22_a_retransmission_names_the_number_that_the_other_side_misses() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 2);
    let (lost, timestamp) = (it.a.sequence, it.a.timestamp);
    let _ = it.a.packet(&[77; 300], false);
    it.a.frame(&mut it.world, 1);
    let seen = it.b.seen(&it.world);
    let missing = seen[1].header().sequence.wrapping_add(1);
    assert_eq!(seen[2].header().sequence, missing.wrapping_add(1));
    // 1: the NACK comes to the source with its own number of the packet.
    it.b.tell(&mut it.world, |compound| {
        compound.nack(it.b.ssrc, it.b.local.ssrc, &[(missing, 0)])
    });
    let asked: Vec<(u32, Vec<(u16, u16)>)> = it
        .world
        .rtcp_to(it.a.address)
        .iter()
        .flat_map(|sent| Compound::parse(&sent.bytes).expect("a compound").packets())
        .filter_map(|packet| match packet {
            Packet::Nack { media, lost, .. } => Some((media, lost.collect())),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [(it.a.ssrc, vec![(lost, 0)])]);
    // 2: the answer is a stream of its own here too; its original number is the missing one.
    let repair = it.a.repair(lost, timestamp, &[77; 300]);
    it.world.datagram(it.a.socket, it.a.address, &repair);
    let seen = it.b.seen(&it.world);
    let repaired = seen.last().expect("sent");
    assert_eq!(repaired.header().payload_type, 101);
    assert_eq!(repaired.header().ssrc, it.b.local.rtx_ssrc);
    assert_eq!(repaired.payload()[..2], missing.to_be_bytes());
    assert_eq!(repaired.payload()[2..], [77; 300]);
    let frame = seen[0].header().timestamp.wrapping_add(3_000);
    assert_eq!(repaired.header().timestamp, frame);
}

#[test]
fn a_peer_without_retransmission_streams_gets_the_packet_itself() {
    let mut it = pair([vp8(96, 97), vp8(100, 0)], [&ALL, &ALL]);
    it.a.frame(&mut it.world, 1);
    let (lost, timestamp) = (it.a.sequence, it.a.timestamp);
    let _ = it.a.packet(&[77; 300], false);
    it.a.frame(&mut it.world, 1);
    let repair = it.a.repair(lost, timestamp, &[77; 300]);
    it.world.datagram(it.a.socket, it.a.address, &repair);
    let seen = it.b.seen(&it.world);
    let (before, repaired) = (seen[0].header(), seen[2].clone());
    let header = repaired.header();
    assert_eq!((header.payload_type, header.ssrc), (100, it.b.local.ssrc));
    assert_eq!(header.sequence, before.sequence.wrapping_add(1));
    assert_eq!(repaired.payload(), [77; 300]);
}

#[test]
fn trap_22_key_frames_are_asked_for_on_bridge_and_at_most_every_half_second() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    // 1: a picture begins with one.
    assert_eq!(it.a.asked(&it.world).len(), 1);
    it.world.advance_ms(1_000);
    let before = it.a.asked(&it.world).len();
    for _ in 0..10 {
        it.b.pli(&mut it.world);
        it.world.advance_ms(100);
    }
    // 2: ten wishes within a second are two or three requests, none closer than 500 ms to another.
    let asked = it.a.asked(&it.world);
    assert!((2..=3).contains(&(asked.len() - before)), "{asked:?}");
    let closest = asked.windows(2).map(|two| two[1] - two[0]).min();
    assert!(closest.expect("several") >= Duration::from_millis(500));
    // 3: the wish made meanwhile is not forgotten.
    it.world.advance_ms(1_000);
    it.b.pli(&mut it.world);
    it.world.advance_ms(100);
    it.b.pli(&mut it.world);
    let now = it.a.asked(&it.world).len();
    it.world.advance_ms(500);
    assert_eq!(it.a.asked(&it.world).len(), now + 1);
}

#[test]
fn trap_22_fir_and_pli_are_told_to_each_peer_in_the_form_it_knows() {
    let mut it = pair([vp8(96, 0), vp8(96, 0)], [&["ccm fir"], &["nack pli"]]);
    it.a.frame(&mut it.world, 1);
    it.b.frame(&mut it.world, 1);
    it.world.advance_ms(1_000);
    let (before_a, before_b) = (it.a.asked(&it.world).len(), it.b.asked(&it.world).len());
    it.world.sent.clear();
    it.b.pli(&mut it.world);
    it.a.tell(&mut it.world, |compound| {
        compound.fir(it.a.ssrc, it.a.local.ssrc, 1)
    });
    let asked = |address| {
        let sent = it.world.rtcp_to(address);
        let packets = sent
            .iter()
            .flat_map(|one| Compound::parse(&one.bytes).expect("a compound").packets());
        packets
            .filter_map(|packet| match packet {
                Packet::Pli { media, .. } => Some(("pli", media)),
                Packet::Fir { mut entries, .. } => entries.next().map(|(ssrc, _)| ("fir", ssrc)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(it.a.address), [("fir", it.a.ssrc)]);
    assert_eq!(asked(it.b.address), [("pli", it.b.ssrc)]);
    assert!(before_a > 0 && before_b > 0);
}

#[test]
fn a_peer_without_feedback_is_asked_by_signalling() {
    let mut it = pair([vp8(96, 0), vp8(96, 0)], [&[], &ALL]);
    it.a.frame(&mut it.world, 1);
    it.world.advance_ms(1_200);
    let wanted = |world: &World| {
        let mine =
            |event: &Event| matches!(event, Event::KeyFrameWanted { leg } if *leg == it.a.leg);
        world.events.iter().filter(|(_, event)| mine(event)).count()
    };
    let before = wanted(&it.world);
    it.b.pli(&mut it.world);
    assert_eq!(wanted(&it.world), before + 1);
    assert!(it.a.asked(&it.world).is_empty());
    // The other way: what signalling was told reaches the other peer by RTCP.
    it.b.frame(&mut it.world, 1);
    it.world.advance_ms(1_200);
    let before = it.b.asked(&it.world).len();
    let leg = it.b.leg;
    let reply = it.world.command(|n| Command::RequestKeyFrame { n, leg });
    assert!(matches!(reply, Reply::Done { .. }));
    assert_eq!(it.b.asked(&it.world).len(), before + 1);
}

#[test]
fn a_bit_rate_is_passed_on_for_the_stream_of_the_source() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    it.world.sent.clear();
    it.b.tell(&mut it.world, |compound| {
        compound.remb(it.b.ssrc, 1_500_000, &[it.b.local.ssrc])
    });
    let sent = it.world.rtcp_to(it.a.address);
    let told: Vec<(u64, Vec<u32>)> = sent
        .iter()
        .flat_map(|one| Compound::parse(&one.bytes).expect("a compound").packets())
        .filter_map(|packet| match packet {
            Packet::Remb(remb) => Some((remb.bits, remb.sources.collect())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(1_500_000, vec![it.a.ssrc])]);
}

/// The packet types in each datagram of RTCP that a camera was sent.
fn told(camera: &Camera, world: &World) -> Vec<Vec<u8>> {
    let types = |sent: &Sent| {
        let compound = Compound::parse(&sent.bytes).expect("a compound");
        let packets = compound.packets();
        packets
            .map(|packet| match packet {
                Packet::SenderReport(..) => 200,
                Packet::ReceiverReport(..) => 201,
                Packet::Nack { .. } => 205,
                Packet::Pli { .. } | Packet::Fir { .. } | Packet::Remb(_) => 206,
                Packet::Goodbye(_) => 203,
                Packet::Other(kind, _) => kind,
            })
            .collect()
    };
    let all = world.rtcp_to(camera.address);
    all.iter().map(|sent| types(sent)).collect()
}

#[test]
fn rfc_5506_feedback_goes_alone_to_a_peer_that_agreed_to_it_and_after_a_report_to_another() {
    for known in [ALL.as_slice(), &["nack", "ccm fir", "goog-remb"]] {
        let mut it = pair([vp8(96, 97), vp8(100, 101)], [known, known]);
        let mut remote = it.a.remote(&it.phones[0], known);
        remote.video.as_mut().expect("video").reduced_size = true;
        it.world.complete(it.a.leg, remote);
        it.a.frame(&mut it.world, 3);
        it.b.frame(&mut it.world, 3);
        it.world.advance_ms(1_000);
        let numbers = [&it.a, &it.b].map(|camera| {
            let seen = camera.seen(&it.world);
            seen.last().expect("sent").header().sequence
        });
        it.world.sent.clear();
        for (by, number) in [&it.a, &it.b].into_iter().zip(numbers) {
            let (ours, theirs) = (by.ssrc, by.local.ssrc);
            by.pli(&mut it.world);
            by.tell(&mut it.world, |it| it.nack(ours, theirs, &[(number, 0)]));
            by.tell(&mut it.world, |it| it.remb(ours, 900_000, &[theirs]));
        }
        // 1: who agreed to reduced sizes gets each wish by itself.
        assert_eq!(told(&it.a, &it.world), [[206], [205], [206]]);
        // 2: who did not gets a report and a name before it (RFC 4585 section 3.1).
        let whole = [[201, 202, 206], [201, 202, 205], [201, 202, 206]];
        assert_eq!(told(&it.b, &it.world), whole);
        // 3: reports are whole for both (RFC 5506 section 3.4.2).
        it.world.sent.clear();
        it.world.advance_ms(8_000);
        for camera in [&it.a, &it.b] {
            let reports = told(camera, &it.world);
            assert!(!reports.is_empty());
            assert!(
                reports
                    .iter()
                    .all(|one| matches!(one[..], [200 | 201, 202])),
                "{reports:?}"
            );
        }
    }
}

#[test]
fn rfc_5506_feedback_that_comes_alone_is_taken_of_a_believed_peer_only() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    it.world.advance_ms(1_000);
    let before = it.a.asked(&it.world).len();
    let mut buffer = [0; 64];
    let mut alone = CompoundBuilder::new(&mut buffer);
    alone.pli(it.b.ssrc, it.b.local.ssrc).expect("room");
    let len = alone.finish();
    // 1: a stranger asks for nothing.
    let elsewhere = SocketAddr::new([198, 51, 100, 9].into(), 9_999);
    it.world.datagram(it.b.socket, elsewhere, &buffer[..len]);
    assert_eq!(it.a.asked(&it.world).len(), before);
    // 2: the peer does, whether or not its description said so.
    it.world.datagram(it.b.socket, it.b.address, &buffer[..len]);
    assert_eq!(it.a.asked(&it.world).len(), before + 1);
}

#[test]
fn another_source_continues_the_stream_and_is_asked_for_a_picture() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 2);
    let call = it.call;
    let third = vp8(98, 99);
    let opened = it.world.command(|n| Command::OpenLeg {
        n,
        call,
        offer: offer(&third, 3),
    });
    let Reply::LegOpened { leg, .. } = opened else {
        panic!("{opened:?}")
    };
    let mut c = Camera::new(&leg, 5, third, 3);
    let remote = c.remote(&phone(&leg, 5), &ALL);
    it.world.complete(c.leg, remote);
    it.world.advance_ms(700);
    it.world.bridge(c.leg, it.b.leg);
    let last = it.b.seen(&it.world).last().expect("sent").header();
    // A late packet of the old source goes nowhere.
    it.a.frame(&mut it.world, 1);
    c.frame(&mut it.world, 1);
    let seen = it.b.seen(&it.world);
    assert_eq!(seen.len(), 3);
    let header: Header = seen[2].header();
    assert_eq!(header.ssrc, last.ssrc);
    assert_eq!(header.sequence, last.sequence.wrapping_add(1));
    let ahead = header.timestamp.wrapping_sub(last.timestamp);
    assert!((60_000..70_000).contains(&ahead), "{ahead}");
    assert_eq!(c.asked(&it.world).len(), 1);
}

#[test]
fn echo_shows_the_camera_itself() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![offer(&vp8(96, 97), 3)]);
    let mut a = Camera::new(&legs[0], 0, vp8(96, 97), 3);
    let remote = a.remote(&phone(&legs[0], 0), &ALL);
    world.complete(a.leg, remote);
    world.bridge(a.leg, a.leg);
    a.frame(&mut world, 2);
    let seen = a.seen(&world);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header().ssrc, a.local.ssrc);
    a.pli(&mut world);
    assert!(!a.asked(&world).is_empty());
}

#[test]
fn direction_and_refusal_are_kept_for_each_line() {
    let mut it = browsers();
    let mut remote = it.b.remote(&it.phones[1], &ALL);
    remote.video.as_mut().expect("video").direction = Direction::SendOnly;
    it.world.complete(it.b.leg, remote);
    it.a.frame(&mut it.world, 1);
    it.b.frame(&mut it.world, 1);
    // 1: who only sends video is not shown any, and hears all the same.
    assert!(it.b.seen(&it.world).is_empty());
    assert_eq!(it.a.seen(&it.world).len(), 1);
    it.phones[0].speak(&mut it.world);
    assert_eq!(it.world.rtp_to(it.phones[1].address).len(), 1);
    // 2: who takes no video any more gets none.
    it.world
        .complete(it.b.leg, port_remote(pcmu(), it.phones[1].address));
    it.a.frame(&mut it.world, 1);
    it.b.frame(&mut it.world, 1);
    assert!(it.b.seen(&it.world).is_empty());
    assert_eq!(it.a.seen(&it.world).len(), 1);
}

#[test]
fn video_is_added_to_a_call_of_sound_and_its_ports_come_back_at_the_end() {
    let mut world = World::new();
    let (call, mut phone_a, phone_b) = two_phones(&mut world);
    let mut legs = Vec::new();
    for (one, index) in [(&phone_a, 0u8), (&phone_b, 1)] {
        let (leg, offer) = (one.leg, offer(&vp8(96, 97), 3));
        let reply = world.command(|n| Command::Update {
            n,
            leg,
            offer,
            restart_ice: false,
            opens_video: true,
        });
        let Reply::LegOpened { leg, .. } = reply else {
            panic!("{reply:?}")
        };
        let camera = Camera::new(&leg, index, vp8(96, 97), 3);
        let remote = camera.remote(one, &ALL);
        world.complete(one.leg, remote);
        legs.push(camera);
    }
    let [mut a, b]: [Camera; 2] = legs.try_into().ok().expect("two");
    a.frame(&mut world, 2);
    assert_eq!(b.seen(&world).len(), 2);
    phone_a.speak(&mut world);
    assert_eq!(world.rtp_to(phone_b.address).len(), 1);
    let reply = world.command(|n| Command::ListLegs { n });
    let Reply::Legs { legs, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(legs.len(), 2, "a lent leg is nobody's");
    let reply = world.command(|n| Command::CloseCall { n, call });
    let Reply::Closed { legs, .. } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(legs.len(), 2);
    assert_eq!(world.released.len(), 4);
    assert_eq!(world.engine.legs(), 0);
}

#[test]
fn reports_tell_of_the_video_stream_on_the_clock_of_its_source() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 2);
    let (ntp, rtp) = (it.world.ntp(), it.a.timestamp);
    it.a.tell(&mut it.world, |compound| {
        compound.sender_report(
            &SenderInfo {
                ssrc: it.a.ssrc,
                ntp,
                rtp,
                packets: 2,
                octets: 1_800,
            },
            &[],
        )
    });
    let started = it.world.elapsed;
    it.world.advance_ms(3_000);
    let seen = it.b.seen(&it.world)[0].header();
    let offset = seen.timestamp.wrapping_sub(u32::MAX - 9_000);
    let sent = it.world.rtcp_to(it.b.address);
    let reports: Vec<(Duration, u32, u32)> = sent
        .iter()
        .flat_map(|one| {
            let packets = Compound::parse(&one.bytes).expect("a compound").packets();
            packets.map(move |packet| (one.at, packet))
        })
        .filter_map(|(at, packet)| match packet {
            Packet::SenderReport(info, _) if info.ssrc == it.b.local.ssrc => {
                Some((at, info.rtp, info.packets))
            }
            _ => None,
        })
        .collect();
    let (at, told, packets) = *reports.first().expect("a report");
    assert_eq!(packets, 2);
    let expected = rtp
        .wrapping_add(offset)
        .wrapping_add(((at - started).as_millis() * 90) as u32);
    assert!(
        told.wrapping_sub(expected).wrapping_add(90) <= 180,
        "{told} {expected}"
    );
}

#[test]
fn a_stranger_on_the_video_port_is_not_shown() {
    let mut it = browsers();
    it.a.frame(&mut it.world, 1);
    let packet = it.a.packet(&[1; 100], true);
    let elsewhere = SocketAddr::new([198, 51, 100, 9].into(), 9_999);
    it.world.datagram(it.a.socket, elsewhere, &packet);
    assert_eq!(it.b.seen(&it.world).len(), 1);
    // Its own stream that comes back is a loop.
    let mut looped = it.a.packet(&[1; 100], true);
    looped[8..12].copy_from_slice(&it.a.local.ssrc.to_be_bytes());
    it.world.datagram(it.a.socket, it.a.address, &looped);
    assert_eq!(it.b.seen(&it.world).len(), 1);
}

#[test]
fn payload_types_of_a_bundle_belong_to_one_line() {
    let mut world = World::new();
    let clash = LegOffer {
        path: PathKind::WebRtc,
        keys: KeyKind::Dtls,
        address: String::new(),
        video: Some(Box::new(line(vec![vp8(111, 0)], 3))),
        ..port_offer(opus())
    };
    let reply = world.command(|n| Command::OpenCall {
        n,
        offers: vec![clash],
        near: 0,
    });
    assert!(
        matches!(&reply, Reply::Refused { code, .. } if code == "bad_description"),
        "{reply:?}"
    );
}

/// MEDIA.md traps 4 and 15 for the second line of a phone: keys of its own, and nothing in the clear.
#[test]
fn the_video_of_an_sdes_phone_has_keys_of_its_own() {
    let suite = Suite::ALL[0];
    let mut world = World::new();
    let secured = LegOffer {
        keys: KeyKind::Sdes,
        suites: vec![suite.name().to_owned()],
        ..offer(&vp8(100, 0), 5)
    };
    let (_, legs) = world.open(vec![offer(&vp8(96, 97), 3), secured]);
    let phones = [phone(&legs[0], 0), phone(&legs[1], 1)];
    let mut a = Camera::new(&legs[0], 0, vp8(96, 97), 3);
    let mut b = Camera::new(&legs[1], 1, vp8(100, 0), 5);
    // 1: two lines, two keys.
    assert_ne!(legs[1].crypto[0].key, b.local.crypto[0].key);
    world.complete(a.leg, a.remote(&phones[0], &ALL));
    world.bridge(a.leg, b.leg);
    a.frame(&mut world, 2);
    assert!(b.seen(&world).is_empty(), "no key, no packet");
    let hex = |fill: u8| format!("{fill:02x}").repeat(suite.key_len() + suite.salt_len());
    let key = |fill: u8| {
        vec![Crypto {
            suite: suite.name().to_owned(),
            key: hex(fill),
        }]
    };
    let mut remote = b.remote(&phones[1], &ALL);
    remote.crypto = key(7);
    remote.video.as_mut().expect("video").crypto = key(9);
    world.complete(b.leg, remote);
    a.frame(&mut world, 2);
    // 2: what it is sent opens by the key announced for that line, and is the picture.
    let text = b.local.crypto[0].key.clone();
    let ours: Vec<u8> = (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let mut inward = SrtpIn::new(&MasterKeys::from_inline(suite, &ours).expect("key")).expect("in");
    let seen = b.seen(&world);
    assert_eq!(seen.len(), 2);
    for (at, one) in seen.iter().enumerate() {
        let mut bytes = one.bytes.clone();
        let len = inward.open(&mut bytes, world.instant()).expect("opens");
        let header = Header::parse(&bytes[..len]).expect("RTP");
        assert_eq!(header.payload(&bytes[..len]), [(at + 1) as u8; 900]);
    }
    // 3: what it sends is taken under its own key of the line, and not under that of its sound.
    let theirs = |fill: u8| vec![fill; suite.key_len() + suite.salt_len()];
    for (fill, count) in [(7, 0), (9, 1)] {
        let keys = MasterKeys::from_inline(suite, &theirs(fill)).expect("key");
        let mut out = SrtpOut::new(&keys).expect("out");
        let mut packet = b.packet(&[5; 400], true);
        let len = packet.len();
        packet.resize(len + 40, 0);
        let sealed = out.seal(&mut packet, len).expect("sealed");
        world.datagram(b.socket, b.address, &packet[..sealed]);
        assert_eq!(a.seen(&world).len(), count, "key {fill}");
    }
    // 4: the source was asked for a picture when the way opened.
    assert!(!a.asked(&world).is_empty());
}
