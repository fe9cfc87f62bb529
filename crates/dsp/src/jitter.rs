//! The jitter buffer of a decoding leg: packets in arrival order in, one decision at a time out, in media order.
//!
//! No clock: `now` is an argument. No sound: [`crate::playout`] carries the decisions out. *Delay* is how long a packet of the
//! smallest recent transit time has waited when it is played; it is steered to the target of `delay`. While nothing is
//! there to play, media time stands still, so a stall becomes delay (later cut by stretching) and a pause in sending costs none.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::codec::Codec;
pub use crate::decision::{Counters, Decision, Pushed};
use crate::delay::DelayEstimate;

/// Packets held at most.
pub const MAX_PACKETS: usize = 64;
/// Sound held at most, microseconds; more is dropped from the old end.
pub const MAX_HELD_US: i64 = 200_000;
/// Sound of one packet at most, milliseconds: the longest Opus packet (RFC 6716 3.2.5).
pub const MAX_PACKET_MS: u32 = 120;
/// Longest payload kept, bytes: no audio payload that fits an Ethernet frame is longer.
pub const MAX_PAYLOAD: usize = 1_500;
/// Delay above the target from which sound is shortened, microseconds: more than one frame, so it does not oscillate.
const SURPLUS_US: i64 = 25_000;
/// Delay below the target from which sound is lengthened, microseconds.
const DEFICIT_US: i64 = 5_000;
/// Stretching happens at most this often.
const STRETCH_EVERY: Duration = Duration::from_millis(60);
/// A time stamp this far from the last packet's end and from the clock is a new time base (RFC 3550 5.1 allows it).
const JUMP_US: i64 = 1_000_000;
/// This many late packets in a row, none good between, mean the sender started over.
const LATE_RUN: u32 = 16;
/// One step of concealment, milliseconds.
const STEP_MS: u32 = 20;

struct Held {
    sequence: u64,
    /// Media time on the buffer's own axis; `None` for a packet that carries no sound of ours.
    media: Option<i64>,
    ticks: u32,
    arrived: i64,
    payload: Vec<u8>,
    /// What its silence sounds like, of a packet of comfort noise.
    noise: Option<u8>,
}

/// The buffer of one stream.
pub struct JitterBuffer {
    codec: Codec,
    held: VecDeque<Held>,
    spare: Vec<Vec<u8>>,
    current: Vec<u8>,
    estimate: DelayEstimate,
    epoch: Option<Instant>,
    /// Newest packet: sequence, time stamp as sent, and where its sound ends on our axis (ticks).
    newest: Option<Newest>,
    /// The next sound to play: sequence and media ticks. `None` until the first packet is due.
    next: Option<(u64, i64)>,
    /// The last thing heard announced silence.
    quiet: bool,
    /// The level of noise in that silence (RFC 3389 section 3), -dBov.
    noise: Option<u8>,
    /// The first packet is due as soon as it is asked for: sound before it has bridged the wait.
    eager: bool,
    /// Concealment whose cause (loss, lateness or silence) the next packet will tell, microseconds.
    unexplained: i64,
    concealed: i64,
    fec: i64,
    late_run: u32,
    stretched: Option<Instant>,
    counters: Counters,
}

#[derive(Clone, Copy)]
struct Newest {
    sequence: u64,
    timestamp: u32,
    media: i64,
    ticks: u32,
}

