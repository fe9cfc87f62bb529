//! One channel of a recording: packets in, a line of samples out that keeps step with the wall clock.
//!
//! Nobody waits for this sound, so it is written half a second late: by then every packet that will come has come, and each
//! is put where its time stamp says, measured against the packet that was fastest. The two clocks drift apart; a sample is
//! dropped or doubled now and then.

use std::collections::{BTreeMap, VecDeque};

use offhook_dsp::{Codec, Decoder, MAX_SAMPLES};

/// A packet later than this behind the fastest is lost.
pub const LAG_US: u64 = 500_000;
/// Time stamps that say something else than the clock by more than this began anew.
const RESTART_US: i64 = 400_000;
/// Off by more than this, silence is put in or sound is cut; below, single samples do.
const STEP_MS: i64 = 40;
/// Off by less than this, nothing is corrected: jitter of the fastest packet is no drift.
const STEADY_MS: i64 = 2;
/// The longest gap that is concealed, ms: what was lost longer is silence.
const CONCEALED_MS: i64 = 60;
/// The fastest packet's lead fades by so much of the time: a clock that runs slower is followed.
const FADE: i64 = 4_000;

struct Waiting {
    sequence: u16,
    codec: Codec,
    payload: Box<[u8]>,
}

/// A packet as it came, with its place in microseconds.
pub type Placed = (i64, Codec, Box<[u8]>);

/// The clock of one stream of packets.
struct Clock {
    ssrc: u32,
    rate: i64,
    /// Time stamp that was seen last, extended.
    last: i64,
    /// Recording time minus stream time of the fastest packet, microseconds, and when it was.
    lead: (i64, i64),
}

impl Clock {
    fn us(&self, timestamp: i64) -> i64 {
        timestamp * 1_000_000 / self.rate
    }
}

/// One channel.
pub struct Track {
    rate: u32,
    clock: Option<Clock>,
    /// By extended time stamp.
    waiting: BTreeMap<i64, Waiting>,
    decoder: Option<Decoder>,
    before: Option<u16>,
    /// Packets as they came with their places (microseconds), where nothing is decoded.
    kept: Option<VecDeque<Placed>>,
    /// Samples that are due to be written, and the place of the one behind them.
    line: VecDeque<i16>,
    end: i64,
    /// What is at the end of the line is silence, behind which sound begins exactly where it belongs.
    silent: bool,
    scratch: Vec<i16>,
}

impl Track {
    /// A line at `rate` Hz that begins with the recording.
    pub fn new(rate: u32) -> Self {
        Self {
            rate,
            clock: None,
            waiting: BTreeMap::new(),
            decoder: None,
            before: None,
            kept: None,
            line: VecDeque::new(),
            end: 0,
            silent: true,
            scratch: vec![0; MAX_SAMPLES],
        }
    }

    /// A line of packets: nothing is decoded.
    pub fn of_packets(rate: u32) -> Self {
        Self {
            kept: Some(VecDeque::new()),
            ..Self::new(rate)
        }
    }

    /// The next packet as it came, with its place in microseconds; only on a line of packets.
    pub fn take_packet(&mut self) -> Option<Placed> {
        self.kept.as_mut()?.pop_front()
    }

    /// Takes a packet.
    pub fn packet(
        &mut self,
        at_us: u64,
        codec: Codec,
        ssrc: u32,
        sequence: u16,
        timestamp: u32,
        payload: Box<[u8]>,
    ) {
        let at_us = i64::try_from(at_us).unwrap_or(i64::MAX);
        let rate = i64::from(codec.rtp_clock());
        let same = |clock: &&mut Clock| clock.ssrc == ssrc && clock.rate == rate;
        let extended = match self.clock.as_mut().filter(same) {
            Some(clock) => clock.last + i64::from(timestamp.wrapping_sub(clock.last as u32) as i32),
            None => i64::from(timestamp),
        };
        let on_time = self.clock.as_mut().filter(same).is_some_and(|clock| {
            let lead = at_us - clock.us(extended);
            let faded = clock.lead.0 + (at_us - clock.lead.1) / FADE;
            if (lead - faded).abs() > RESTART_US {
                return false;
            }
            clock.last = extended;
            clock.lead = (lead.min(faded), at_us);
            true
        });
        if !on_time {
            // Another stream, or the same one with another clock: what waits is written first.
            self.settle(i64::MAX);
            let lead = at_us - extended * 1_000_000 / rate;
            self.clock = Some(Clock {
                ssrc,
                rate,
                last: extended,
                lead: (lead, at_us),
            });
            self.before = None;
        }
        self.waiting.insert(
            extended,
            Waiting {
                sequence,
                codec,
                payload,
            },
        );
    }

