//! What a leg receives, from an accepted packet on: streams, statistics, digits, loudness.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use offhook_dsp::dtmf::{self, DtmfDetector};
use offhook_dsp::{Codec, g711, level};
use offhook_rtp::event::{Change, Changes, Digit, EventPayload, EventReceiver};
use offhook_rtp::extension::{AudioLevel, Elements};
use offhook_rtp::header::Header;
use offhook_rtp::rtcp::ReportBlock;
use offhook_rtp::sequence::ExtendedSequence;
use offhook_rtp::statistics::{Arrival, ReceiveStatistics};

use crate::description;

/// Streams remembered per direction: one is heard, the others are sources before it.
const MAX_STREAMS: usize = 8;
/// Payload type of comfort noise (RFC 3551 table 4): taken for what it is, negotiated or not.
const COMFORT_NOISE: u8 = 13;
/// A stream that was left is not taken up again while the present one was heard so recently: late packets.
const LATE: Duration = Duration::from_secs(1);
/// Samples of one packet that are searched for digits: 60 ms.
const MAX_DETECTED: usize = 480;
/// Packets that follow each other are so long at most, ms.
const LONGEST_MS: u32 = 120;
/// RFC 6464: level of digital silence.
const SILENT_LEVEL: u8 = 127;

/// What a payload type means on this leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Meaning {
    #[default]
    Unknown,
    Speech(Codec),
    /// telephone-event with this clock, Hz.
    Event(u32),
    ComfortNoise,
    /// Of the video line.
    Video,
}

/// The payload types we receive.
pub(crate) struct Meanings {
    /// For each number the place of its meaning among the known ones.
    places: [u8; 128],
    /// The first is that of all other numbers.
    known: Vec<Meaning>,
}

impl Meanings {
    fn new(audio: &[description::Codec]) -> Self {
        let mut table = Self {
            places: [0; 128],
            known: vec![Meaning::Unknown],
        };
        table.set(COMFORT_NOISE, Meaning::ComfortNoise);
        for codec in audio {
            if codec.name.eq_ignore_ascii_case("telephone-event") {
                table.set(codec.payload_type, Meaning::Event(codec.clock));
            } else if codec.name.eq_ignore_ascii_case("CN") {
                table.set(codec.payload_type, Meaning::ComfortNoise);
            } else if let Some(speech) = Codec::from_name(&codec.name) {
                table.set(codec.payload_type, Meaning::Speech(speech));
            }
        }
        table
    }

    fn set(&mut self, payload_type: u8, meaning: Meaning) {
        let known = self.known.iter().position(|known| *known == meaning);
        let place = known.unwrap_or(self.known.len());
        // Fewer than 128 numbers have fewer than 128 meanings.
        let Ok(byte) = u8::try_from(place) else {
            return;
        };
        if let Some(entry) = self.places.get_mut(usize::from(payload_type)) {
            *entry = byte;
            if known.is_none() {
                self.known.push(meaning);
            }
        }
    }

    fn get(&self, payload_type: u8) -> Meaning {
        let place = self.places.get(usize::from(payload_type));
        let known = place.and_then(|place| self.known.get(usize::from(*place)));
        known.copied().unwrap_or_default()
    }
}

/// One accepted packet, taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) meaning: Meaning,
    pub(crate) level: Option<AudioLevel>,
    /// The stream started over with other sequence numbers.
    pub(crate) restarted: bool,
    /// Nothing, or silence, came right before it: a word begins, or it only tells what the silence sounds like.
    pub(crate) lone: bool,
}

/// Why an authenticated packet goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It is video: `Engine::video_rtp` takes it.
    Video,
    UnknownPayloadType,
    Duplicate,
    /// A jump in sequence that the next packet must confirm, or a stream that was left.
    Stray,
}

struct Stream {
    ssrc: u32,
    clock: u32,
    extended: ExtendedSequence,
    statistics: ReceiveStatistics,
    events: EventReceiver,
    event_clock: u32,
    /// Middle of the NTP time of the last SR, and when it came.
    last_report: Option<(u32, Instant)>,
    heard: Instant,
}

impl Stream {
    fn new(ssrc: u32, clock: u32, now: Instant) -> Self {
        Self {
            ssrc,
            clock,
            extended: ExtendedSequence::default(),
            statistics: ReceiveStatistics::new(clock),
            events: EventReceiver::new(clock),
            event_clock: clock,
            last_report: None,
            heard: now,
        }
    }
}

