//! From a video packet to the leg that sees it, and what both peers ask of each other on the way: key frames, lost
//! packets, bit rates. Numbers and streams are translated, nothing is decoded and nothing is kept for sending again.

use std::time::Instant;

use arrayvec::ArrayVec;
use offhook_rtp::extension::{Elements, ExtensionWriter, Form, parse_mid};
use offhook_rtp::header::{Fields, Header};
use offhook_rtp::rtcp::{
    Compound, CompoundBuilder, NackEntries, Packet as Report, ReportBlock, RtcpError, SenderInfo,
    ntp_middle,
};
use offhook_rtp::srtp::MAX_OVERHEAD;

use crate::engine::Engine;
use crate::event::Event;
use crate::far::What;
use crate::ids::LegId;
use crate::io::{Now, PACKET_SIZE};
use crate::leg::Leg;
use crate::route::EXTENSION_BIT;
use crate::timers::Kind;
use crate::video::{CLOCK, KEY_FRAME_PAUSE, Meaning, OSN_LEN, Seen, Video, source_time};

/// Lost packets of one NACK that are passed on: more is no loss but an outage, which a key frame ends.
const MAX_NACKED: usize = 256;
/// A compound of ours is far smaller; the rest is the SRTCP trailer's.
const ROOM: usize = PACKET_SIZE - MAX_OVERHEAD;

impl Engine {
    /// Takes an opened packet with a payload type of the video line that `carrier` transports.
    pub(crate) fn video_rtp(&mut self, carrier: LegId, header: &Header, opened: &[u8], now: Now) {
        let Some(owner) = self.owner_of(carrier) else {
            return;
        };
        let Some(leg) = self.legs.get_mut(owner) else {
            return;
        };
        let mid_id = leg.offer.mid_id;
        let Some(video) = leg.video.as_mut() else {
            return;
        };
        if header.ssrc == video.tx.ssrc || header.ssrc == video.tx.repair_ssrc {
            video.rx.loops += 1;
            return;
        }
        if mid_id != 0 && !is_ours(header, opened, mid_id, &video.offer.mid) {
            video.rx.unknown_mid += 1;
            return;
        }
        let Ok(seen) = video.rx.accept(header, now.instant) else {
            return;
        };
        let (shown, wanted) = (video.may_receive(), video.key_frames.wanted);
        if wanted {
            self.drive_key_frame(owner, now);
        }
        if shown {
            self.show(owner, &seen, header, opened, now);
        }
    }

    /// The leg whose video line a leg carries: another's, or its own.
    fn owner_of(&self, carrier: LegId) -> Option<LegId> {
        self.legs
            .get(carrier)
            .map(|leg| leg.lent_to.unwrap_or(carrier))
    }

    /// Gives an accepted packet to the leg that sees this one.
    fn show(&mut self, from: LegId, seen: &Seen, header: &Header, opened: &[u8], now: Now) {
        let payload = header.payload(opened);
        let original = match (seen.meaning, payload.first_chunk::<OSN_LEN>()) {
            (Meaning::Repair(_), Some(number)) => {
                let source = self.legs.get(from).and_then(|leg| leg.video.as_ref());
                source.and_then(|video| video.rx.original(u16::from_be_bytes(*number)))
            }
            _ => None,
        };
        match self.sink_of(from) {
            Some(sink) => self.seen(sink, from, seen, original, opened, now),
            None => self.picture_across(from, seen, original, opened),
        }
    }

