//! Fuzz targets of the media engine (MEDIA.md section 13): what strangers can send, and what signalling can ask.
//!
//! Each target is a file that begins with its invariant: a function of bytes that panics when the invariant is broken. Its
//! seeds, and what was kept below `corpus/`, run with every test, mutated a little; `make test LONG=1` mutates for a minute
//! each. `src/main.rs` says how a coverage-guided fuzzer runs them.

mod bytes;
mod house;
pub mod noise;
mod targets;

use std::path::PathBuf;

pub use targets::TARGETS;

/// One target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its file, and the folder of its corpus.
    pub name: &'static str,
    /// Panics when the invariant does not hold for these bytes.
    pub run: fn(&[u8]),
    /// Inputs that reach far, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The seeds and the kept inputs.
    #[must_use]
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let mut all = (self.seeds)();
        let kept = std::fs::read_dir(self.folder())
            .into_iter()
            .flatten()
            .flatten();
        let mut paths: Vec<PathBuf> = kept.map(|entry| entry.path()).collect();
        paths.sort();
        all.extend(paths.iter().filter_map(|path| std::fs::read(path).ok()));
        all
    }

    /// Where inputs are kept that found something once.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(self.name)
    }
}
