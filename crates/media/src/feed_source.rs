//! The source that a feed is: what its receiver sent back and the leg's peer has not heard yet.
//!
//! Samples are encoded like any sound of ours; frames of Opus are sent as they came, each when the one before it is over.

use std::collections::VecDeque;

use offhook_dsp::opus;
use offhook_dsp::resample::Resampler;

use crate::frame::Frame;
use crate::prompt::Before;

/// Sound that is gathered before it is heard: packets of the receiver come as unevenly as others.
const AHEAD_MS: usize = 60;
/// Ticks that less than `AHEAD_MS` waits for more.
const PATIENCE: u32 = 3;
/// Sound that may wait here; what comes beyond is dropped. Its sender hands it over as it is played.
const LONGEST_MS: usize = 400;
/// Ticks without sound after which the leg is given back: half a second is a pause between two words.
const DRY: u32 = 25;
/// A tick on the clock of Opus.
const TICK: u32 = opus::CLOCK / 50;

/// What a feed carries, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Sound at this rate, Hz.
    Samples(u32),
    /// Opus packets.
    Opus,
}

impl Form {
    /// Of its sound, Hz.
    fn rate(self) -> u32 {
        match self {
            Self::Samples(rate) => rate,
            Self::Opus => opus::CLOCK,
        }
    }
}

enum Waiting {
    Sound(VecDeque<i16>),
    Frame(Frame),
    Mark(String),
}

/// The source that a feed is.
pub(crate) struct FeedSource {
    pub(crate) number: u64,
    form: Form,
    waiting: VecDeque<Waiting>,
    /// Samples that wait; of frames, on the clock of Opus.
    samples: usize,
    /// Of frames, what was sent beyond the present tick, on the same clock.
    ahead: u32,
    playing: bool,
    /// Ticks that it has waited for more, and ticks without any sound.
    waited: u32,
    dry: u32,
    converter: Option<(u32, Resampler)>,
    /// Marks whose place has been played.
    pub(crate) reached: Vec<String>,
    pub(crate) before: Before,
}

impl FeedSource {
    pub(crate) fn new(number: u64, form: Form, before: Before) -> Self {
        Self {
            number,
            form,
            waiting: VecDeque::new(),
            samples: 0,
            ahead: 0,
            playing: false,
            waited: 0,
            dry: 0,
            converter: None,
            reached: Vec::new(),
            before,
        }
    }

    fn samples_of(&self, ms: usize) -> usize {
        self.form.rate() as usize / 1_000 * ms
    }

    /// Whether it has been silent for so long that the leg is given back.
    pub(crate) fn is_dry(&self) -> bool {
        self.dry >= DRY
    }

    /// Whether it sends packets of its own.
    pub(crate) fn is_opus(&self) -> bool {
        self.form == Form::Opus
    }

    fn takes(&mut self, samples: usize) -> bool {
        let room = self.samples + samples <= self.samples_of(LONGEST_MS);
        self.samples += if room { samples } else { 0 };
        room
    }

    pub(crate) fn push_frame(&mut self, frame: Frame) {
        if self.takes(frame.ticks() as usize) {
            self.waiting.push_back(Waiting::Frame(frame));
        }
    }

    pub(crate) fn push(&mut self, sound: &[i16]) {
        if !self.takes(sound.len()) {
            return;
        }
        match self.waiting.back_mut() {
            Some(Waiting::Sound(last)) => last.extend(sound),
            _ => self
                .waiting
                .push_back(Waiting::Sound(sound.iter().copied().collect())),
        }
    }

    pub(crate) fn mark(&mut self, name: String) {
        if self.samples == 0 && self.ahead == 0 {
            self.reached.push(name);
        } else {
            self.waiting.push_back(Waiting::Mark(name));
        }
    }

    pub(crate) fn clear(&mut self) {
        for one in self.waiting.drain(..) {
            if let Waiting::Mark(name) = one {
                self.reached.push(name);
            }
        }
        (self.samples, self.playing) = (0, self.ahead > 0);
    }

    /// Whether sound is due: as much was gathered as packets of the receiver come unevenly, or no more comes.
    fn plays(&mut self) -> bool {
        if !self.playing {
            let enough = self.samples >= self.samples_of(AHEAD_MS);
            self.waited += u32::from(self.samples > 0);
            self.playing = enough || self.waited > PATIENCE;
        }
        if self.playing {
            self.waited = 0;
        }
        self.playing
    }

    /// Begins a tick of frames; false when there is none to send in it.
    pub(crate) fn begin_tick(&mut self) -> bool {
        self.plays()
    }

    /// A frame that is due in this tick; asked until there is none.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        while let Some(first) = self.waiting.pop_front() {
            match first {
                Waiting::Mark(name) if self.ahead <= TICK => self.reached.push(name),
                Waiting::Frame(frame) if self.ahead < TICK => {
                    self.samples -= frame.ticks() as usize;
                    self.ahead += frame.ticks();
                    return Some(frame);
                }
                other => {
                    self.waiting.push_front(other);
                    break;
                }
            }
        }
        None
    }

    /// Ends a tick of frames: how much of it has no sound, on the clock of Opus.
    pub(crate) fn end_tick(&mut self) -> u32 {
        let missing = TICK.saturating_sub(self.ahead);
        self.ahead = self.ahead.saturating_sub(TICK);
        self.dry = if missing == TICK { self.dry + 1 } else { 0 };
        self.playing &= self.samples > 0 || self.ahead > 0;
        missing
    }

    /// One tick of sound at `rate` Hz; silence where there is none.
    pub(crate) fn fill(&mut self, rate: u32, out: &mut [i16]) {
        if self.is_opus() {
            return;
        }
        let mut taken = Vec::new();
        if self.plays() {
            taken = self.take(self.samples_of(20));
            self.playing = self.samples > 0;
        }
        self.dry = if taken.is_empty() { self.dry + 1 } else { 0 };
        if self.form.rate() != rate {
            // A tick is a tick: what is missing at the end is silence.
            taken.resize(self.samples_of(20), 0);
            taken = self.convert(rate, &taken);
        }
        out.iter_mut()
            .zip(taken)
            .for_each(|(sample, one)| *sample = one);
    }

    fn take(&mut self, count: usize) -> Vec<i16> {
        let mut taken = Vec::with_capacity(count);
        while let Some(first) = self.waiting.front_mut() {
            match first {
                Waiting::Sound(sound) => {
                    let most = sound.len().min(count - taken.len());
                    taken.extend(sound.drain(..most));
                    if !sound.is_empty() {
                        break;
                    }
                    self.waiting.pop_front();
                }
                Waiting::Frame(_) => break,
                Waiting::Mark(name) => {
                    self.reached.push(std::mem::take(name));
                    self.waiting.pop_front();
                }
            }
        }
        self.samples -= taken.len();
        taken
    }

    fn convert(&mut self, rate: u32, sound: &[i16]) -> Vec<i16> {
        if self.converter.as_ref().is_none_or(|(to, _)| *to != rate) {
            self.converter = Resampler::new(self.form.rate(), rate)
                .ok()
                .map(|one| (rate, one));
        }
        let Some((_, converter)) = &mut self.converter else {
            return Vec::new();
        };
        let mut out = vec![0; converter.output_len(sound.len()) + 1];
        let len = converter.process(sound, &mut out).unwrap_or(0);
        out.truncate(len);
        out
    }
}