    /// A video packet of the leg that feeds this one. `original`: what a retransmission repeats.
    pub(crate) fn seen(
        &mut self,
        sink: LegId,
        from: LegId,
        seen: &Seen,
        original: Option<u64>,
        opened: &[u8],
        now: Now,
    ) {
        let Ok(header) = Header::parse(opened) else {
            return;
        };
        let header = &header;
        let payload = header.payload(opened);
        let open = self.video_outlet(sink, now);
        let video = self.legs.get_mut(sink).and_then(|leg| leg.video.as_mut());
        let Some(video) = video else { return };
        let (Meaning::Primary(format) | Meaning::Repair(format)) = seen.meaning else {
            return;
        };
        let Some(types) = video.tx.types.get(usize::from(format)).copied().flatten() else {
            return;
        };
        if !open || !video.may_send() {
            video.tx.starved = true;
            return;
        }
        let empty = match seen.meaning {
            Meaning::Repair(_) => payload.len() <= OSN_LEN,
            _ => payload.is_empty(),
        };
        if empty {
            // Padding that probes the way to us: it says nothing about the way on.
            return video.tx.leave_out(from, seen, now.instant);
        }
        if let Meaning::Repair(_) = seen.meaning {
            let Some((fields, number)) = original
                .and_then(|original| video.tx.repair(from, seen, original, types, now.instant))
            else {
                return;
            };
            let number = number.to_be_bytes();
            let repeated = payload.get(OSN_LEN..).unwrap_or_default();
            let head: &[u8] = if types.1 == 0 { &[] } else { &number };
            return self.emit_video(
                sink,
                fields,
                Elements::of(header, opened),
                &[head, repeated],
                now,
            );
        }
        let Some((fields, fresh)) = video.tx.forward(from, seen, types.0, now.instant) else {
            return;
        };
        let ask = std::mem::take(&mut video.tx.starved) || fresh;
        self.emit_video(sink, fields, Elements::of(header, opened), &[payload], now);
        // One that was asked for by this very packet is the same wish.
        let asked = self.takes(from, |video| video.key_frames.last == Some(now.instant));
        if ask && !asked {
            self.want_key_frame(sink, from, now);
        }
    }

    /// A key frame of the leg that feeds this one is wanted.
    fn want_key_frame(&mut self, sink: LegId, from: LegId, now: Now) {
        if self.is_far(from.0) {
            self.cross_link(sink, What::KeyFrame);
        } else {
            self.ask_key_frame(from, now);
        }
    }

    /// Whether the transport of a leg's video line is open; its direction apart.
    fn video_outlet(&self, id: LegId, now: Now) -> bool {
        let carrier = self.carrier_of(id);
        let carrier = carrier.and_then(|carrier| self.legs.get(carrier));
        carrier.is_some_and(|leg| leg.transport(now.instant).is_ok())
    }

    fn carrier_of(&self, id: LegId) -> Option<LegId> {
        let video = self.legs.get(id)?.video.as_ref()?;
        Some(video.carrier.unwrap_or(id))
    }

    /// Writes, seals and queues one video packet.
    fn emit_video(
        &mut self,
        sink: LegId,
        fields: Fields,
        elements: Elements<'_>,
        payload: &[&[u8]],
        now: Now,
    ) {
        let Some(carrier) = self.carrier_of(sink) else {
            return;
        };
        let mut packet = self.out.packet();
        let written = self
            .legs
            .get(sink)
            .and_then(|leg| write(leg, fields, elements, payload, &mut packet));
        let sealed = self.legs.get_mut(carrier).and_then(|leg| {
            let outlet = leg.transport(now.instant).ok()?;
            let len = match &mut leg.keys.outbound {
                Some(outbound) => outbound.seal(&mut packet, written?).ok()?,
                // `transport` is closed on a secured leg without keys; this is the second lock.
                None => written.filter(|_| !leg.secured())?,
            };
            Some((outlet, len))
        });
        let Some(((socket, destination), len)) = sealed else {
            return self.out.recycle(packet);
        };
        self.out.transmit_video(socket, destination, packet, len);
        let video = self.legs.get_mut(sink).and_then(|leg| leg.video.as_mut());
        if let Some(video) = video {
            let repair = fields.ssrc == video.tx.repair_ssrc;
            let len = payload.iter().map(|part| part.len()).sum();
            video.tx.count(repair, len, now.instant);
        }
    }

    /// Key frames are asked of the peer of each of these legs that shows video to another: a picture begins with one.
    pub(crate) fn begin_pictures(&mut self, legs: [LegId; 2], now: Now) {
        for id in legs {
            let shows = self.sink_of(id).and_then(|sink| self.legs.get(sink));
            if shows.is_some_and(|sink| sink.video.is_some()) {
                self.ask_key_frame(id, now);
            }
        }
    }

