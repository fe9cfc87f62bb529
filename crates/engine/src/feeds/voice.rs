//! What a receiver sends back: kept here while it waits, handed to the shard as it is played.
//!
//! Speech machines send sentences faster than they are spoken; a shard holds no more of them than the next moment needs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use offhook_media::feed::{Frame, Return};

/// Sound that may wait, s: a long answer; more is dropped.
const LONGEST: usize = 60;
/// Bytes of Opus that may wait: as much at its highest bit rate, 510 kbit/s.
const MAX_BYTES: usize = LONGEST * 510_000 / 8;
/// Marks that may wait: one for each word of that.
pub const MAX_MARKS: usize = 256;
/// Sound is handed over so long before it is heard: as much as the engine gathers.
const AHEAD: Duration = Duration::from_millis(60);
/// Samples of one piece: 20 ms.
const PIECES_PER_SECOND: usize = 50;

enum Waiting {
    Sound(VecDeque<i16>),
    Frame(Frame),
    Mark(String),
}

/// The queue of one feed.
pub struct Voice {
    rate: usize,
    waiting: VecDeque<Waiting>,
    samples: usize,
    bytes: usize,
    marks: usize,
    /// What has been handed over is heard until then.
    until: Option<Instant>,
}

impl Voice {
    /// For sound of `rate` Hz; the clock of Opus is such a rate.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate as usize,
            waiting: VecDeque::new(),
            samples: 0,
            bytes: 0,
            marks: 0,
            until: None,
        }
    }

    /// Takes sound; false when there is no room for it.
    pub fn sound(&mut self, samples: &[i16]) -> bool {
        if self.samples + samples.len() > self.rate * LONGEST {
            return false;
        }
        self.samples += samples.len();
        match self.waiting.back_mut() {
            Some(Waiting::Sound(last)) => last.extend(samples),
            _ => {
                let sound = samples.iter().copied().collect();
                self.waiting.push_back(Waiting::Sound(sound));
            }
        }
        true
    }

    /// Takes a packet of Opus; false when there is no room for it.
    pub fn frame(&mut self, frame: Frame) -> bool {
        let (samples, bytes) = (frame.ticks() as usize, frame.bytes().len());
        if self.samples + samples > self.rate * LONGEST || self.bytes + bytes > MAX_BYTES {
            return false;
        }
        self.samples += samples;
        self.bytes += bytes;
        self.waiting.push_back(Waiting::Frame(frame));
        true
    }

    /// Takes a mark; beyond the bound it is forgotten.
    pub fn mark(&mut self, name: String) {
        if self.marks < MAX_MARKS {
            self.marks += 1;
            self.waiting.push_back(Waiting::Mark(name));
        }
    }

    /// Forgets all sound; the marks that waited.
    pub fn clear(&mut self) -> Vec<String> {
        (self.samples, self.bytes) = (0, 0);
        (self.marks, self.until) = (0, None);
        let marks = self.waiting.drain(..).filter_map(|one| match one {
            Waiting::Mark(name) => Some(name),
            Waiting::Sound(_) | Waiting::Frame(_) => None,
        });
        marks.collect()
    }

    /// The next piece, if it is due.
    pub fn next(&mut self, now: Instant) -> Option<Return> {
        if self.until.is_some_and(|until| until > now + AHEAD) {
            return None;
        }
        let (piece, samples) = match self.waiting.pop_front()? {
            Waiting::Mark(name) => {
                self.marks -= 1;
                return Some(Return::Mark(name));
            }
            Waiting::Frame(frame) => {
                self.bytes -= frame.bytes().len();
                let samples = frame.ticks() as usize;
                (Return::Frame(frame), samples)
            }
            Waiting::Sound(mut sound) => {
                let count = sound.len().min(self.rate / PIECES_PER_SECOND);
                let piece: Box<[i16]> = sound.drain(..count).collect();
                if !sound.is_empty() {
                    self.waiting.push_front(Waiting::Sound(sound));
                }
                (Return::Sound(piece), count)
            }
        };
        self.samples -= samples;
        let length = Duration::from_micros((samples * 1_000_000 / self.rate) as u64);
        let from = self.until.map_or(now, |until| until.max(now));
        self.until = Some(from + length);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_handed_over_as_it_is_spoken_and_its_mark_behind_it() {
        let (mut voice, start) = (Voice::new(8_000), Instant::now());
        assert!(voice.sound(&[1; 8_000]));
        voice.mark("end".to_owned());
        let (mut at, mut handed, mut marked) = (start, 0, None);
        for _ in 0..60 {
            while let Some(piece) = voice.next(at) {
                match piece {
                    Return::Sound(sound) => handed += sound.len(),
                    _ => marked = Some(at),
                }
            }
            let heard = (at - start).as_millis() as usize * 8;
            assert!(handed <= heard + 8 * 100, "{handed} at {heard}");
            at += Duration::from_millis(20);
        }
        let marked = (marked.expect("the mark") - start).as_millis();
        assert_eq!(handed, 8_000);
        assert!((920..=940).contains(&marked), "{marked}");
    }

    #[test]
    fn packets_are_handed_over_one_by_one_as_long_as_they_are() {
        // 60 ms of one frame, and 10 ms of four (RFC 6716 section 3.2).
        let [long, short] = [&[0x18, 0][..], &[0x83, 4, 1, 2, 3, 4][..]];
        let frame = |bytes| Frame::new(bytes).expect("a packet");
        let (mut voice, start) = (Voice::new(48_000), Instant::now());
        for _ in 0..10 {
            assert!(voice.frame(frame(long)) && voice.frame(frame(short)));
        }
        let mut handed = Vec::new();
        for tick in 0..40 {
            let at = start + Duration::from_millis(20 * tick);
            while let Some(piece) = voice.next(at) {
                let Return::Frame(frame) = piece else {
                    panic!("{piece:?}")
                };
                handed.push((20 * tick, frame));
            }
        }
        let expected: Vec<Frame> = (0..10).flat_map(|_| [frame(long), frame(short)]).collect();
        let packets: Vec<Frame> = handed.iter().map(|(_, frame)| frame.clone()).collect();
        assert_eq!(packets, expected);
        let mut before = 0;
        for (at, frame) in &handed {
            assert!(
                before <= at + 60 && at.saturating_sub(20) + 60 <= before + 60,
                "{before} at {at}"
            );
            before += u64::from(frame.ticks() / 48);
        }
    }

    #[test]
    fn a_minute_of_packets_waits_and_no_more_bytes_than_it_may_have() {
        let short = Frame::new(&[0x80]).expect("2.5 ms");
        let mut voice = Voice::new(48_000);
        for _ in 0..60 * 400 {
            assert!(voice.frame(short.clone()));
        }
        assert!(!voice.frame(short));
        let large = Frame::new(&[&[0x80][..], &[0; 1_274]].concat()).expect("2.5 ms");
        let mut voice = Voice::new(48_000);
        let taken = (0..).take_while(|_| voice.frame(large.clone())).count();
        assert_eq!(taken, MAX_BYTES / 1_275);
    }

    #[test]
    fn what_waits_is_bounded_and_forgotten_on_wish() {
        let mut voice = Voice::new(8_000);
        let minute = vec![0; 8_000 * LONGEST];
        assert!(voice.sound(&minute) && !voice.sound(&[0]));
        (0..2 * MAX_MARKS).for_each(|at| voice.mark(at.to_string()));
        assert_eq!(voice.clear().len(), MAX_MARKS);
        assert!(voice.next(Instant::now()).is_none() && voice.sound(&minute));
    }
}
