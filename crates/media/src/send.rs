//! What a leg sends: one stream of ours, whatever feeds it.
//!
//! SSRC, sequence numbers and time base are ours; a switch of source continues them.

use std::time::{Duration, Instant};

use offhook_dsp::Codec;
use offhook_rtp::header::Fields;
use offhook_rtp::sequence::SeqMap;

use crate::description;
use crate::digits::Digits;
use crate::feed::FeedSource;
use crate::history::History;
use crate::ids::LegId;
use crate::pause;
use crate::player::Player;
use crate::prompt::Prompt;
use crate::receive::Incoming;
use crate::tick::TICK;
use crate::transcode::{Decoding, Encoding};
use crate::verdict::UNACKNOWLEDGED_REPORTS;
use crate::voice::WIDE;

/// What a peer's jitter buffer bridges, milliseconds: our own sound that ended longer ago is over.
const HELD_MS: u32 = 100;

/// Length of a tick, and of the usual packet, milliseconds.
const TICK_MS: u32 = 20;

/// What feeds a leg.
pub(crate) enum Source {
    None,
    Leg(LegId),
    Player(Player),
    /// A player of files.
    Prompt(Box<Prompt>),
    /// What a feed's receiver sends back.
    Feed(Box<FeedSource>),
    /// The number of a room.
    Room(u64),
}

impl Source {
    /// The room, if it is one.
    pub(crate) fn room(&self) -> Option<u64> {
        match self {
            Self::Room(number) => Some(*number),
            _ => None,
        }
    }
}

/// The speech codec we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Speech {
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
}

/// The telephone-event payload type we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventType {
    pub(crate) payload_type: u8,
    pub(crate) clock: u32,
}

#[derive(Debug, Clone, Copy)]
enum Mapping {
    None,
    /// Packets of a leg's stream, their time stamps moved.
    Forward {
        from: LegId,
        ssrc: u32,
        offset: u32,
    },
    /// A stream of a new clock, fed by the leg whose packets were passed on in the one before.
    Renewed(LegId),
    /// Packets of our own encoder.
    Generated {
        next: u32,
        /// Silence was left out before it.
        paused: bool,
    },
}

/// What the peer said of our stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Acknowledged {
    pub(crate) at: Option<Instant>,
    pub(crate) loss_percent: f64,
    pub(crate) jitter_ms: f64,
    pub(crate) highest: u32,
    /// Packets we had sent when the report came.
    pub(crate) sent_then: u64,
    /// Successive reports that named no higher number though we had sent.
    pub(crate) stalled: u32,
    /// Packets we had sent when a report last named a higher number.
    advanced_then: u64,
}

impl Acknowledged {
    /// A report came that names `highest` after we had sent `sent` packets.
    pub(crate) fn take(&mut self, highest: u32, sent: u64, now: Instant) {
        if self.at.is_none() || highest != self.highest {
            self.stalled = 0;
            self.advanced_then = sent;
        } else if sent > self.sent_then {
            self.stalled += 1;
        }
        (self.at, self.highest, self.sent_then) = (Some(now), highest, sent);
    }

    /// Packets that two successive reports and more do not acknowledge.
    pub(crate) fn missed(&self) -> u64 {
        if self.stalled < UNACKNOWLEDGED_REPORTS {
            return 0;
        }
        self.sent_then.saturating_sub(self.advanced_then)
    }
}

/// Nanoseconds, which cost a packet least.
const SECOND: u64 = 1_000_000_000;
/// A packet that is later than a jitter buffer holds began another line.
const MOST_JITTER: u64 = 200_000_000;
/// One in so much, 250 ppm, is more than the clocks of phones differ.
const CLOCKS_DIFFER: u64 = 4_000;

/// RTP time of what we send is a straight line, however that jitters on its way to us: a packet before its time moves the line,
/// packets after theirs only as far as clocks differ. Reports tell it, and another source goes on along it.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// A point of it.
    timestamp: u32,
    at: Instant,
    /// The highest time stamp sent.
    highest: u32,
}

impl Line {
    fn new(timestamp: u32, now: Instant) -> Self {
        Self {
            timestamp,
            at: now,
            highest: timestamp,
        }
    }

