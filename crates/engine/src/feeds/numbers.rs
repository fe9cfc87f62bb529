//! Numbers and times of the Opus packets of one track: what was lost is a gap in the numbers, what was silent one in the times.

use std::time::Instant;

use offhook_dsp::opus::{self, CLOCK};
use offhook_rtp::sequence::{ExtendedSequence, SeqMap};

/// Numbers begin at one, and `SeqMap`'s a cycle of 16 bits above.
const FIRST: u16 = 1;
const CYCLE: u64 = 1 << 16;
/// A step further than these is another stream of the same name (RFC 3550 A.1).
const MOST_AHEAD: i16 = 3_000;
const MOST_BEHIND: i16 = -100;

struct Stream {
    ssrc: u32,
    sequence: ExtendedSequence,
    /// The newest packet: its time stamp, and when it came.
    latest: Option<(u32, Instant)>,
}

/// The numbers of one track. Another stream goes on where the one before it ended (MEDIA.md rule 8.1).
pub struct Numbers {
    stream: Option<Stream>,
    map: SeqMap,
    /// Time of the newest packet, and where its sound ends, on the clock of Opus.
    time: u64,
    end: u64,
    newest: Option<Instant>,
}

impl Numbers {
    /// Of a track that has none yet.
    pub fn new() -> Self {
        Self {
            stream: None,
            map: SeqMap::new(FIRST),
            time: 0,
            end: 0,
            newest: None,
        }
    }

    /// Number (from 1) and time (from 0, 48 kHz) of a packet that came at `at`; `None`: it is older than the track.
    pub fn packet(
        &mut self,
        at: Instant,
        ssrc: u32,
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
    ) -> Option<(u64, u64)> {
        let extended = self.extend(ssrc, sequence);
        let number = self.map.map(extended, at)?.checked_sub(CYCLE)?;
        let since = self.newest.map_or(0, |newest| {
            let elapsed = at.saturating_duration_since(newest).as_micros();
            u64::try_from(elapsed).unwrap_or(0) * u64::from(CLOCK) / 1_000_000
        });
        let stream = self.stream.as_mut()?;
        let time = match stream.latest {
            // Truncation and sign: the distance on the circle of 32 bits.
            Some((latest, _)) => self
                .time
                .saturating_add_signed(i64::from(timestamp.wrapping_sub(latest) as i32)),
            None => self.end.max(self.time + since),
        };
        let newer = stream.latest.is_none() || stream.sequence.highest() == Some(extended);
        if newer {
            stream.latest = Some((timestamp, at));
            self.newest = Some(at);
            self.time = time;
            self.end = time + u64::from(opus::packet_ticks(payload).unwrap_or(0));
        }
        Some((number, time))
    }

    /// A packet without sound took this number: no gap is left by it.
    pub fn aside(&mut self, at: Instant, ssrc: u32, sequence: u16) {
        let known = self
            .stream
            .as_ref()
            .is_some_and(|stream| stream.ssrc == ssrc);
        if known {
            let extended = self.extend(ssrc, sequence);
            self.map.remove(extended, at);
        }
    }

    fn extend(&mut self, ssrc: u32, sequence: u16) -> u64 {
        let goes_on = |stream: &Stream| {
            let highest = stream.sequence.highest().unwrap_or_default();
            // Truncation and sign: the distance on the circle of 16 bits.
            let step = sequence.wrapping_sub(highest as u16) as i16;
            stream.ssrc == ssrc && (MOST_BEHIND..=MOST_AHEAD).contains(&step)
        };
        if !self.stream.as_ref().is_some_and(goes_on) {
            self.map.switch();
            self.stream = None;
        }
        let stream = self.stream.get_or_insert_with(|| Stream {
            ssrc,
            sequence: ExtendedSequence::default(),
            latest: None,
        });
        stream.sequence.extend(sequence)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 20 ms of Opus.
    const PACKET: [u8; 1] = [0x08];

    struct Peer {
        numbers: Numbers,
        start: Instant,
    }

    impl Peer {
        fn new() -> Self {
            Self {
                numbers: Numbers::new(),
                start: Instant::now(),
            }
        }

        /// A packet that comes so many ms after the start.
        fn says(
            &mut self,
            ms: u64,
            ssrc: u32,
            sequence: u16,
            timestamp: u32,
        ) -> Option<(u64, u64)> {
            let at = self.start + Duration::from_millis(ms);
            self.numbers.packet(at, ssrc, sequence, timestamp, &PACKET)
        }

        fn presses(&mut self, ms: u64, ssrc: u32, sequence: u16) {
            let at = self.start + Duration::from_millis(ms);
            self.numbers.aside(at, ssrc, sequence);
        }
    }

    #[test]
    fn losses_are_gaps_in_the_numbers_and_silence_is_one_in_the_times() {
        let mut peer = Peer::new();
        // 1. Both wraps are passed without a word.
        assert_eq!(peer.says(0, 7, 65_534, u32::MAX - 959), Some((1, 0)));
        assert_eq!(peer.says(20, 7, 65_535, 0), Some((2, 960)));
        // 2. One is lost, one comes late and has its own number.
        assert_eq!(peer.says(80, 7, 2, 2_880), Some((5, 3_840)));
        assert_eq!(peer.says(81, 7, 1, 1_920), Some((4, 2_880)));
        // 3. DTX: the next number, a later time.
        assert_eq!(peer.says(480, 7, 3, 22_080), Some((6, 23_040)));
        // 4. What is older than the track is not of it.
        assert_eq!(peer.says(481, 7, 65_533, u32::MAX - 1_919), None);
    }

    #[test]
    fn presses_leave_no_gap() {
        let mut peer = Peer::new();
        peer.presses(0, 7, 9);
        assert_eq!(peer.says(10, 7, 10, 0), Some((1, 0)));
        for sequence in 11..14 {
            peer.presses(20, 7, sequence);
        }
        assert_eq!(peer.says(100, 7, 14, 4_800), Some((2, 4_800)));
        // A loss among them is one.
        peer.presses(120, 7, 16);
        assert_eq!(peer.says(140, 7, 17, 5_760), Some((4, 5_760)));
    }

    #[test]
    fn another_stream_goes_on_where_the_one_before_ended() {
        let mut peer = Peer::new();
        assert_eq!(peer.says(0, 7, 500, 1_000), Some((1, 0)));
        // 1. Another source, or the same one begun anew, 100 ms later.
        assert_eq!(peer.says(100, 8, 20_000, 77), Some((2, 4_800)));
        assert_eq!(peer.says(200, 8, 3, 9), Some((3, 9_600)));
        assert_eq!(peer.says(220, 8, 4, 969), Some((4, 10_560)));
        // 2. At once, it begins when the sound before it is over.
        assert_eq!(peer.says(220, 9, 1, 0), Some((5, 11_520)));
    }
}
