//! Mutation without guidance: pieces of good inputs cut, doubled, swapped and damaged.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::Target;

/// Values at which lengths and counters break.
const EDGES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xbe, 0xfe, 0xff];
/// Longest input that mutation makes, bytes.
const LONGEST: usize = 4_096;

/// A small generator: the same seed, the same inputs.
pub struct Noise(u64);

impl Noise {
    /// Any seed is good.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound.max(1)
    }

    /// One of the inputs, damaged; now and then nothing but noise.
    pub fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        if corpus.is_empty() || self.below(20) == 0 {
            let size = self.below(300);
            return (0..size).map(|_| self.below(256) as u8).collect();
        }
        let mut data = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            self.damage(&mut data, corpus);
        }
        data.truncate(LONGEST);
        data
    }

    fn damage(&mut self, data: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        let end = (at + self.below(24)).min(data.len());
        match self.below(7) {
            0 => drop(data.drain(at..end)),
            1 => {
                let piece = data[at..end].to_vec();
                data.splice(at..at, piece);
            }
            2 if at < data.len() => data[at] = EDGES[self.below(EDGES.len())],
            3 if at < data.len() => data[at] ^= 1 << self.below(8),
            4 if at < data.len() => data[at] = self.below(256) as u8,
            5 => data.truncate(at),
            _ => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(80)).min(other.len());
                data.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
}

/// Runs so many mutations of the corpus; the seed makes them the same each time.
pub fn run_times(target: &Target, seed: u64, times: u64) {
    let corpus = target.corpus();
    corpus.iter().for_each(|data| check(target, data));
    let mut noise = Noise::new(seed);
    for _ in 0..times {
        check(target, &noise.mutated(&corpus));
    }
}

/// Mutates for so long; how many inputs were tried.
#[allow(clippy::disallowed_methods)]
pub fn run_for(target: &Target, seed: u64, length: Duration) -> u64 {
    let (corpus, mut noise, end) = (target.corpus(), Noise::new(seed), Instant::now() + length);
    let mut count = 0;
    while Instant::now() < end {
        check(target, &noise.mutated(&corpus));
        count += 1;
    }
    count
}

/// A broken invariant tells the input that broke it, to be kept in the corpus.
fn check(target: &Target, data: &[u8]) {
    if let Err(broken) = catch_unwind(AssertUnwindSafe(|| (target.run)(data))) {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{} is broken by {hex}", target.name);
        resume_unwind(broken);
    }
}
