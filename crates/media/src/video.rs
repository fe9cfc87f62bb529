//! The video line of a leg: what it receives and what it sends. Packets are passed on as they are, never decoded.
//!
//! Retransmissions (RFC 4588) are a stream of their own in each direction; what they repeat is numbered as the stream
//! they repair.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use offhook_rtp::extension::IdMap;
use offhook_rtp::header::{Fields, Header};
use offhook_rtp::rtcp::ReportBlock;
use offhook_rtp::sequence::{ExtendedSequence, SeqMap};
use offhook_rtp::statistics::{Arrival, ReceiveStatistics};

use crate::description::{VideoCodec, VideoOffer, VideoRemote};
use crate::ids::LegId;
use crate::receive::Dropped;
use crate::send::{Acknowledged, draw};

/// RTP clock of every video format, Hz.
pub(crate) const CLOCK: u32 = 90_000;
/// Streams remembered per direction: one is seen, the others are sources before it.
const MAX_STREAMS: usize = 8;
/// Formats of one line: browsers offer ten of H264 and VP8.
pub(crate) const MAX_CODECS: usize = 16;
/// A stream that was left is not taken up again while the present one was seen so recently: late packets.
const LATE: Duration = Duration::from_secs(1);
/// A key frame costs as much as a second of video: none is asked for sooner after another.
pub(crate) const KEY_FRAME_PAUSE: Duration = Duration::from_millis(500);
/// Length of the original sequence number before a repeated payload (RFC 4588 section 4).
pub(crate) const OSN_LEN: usize = 2;

/// What a payload type of the line means; the number is the format's place in our half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Meaning {
    #[default]
    Unknown,
    Primary(u8),
    Repair(u8),
}

/// An accepted video packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) meaning: Meaning,
    pub(crate) restarted: bool,
}

struct Stream {
    ssrc: u32,
    extended: ExtendedSequence,
    statistics: ReceiveStatistics,
    /// Middle of the NTP time of the last SR, its RTP time, and when it came.
    last_report: Option<(u32, u32, Instant)>,
    seen: Instant,
}

/// The receiving side of a video line.
pub(crate) struct VideoIn {
    table: Box<[Meaning; 128]>,
    streams: ArrayVec<Stream, MAX_STREAMS>,
    repairs: ArrayVec<Stream, MAX_STREAMS>,
    pub(crate) current: Option<u32>,
    pub(crate) codec: Option<u8>,
    pub(crate) packets: u64,
    pub(crate) repaired: u64,
    pub(crate) unknown_mid: u64,
    pub(crate) loops: u64,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
}

impl VideoIn {
    fn new(codecs: &[VideoCodec]) -> Self {
        Self {
            table: meanings(codecs),
            streams: ArrayVec::new(),
            repairs: ArrayVec::new(),
            current: None,
            codec: None,
            packets: 0,
            repaired: 0,
            unknown_mid: 0,
            loops: 0,
            first: None,
            last: None,
        }
    }

    fn meaning(&self, payload_type: u8) -> Meaning {
        self.table
            .get(usize::from(payload_type))
            .copied()
            .unwrap_or_default()
    }