    /// RTP time now: later than all that was sent, since the next sound is not the last one.
    fn at(&self, clock: u32, now: Instant) -> u32 {
        let micros = now.saturating_duration_since(self.at).as_micros();
        // The nearest: many switches must not add up to a clock that is slow. Truncation is the wrap of the RTP clock.
        let elapsed = ((micros * u128::from(clock) + 500_000) / 1_000_000) as u32;
        let time = self.timestamp.wrapping_add(elapsed);
        let next = self.highest.wrapping_add(1);
        if (time.wrapping_sub(next) as i32) < 0 {
            next
        } else {
            time
        }
    }

    /// A packet is sent.
    fn follow(&mut self, timestamp: u32, clock: u32, now: Instant) {
        // Reordered packets do not move the clock back: the distance is signed.
        if (timestamp.wrapping_sub(self.highest) as i32) <= 0 {
            return;
        }
        self.highest = timestamp;
        let step = timestamp.wrapping_sub(self.timestamp);
        let gone = now.saturating_duration_since(self.at);
        let gone = gone.as_secs() * SECOND + u64::from(gone.subsec_nanos());
        // Ticks and nanoseconds multiplied, since a division costs more than all else here.
        let late = gone
            .saturating_mul(u64::from(clock))
            .checked_sub(u64::from(step) * SECOND);
        // Once a second is enough.
        if step < clock && late.is_some_and(|late| late < MOST_JITTER * u64::from(clock)) {
            return;
        }
        let passed = u64::from(step) * SECOND / u64::from(clock);
        match gone.checked_sub(passed) {
            Some(late) if late < MOST_JITTER => {
                let by = late.min(passed / CLOCKS_DIFFER);
                (self.timestamp, self.at) =
                    (timestamp, self.at + Duration::from_nanos(passed + by));
            }
            _ => (self.timestamp, self.at) = (timestamp, now),
        }
    }
}

/// The sending side of a leg.
pub(crate) struct Sender {
    pub(crate) ssrc: u32,
    pub(crate) speech: Option<Speech>,
    pub(crate) event: Option<EventType>,
    /// The payload type of comfort noise, where the peer takes it beside our codec (RFC 3389).
    pub(crate) comfort: Option<u8>,
    /// Silence may be left unsent: comfort noise is agreed, or the peer asks for DTX.
    pub(crate) pauses: bool,
    /// The peer plays what is above wide band, should it hear Opus.
    pub(crate) plays_full_band: bool,
    /// The source describes silence that the peer cannot be told of: its sound is made anew, so that something always comes.
    pub(crate) fills: bool,
    pub(crate) source: Source,
    /// That there is none is by command.
    pub(crate) hushed: bool,
    pub(crate) decoding: Option<Box<Decoding>>,
    pub(crate) encoding: Option<Box<Encoding>>,
    /// What was passed on last, where a decoder or an encoder that takes its place must know.
    pub(crate) history: Option<Box<History>>,
    pub(crate) digits: Digits,
    sequence: SeqMap,
    mapping: Mapping,
    /// Before the first packet, RTP time is the base.
    base: u32,
    line: Option<Line>,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    pub(crate) acknowledged: Acknowledged,
    pub(crate) send_error: Option<(i32, Instant)>,
    /// How often each came; the kinds are few.
    pub(crate) send_errors: Vec<(i32, u64)>,
    /// Packets for which the system had no room.
    pub(crate) unsent: u64,
    pub(crate) unreachable: Option<Box<(String, Instant)>>,
    pub(crate) overruns: Overruns,
}

/// Kinds of errors that are counted: the system knows a handful for sending.
const MAX_ERRORS: usize = 8;
/// A row of late ticks is over when none came for so long, and worth a word when it lasts so long.
const OVERRUN_LIFE: Duration = Duration::from_secs(1);

/// Ticks whose sound came so late that the peer had to do without: the shard has no time for its slots.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Overruns {
    /// The first and the last of a row, and how many.
    row: Option<(Instant, Instant, u64)>,
    /// All there were.
    pub(crate) count: u64,
}

impl Overruns {
    /// A tick was due at `at` and ran at `now`.
    pub(crate) fn tick(&mut self, at: Instant, now: Instant) {
        if now.saturating_duration_since(at) < TICK {
            return;
        }
        self.count += 1;
        let goes_on = |last: Instant| now.saturating_duration_since(last) < OVERRUN_LIFE;
        self.row = Some(match self.row {
            Some((first, last, count)) if goes_on(last) => (first, now, count + 1),
            _ => (now, now, 1),
        });
    }

