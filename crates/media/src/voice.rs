//! One voice of a room, at each rate at which somebody hears the room.
//!
//! Every codec is heard at its own rate: who comes or goes adds a rate or takes it away, and changes nothing for the others.

use arrayvec::ArrayVec;
use offhook_dsp::resample::Resampler;

use crate::transcode::Wish;

/// At which G.722 and Opus are heard in rooms, Hz; and Opus of who asks for more. G.711 is by its own.
pub(crate) const WIDE: u32 = 16_000;
pub(crate) const FULL: u32 = 48_000;
/// So many there are.
const RATES: usize = 3;

/// Those at which somebody hears one room.
pub(crate) type Rates = ArrayVec<u32, RATES>;

/// How a member hears its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ear {
    pub(crate) wish: Wish,
    /// Of the mix that is encoded for it, Hz.
    pub(crate) rate: u32,
}

impl Ear {
    /// `full_band`: at 48 kHz, if the codec goes so far.
    pub(crate) fn new(wish: Wish, full_band: bool) -> Self {
        let highest = if full_band { FULL } else { WIDE };
        let rate = wish.codec.native_rate().min(highest);
        Self { wish, rate }
    }
}

/// Samples of a tick.
pub(crate) fn tick_samples(rate: u32) -> usize {
    rate as usize / 50
}

/// Sound of one rate, made ready for the others.
pub(crate) struct Voice {
    rate: u32,
    lanes: ArrayVec<Lane, RATES>,
}

struct Lane {
    rate: u32,
    /// None: it is the voice's own rate.
    resampler: Option<Resampler>,
    /// The tick in hand.
    frame: Vec<i16>,
}

impl Voice {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate,
            lanes: ArrayVec::new(),
        }
    }

    /// 20 ms of it, for listeners at these rates.
    pub(crate) fn take(&mut self, pcm: &[i16], rates: &Rates) {
        self.lanes.retain(|lane| rates.contains(&lane.rate));
        for rate in rates {
            if !self.lanes.iter().any(|lane| lane.rate == *rate) {
                self.lanes.push(Lane::new(self.rate, *rate));
            }
        }
        self.lanes.iter_mut().for_each(|lane| lane.take(pcm));
    }

    /// What is heard at one rate in the tick in hand instead.
    pub(crate) fn put(&mut self, rate: u32, pcm: &[i16]) {
        let lane = self.lanes.iter_mut().find(|lane| lane.rate == rate);
        let frame = lane.into_iter().flat_map(|lane| lane.frame.iter_mut());
        frame.zip(pcm).for_each(|(sample, one)| *sample = *one);
    }

    /// The tick in hand at a rate; nothing, if nobody hears that.
    pub(crate) fn at(&self, rate: u32) -> &[i16] {
        let lane = self.lanes.iter().find(|lane| lane.rate == rate);
        lane.map_or(&[], |lane| lane.frame.as_slice())
    }

    /// Adds the tick in hand to a sum.
    pub(crate) fn add(&self, rate: u32, total: &mut [i32]) {
        let samples = total.iter_mut().zip(self.at(rate));
        samples.for_each(|(sum, one)| *sum += i32::from(*one));
    }
}

impl Lane {
    fn new(from: u32, rate: u32) -> Self {
        // Rates of codecs are multiples of each other: there is a resampler for any two.
        let resampler = Resampler::new(from, rate).ok().filter(|_| from != rate);
        Self {
            rate,
            resampler,
            frame: vec![0; tick_samples(rate)],
        }
    }

    fn take(&mut self, pcm: &[i16]) {
        let made = match &mut self.resampler {
            Some(resampler) => resampler.process(pcm, &mut self.frame).unwrap_or(0),
            None => {
                let samples = self.frame.iter_mut().zip(pcm);
                samples.for_each(|(sample, one)| *sample = *one);
                pcm.len()
            }
        };
        self.frame.iter_mut().skip(made).for_each(|rest| *rest = 0);
    }
}