    /// Takes an authenticated, opened packet: counts it, and says what it is.
    pub(crate) fn accept(&mut self, header: &Header, now: Instant) -> Result<Seen, Dropped> {
        let meaning = self.meaning(header.payload_type);
        let streams = match meaning {
            Meaning::Unknown => return Err(Dropped::UnknownPayloadType),
            Meaning::Primary(_) => &mut self.streams,
            Meaning::Repair(_) => &mut self.repairs,
        };
        if let Meaning::Primary(codec) = meaning {
            if self.current != Some(header.ssrc) {
                let busy = streams.iter().any(|stream| {
                    Some(stream.ssrc) == self.current
                        && now.saturating_duration_since(stream.seen) < LATE
                });
                if busy && streams.iter().any(|stream| stream.ssrc == header.ssrc) {
                    return Err(Dropped::Stray);
                }
                self.current = Some(header.ssrc);
            }
            self.codec = Some(codec);
        }
        let (sequence, restarted) = count(streams, header, now)?;
        match meaning {
            Meaning::Repair(_) => self.repaired += 1,
            _ => self.packets += 1,
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
        Ok(Seen {
            ssrc: header.ssrc,
            sequence,
            timestamp: header.timestamp,
            marker: header.marker,
            meaning,
            restarted,
        })
    }

    /// The number of the packet of the present stream that a retransmission repeats.
    pub(crate) fn original(&self, number: u16) -> Option<u64> {
        Some(self.stream()?.extended.peek(number))
    }

    fn stream(&self) -> Option<&Stream> {
        self.streams
            .iter()
            .find(|stream| Some(stream.ssrc) == self.current)
    }

    /// An SR of the peer.
    pub(crate) fn sender_report(&mut self, ssrc: u32, middle: u32, rtp: u32, now: Instant) {
        let mut all = self.streams.iter_mut().chain(&mut self.repairs);
        if let Some(stream) = all.find(|stream| stream.ssrc == ssrc) {
            stream.last_report = Some((middle, rtp, now));
        }
    }

    /// RTP time of the present stream by its last SR, and when that came.
    pub(crate) fn source_clock(&self) -> Option<(u32, Instant)> {
        let (_, rtp, at) = self.stream()?.last_report?;
        Some((rtp, at))
    }

    /// A report block for each stream seen since `since`.
    pub(crate) fn report(
        &mut self,
        since: Instant,
        now: Instant,
    ) -> ArrayVec<ReportBlock, { 2 * MAX_STREAMS }> {
        let all = self.streams.iter_mut().chain(&mut self.repairs);
        all.filter(|stream| stream.seen >= since)
            .map(|stream| {
                let (lsr, dlsr) = stream.last_report.map_or((0, 0), |(lsr, _, at)| {
                    let micros = now.saturating_duration_since(at).as_micros();
                    (
                        lsr,
                        u32::try_from(micros * 65_536 / 1_000_000).unwrap_or(u32::MAX),
                    )
                });
                stream.statistics.report(stream.ssrc, lsr, dlsr)
            })
            .collect()
    }

    /// Packets of the repaired streams that never came, how many should have, and the jitter of the present one, ms.
    pub(crate) fn measures(&self) -> (u64, u64, f64) {
        let sum = |of: &dyn Fn(&Stream) -> u64| self.streams.iter().map(of).sum();
        (
            sum(&|stream| u64::try_from(stream.statistics.lost()).unwrap_or(0)),
            sum(&|stream| stream.statistics.expected()),
            self.stream()
                .map_or(0.0, |stream| stream.statistics.jitter_ms()),
        )
    }
}

fn count(
    streams: &mut ArrayVec<Stream, MAX_STREAMS>,
    header: &Header,
    now: Instant,
) -> Result<(u64, bool), Dropped> {
    let found = streams.iter().position(|stream| stream.ssrc == header.ssrc);
    let at = found.unwrap_or_else(|| {
        if streams.is_full() {
            let oldest = streams.iter().enumerate().min_by_key(|(_, one)| one.seen);
            let oldest = oldest.map(|(at, _)| at);
            oldest.map(|oldest| streams.remove(oldest));
        }
        streams.push(Stream {
            ssrc: header.ssrc,
            extended: ExtendedSequence::default(),
            statistics: ReceiveStatistics::repaired(CLOCK),
            last_report: None,
            seen: now,
        });
        streams.len() - 1
    });
    let stream = streams.get_mut(at).ok_or(Dropped::Stray)?;
    let arrival = stream
        .statistics
        .packet(header.sequence, header.timestamp, now);
    match arrival {
        Arrival::Duplicate => return Err(Dropped::Duplicate),
        Arrival::Jumped => return Err(Dropped::Stray),
        Arrival::Restarted => stream.extended = ExtendedSequence::default(),
        Arrival::InOrder | Arrival::Reordered => {}
    }
    stream.seen = now;
    Ok((
        stream.extended.extend(header.sequence),
        arrival == Arrival::Restarted,
    ))
}

fn meanings(codecs: &[VideoCodec]) -> Box<[Meaning; 128]> {
    let mut table = Box::new([Meaning::Unknown; 128]);
    for (at, codec) in (0u8..).zip(codecs.iter().take(MAX_CODECS)) {
        let mut put = |number: u8, meaning| {
            if let Some(entry) = table.get_mut(usize::from(number)) {
                *entry = meaning;
            }
        };
        put(codec.payload_type, Meaning::Primary(at));
        if codec.rtx != 0 {
            put(codec.rtx, Meaning::Repair(at));
        }
    }
    table
}

/// What a source's clock shows now.
pub(crate) fn source_time((rtp, at): (u32, Instant), now: Instant) -> u32 {
    rtp.wrapping_add(ticks(now.saturating_duration_since(at)))
}

/// Time on the video clock; truncation is its wrap.
fn ticks(elapsed: Duration) -> u32 {
    (elapsed.as_micros() * u128::from(CLOCK) / 1_000_000) as u32
}

/// The stream that a line passes on.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    from: LegId,
    ssrc: u32,
    offset: u32,
}