    /// How many came late in a row that lasts; none: it is not worth a word, or over.
    pub(crate) fn lasting(&self, now: Instant) -> Option<u64> {
        let (first, last, count) = self.row?;
        let lasts = last.saturating_duration_since(first) >= OVERRUN_LIFE;
        (lasts && now.saturating_duration_since(last) < OVERRUN_LIFE).then_some(count)
    }
}

impl Sender {
    pub(crate) fn new(fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let (ssrc, base, first) = draw(fill);
        Self {
            ssrc,
            speech: None,
            event: None,
            comfort: None,
            pauses: false,
            plays_full_band: false,
            fills: false,
            source: Source::None,
            hushed: false,
            decoding: None,
            encoding: None,
            history: None,
            digits: Digits::new(),
            sequence: SeqMap::new(first),
            mapping: Mapping::None,
            base,
            line: None,
            packets: 0,
            octets: 0,
            first: None,
            last: None,
            acknowledged: Acknowledged::default(),
            send_error: None,
            send_errors: Vec::new(),
            unsent: 0,
            unreachable: None,
            overruns: Overruns::default(),
        }
    }

    /// The peer's payload types: the first speech codec is what we send, with the event type of the same clock if there
    /// is one. A changed clock needs a new stream (RFC 7160): `true` when the SSRC changed.
    pub(crate) fn configure(
        &mut self,
        audio: &[description::Codec],
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let speech = audio.iter().find_map(|codec| {
            Codec::from_name(&codec.name).map(|known| Speech {
                codec: known,
                payload_type: codec.payload_type,
            })
        });
        let clock = speech.map_or(8_000, |speech| speech.codec.rtp_clock());
        let event = event_type(audio, clock);
        let new_clock = self
            .speech
            .is_some_and(|old| old.codec.rtp_clock() != clock);
        let restart = new_clock && self.packets > 0;
        if restart {
            let (ssrc, base, first) = draw(fill);
            (self.ssrc, self.base, self.sequence) = (ssrc, base, SeqMap::new(first));
            self.line = None;
            self.mapping = match self.mapping {
                Mapping::Forward { from, .. } => Mapping::Renewed(from),
                _ => Mapping::None,
            };
            self.acknowledged = Acknowledged::default();
        }
        if self.event != event || self.speech != speech {
            self.digits.configure(event.map(|event| event.clock));
        }
        let comfort = |codec: &&description::Codec| {
            codec.name.eq_ignore_ascii_case("CN") && codec.clock == clock
        };
        self.comfort = audio.iter().find(comfort).map(|codec| codec.payload_type);
        self.pauses =
            speech.is_some_and(|one| pause::wanted(one.codec, audio, self.comfort.is_some()));
        self.plays_full_band = plays_full_band(audio);
        (self.speech, self.event) = (speech, event);
        restart
    }

    /// RTP time runs from now on, even if only presses are sent: two of them must not begin at the same time stamp.
    pub(crate) fn start_clock(&mut self, now: Instant) {
        self.line.get_or_insert(Line::new(self.base, now));
    }

    /// RTP time now, on the clock of what we send.
    pub(crate) fn timestamp(&self, now: Instant) -> u32 {
        match self.line {
            Some(line) => line.at(self.codec_clock(), now),
            None => self.base,
        }
    }

    /// Header fields for a packet of another leg; `None`: it is late, drop it.
    pub(crate) fn forward(
        &mut self,
        from: LegId,
        incoming: &Incoming,
        payload_type: u8,
        now: Instant,
    ) -> Option<Fields> {
        let same = match self.mapping {
            Mapping::Forward {
                from: known, ssrc, ..
            } => known == from && ssrc == incoming.ssrc && !incoming.restarted,
            _ => false,
        };
        if !same {
            let begins = self.going_on(now);
            if matches!(self.mapping, Mapping::Generated { .. }) {
                // Where our own sound ended is not where the packets' own line goes through.
                self.line = Some(Line::new(begins, now));
            }
            let offset = begins.wrapping_sub(incoming.timestamp);
            self.mapping = Mapping::Forward {
                from,
                ssrc: incoming.ssrc,
                offset,
            };
            self.sequence.switch();
        }
        let Mapping::Forward { offset, .. } = self.mapping else {
            return None;
        };
        let sequence = self.sequence.map(incoming.sequence, now)?;
        let timestamp = incoming.timestamp.wrapping_add(offset);
        self.advance(timestamp, now);
        Some(self.fields(sequence, timestamp, incoming.marker || !same, payload_type))
    }