impl JitterBuffer {
    /// An empty buffer for payloads of `codec`.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            held: VecDeque::with_capacity(MAX_PACKETS + 1),
            spare: Vec::new(),
            current: Vec::new(),
            estimate: DelayEstimate::new(),
            epoch: None,
            newest: None,
            next: None,
            quiet: false,
            noise: None,
            eager: false,
            unexplained: 0,
            concealed: 0,
            fec: 0,
            late_run: 0,
            stretched: None,
            counters: Counters::default(),
        }
    }

    /// Takes a packet: extended sequence number, RTP time stamp, payload, arrival.
    pub fn push(&mut self, sequence: u64, timestamp: u32, payload: &[u8], now: Instant) -> Pushed {
        let ticks = self
            .codec
            .payload_ticks(payload)
            .filter(|_| payload.len() <= MAX_PAYLOAD);
        let Some(ticks) = ticks else {
            self.counters.discarded += 1;
            return Pushed::Malformed;
        };
        let arrived = self.axis(now);
        let media = self.place(sequence, timestamp, ticks, arrived);
        if self.is_late(sequence, media, ticks) {
            // Late packets are what the target is for: they count most of all.
            self.estimate.arrived(arrived, arrived - self.micros(media));
            return self.refuse_late();
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(payload);
        let pushed = self.insert(Held {
            sequence,
            media: Some(media),
            ticks,
            arrived,
            noise: None,
            payload: copy,
        });
        if pushed == Pushed::Stored {
            self.estimate.arrived(arrived, arrived - self.micros(media));
            if self.newest.is_none_or(|newest| sequence > newest.sequence) {
                self.newest = Some(Newest {
                    sequence,
                    timestamp,
                    media,
                    ticks,
                });
            }
            self.bound();
        }
        pushed
    }

    /// Takes the sequence number of a packet of this stream that carries no sound for the decoder (telephone-event, comfort
    /// noise), so that it is not taken for loss.
    ///
    /// `noise` is the level that a packet of comfort noise asks for, -dBov.
    pub fn push_gap(&mut self, sequence: u64, noise: Option<u8>, now: Instant) -> Pushed {
        let arrived = self.axis(now);
        if self.next.is_some_and(|(next, _)| sequence < next) {
            return Pushed::Late;
        }
        let pushed = self.insert(Held {
            sequence,
            media: None,
            ticks: 0,
            arrived,
            noise,
            payload: Vec::new(),
        });
        self.bound();
        pushed
    }

    /// Decides what is played next, and takes it out.
    pub fn tick(&mut self, now: Instant) -> Decision {
        let at = self.axis(now);
        self.pass_gaps(at);
        let step = STEP_MS * self.codec.ticks_per_ms();
        let Some((media, sequence, ticks)) = self.front() else {
            return self.nothing(step);
        };
        let delay = at - self.estimate.floor().unwrap_or(at) - self.micros(media);
        let due = delay >= self.estimate.target() || (self.eager && self.next.is_none());
        let Some((next_sequence, next_media)) = self.next else {
            return if due {
                self.play(now, at, media, delay)
            } else {
                Decision::Dtx { ticks: step }
            };
        };
        let gap = media - next_media;
        if gap <= 0 || due {
            return self.play(now, at, media, delay);
        }
        let ticks_missing = self.step_of(gap, step);
        self.next = Some((next_sequence, next_media + i64::from(ticks_missing)));
        if sequence == next_sequence {
            // RFC 3551 4.1: a time stamp that moved without a lost packet is silence that was not sent.
            return Decision::Dtx {
                ticks: ticks_missing,
            };
        }
        self.lost(ticks_missing, gap <= i64::from(ticks))
    }

    /// The payload of the last decision that has one.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.current
    }

    /// Tells that sound was cut (`accelerated`) or put in, and how much.
    pub fn stretched(&mut self, accelerated: bool, micros: i64, now: Instant) {
        self.stretched = Some(now);
        let ms = (micros as u64 + 500) / 1_000;
        if accelerated {
            self.counters.accelerated_ms += ms;
        } else {
            self.counters.expanded_ms += ms;
        }
    }

    /// The counters, with the present state of the buffer.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            concealed_ms: (self.concealed / 1_000) as u64,
            fec_ms: (self.fec / 1_000) as u64,
            buffer_ms: (self.held_micros() / 1_000) as u32,
            target_ms: (self.estimate.target() / 1_000) as u32,
            ..self.counters
        }
    }

    /// The level of noise that the present silence is made of, -dBov.
    #[must_use]
    pub fn noise(&self) -> Option<u8> {
        self.noise
    }

    /// Whether silence is what was announced last, of a stream that has begun.
    #[must_use]
    pub fn quiet(&self) -> bool {
        self.next.is_some() && self.quiet
    }

    /// Whether anything was played.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.next.is_some()
    }

    /// Takes the oldest packet with sound out, whether it is due or not; `payload` is it then.
    pub fn take(&mut self) -> bool {
        while let Some(held) = self.held.pop_front() {
            if held.media.is_some() {
                self.current = held.payload;
                return true;
            }
        }
        false
    }

    /// Plays the first packet as soon as it is asked for.
    pub fn hurry(&mut self) {
        self.eager = true;
    }

    /// Packets held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Drops what is held and starts over with the next packet, keeping the counters and the delay histogram: for a source switch.
    pub fn reset(&mut self) {
        self.held.clear();
        self.estimate.rebase();
        self.newest = None;
        self.next = None;
        self.quiet = false;
        self.noise = None;
        self.unexplained = 0;
        self.late_run = 0;
    }

    fn axis(&mut self, now: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(now);
        i64::try_from(now.saturating_duration_since(epoch).as_micros()).unwrap_or(i64::MAX / 4)
    }

    fn micros(&self, ticks: i64) -> i64 {
        ticks * 1_000 / i64::from(self.codec.ticks_per_ms())
    }

    /// Where the packet's sound lies on our axis. A new time base continues the old one without a gap.
    fn place(&mut self, sequence: u64, timestamp: u32, ticks: u32, arrived: i64) -> i64 {
        let Some(newest) = self.newest else { return 0 };
        let media = newest.media + i64::from(timestamp.wrapping_sub(newest.timestamp) as i32);
        let end = newest.media + i64::from(newest.ticks);
        let off_end = self.micros(media - end).abs();
        let off_clock = self
            .estimate
            .floor()
            .map_or(0, |floor| (arrived - self.micros(media) - floor).abs());
        if sequence <= newest.sequence || off_end < JUMP_US || off_clock < JUMP_US {
            return media;
        }
        self.estimate.rebase();
        let skipped = (sequence - newest.sequence - 1).min(MAX_PACKETS as u64) as i64;
        end + skipped * i64::from(ticks)
    }

    fn is_late(&self, sequence: u64, media: i64, ticks: u32) -> bool {
        let Some((next_sequence, next_media)) = self.next else {
            return false;
        };
        let concealed = media + i64::from(ticks) <= next_media;
        sequence < next_sequence
            || (concealed
                && self
                    .held
                    .front()
                    .is_some_and(|front| sequence < front.sequence))
    }

    fn refuse_late(&mut self) -> Pushed {
        self.counters.late += 1;
        self.late_run += 1;
        if self.late_run >= LATE_RUN && self.held.is_empty() {
            self.counters.restarts += 1;
            self.reset();
        }
        Pushed::Late
    }

    fn insert(&mut self, packet: Held) -> Pushed {
        let at = self
            .held
            .iter()
            .rposition(|held| held.sequence <= packet.sequence);
        if at.is_some_and(|at| self.held[at].sequence == packet.sequence) {
            self.counters.discarded += 1;
            return Pushed::Duplicate;
        }
        self.late_run = 0;
        self.held.insert(at.map_or(0, |at| at + 1), packet);
        Pushed::Stored
    }

    fn bound(&mut self) {
        while self.held.len() > MAX_PACKETS
            || (self.held.len() > 1 && self.held_micros() > MAX_HELD_US)
        {
            let Some(oldest) = self.held.pop_front() else {
                return;
            };
            self.counters.discarded += 1;
            if let Some(media) = oldest.media {
                self.next = Some((oldest.sequence + 1, media + i64::from(oldest.ticks)));
            }
            self.spare.push(oldest.payload);
        }
    }

    fn held_micros(&self) -> i64 {
        self.micros(self.held.iter().map(|held| i64::from(held.ticks)).sum())
    }

    /// The first packet with sound: media time, sequence, length. A soundless packet before it hides it.
    fn front(&self) -> Option<(i64, u64, u32)> {
        let front = self.held.front()?;
        Some((front.media?, front.sequence, front.ticks))
    }

    /// Soundless packets are passed when their turn comes, or when those before them are overdue.
    fn pass_gaps(&mut self, at: i64) {
        while let Some(front) = self.held.front().filter(|front| front.media.is_none()) {
            let expected = self.next.is_none_or(|(next, _)| front.sequence == next);
            if !expected && at - front.arrived < self.estimate.target() {
                return;
            }
            if let Some((next, media)) = self.next {
                self.counters.missing += front.sequence.saturating_sub(next);
                self.next = Some((front.sequence + 1, media));
            }
            self.quiet = true;
            // A press in the silence leaves its noise as it was.
            self.noise = front.noise.or(self.noise);
            self.held.pop_front();
        }
    }

    fn nothing(&mut self, step: u32) -> Decision {
        if self.next.is_none() || self.quiet {
            return Decision::Dtx { ticks: step };
        }
        self.unexplained += self.micros(i64::from(step));
        Decision::Conceal { ticks: step }
    }

    /// At most one step of the gap, in units Opus can conceal (2.5 ms).
    fn step_of(&self, gap: i64, step: u32) -> u32 {
        let ticks = gap.min(i64::from(step)) as u32;
        if self.codec == Codec::Opus {
            ticks.div_ceil(120) * 120
        } else {
            ticks
        }
    }

    fn lost(&mut self, ticks: u32, last: bool) -> Decision {
        let micros = self.micros(i64::from(ticks));
        let rebuilt = last
            && self.codec == Codec::Opus
            && self
                .held
                .front()
                .is_some_and(|next| crate::opus::has_fec(&next.payload));
        if !rebuilt {
            self.concealed += micros;
            return Decision::Conceal { ticks };
        }
        self.fec += micros;
        self.current.clear();
        if let Some(next) = self.held.front() {
            self.current.extend_from_slice(&next.payload);
        }
        Decision::Fec { ticks }
    }

    /// Takes the first packet, whose sound is at `media`, out to be decoded.
    fn play(&mut self, now: Instant, at: i64, media: i64, delay: i64) -> Decision {
        let Some(packet) = self.held.pop_front() else {
            return Decision::Normal;
        };
        self.explain(packet.sequence, media);
        self.next = Some((packet.sequence + 1, media + i64::from(packet.ticks)));
        self.quiet = self.codec.is_silence_hint(&packet.payload);
        self.noise = None;
        self.counters.played += 1;
        self.spare
            .push(std::mem::replace(&mut self.current, packet.payload));
        self.steer(now, delay, at - packet.arrived)
    }

    fn steer(&self, now: Instant, delay: i64, waited: i64) -> Decision {
        let rested = self
            .stretched
            .is_none_or(|then| now.saturating_duration_since(then) >= STRETCH_EVERY);
        let target = self.estimate.target();
        // A packet played as soon as it came must not be shortened, whatever its delay: nothing is in reserve.
        if rested && delay > target + SURPLUS_US && waited >= SURPLUS_US {
            Decision::Accelerate
        } else if rested && delay < target - DEFICIT_US {
            Decision::Expand
        } else {
            Decision::Normal
        }
    }

    /// The packet that ends a pause tells what the pause was: silence if nothing is missing and its time stamp moved on.
    fn explain(&mut self, sequence: u64, media: i64) {
        let Some((next_sequence, next_media)) = self.next else {
            return;
        };
        self.counters.missing += sequence.saturating_sub(next_sequence);
        if sequence > next_sequence || media <= next_media {
            self.concealed += self.unexplained;
        }
        self.unexplained = 0;
    }
}
