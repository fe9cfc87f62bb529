//! G.722 at 64 kbit/s (ITU-T G.722 mode 1): 16 kHz inside, one byte for two samples. State crosses frames.
//!
//! Two bands of 8 kHz, each by adaptive differences: 6 bits of a byte for the lower, 2 for the higher. What an encoder predicts
//! from is what its decoder predicts from: one may go on where the other is. The RTP clock is 8 000 (RFC 3551 4.5.2, a
//! historic error that stays): one byte is one tick.

use crate::error::CodecError;

/// Taps of the filter that splits the bands and joins them, of which every other one meets a sample.
const TAPS: usize = 24;
/// Samples of 16 kHz by which sound is later after encoder and decoder.
pub const DELAY: usize = 22;
/// Its coefficients for every other tap; the rest are these backwards.
const FILTER: [i32; TAPS / 2] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];

/// The decision levels of the lower band's 6 bits (table 9), in units of its scale.
const LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023,
    1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// What 6 bits mean (table 12): only the decoder's sound has the last two, prediction goes by four.
const FINE: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192,
    -10_232, -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008,
    -3_576, -3_168, -2_776, -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008,
    16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000,
    5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432,
    136, -432, -136,
];
/// What 4 bits mean, and how they move the scale.
const LOW: [(i32, i32); 16] = [
    (0, -60),
    (-20_456, 3_042),
    (-12_896, 1_198),
    (-8_968, 538),
    (-6_288, 334),
    (-4_240, 172),
    (-2_584, 58),
    (-1_200, -30),
    (20_456, 3_042),
    (12_896, 1_198),
    (8_968, 538),
    (6_288, 334),
    (4_240, 172),
    (2_584, 58),
    (1_200, -30),
    (0, -60),
];
/// The same of the higher band's 2 bits.
const HIGH: [(i32, i32); 4] = [(-7_408, 798), (-1_616, -214), (7_408, 798), (1_616, -214)];
/// The higher band's one decision level.
const HIGH_LEVEL: i32 = 564;
/// Scales within an octave.
const SCALES: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

/// Encoder: 16 kHz PCM to G.722.
#[derive(Clone)]
pub struct Encoder {
    bands: Bands,
    line: [i32; TAPS],
}

/// Decoder: G.722 to 16 kHz PCM.
pub struct Decoder {
    bands: Bands,
    line: [i32; TAPS],
}

/// What both ends of a stream predict from.
#[derive(Clone)]
struct Bands {
    low: Band,
    high: Band,
}

impl Encoder {
    /// A fresh encoder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bands: Bands::new(),
            line: [0; TAPS],
        }
    }

    /// Goes on where a decoder of its packets is.
    pub fn resume(&mut self, decoder: &Decoder) {
        self.bands = decoder.bands.clone();
    }

    /// Takes sound that is heard already: what comes next is split from there.
    pub fn listen(&mut self, pcm: &[i16]) {
        for pair in pcm.chunks_exact(2) {
            push(&mut self.line, i32::from(pair[0]), i32::from(pair[1]));
        }
    }

    /// Encodes an even number of samples into half as many bytes; the bytes written.
    ///
    /// # Errors
    /// [`CodecError::BadFrame`] for an odd length, [`CodecError::OutputTooSmall`].
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        if pcm.len() % 2 != 0 {
            return Err(CodecError::BadFrame(pcm.len()));
        }
        let size = pcm.len() / 2;
        let out = out.get_mut(..size).ok_or(CodecError::OutputTooSmall)?;
        for (byte, pair) in out.iter_mut().zip(pcm.chunks_exact(2)) {
            push(&mut self.line, i32::from(pair[0]), i32::from(pair[1]));
            let (even, odd) = filter(&self.line);
            *byte = self.bands.encode((even + odd) >> 14, (even - odd) >> 14);
        }
        Ok(size)
    }
}

impl Decoder {
    /// A fresh decoder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bands: Bands::new(),
            line: [0; TAPS],
        }
    }

    /// Decodes a payload into twice as many samples; the samples written.
    ///
    /// # Errors
    /// [`CodecError::OutputTooSmall`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let size = payload.len() * 2;
        let out = out.get_mut(..size).ok_or(CodecError::OutputTooSmall)?;
        for (pair, byte) in out.chunks_exact_mut(2).zip(payload) {
            let (low, high) = self.bands.decode(*byte);
            push(&mut self.line, low + high, low - high);
            let (even, odd) = filter(&self.line);
            (pair[0], pair[1]) = (saturated(even >> 11), saturated(odd >> 11));
        }
        Ok(size)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn push(line: &mut [i32; TAPS], first: i32, second: i32) {
    line.copy_within(2.., 0);
    (line[TAPS - 2], line[TAPS - 1]) = (first, second);
}

/// The sums over the even and over the odd places of the filter.
fn filter(line: &[i32; TAPS]) -> (i32, i32) {
    let pairs = line.chunks_exact(2);
    let taps = FILTER.iter().zip(FILTER.iter().rev());
    pairs
        .zip(taps)
        .fold((0, 0), |(even, odd), (pair, (tap, mirrored))| {
            (even + pair[1] * mirrored, odd + pair[0] * tap)
        })
}