    /// Takes sound that is decoded already, where it happened.
    pub fn sound(&mut self, at_us: u64, rate: u32, samples: &[i16]) {
        let at = i64::try_from(at_us).unwrap_or(i64::MAX);
        if rate == self.rate {
            self.put(self.place(at), samples);
        } else if let Ok(converted) = offhook_dsp::resample::convert(samples, rate, self.rate) {
            self.put(self.place(at), &converted);
        }
    }

    /// Everything before this moment is written; the line reaches it.
    pub fn advance(&mut self, until_us: u64) {
        let until = i64::try_from(until_us).unwrap_or(i64::MAX);
        self.settle(until);
        if self.kept.is_some() {
            return;
        }
        let place = self.place(until);
        self.silence(place - self.end);
    }

    /// Samples that are ready.
    pub fn ready(&self) -> usize {
        self.line.len()
    }

    /// Takes samples off the line.
    pub fn take(&mut self, count: usize) -> impl Iterator<Item = i16> + '_ {
        self.line.drain(..count.min(self.line.len()))
    }

    fn place(&self, us: i64) -> i64 {
        us.saturating_mul(i64::from(self.rate)) / 1_000_000
    }

    fn silence(&mut self, samples: i64) {
        let samples = usize::try_from(samples).unwrap_or(0);
        self.line.extend(std::iter::repeat_n(0, samples));
        self.end += samples as i64;
        self.silent |= samples > 0;
    }

    /// Decodes what belongs before this moment, in order.
    fn settle(&mut self, until: i64) {
        while let Some(first) = self.waiting.first_entry() {
            let clock = self.clock.as_ref();
            if clock.is_some_and(|it| it.us(*first.key()) + it.lead.0 >= until) {
                return;
            }
            let (timestamp, packet) = first.remove_entry();
            self.write(timestamp, packet);
        }
    }

    fn write(&mut self, timestamp: i64, packet: Waiting) {
        let Some(us) = self
            .clock
            .as_ref()
            .map(|clock| clock.us(timestamp) + clock.lead.0)
        else {
            return;
        };
        if let Some(kept) = &mut self.kept {
            return kept.push_back((us.max(0), packet.codec, packet.payload));
        }
        let target = self.place(us.max(0));
        let fits = |decoder: &Decoder| decoder.codec() == packet.codec;
        if !self.decoder.as_ref().is_some_and(fits) {
            self.decoder = Decoder::new(packet.codec, self.rate).ok();
        }
        let lost = self.before.map_or(0, |before| {
            packet.sequence.wrapping_sub(before).wrapping_sub(1)
        });
        self.before = Some(packet.sequence);
        if lost > 0 {
            self.conceal(target);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let decoder = self.decoder.as_mut();
        let decoded = decoder.and_then(|it| it.decode(&packet.payload, &mut scratch).ok());
        if let Some(samples) = decoded.and_then(|len| scratch.get(..len)) {
            self.put(target, samples);
        }
        self.scratch = scratch;
    }

    /// A short gap is bridged by the codec's own means.
    fn conceal(&mut self, target: i64) {
        let unit = i64::from(self.rate) / 100;
        let gap = (target - self.end) / unit * unit;
        if gap <= 0 || gap > i64::from(self.rate) * CONCEALED_MS / 1_000 {
            return;
        }
        let mut out = vec![0; usize::try_from(gap).unwrap_or(0)];
        let concealed = self.decoder.as_mut().is_some_and(|it| it.conceal(&mut out));
        if concealed {
            self.line.extend(out);
            self.end += gap;
        }
    }

    /// Puts samples where they belong, or behind what is there if that is near enough.
    fn put(&mut self, target: i64, samples: &[i16]) {
        let step = i64::from(self.rate) * STEP_MS / 1_000;
        let steady = i64::from(self.rate) * STEADY_MS / 1_000;
        let off = target - self.end;
        if self.silent || off > step {
            self.silence(off);
        }
        let off = target - self.end;
        let samples = if off < -step {
            // Written already: what overlaps is left out.
            let overlap = usize::try_from(-off).unwrap_or(usize::MAX);
            samples.get(overlap..).unwrap_or_default()
        } else if off < -steady {
            samples.get(1..).unwrap_or_default()
        } else {
            samples
        };
        self.line.extend(samples);
        self.end += samples.len() as i64;
        self.silent &= samples.is_empty();
        if (steady + 1..=step).contains(&off) {
            self.line.extend(samples.last());
            self.end += i64::from(!samples.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8_000;

    fn beep(index: usize) -> Box<[u8]> {
        // Loud and quiet packets in turn, so that a shift is seen.
        vec![if index % 50 < 25 { 0x00 } else { 0xFF }; 160].into()
    }

    /// Where the sound changes, in ms.
    fn changes(samples: &[i16]) -> Vec<usize> {
        let loud = |at: usize| samples[at].unsigned_abs() > 1_000;
        (1..samples.len())
            .filter(|at| loud(*at) != loud(at - 1))
            .map(|at| at / 8)
            .collect()
    }

    fn run(
        track: &mut Track,
        packets: impl Iterator<Item = (u64, u16, u32)>,
        until: u64,
    ) -> Vec<i16> {
        for (at, sequence, timestamp) in packets {
            let payload = beep(usize::from(sequence));
            track.packet(at, Codec::Pcmu, 1, sequence, timestamp, payload);
            track.advance(at.saturating_sub(LAG_US));
        }
        track.advance(until);
        let count = track.ready();
        track.take(count).collect()
    }

    #[test]
    fn jitter_and_reordering_move_nothing() {
        let mut track = Track::new(RATE);
        let mut packets: Vec<(u64, u16, u32)> = (0..250u16)
            .map(|i| {
                let late = [0, 35, 12, 58, 3][usize::from(i % 5)] * 1_000;
                (
                    1_000_000 + u64::from(i) * 20_000 + late,
                    i,
                    (u32::from(i) * 160).wrapping_add(0xFFFF_FF00),
                )
            })
            .collect();
        packets.sort_unstable();
        let samples = run(&mut track, packets.into_iter(), 6_100_000);
        assert_eq!(samples.len(), 48_800);
        let expected: Vec<usize> = (0..10).map(|i| 1_000 + i * 500).collect();
        let found = changes(&samples);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.abs_diff(*expected) <= 5, "{found} for {expected}");
        }
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        for ppm in [-200i64, 200] {
            let mut track = Track::new(RATE);
            let packets = (0..15_000i64).map(|i| {
                let at = i * 20_000 + i * 20_000 * ppm / 1_000_000;
                (at as u64, i as u16, (i * 160) as u32)
            });
            let samples = run(&mut track, packets, 300_200_000);
            let end = changes(&samples).last().copied().unwrap_or(0) as i64;
            let expected = 299_500 + 299_500 * ppm / 1_000_000;
            assert!(
                (end - expected).abs() <= 10,
                "{ppm} ppm: {end} for {expected}"
            );
        }
    }

    #[test]
    fn silence_and_another_stream_keep_their_places() {
        let mut track = Track::new(RATE);
        let first = (0..25u16).map(|i| (u64::from(i) * 20_000, i, u32::from(i) * 160));
        // Two seconds of nothing, then a stream with other numbers that begins loud.
        let second = (0..25u16).map(|i| {
            (
                2_500_000 + u64::from(i) * 20_000,
                500 + i,
                90_000 + u32::from(i) * 160,
            )
        });
        let samples = run(&mut track, first.chain(second), 4_000_000);
        assert_eq!(changes(&samples), [500, 2_500, 3_000]);
    }
}