/// Measures of what was received.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measures {
    pub(crate) lost: u64,
    pub(crate) expected: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicates: u64,
    pub(crate) jitter_ms: f64,
    pub(crate) drift_ppm: f64,
    /// Mean length of a run of losses, against what chance would give; 1 is random.
    pub(crate) burst_ratio: f64,
}

/// The receiving side of a leg.
pub(crate) struct Receiver {
    table: Meanings,
    level_id: u8,
    /// `MAX_STREAMS` at most; nearly always one.
    streams: Vec<Stream>,
    current: Option<u32>,
    pub(crate) codec: Option<Codec>,
    pub(crate) packets: u64,
    pub(crate) datagrams: u64,
    /// Those that the socket had no room for; of a shared one, for any of its legs.
    pub(crate) unread: u64,
    /// RTCP packets that were believed.
    pub(crate) reports: u64,
    pub(crate) bad_headers: u64,
    pub(crate) loops: u64,
    pub(crate) without_keys: u64,
    pub(crate) first_datagram: Option<Instant>,
    pub(crate) last_datagram: Option<Instant>,
    /// Where the last datagram came from, believed or not.
    pub(crate) last_source: Option<SocketAddr>,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    /// Number, count and time of packets with a payload type that was not negotiated.
    pub(crate) unknown: Option<(u8, u64, Instant)>,
    pub(crate) ssrc_changes: u64,
    pub(crate) digits: u64,
    /// Finds digits in the audio, where no telephone-event is agreed.
    detector: Option<Box<DtmfDetector>>,
    /// The time stamp of the last packet of speech, unless that announced silence.
    spoken: Option<u32>,
    /// Runs of losses and packets lost in them.
    loss_runs: u64,
    loss_packets: u64,
    /// When the first speech packet came, the last that was not silent, the last of speech, the last comfort noise.
    pub(crate) speech_since: Option<Instant>,
    pub(crate) sound: Option<Instant>,
    pub(crate) speech: Option<Instant>,
    pub(crate) comfort: Option<Instant>,
}

impl Receiver {
    pub(crate) fn new(audio: &[description::Codec], level_id: u8) -> Self {
        Self {
            table: Meanings::new(audio),
            level_id,
            streams: Vec::new(),
            current: None,
            codec: None,
            packets: 0,
            datagrams: 0,
            unread: 0,
            reports: 0,
            bad_headers: 0,
            loops: 0,
            without_keys: 0,
            first_datagram: None,
            last_datagram: None,
            last_source: None,
            first: None,
            last: None,
            unknown: None,
            ssrc_changes: 0,
            digits: 0,
            detector: None,
            spoken: None,
            loss_runs: 0,
            loss_packets: 0,
            speech_since: None,
            sound: None,
            speech: None,
            comfort: None,
        }
    }

    /// A new description of ours: other payload types, the same streams.
    pub(crate) fn renegotiate(&mut self, audio: &[description::Codec], level_id: u8) {
        self.table = Meanings::new(audio);
        self.level_id = level_id;
    }

    /// Something came from there, whatever it is.
    pub(crate) fn reached(&mut self, source: SocketAddr, now: Instant) {
        self.first_datagram.get_or_insert(now);
        self.last_datagram = Some(now);
        self.last_source = Some(source);
    }

    /// The stream that is heard.
    pub(crate) fn stream(&self) -> Option<u32> {
        self.current
    }

    /// These payload types are the video line's.
    pub(crate) fn expect_video(&mut self, codecs: &[description::VideoCodec]) {
        let numbers = codecs.iter().flat_map(|one| [one.payload_type, one.rtx]);
        for number in numbers.filter(|number| *number != 0) {
            self.table.set(number, Meaning::Video);
        }
    }

    pub(crate) fn meaning(&self, payload_type: u8) -> Meaning {
        self.table.get(payload_type)
    }

    /// Takes an authenticated, opened packet: counts it, and says what it is.
    pub(crate) fn accept(
        &mut self,
        header: &Header,
        packet: &[u8],
        now: Instant,
    ) -> Result<Incoming, Dropped> {
        let meaning = self.meaning(header.payload_type);
        if matches!(meaning, Meaning::Unknown | Meaning::Video) {
            if meaning == Meaning::Video {
                return Err(Dropped::Video);
            }
            let count = self
                .unknown
                .filter(|last| last.0 == header.payload_type)
                .map_or(0, |last| last.1);
            self.unknown = Some((header.payload_type, count + 1, now));
            return Err(Dropped::UnknownPayloadType);
        }
        let (sequence, restarted) = self.count(header, meaning, now)?;
        let level = self.audio_level(header, packet);
        self.listen(meaning, level, header.payload(packet), now);
        self.packets += 1;
        self.first.get_or_insert(now);
        self.last = Some(now);
        let Header {
            ssrc,
            timestamp,
            marker,
            ..
        } = *header;
        Ok(Incoming {
            ssrc,
            sequence,
            timestamp,
            marker,
            meaning,
            level,
            restarted,
            lone: self.is_lone(meaning, timestamp, header.payload(packet)),
        })
    }