    /// A key frame of this leg's peer is wanted: at once, or as soon as it may be asked for.
    pub(crate) fn ask_key_frame(&mut self, id: LegId, now: Now) {
        let video = self.legs.get_mut(id).and_then(|leg| leg.video.as_mut());
        if let Some(video) = video.filter(|video| video.may_receive()) {
            video.key_frames.wanted = true;
            self.drive_key_frame(id, now);
        }
    }

    pub(crate) fn drive_key_frame(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(video) = leg.video.as_mut().filter(|video| video.key_frames.wanted) else {
            return;
        };
        let frames = &mut video.key_frames;
        let due = frames.last.map(|last| last + KEY_FRAME_PAUSE);
        if let Some(due) = due.filter(|due| *due > now.instant) {
            return self.timers.arm(&mut leg.deadlines, id, Kind::KeyFrame, due);
        }
        let feedback = video.feedback;
        if !feedback.pli && !feedback.fir {
            (frames.last, frames.wanted) = (Some(now.instant), false);
            frames.asked += 1;
            return self.out.event(Event::KeyFrameWanted { leg: id.0 });
        }
        let sequence = frames.fir_sequence;
        let sent = self.send_feedback(id, now, |compound, ours, theirs| {
            if feedback.pli {
                compound.pli(ours, theirs)
            } else {
                compound.fir(ours, theirs, sequence)
            }
        });
        let video = self.legs.get_mut(id).and_then(|leg| leg.video.as_mut());
        if let Some(video) = video.filter(|_| sent) {
            let frames = &mut video.key_frames;
            (frames.last, frames.wanted) = (Some(now.instant), false);
            frames.asked += 1;
            frames.fir_sequence = frames.fir_sequence.wrapping_add(1);
        }
    }