    /// Where another leg's packets go on: where our own sound ended, though it was sent ahead of its time, or behind it by less
    /// than a jitter buffer holds.
    fn going_on(&self, now: Instant) -> u32 {
        let clock = self.timestamp(now);
        match self.mapping {
            Mapping::Generated { next, .. } => {
                let behind = clock.wrapping_sub(next) as i32;
                let most = self.codec_clock() / 1_000 * HELD_MS;
                if behind < most as i32 { next } else { clock }
            }
            _ => clock,
        }
    }

    /// Sound of our own making takes over from packets of `from` that were passed on, `incoming` being the first that is not;
    /// `true`: the peer is in the middle of hearing it. RTP time goes on where the packets ended.
    pub(crate) fn take_over(&mut self, from: LegId, incoming: &Incoming, now: Instant) -> bool {
        match (self.mapping, self.line) {
            (
                Mapping::Forward {
                    from: before,
                    ssrc,
                    offset,
                },
                Some(line),
            ) if before == from => {
                let unit = self.codec_clock() / 1_000;
                let goes_on = ssrc == incoming.ssrc && !incoming.restarted;
                let there = incoming.timestamp.wrapping_add(offset);
                let off = there.wrapping_sub(self.timestamp(now)) as i32;
                // Another stream may begin anywhere: one packet after the last, as packets come, or several if they were lost.
                let packet = unit * TICK_MS;
                let since = self.timestamp(now).wrapping_sub(line.highest);
                let packets = ((since + packet / 2) / packet).max(1);
                let next = if goes_on && off.unsigned_abs() < unit * HELD_MS {
                    there
                } else {
                    line.highest.wrapping_add(packet.wrapping_mul(packets))
                };
                self.mapping = Mapping::Generated {
                    next,
                    paused: false,
                };
                true
            }
            (Mapping::Renewed(before), _) => {
                self.mapping = Mapping::None;
                before == from
            }
            _ => false,
        }
    }

    fn codec_clock(&self) -> u32 {
        self.speech.map_or(8_000, |speech| speech.codec.rtp_clock())
    }

    /// A packet of the forwarded stream is left out on purpose.
    pub(crate) fn leave_out(&mut self, from: LegId, incoming: &Incoming, now: Instant) {
        match self.mapping {
            Mapping::Forward {
                from: known, ssrc, ..
            } if known == from && ssrc == incoming.ssrc => {
                self.sequence.remove(incoming.sequence, now);
            }
            _ => {}
        }
    }

    /// Header fields for a packet of our encoder that holds `ticks` of sound.
    pub(crate) fn generated(&mut self, ticks: u32, payload_type: u8, now: Instant) -> Fields {
        let (timestamp, first) = match self.mapping {
            Mapping::Generated { next, paused } => (next, paused),
            _ => (self.timestamp(now), true),
        };
        self.mapping = Mapping::Generated {
            next: timestamp.wrapping_add(ticks),
            paused: false,
        };
        self.advance(timestamp, now);
        let sequence = self.sequence.insert();
        self.fields(sequence, timestamp, first, payload_type)
    }

    /// Sound of our encoder that is not sent: its time passes.
    pub(crate) fn skip(&mut self, ticks: u32) {
        if let Mapping::Generated { next, .. } = &mut self.mapping {
            *next = next.wrapping_add(ticks);
        }
    }

    /// Silence of our encoder that is not sent: what comes next begins a talk spurt (RFC 3551 section 4.1).
    pub(crate) fn pause(&mut self, ticks: u32) {
        self.skip(ticks);
        if let Mapping::Generated { paused, .. } = &mut self.mapping {
            *paused = true;
        }
    }

    /// Header fields for a telephone-event packet.
    pub(crate) fn inserted(&mut self, timestamp: u32, marker: bool, payload_type: u8) -> Fields {
        let sequence = self.sequence.insert();
        self.fields(sequence, timestamp, marker, payload_type)
    }