    fn is_lone(&mut self, meaning: Meaning, timestamp: u32, payload: &[u8]) -> bool {
        let Meaning::Speech(codec) = meaning else {
            return false;
        };
        let near = LONGEST_MS * codec.ticks_per_ms();
        let follows = |before: u32| timestamp.wrapping_sub(before) <= near;
        let lone = !self.spoken.is_some_and(follows);
        let says = !codec.is_silence_hint(payload);
        self.spoken = says.then_some(timestamp);
        lone
    }

    fn count(
        &mut self,
        header: &Header,
        meaning: Meaning,
        now: Instant,
    ) -> Result<(u64, bool), Dropped> {
        let clock = match meaning {
            Meaning::Speech(codec) => Some(codec.rtp_clock()),
            _ => None,
        };
        let at = self.stream_of(header.ssrc, clock.unwrap_or(8_000), now)?;
        let stream = self.streams.get_mut(at).ok_or(Dropped::Stray)?;
        if let Some(clock) = clock.filter(|clock| *clock != stream.clock) {
            stream.clock = clock;
            stream.statistics = ReceiveStatistics::new(clock);
        }
        let expected = stream.statistics.expected();
        let arrival = stream
            .statistics
            .packet(header.sequence, header.timestamp, now);
        match arrival {
            Arrival::Duplicate => return Err(Dropped::Duplicate),
            Arrival::Jumped => return Err(Dropped::Stray),
            Arrival::Restarted => stream.extended = ExtendedSequence::default(),
            Arrival::InOrder | Arrival::Reordered => {}
        }
        let missing = stream
            .statistics
            .expected()
            .saturating_sub(expected)
            .saturating_sub(1);
        if arrival == Arrival::InOrder && expected > 0 && missing > 0 {
            self.loss_runs += 1;
            self.loss_packets += missing;
        }
        stream.heard = now;
        Ok((
            stream.extended.extend(header.sequence),
            arrival == Arrival::Restarted,
        ))
    }

    /// The place of a stream, which is the current one from now on; a late packet of an earlier one is a stray.
    fn stream_of(&mut self, ssrc: u32, clock: u32, now: Instant) -> Result<usize, Dropped> {
        let at = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        if self.current != Some(ssrc) {
            let heard = self
                .streams
                .iter()
                .find(|stream| Some(stream.ssrc) == self.current)
                .map(|stream| stream.heard);
            let busy = heard.is_some_and(|heard| now.saturating_duration_since(heard) < LATE);
            if at.is_some() && busy {
                return Err(Dropped::Stray);
            }
            self.ssrc_changes += u64::from(self.current.is_some());
            self.current = Some(ssrc);
        }
        if let Some(at) = at {
            return Ok(at);
        }
        if self.streams.len() >= MAX_STREAMS {
            let oldest = self
                .streams
                .iter()
                .enumerate()
                .min_by_key(|(_, stream)| stream.heard)
                .map(|(at, _)| at);
            oldest.map(|oldest| self.streams.remove(oldest));
        }
        self.streams.reserve_exact(1);
        self.streams.push(Stream::new(ssrc, clock, now));
        Ok(self.streams.len() - 1)
    }

    fn audio_level(&self, header: &Header, packet: &[u8]) -> Option<AudioLevel> {
        if self.level_id == 0 {
            return None;
        }
        let element = Elements::of(header, packet).find(|element| element.id == self.level_id)?;
        AudioLevel::parse(element.data)
    }

    /// Keeps what tells silence from sound, without decoding.
    fn listen(
        &mut self,
        meaning: Meaning,
        level: Option<AudioLevel>,
        payload: &[u8],
        now: Instant,
    ) {
        match meaning {
            Meaning::Speech(codec) => {
                self.codec = Some(codec);
                self.speech_since.get_or_insert(now);
                self.speech = Some(now);
                let silent = match level {
                    Some(level) => level.level >= SILENT_LEVEL,
                    None => payload.is_empty() || level::is_silent_payload(codec, payload),
                };
                if !silent {
                    self.sound = Some(now);
                }
            }
            // A press is heard.
            Meaning::Event(_) => self.sound = Some(now),
            Meaning::ComfortNoise => self.comfort = Some(now),
            Meaning::Unknown | Meaning::Video => {}
        }
    }