fn saturated(value: i32) -> i16 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

impl Bands {
    fn new() -> Self {
        Self {
            low: Band::new(32),
            high: Band::new(8),
        }
    }

    fn encode(&mut self, low: i32, high: i32) -> u8 {
        let six = quantised_low(limited(low - self.low.predicted), self.low.scale);
        let two = quantised_high(limited(high - self.high.predicted), self.high.scale);
        self.take(six, two);
        two << 6 | six
    }

    fn decode(&mut self, byte: u8) -> (i32, i32) {
        let (six, two) = (byte & 63, byte >> 6);
        let low = self.low.predicted + ((self.low.scale * FINE[usize::from(six)]) >> 15);
        let high = self.high.predicted + ((self.high.scale * HIGH[usize::from(two)].0) >> 15);
        self.take(six, two);
        // Each band has 15 bits.
        (low.clamp(-16_384, 16_383), high.clamp(-16_384, 16_383))
    }

    fn take(&mut self, six: u8, two: u8) {
        self.low.take(LOW[usize::from(six >> 2)], 18_432, 8);
        self.high.take(HIGH[usize::from(two)], 22_528, 10);
    }
}

fn quantised_low(difference: i32, scale: i32) -> u8 {
    // A negative one is counted from -1, so that both signs have as many places.
    let size = difference ^ (difference >> 31);
    let above = |level: &&i32| size >= (**level * scale) >> 12;
    let place = LEVELS.iter().take_while(above).count() as u8;
    match (difference < 0, place) {
        (false, _) => 61 - place,
        (true, 0 | 1) => 63 - place,
        (true, _) => 33 - place,
    }
}

fn quantised_high(difference: i32, scale: i32) -> u8 {
    let size = difference ^ (difference >> 31);
    let large = size >= (HIGH_LEVEL * scale) >> 12;
    match (difference < 0, large) {
        (false, false) => 3,
        (false, true) => 2,
        (true, false) => 1,
        (true, true) => 0,
    }
}

/// One band: two poles and six zeros, adapted by signs.
#[derive(Clone)]
struct Band {
    scale: i32,
    /// Its logarithm.
    loudness: i32,
    predicted: i32,
    /// What the zeros add to that.
    by_zeros: i32,
    /// The last two sums, newest first: as they were heard, and without what the poles added.
    heard: [i32; 2],
    partial: [i32; 2],
    poles: [i32; 2],
    differences: [i32; 6],
    zeros: [i32; 6],
}

impl Band {
    fn new(scale: i32) -> Self {
        Self {
            scale,
            loudness: 0,
            predicted: 0,
            by_zeros: 0,
            heard: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            differences: [0; 6],
            zeros: [0; 6],
        }
    }

    /// Takes what a code means and how it moves the scale; `loudest`: bound of the latter's logarithm, `octaves`: its unit.
    fn take(&mut self, (meaning, step): (i32, i32), loudest: i32, octaves: i32) {
        let difference = (self.scale * meaning) >> 15;
        self.loudness = (((self.loudness * 127) >> 7) + step).clamp(0, loudest);
        let within = SCALES[((self.loudness >> 6) & 31) as usize];
        let down = octaves - (self.loudness >> 11);
        let scale = if down < 0 {
            within << -down
        } else {
            within >> down
        };
        self.scale = scale << 2;
        self.adapt(difference);
        self.predict();
    }

    fn adapt(&mut self, difference: i32) {
        let heard = limited(self.predicted + difference);
        let partial = limited(self.by_zeros + difference);
        let alike = |one: i32, other: i32| (one < 0) == (other < 0);
        let signed = |positive: bool, size: i32| if positive { size } else { -size };

        let first = limited(self.poles[0] << 2);
        let lead = signed(!alike(partial, self.partial[0]), first).min(32_767);
        let second = (lead >> 7)
            + signed(alike(partial, self.partial[1]), 128)
            + ((self.poles[1] * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        let first = limited(
            signed(alike(partial, self.partial[0]), 192) + ((self.poles[0] * 32_640) >> 15),
        );
        let most = limited(15_360 - second);
        self.poles = [first.clamp(-most, most), second];

        let step = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            *zero = limited(signed(alike(difference, before), step) + ((*zero * 32_640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.heard = [heard, self.heard[0]];
        self.partial = [partial, self.partial[0]];
    }

    fn predict(&mut self) {
        let product = |(share, value): (&i32, &i32)| (share * limited(value + value)) >> 15;
        let by_poles: i32 = self.poles.iter().zip(&self.heard).map(product).sum();
        let by_zeros: i32 = self.zeros.iter().zip(&self.differences).map(product).sum();
        self.by_zeros = limited(by_zeros);
        self.predicted = limited(limited(by_poles) + self.by_zeros);
    }
}

fn limited(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}