/// The sending side of a video line.
pub(crate) struct VideoOut {
    pub(crate) ssrc: u32,
    pub(crate) repair_ssrc: u32,
    /// Payload type and that of its retransmissions (0: none), by the place of the format in the source's half.
    pub(crate) types: [Option<(u8, u8)>; MAX_CODECS],
    /// Extensions that cross from the source.
    pub(crate) extensions: IdMap,
    sequence: SeqMap,
    repairs: SeqMap,
    mapping: Option<Mapping>,
    base: u32,
    latest: Option<(u32, Instant)>,
    /// Packets were lost at a closed gate: what follows needs a key frame.
    pub(crate) starved: bool,
    pub(crate) packets: u64,
    pub(crate) repaired: u64,
    pub(crate) octets: u64,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    pub(crate) acknowledged: Acknowledged,
    pub(crate) rtt_ms: Option<f64>,
}

impl VideoOut {
    fn new(fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let (ssrc, base, first) = draw(fill);
        let (repair_ssrc, _, first_repair) = draw(fill);
        Self {
            ssrc,
            repair_ssrc,
            types: [None; MAX_CODECS],
            extensions: IdMap::default(),
            sequence: SeqMap::new(first),
            repairs: SeqMap::new(first_repair),
            mapping: None,
            base,
            latest: None,
            starved: false,
            packets: 0,
            repaired: 0,
            octets: 0,
            first: None,
            last: None,
            acknowledged: Acknowledged::default(),
            rtt_ms: None,
        }
    }

    /// RTP time now; of what is passed on, by the source's own report where there is one.
    pub(crate) fn timestamp(&self, source: Option<u32>, now: Instant) -> u32 {
        if let (Some(source), Some(mapping)) = (source, self.mapping) {
            return source.wrapping_add(mapping.offset);
        }
        let Some((latest, at)) = self.latest else {
            return self.base;
        };
        latest.wrapping_add(ticks(now.saturating_duration_since(at)).max(1))
    }

    /// Another source begins with the next packet.
    pub(crate) fn switch(&mut self) {
        self.mapping = None;
    }

    fn follows(&self, from: LegId, seen: &Seen) -> bool {
        self.mapping
            .is_some_and(|known| known.from == from && known.ssrc == seen.ssrc && !seen.restarted)
    }

    /// Header fields for a packet of another leg, and whether it is the first of its source; `None`: it is late.
    pub(crate) fn forward(
        &mut self,
        from: LegId,
        seen: &Seen,
        payload_type: u8,
        now: Instant,
    ) -> Option<(Fields, bool)> {
        let fresh = !self.follows(from, seen);
        if fresh {
            self.mapping = Some(Mapping {
                from,
                ssrc: seen.ssrc,
                offset: self.timestamp(None, now).wrapping_sub(seen.timestamp),
            });
            self.sequence.switch();
            self.repairs.switch();
        }
        let offset = self.mapping?.offset;
        let sequence = self.sequence.map(seen.sequence, now)?;
        let timestamp = seen.timestamp.wrapping_add(offset);
        let ahead = |(latest, _): (u32, Instant)| (timestamp.wrapping_sub(latest) as i32) > 0;
        if self.latest.is_none_or(ahead) {
            self.latest = Some((timestamp, now));
        }
        Some((
            Fields {
                marker: seen.marker,
                payload_type,
                sequence: sequence as u16,
                timestamp,
                ssrc: self.ssrc,
            },
            fresh,
        ))
    }

    /// Header fields for a retransmission, and the number of what it repeats, both as our receiver counts. `original`:
    /// the source's number of it. With no payload type of its own it goes out as the packet that it repeats.
    pub(crate) fn repair(
        &mut self,
        from: LegId,
        seen: &Seen,
        original: u64,
        types: (u8, u8),
        now: Instant,
    ) -> Option<(Fields, u16)> {
        let mapping = self.mapping.filter(|known| known.from == from)?;
        let original = self.sequence.map(original, now)?;
        let (ssrc, sequence, payload_type) = match types {
            (primary, 0) => (self.ssrc, original, primary),
            (_, repair) => (
                self.repair_ssrc,
                self.repairs.map(seen.sequence, now)?,
                repair,
            ),
        };
        // Truncation: the low half goes on the wire.
        let fields = Fields {
            marker: seen.marker,
            payload_type,
            sequence: sequence as u16,
            timestamp: seen.timestamp.wrapping_add(mapping.offset),
            ssrc,
        };
        Some((fields, original as u16))
    }