    /// Takes a telephone-event packet that `accept` let through.
    pub(crate) fn event(
        &mut self,
        incoming: &Incoming,
        clock: u32,
        payload: &[u8],
        now: Instant,
    ) -> Changes {
        let stream = self
            .streams
            .iter_mut()
            .find(|stream| stream.ssrc == incoming.ssrc);
        let (Some(stream), Some(payload)) = (stream, EventPayload::parse(payload)) else {
            return Changes::new();
        };
        if stream.event_clock != clock && stream.events.deadline().is_none() {
            stream.events = EventReceiver::new(clock);
            stream.event_clock = clock;
        }
        stream
            .events
            .packet(incoming.timestamp, incoming.marker, payload, now)
    }

    /// Whether digits are looked for in the audio. Turned off, a press in hand is over without a word.
    pub(crate) fn detect(&mut self, wanted: bool) {
        if wanted != self.detector.is_some() {
            self.detector = wanted.then(Box::default);
        }
    }

    /// Presses in a packet of G.711; other codecs carry the two tones too badly, and their senders have telephone-event.
    pub(crate) fn in_band(&mut self, codec: Codec, payload: &[u8]) -> Changes {
        let mut changes = Changes::new();
        let Some(detector) = self.detector.as_mut() else {
            return changes;
        };
        let decode = match codec {
            Codec::Pcmu => g711::ulaw_decode,
            Codec::Pcma => g711::alaw_decode,
            Codec::Opus | Codec::G722 => return changes,
        };
        let mut samples = [0i16; MAX_DETECTED];
        let count = payload.len().min(MAX_DETECTED);
        samples
            .iter_mut()
            .zip(payload)
            .for_each(|(sample, byte)| *sample = decode(*byte));
        detector.push(samples.get(..count).unwrap_or_default(), |heard| {
            let change = match heard {
                dtmf::Heard::Started(event) => Change::Started(event),
                dtmf::Heard::Ended { event, duration_ms } => {
                    Change::Ended(Digit { event, duration_ms })
                }
            };
            // A packet of 60 ms holds one end and one beginning at most.
            let _ = changes.try_push(change);
        });
        changes
    }

    /// Ends presses whose packets stopped.
    pub(crate) fn event_timeout(&mut self, now: Instant) -> Changes {
        let mut changes = Changes::new();
        for stream in &mut self.streams {
            if let Some(change) = stream.events.timeout(now) {
                // Two streams in one press at once do not happen: one is current.
                let _ = changes.try_push(change);
            }
        }
        changes
    }

    /// When a press in hand ends unless packets come.
    pub(crate) fn event_deadline(&self) -> Option<Instant> {
        self.streams
            .iter()
            .filter_map(|stream| stream.events.deadline())
            .min()
    }

    /// An SR of the peer: for LSR and DLSR of our reports.
    pub(crate) fn sender_report(&mut self, ssrc: u32, ntp_middle: u32, now: Instant) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.last_report = Some((ntp_middle, now));
        }
    }

    /// A report block for each stream heard since `since`.
    pub(crate) fn report(
        &mut self,
        since: Instant,
        now: Instant,
    ) -> ArrayVec<ReportBlock, MAX_STREAMS> {
        let heard = self
            .streams
            .iter_mut()
            .filter(|stream| stream.heard >= since);
        heard
            .map(|stream| {
                let (lsr, dlsr) = stream.last_report.map_or((0, 0), |(lsr, at)| {
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

    pub(crate) fn measures(&self) -> Measures {
        let mut measures = Measures {
            burst_ratio: 1.0,
            ..Measures::default()
        };
        for stream in &self.streams {
            let statistics = &stream.statistics;
            measures.lost += u64::try_from(statistics.lost()).unwrap_or(0);
            measures.expected += statistics.expected();
            measures.reordered += statistics.reordered();
            measures.duplicates += statistics.duplicates();
            if Some(stream.ssrc) == self.current {
                measures.jitter_ms = statistics.jitter_ms();
                measures.drift_ppm = statistics.drift_ppm();
            }
        }
        if self.loss_runs > 0 && measures.expected > 0 {
            let mean = self.loss_packets as f64 / self.loss_runs as f64;
            let random = 1.0 / (1.0 - (measures.lost as f64 / measures.expected as f64).min(0.99));
            measures.burst_ratio = (mean / random).max(1.0);
        }
        measures
    }
}
