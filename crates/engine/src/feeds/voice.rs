//! What a receiver sends back: kept here while it waits, handed to the shard as it is played.
//!
//! Speech machines send sentences faster than they are spoken; a shard holds no more of them than the next moment needs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use offhook_media::feed::Return;

/// Sound that may wait, s: a long answer; more is dropped.
const LONGEST: usize = 60;
/// Marks that may wait: one for each word of that.
pub const MAX_MARKS: usize = 256;
/// Sound is handed over so long before it is heard: as much as the engine gathers.
const AHEAD: Duration = Duration::from_millis(60);
/// Samples of one piece: 20 ms.
const PIECES_PER_SECOND: usize = 50;

enum Waiting {
    Sound(VecDeque<i16>),
    Mark(String),
}

/// The queue of one feed.
pub struct Voice {
    rate: usize,
    waiting: VecDeque<Waiting>,
    samples: usize,
    marks: usize,
    /// What has been handed over is heard until then.
    until: Option<Instant>,
}

impl Voice {
    /// For sound of `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate as usize,
            waiting: VecDeque::new(),
            samples: 0,
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

    /// Takes a mark; beyond the bound it is forgotten.
    pub fn mark(&mut self, name: String) {
        if self.marks < MAX_MARKS {
            self.marks += 1;
            self.waiting.push_back(Waiting::Mark(name));
        }
    }

    /// Forgets all sound; the marks that waited.
    pub fn clear(&mut self) -> Vec<String> {
        (self.samples, self.marks, self.until) = (0, 0, None);
        let marks = self.waiting.drain(..).filter_map(|one| match one {
            Waiting::Mark(name) => Some(name),
            Waiting::Sound(_) => None,
        });
        marks.collect()
    }

    /// The next piece, if it is due.
    pub fn next(&mut self, now: Instant) -> Option<Return> {
        if self.until.is_some_and(|until| until > now + AHEAD) {
            return None;
        }
        let piece = match self.waiting.front_mut()? {
            Waiting::Mark(name) => {
                let mark = Return::Mark(std::mem::take(name));
                self.marks -= 1;
                self.waiting.pop_front();
                return Some(mark);
            }
            Waiting::Sound(sound) => {
                let count = sound.len().min(self.rate / PIECES_PER_SECOND);
                let piece: Box<[i16]> = sound.drain(..count).collect();
                if sound.is_empty() {
                    self.waiting.pop_front();
                }
                piece
            }
        };
        self.samples -= piece.len();
        let length = Duration::from_micros((piece.len() * 1_000_000 / self.rate) as u64);
        let from = self.until.map_or(now, |until| until.max(now));
        self.until = Some(from + length);
        Some(Return::Sound(piece))
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
    fn what_waits_is_bounded_and_forgotten_on_wish() {
        let mut voice = Voice::new(8_000);
        let minute = vec![0; 8_000 * LONGEST];
        assert!(voice.sound(&minute) && !voice.sound(&[0]));
        (0..2 * MAX_MARKS).for_each(|at| voice.mark(at.to_string()));
        assert_eq!(voice.clear().len(), MAX_MARKS);
        assert!(voice.next(Instant::now()).is_none() && voice.sound(&minute));
    }
}