    /// Another source begins with the next packet.
    pub(crate) fn set_source(&mut self, source: Source) {
        if matches!(self.source, Source::Leg(_)) {
            self.digits.release_all();
        }
        self.source = source;
        self.hushed = false;
        self.fills = false;
        self.mapping = Mapping::None;
        self.decoding = None;
        self.history = None;
    }

    /// none, tone, music, ringback, files, feed, leg:ID, or room:NUMBER.
    pub(crate) fn source_name(&self) -> String {
        match &self.source {
            Source::None => "none".to_owned(),
            Source::Leg(leg) => format!("leg:{:#x}", leg.0),
            Source::Player(player) => player.name().to_owned(),
            Source::Prompt(prompt) if prompt.is_music() => "music".to_owned(),
            Source::Prompt(_) => "files".to_owned(),
            Source::Feed(_) => "feed".to_owned(),
            Source::Room(number) => format!("room:{number:#x}"),
        }
    }

    /// Whether the 20 ms tick has work.
    pub(crate) fn ticks(&self) -> bool {
        self.encodes() || matches!(self.source, Source::Prompt(_))
    }

    /// Whether that work is encoding.
    pub(crate) fn encodes(&self) -> bool {
        self.decoding
            .as_ref()
            .is_some_and(|decoding| decoding.begun())
            || matches!(self.source, Source::Player(_) | Source::Feed(_))
            || self.digits.tone().is_some()
    }

    pub(crate) fn count(&mut self, payload_len: usize, now: Instant) {
        self.packets += 1;
        self.octets += payload_len as u64;
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// The system would not send.
    pub(crate) fn send_failed(&mut self, errno: i32, now: Instant) {
        self.send_error = Some((errno, now));
        if let Some((_, count)) = self.send_errors.iter_mut().find(|one| one.0 == errno) {
            *count += 1;
        } else if self.send_errors.len() < MAX_ERRORS {
            self.send_errors.push((errno, 1));
        }
    }

    /// How often this error came.
    pub(crate) fn errors(&self, errno: i32) -> u64 {
        let found = self.send_errors.iter().find(|one| one.0 == errno);
        found.map_or(0, |one| one.1)
    }

    fn advance(&mut self, timestamp: u32, now: Instant) {
        let clock = self.codec_clock();
        match &mut self.line {
            Some(line) => line.follow(timestamp, clock, now),
            None => self.line = Some(Line::new(timestamp, now)),
        }
    }

    fn fields(&self, sequence: u64, timestamp: u32, marker: bool, payload_type: u8) -> Fields {
        // Truncation: the low half goes on the wire.
        Fields {
            marker,
            payload_type,
            sequence: sequence as u16,
            timestamp,
            ssrc: self.ssrc,
        }
    }
}

/// SSRC, time base and first sequence number. The last is below 2^15: a receiver that misses the first SRTP packets
/// cannot miss a wrap.
pub(crate) fn draw(fill: &mut dyn FnMut(&mut [u8])) -> (u32, u32, u16) {
    let mut random = [0u8; 10];
    fill(&mut random);
    let [a, b, c, d, e, f, g, h, i, j] = random;
    (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
        u16::from_be_bytes([i, j]) & 0x7fff,
    )
}

/// Whether a peer's hardware plays more than 16 kHz of Opus: it does unless it says otherwise (RFC 7587 section 6.1).
fn plays_full_band(audio: &[description::Codec]) -> bool {
    let mut opus = audio
        .iter()
        .filter(|one| Codec::from_name(&one.name) == Some(Codec::Opus));
    let limit = |parameter: &str| {
        let (name, value) = parameter.trim().split_once('=')?;
        let ours = name.eq_ignore_ascii_case("maxplaybackrate");
        value.trim().parse::<u32>().ok().filter(|_| ours)
    };
    opus.next()
        .and_then(|one| one.fmtp.split(';').find_map(limit))
        .is_none_or(|rate| rate > WIDE)
}

fn event_type(audio: &[description::Codec], clock: u32) -> Option<EventType> {
    let mut events = audio
        .iter()
        .filter(|codec| codec.name.eq_ignore_ascii_case("telephone-event"));
    let same_clock = events.clone().find(|codec| codec.clock == clock);
    let chosen = same_clock.or_else(|| events.next())?;
    Some(EventType {
        payload_type: chosen.payload_type,
        clock: chosen.clock,
    })
}
