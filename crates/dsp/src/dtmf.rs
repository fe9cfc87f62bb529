//! Digits in the audio (ITU-T Q.23, Q.24): eight resonators over overlapping windows of 102 samples at 8 kHz.
//!
//! A window counts when two tones, one of each group, hold nearly all of its energy, lie within the permitted twist, stand
//! clear of their neighbours, and the high one has no second harmonic: that tells them from speech. Four windows in a row
//! begin a press: 40 ms have them wherever they begin, 23 ms never do (Q.24 asks for both). Three without it end it.

use std::f32::consts::TAU;

/// The one rate it works at.
pub const RATE: u32 = 8_000;
/// Samples of a window: 12.75 ms, which puts the eight frequencies far enough apart.
const WINDOW: usize = 102;
/// Samples between windows.
const HOP: usize = WINDOW / 2;
/// Windows in a row that begin a press, and that end it.
const BEGIN: u32 = 4;
const END: u32 = 3;
/// Share of the window's energy that the two tones must hold; a frequency off by 1.5 % still leaves 0.75.
const SHARE: f32 = 0.7;
/// The low tone may be 8 dB above the high one, the high one 4 dB above the low one (Q.24 annex A), and a margin.
const TWIST_LOW: f32 = 8.0;
const TWIST_HIGH: f32 = 4.0;
/// How far a tone stands above the others of its group: 8 dB.
const CLEAR: f32 = 6.3;
/// A second harmonic above this share of its tone is a voice: -10 dB.
const HARMONIC: f32 = 0.1;
/// Faintest tone, as a share of a full-scale sine's power: -36 dBFS each.
const FAINTEST: f32 = 0.000_25;

const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
/// Event codes (RFC 4733 section 3.2) by row and column.
const EVENTS: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A press began: its event code.
    Started(u8),
    /// It ended, after so long. Each `Started` is followed by exactly one.
    Ended {
        /// Its event code.
        event: u8,
        /// How long it was held.
        duration_ms: u32,
    },
}

/// Finds presses in a stream of samples at 8 kHz.
#[derive(Debug, Clone)]
pub struct DtmfDetector {
    window: [f32; WINDOW],
    filled: usize,
    candidate: Option<u8>,
    hits: u32,
    misses: u32,
    /// The press in hand, and its windows so far.
    current: Option<(u8, u32)>,
}

impl Default for DtmfDetector {
    fn default() -> Self {
        Self {
            window: [0.0; WINDOW],
            filled: 0,
            candidate: None,
            hits: 0,
            misses: 0,
            current: None,
        }
    }
}

impl DtmfDetector {
    /// Takes samples; `tell` hears of presses in order.
    pub fn push(&mut self, samples: &[i16], mut tell: impl FnMut(Heard)) {
        for sample in samples {
            if let Some(place) = self.window.get_mut(self.filled) {
                *place = f32::from(*sample) / 32_768.0;
            }
            self.filled += 1;
            if self.filled == WINDOW {
                let found = digit_of(&self.window);
                self.judge(found, &mut tell);
                self.window.copy_within(HOP.., 0);
                self.filled = WINDOW - HOP;
            }
        }
    }

    /// Ends the press in hand: the stream is over.
    pub fn finish(&mut self) -> Option<Heard> {
        self.candidate = None;
        self.hits = 0;
        self.current
            .take()
            .map(|(event, windows)| ended(event, windows))
    }

    fn judge(&mut self, found: Option<u8>, tell: &mut impl FnMut(Heard)) {
        if let Some((event, windows)) = &mut self.current {
            if found == Some(*event) {
                *windows += 1 + std::mem::take(&mut self.misses);
                return;
            }
            self.misses += 1;
            if self.misses >= END {
                tell(ended(*event, *windows));
                self.current = None;
            }
        }
        self.hits = match found {
            Some(_) if found == self.candidate => self.hits + 1,
            Some(_) => 1,
            None => 0,
        };
        self.candidate = found;
        if let (Some(event), None, true) = (found, self.current, self.hits >= BEGIN) {
            self.current = Some((event, self.hits));
            self.misses = 0;
            tell(Heard::Started(event));
        }
    }
}

fn ended(event: u8, windows: u32) -> Heard {
    let samples = WINDOW as u32 + windows.saturating_sub(1) * HOP as u32;
    Heard::Ended {
        event,
        duration_ms: samples * 1_000 / RATE,
    }
}

/// Power of one frequency in the window, as the amplitude squared of the sine that would make it.
fn power(window: &[f32], hertz: f32) -> f32 {
    let coefficient = 2.0 * (TAU * hertz / RATE as f32).cos();
    let (mut last, mut before) = (0.0_f32, 0.0_f32);
    for sample in window {
        let now = sample + coefficient * last - before;
        before = last;
        last = now;
    }
    let squared = last * last + before * before - coefficient * last * before;
    let half = window.len() as f32 / 2.0;
    squared / (half * half)
}

/// The strongest of a group, its power, and the power of the next.
fn strongest(powers: [f32; 4]) -> (usize, f32, f32) {
    let mut best = (0, 0.0, 0.0);
    for (at, power) in powers.into_iter().enumerate() {
        if power > best.1 {
            best = (at, power, best.1);
        } else if power > best.2 {
            best.2 = power;
        }
    }
    best
}

fn digit_of(window: &[f32; WINDOW]) -> Option<u8> {
    let energy: f32 = window.iter().map(|sample| sample * sample).sum();
    // A sine of amplitude A has the energy A^2 * N / 2.
    let whole = energy * 2.0 / WINDOW as f32;
    if whole < 2.0 * FAINTEST {
        return None;
    }
    let (row, low, next_low) = strongest(ROWS.map(|hertz| power(window, hertz)));
    let (column, high, next_high) = strongest(COLUMNS.map(|hertz| power(window, hertz)));
    let loud = low >= FAINTEST && high >= FAINTEST && low + high >= SHARE * whole;
    let twisted = low > high * TWIST_LOW || high > low * TWIST_HIGH;
    let clear = low >= next_low * CLEAR && high >= next_high * CLEAR;
    if !loud || twisted || !clear {
        return None;
    }
    // The second harmonics of the rows lie among the columns; what they hold is missing in the share.
    if power(window, 2.0 * COLUMNS.get(column)?) > high * HARMONIC {
        return None;
    }
    EVENTS.get(row)?.get(column).copied()
}