    /// A packet of padding alone is left out: the gap closes.
    pub(crate) fn leave_out(&mut self, from: LegId, seen: &Seen, now: Instant) {
        match (self.mapping, seen.meaning) {
            (Some(known), Meaning::Primary(_)) if known.from == from && known.ssrc == seen.ssrc => {
                self.sequence.remove(seen.sequence, now);
            }
            (Some(known), Meaning::Repair(_)) if known.from == from => {
                self.repairs.remove(seen.sequence, now);
            }
            _ => {}
        }
    }

    /// The source's number of a packet that our receiver misses.
    pub(crate) fn source_number(&self, number: u16, now: Instant) -> Option<u16> {
        // Truncation: the low half goes on the wire.
        self.sequence
            .source(number, now)
            .map(|number| number as u16)
    }

    pub(crate) fn count(&mut self, repair: bool, len: usize, now: Instant) {
        if repair {
            self.repaired += 1;
        } else {
            self.packets += 1;
            self.octets += len as u64;
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
    }
}

/// What a peer can be asked by RTCP.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Feedback {
    pub(crate) nack: bool,
    pub(crate) pli: bool,
    pub(crate) fir: bool,
    pub(crate) remb: bool,
}

impl Feedback {
    fn of(names: &[String]) -> Self {
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        Self {
            nack: has("nack"),
            pli: has("nack pli"),
            fir: has("ccm fir"),
            remb: has("goog-remb"),
        }
    }
}

/// Asking the peer for key frames.
#[derive(Debug, Default)]
pub(crate) struct KeyFrames {
    pub(crate) last: Option<Instant>,
    /// One is wanted, but the last was asked for too recently, or nobody can be asked yet.
    pub(crate) wanted: bool,
    pub(crate) asked: u64,
    pub(crate) fir_sequence: u8,
}

/// The video line of a leg.
pub(crate) struct Video {
    pub(crate) offer: VideoOffer,
    pub(crate) remote: Option<VideoRemote>,
    pub(crate) feedback: Feedback,
    /// The leg whose ports carry it; `None`: it shares the transport of its own leg (BUNDLE).
    pub(crate) carrier: Option<LegId>,
    pub(crate) rx: VideoIn,
    pub(crate) tx: VideoOut,
    pub(crate) key_frames: KeyFrames,
    /// Packets sent up to the last report, and when that was.
    pub(crate) reported: (u64, Option<Instant>),
}

impl Video {
    pub(crate) fn new(
        offer: VideoOffer,
        carrier: Option<LegId>,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Self {
        Self {
            rx: VideoIn::new(&offer.codecs),
            tx: VideoOut::new(fill),
            offer,
            remote: None,
            feedback: Feedback::default(),
            carrier,
            key_frames: KeyFrames::default(),
            reported: (0, None),
        }
    }

    /// Another half of ours: the same streams.
    pub(crate) fn renegotiate(&mut self, offer: VideoOffer) {
        self.rx.table = meanings(&offer.codecs);
        self.offer = offer;
    }

    /// The peer's half; `None`: it takes no video.
    pub(crate) fn set_remote(&mut self, remote: Option<VideoRemote>) {
        self.feedback = remote
            .as_ref()
            .map(|remote| Feedback::of(&remote.feedback))
            .unwrap_or_default();
        self.remote = remote;
    }

    /// We may see the peer.
    pub(crate) fn may_receive(&self) -> bool {
        self.offer.direction.receives()
            && self
                .remote
                .as_ref()
                .is_some_and(|remote| remote.direction.sends())
    }

    /// The peer may see us.
    pub(crate) fn may_send(&self) -> bool {
        self.offer.direction.sends()
            && self
                .remote
                .as_ref()
                .is_some_and(|remote| remote.direction.receives())
    }

    /// The stream to ask for key frames: the one seen, else the one signalled.
    pub(crate) fn source(&self) -> Option<u32> {
        let signalled = self.remote.as_ref().map(|remote| remote.ssrc);
        self.rx.current.or(signalled.filter(|ssrc| *ssrc != 0))
    }
}

/// Which payload types and extensions take the place of the source's on the way to a peer.
pub(crate) fn compile(source: &VideoOffer, sink: &mut Video) {
    let taken = sink
        .remote
        .as_ref()
        .map(|remote| remote.codecs.as_slice())
        .unwrap_or_default();
    let mut types = [None; MAX_CODECS];
    for (entry, codec) in types.iter_mut().zip(&source.codecs) {
        let same = taken.iter().find(|one| one.form == codec.form);
        *entry = same.map(|one| (one.payload_type, one.rtx));
    }
    let mut extensions = IdMap::default();
    for one in &source.extensions {
        let same = sink.offer.extensions.iter().find(|two| two.uri == one.uri);
        if let Some(same) = same {
            extensions.allow(one.id, same.id);
        }
    }
    (sink.tx.types, sink.tx.extensions) = (types, extensions);
}