    /// Sends feedback of ours about the video that a leg's peer sends; `false`: its stream or the way to it is unknown.
    fn send_feedback(
        &mut self,
        id: LegId,
        now: Now,
        build: impl FnOnce(&mut CompoundBuilder<'_>, u32, u32) -> Result<(), RtcpError>,
    ) -> bool {
        let Some(leg) = self.legs.get(id) else {
            return false;
        };
        let Some(video) = leg.video.as_ref() else {
            return false;
        };
        let (ours, Some(theirs)) = (video.tx.ssrc, video.source()) else {
            return false;
        };
        let alone = video.remote.as_ref().is_some_and(|it| it.reduced_size);
        let cname = leg.cname.clone();
        self.send_compound(id, now, |compound| {
            // RFC 4585 3.1: feedback follows a report and a name, unless reduced sizes are agreed (RFC 5506).
            if !alone {
                compound.receiver_report(ours, &[])?;
                compound.cname(ours, &cname)?;
            }
            build(compound, ours, theirs)
        })
    }

    /// Builds and sends a compound by the transport of a leg's video line.
    fn send_compound(
        &mut self,
        id: LegId,
        now: Now,
        build: impl FnOnce(&mut CompoundBuilder<'_>) -> Result<(), RtcpError>,
    ) -> bool {
        let carrier = self.carrier_of(id);
        let Some(leg) = carrier.and_then(|carrier| self.legs.get_mut(carrier)) else {
            return false;
        };
        let Some((socket, destination)) = leg.report_outlet(now.instant) else {
            return false;
        };
        let mut packet = self.out.packet();
        let built = packet.get_mut(..ROOM).and_then(|room| {
            let mut compound = CompoundBuilder::new(room);
            build(&mut compound).ok()?;
            Some(compound.finish())
        });
        let sealed = built.and_then(|len| leg.seal_report(&mut packet, len));
        match sealed {
            Some(len) => self.out.transmit(socket, destination, packet, len),
            None => self.out.recycle(packet),
        }
        sealed.is_some()
    }

    /// Takes an authenticated compound that came by `carrier`: what it says of video.
    pub(crate) fn video_rtcp(&mut self, carrier: LegId, opened: &[u8], now: Now) {
        let (Some(owner), Ok(compound)) = (self.owner_of(carrier), Compound::parse(opened)) else {
            return;
        };
        let mut key_frame = false;
        for report in compound.packets() {
            let video = self.legs.get_mut(owner).and_then(|leg| leg.video.as_mut());
            let Some(video) = video else { return };
            let ours = video.tx.ssrc;
            match report {
                Report::SenderReport(info, blocks) => {
                    let middle = ntp_middle(info.ntp);
                    video
                        .rx
                        .sender_report(info.ssrc, middle, info.rtp, now.instant);
                    blocks.for_each(|block| acknowledge(video, &block, now));
                }
                Report::ReceiverReport(_, blocks) => {
                    blocks.for_each(|block| acknowledge(video, &block, now));
                }
                Report::Pli { media, .. } => key_frame |= media == ours,
                Report::Fir { mut entries, .. } => {
                    key_frame |= entries.any(|(ssrc, _)| ssrc == ours);
                }
                Report::Nack { media, lost, .. } if media == ours => {
                    self.pass_nack(owner, lost, now);
                }
                Report::Remb(mut remb) => {
                    let bits = remb.bits;
                    if remb.sources.any(|ssrc| ssrc == ours) {
                        self.pass_remb(owner, bits, now);
                    }
                }
                _ => {}
            }
        }
        if let Some(source) = self.source_of(owner).filter(|_| key_frame) {
            self.want_key_frame(owner, source, now);
        }
    }

    fn pass_nack(&mut self, id: LegId, lost: NackEntries<'_>, now: Now) {
        let Some(video) = self.legs.get(id).and_then(|leg| leg.video.as_ref()) else {
            return;
        };
        let numbers = lost
            .flat_map(|(first, mask)| missing(first, mask))
            .filter_map(|number| video.tx.source_number(number, now.instant))
            .take(MAX_NACKED);
        let pairs = nack_pairs(numbers);
        let Some(source) = self.source_of(id).filter(|_| !pairs.is_empty()) else {
            return;
        };
        if self.is_far(source.0) {
            self.cross_link(id, What::Lost(pairs.to_vec()));
        } else {
            self.ask_again(source, &pairs, now);
        }
    }

    /// Packets of this leg's peer that were lost are asked for again.
    pub(crate) fn ask_again(&mut self, id: LegId, pairs: &[(u16, u16)], now: Now) {
        if self.takes(id, |video| video.feedback.nack) {
            self.send_feedback(id, now, |compound, ours, theirs| {
                compound.nack(ours, theirs, pairs)
            });
        }
    }

    fn pass_remb(&mut self, id: LegId, bits: u64, now: Now) {
        let Some(source) = self.source_of(id) else {
            return;
        };
        if self.is_far(source.0) {
            self.cross_link(id, What::Rate(bits));
        } else {
            self.limit_rate(source, bits, now);
        }
    }

    /// This leg's peer is told how many bits a second of its video are taken.
    pub(crate) fn limit_rate(&mut self, id: LegId, bits: u64, now: Now) {
        if self.takes(id, |video| video.feedback.remb) {
            self.send_feedback(id, now, |compound, ours, theirs| {
                compound.remb(ours, bits, &[theirs])
            });
        }
    }

    fn takes(&self, id: LegId, what: impl FnOnce(&Video) -> bool) -> bool {
        let video = self.legs.get(id).and_then(|leg| leg.video.as_ref());
        video.is_some_and(|video| what(video))
    }

    /// The clock of the video that feeds a leg.
    fn source_clock(&self, id: LegId) -> Option<(u32, Instant)> {
        let source = self.source_of(id)?;
        if self.is_far(source.0) {
            return self.legs.get(id)?.link.as_ref()?.known.clock;
        }
        self.legs.get(source)?.video.as_ref()?.rx.source_clock()
    }

    /// Sends a report about a leg's video. `bye`: our stream ends.
    pub(crate) fn report_video(&mut self, id: LegId, bye: bool, now: Now) {
        let source = self
            .source_clock(id)
            .map(|clock| source_time(clock, now.instant));
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(since) = leg.completed else { return };
        let cname = leg.cname.clone();
        let Some(video) = leg.video.as_mut() else {
            return;
        };
        let (sent, last) = video.reported;
        let blocks = video.rx.report(last.unwrap_or(since), now.instant);
        let (ours, packets) = (video.tx.ssrc, video.tx.packets);
        let info = SenderInfo {
            ssrc: ours,
            ntp: now.ntp,
            rtp: video.tx.timestamp(source, now.instant),
            // Truncation: the fields wrap.
            packets: packets as u32,
            octets: video.tx.octets as u32,
        };
        if packets == sent && blocks.is_empty() && !bye {
            return;
        }
        video.reported = (packets, Some(now.instant));
        self.send_compound(id, now, |compound| {
            if packets > sent {
                compound.sender_report(&info, &blocks)?;
            } else {
                compound.receiver_report(ours, &blocks)?;
            }
            compound.cname(ours, &cname)?;
            if bye {
                compound.goodbye(&[ours])?;
            }
            Ok(())
        });
    }
}

/// RFC 9143 section 9.2: a packet that names another line is not of this one.
fn is_ours(header: &Header, opened: &[u8], mid_id: u8, mid: &str) -> bool {
    let element = Elements::of(header, opened).find(|element| element.id == mid_id);
    element
        .and_then(|element| parse_mid(element.data))
        .is_none_or(|named| named == mid)
}

fn write(
    leg: &Leg,
    fields: Fields,
    elements: Elements<'_>,
    payload: &[&[u8]],
    packet: &mut [u8],
) -> Option<usize> {
    let video = leg.video.as_ref()?;
    let mut len = fields.write(packet)?;
    let mut block = ExtensionWriter::new(Form::OneByte);
    if leg.offer.mid_id != 0 && !video.offer.mid.is_empty() {
        // An element that does not fit its form was not negotiated by us.
        let _ = block.push(leg.offer.mid_id, video.offer.mid.as_bytes());
    }
    video.tx.extensions.copy(elements, &mut block);
    let block = block.finish();
    if !block.is_empty() {
        *packet.first_mut()? |= EXTENSION_BIT;
    }
    for part in [&[block], payload].concat() {
        packet.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    Some(len)
}

fn acknowledge(video: &mut Video, block: &ReportBlock, now: Now) {
    if block.ssrc != video.tx.ssrc {
        return;
    }
    let sent = video.tx.packets;
    let known = &mut video.tx.acknowledged;
    known.at = Some(now.instant);
    known.highest = block.extended_highest;
    known.sent_then = sent;
    known.loss_percent = f64::from(block.fraction_lost) * 100.0 / 256.0;
    known.jitter_ms = f64::from(block.jitter) * 1_000.0 / f64::from(CLOCK);
    if let Some(delay) = block.round_trip(ntp_middle(now.ntp)) {
        video.tx.rtt_ms = Some(f64::from(delay) * 1_000.0 / 65_536.0);
    }
}

/// The numbers that an entry of a NACK names.
fn missing(first: u16, mask: u16) -> impl Iterator<Item = u16> {
    let later = (0..16u16).filter(move |bit| mask >> bit & 1 == 1);
    std::iter::once(first).chain(later.map(move |bit| first.wrapping_add(bit + 1)))
}

/// Entries of a NACK for these numbers.
fn nack_pairs(numbers: impl Iterator<Item = u16>) -> ArrayVec<(u16, u16), MAX_NACKED> {
    let mut pairs = ArrayVec::<(u16, u16), MAX_NACKED>::new();
    for number in numbers {
        let last = pairs.last_mut();
        match last.map(|pair| (number.wrapping_sub(pair.0), pair)) {
            Some((0, _)) => {}
            Some((ahead @ 1..=16, pair)) => pair.1 |= 1 << (ahead - 1),
            // Never full: there are no more numbers than room.
            _ => drop(pairs.try_push((number, 0))),
        }
    }
    pairs
}
