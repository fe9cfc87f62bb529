//! Feeds: a leg's packets are copied for a WebSocket, as for a recording; what its receiver sends back is a source of the leg.
//!
//! The source takes the leg with its first sound, and gives it back to what fed it before when no more comes.

use std::collections::VecDeque;
use std::time::Instant;

use offhook_dsp::resample::Resampler;

use crate::commands::{Refusal, bad_description};
use crate::description::{Feed, Track};
use crate::engine::Engine;
use crate::ids::LegId;
use crate::io::{Now, Output};
use crate::outbox::Outbox;
use crate::prompt::Before;
use crate::recording::{MAX_TAPS, Piece, Tap, Taps, Use};
use crate::send::Source;

/// Bytes of a feed's name, URL and each of its parameters.
const MAX_TEXT: usize = 2_048;
/// Parameters of one feed.
const MAX_PARAMETERS: usize = 32;
/// Rates of a feed, Hz.
const RATES: [u32; 3] = [8_000, 16_000, 24_000];
/// Sound that is gathered before it is heard: packets of the receiver come as unevenly as others.
const AHEAD_MS: usize = 60;
/// Ticks that less than `AHEAD_MS` waits for more.
const PATIENCE: u32 = 3;
/// Sound that may wait here; what comes beyond is dropped. Its sender hands it over as it is played.
const LONGEST_MS: usize = 400;
/// Ticks without sound after which the leg is given back: half a second is a pause between two words.
const DRY: u32 = 25;

/// How to begin a feed; entries follow.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedBegin {
    /// The number under which entries come.
    pub number: u64,
    /// The leg that it belongs to.
    pub leg: u64,
    /// When its time begins.
    pub start: Instant,
    /// What was asked for.
    pub spec: Feed,
}

/// What a feed's receiver sends back, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Return {
    /// Mono, at the feed's rate; 20 ms at most.
    Sound(Box<[i16]>),
    /// To be echoed when everything before it has been heard.
    Mark(String),
    /// Everything that waits is dropped, its marks are echoed.
    Clear,
    /// The feed is over by itself.
    Over,
}

enum Waiting {
    Sound(VecDeque<i16>),
    Mark(String),
}

/// The source that a feed is.
pub(crate) struct FeedSource {
    number: u64,
    /// Of the sound that comes, Hz.
    rate: u32,
    waiting: VecDeque<Waiting>,
    /// Samples that wait.
    samples: usize,
    playing: bool,
    /// Ticks that it has waited for more, and ticks without any sound.
    waited: u32,
    dry: u32,
    converter: Option<(u32, Resampler)>,
    /// Marks whose place has been played.
    reached: Vec<String>,
    pub(crate) before: Before,
}

impl FeedSource {
    fn new(number: u64, rate: u32, before: Before) -> Self {
        Self {
            number,
            rate,
            waiting: VecDeque::new(),
            samples: 0,
            playing: false,
            waited: 0,
            dry: 0,
            converter: None,
            reached: Vec::new(),
            before,
        }
    }

    fn samples_of(&self, ms: usize) -> usize {
        self.rate as usize / 1_000 * ms
    }

    fn push(&mut self, sound: &[i16]) {
        if self.samples + sound.len() > self.samples_of(LONGEST_MS) {
            return;
        }
        self.samples += sound.len();
        match self.waiting.back_mut() {
            Some(Waiting::Sound(last)) => last.extend(sound),
            _ => self
                .waiting
                .push_back(Waiting::Sound(sound.iter().copied().collect())),
        }
    }

    fn mark(&mut self, name: String) {
        if self.samples == 0 {
            self.reached.push(name);
        } else {
            self.waiting.push_back(Waiting::Mark(name));
        }
    }

    fn clear(&mut self) {
        for one in self.waiting.drain(..) {
            if let Waiting::Mark(name) = one {
                self.reached.push(name);
            }
        }
        (self.samples, self.playing) = (0, false);
    }

    /// One tick of sound at `rate` Hz; silence where there is none.
    pub(crate) fn fill(&mut self, rate: u32, out: &mut [i16]) {
        if !self.playing {
            let enough = self.samples >= self.samples_of(AHEAD_MS);
            self.waited += u32::from(self.samples > 0);
            self.playing = enough || self.waited > PATIENCE;
        }
        let mut taken = Vec::new();
        if self.playing {
            taken = self.take(self.samples_of(20));
            self.waited = 0;
            self.playing = self.samples > 0;
        }
        self.dry = if taken.is_empty() { self.dry + 1 } else { 0 };
        if self.rate != rate {
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
            self.converter = Resampler::new(self.rate, rate).ok().map(|one| (rate, one));
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

impl Taps {
    /// A press of the leg's peer, for feeds that carry what it says.
    pub(crate) fn pressed(&self, digit: char, duration_ms: u32, out: &mut Outbox, now: Instant) {
        let hears = |tap: &&Tap| tap.what_for != Use::Recording && tap.says.is_some();
        for tap in self.0.iter().filter(hears) {
            out.push(tap.entry(Piece::Digit(digit, duration_ms), now));
        }
    }

    fn of_number(&self, number: u64) -> Option<&Tap> {
        self.0.iter().find(|tap| tap.number == number)
    }
}

impl Engine {
    /// Begins a feed; what becomes of it is told by `FeedChanged`.
    pub(crate) fn feed_start(&mut self, id: LegId, spec: Feed, now: Now) -> Result<(), Refusal> {
        check(&spec)?;
        let number = self.next_tap + 1;
        let (says, hears) = match spec.track {
            Track::Both => (Some(0), Some(1)),
            Track::Inbound => (Some(0), None),
            Track::Outbound => (None, Some(1)),
        };
        let Some(leg) = self.legs.get_mut(id) else {
            return Ok(());
        };
        let too_many = |text: String| ("too_many_taps", text);
        if leg.taps.0.len() >= MAX_TAPS {
            let text = format!("{MAX_TAPS} recordings and feeds run here, as many as may");
            return Err(too_many(text));
        }
        let mut others = leg.taps.0.iter();
        if spec.two_way && others.any(|tap| matches!(tap.what_for, Use::Feed(Some(_)))) {
            let text = "a feed that is heard runs here, and there is one at most".to_owned();
            return Err(too_many(text));
        }
        let mut others = leg.taps.0.iter();
        if others.any(|tap| tap.name == spec.feed && tap.what_for != Use::Recording) {
            return Err(bad_description("a feed of that name runs here"));
        }
        leg.taps.0.push(Tap {
            number,
            name: spec.feed.clone(),
            start: now.instant,
            says,
            hears,
            paused: false,
            what_for: Use::Feed(spec.two_way.then_some(spec.rate)),
        });
        self.next_tap = number;
        self.out.push(Output::FeedBegin(Box::new(FeedBegin {
            number,
            leg: id.0,
            start: now.instant,
            spec,
        })));
        Ok(())
    }

    /// Ends one; unknown ones are refused.
    pub(crate) fn feed_stop(&mut self, id: LegId, name: &str, now: Now) -> Result<(), Refusal> {
        let found = self.legs.get(id).and_then(|leg| {
            let mut taps = leg.taps.0.iter();
            let tap = taps.find(|tap| tap.name == name && tap.what_for != Use::Recording)?;
            Some((tap.number, tap.entry(Piece::End("stopped"), now.instant)))
        });
        let unknown = || ("unknown_feed", format!("no feed {name:?} runs here"));
        let (number, entry) = found.ok_or_else(unknown)?;
        self.out.push(entry);
        self.feed_over(id, number, now);
        Ok(())
    }

    /// What the receiver of a feed sent back.
    pub(crate) fn returned(&mut self, id: LegId, number: u64, what: Return, now: Now) {
        self.in_hand = Some(id);
        let Some(leg) = self.legs.get(id) else { return };
        if what == Return::Over {
            return self.feed_over(id, number, now);
        }
        let Some(Use::Feed(Some(rate))) = leg.taps.of_number(number).map(|tap| tap.what_for) else {
            return;
        };
        match what {
            Return::Over => {}
            Return::Sound(sound) => {
                self.take_leg(id, number, rate, now);
                if let Some(source) = self.feed_source(id, number) {
                    source.push(&sound);
                }
            }
            Return::Mark(name) => match self.feed_source(id, number) {
                Some(source) => source.mark(name),
                // Nothing waits before it.
                None => self.tell_marks(id, number, vec![name], now),
            },
            Return::Clear => {
                if let Some(source) = self.feed_source(id, number) {
                    source.clear();
                }
            }
        }
        self.tell_reached(id, number, now);
    }

    fn feed_source(&mut self, id: LegId, number: u64) -> Option<&mut FeedSource> {
        match &mut self.legs.get_mut(id)?.tx.source {
            Source::Feed(feed) if feed.number == number => Some(feed),
            _ => None,
        }
    }

    /// The feed becomes the leg's source; files that are played there are heard to their end before.
    fn take_leg(&mut self, id: LegId, number: u64, rate: u32, now: Now) {
        let busy = |source: &Source| match source {
            Source::Feed(feed) => feed.number == number,
            Source::Prompt(prompt) => !prompt.is_music(),
            _ => false,
        };
        if self.legs.get(id).is_none_or(|leg| busy(&leg.tx.source)) {
            return;
        }
        let before = self.set_aside(id, now);
        if let Some(leg) = self.legs.get_mut(id) {
            leg.feed_from(Source::Feed(Box::new(FeedSource::new(
                number, rate, before,
            ))));
        }
        self.arm_tick(id, now);
    }

    /// After a tick: marks that were reached, and the end of a source that has run dry.
    pub(crate) fn feed_tick(&mut self, id: LegId, now: Now) {
        let Some(Source::Feed(feed)) = self.legs.get(id).map(|leg| &leg.tx.source) else {
            return;
        };
        let (number, dry) = (feed.number, feed.dry >= DRY);
        self.tell_reached(id, number, now);
        if dry {
            self.end_source(id, number, now);
        }
    }

    fn tell_reached(&mut self, id: LegId, number: u64, now: Now) {
        if let Some(source) = self.feed_source(id, number) {
            let reached = std::mem::take(&mut source.reached);
            self.tell_marks(id, number, reached, now);
        }
    }

    fn tell_marks(&mut self, id: LegId, number: u64, marks: Vec<String>, now: Now) {
        let tap = self.legs.get(id).and_then(|leg| leg.taps.of_number(number));
        for name in marks {
            if let Some(tap) = tap {
                self.out.push(tap.entry(Piece::Mark(name), now.instant));
            }
        }
    }

    /// What a source still held when something else took its place.
    pub(crate) fn played_out(&mut self, id: LegId, mut feed: FeedSource, now: Now) {
        feed.clear();
        self.tell_marks(id, feed.number, feed.reached, now);
    }

    /// Something else becomes the leg's source.
    pub(crate) fn replace_feed(&mut self, id: LegId) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if !matches!(leg.tx.source, Source::Feed(_)) {
            return;
        }
        let source = std::mem::replace(&mut leg.tx.source, Source::None);
        leg.feed_from(Source::None);
        if let (Source::Feed(mut feed), Some(now)) = (source, self.latest) {
            let before = std::mem::replace(&mut feed.before, Before::Nothing);
            self.played_out(id, *feed, now);
            self.give_up_place(id, &before);
        }
    }

    /// The source gives the leg back.
    fn end_source(&mut self, id: LegId, number: u64, now: Now) {
        let Some(source) = self.feed_source(id, number) else {
            return;
        };
        let before = std::mem::replace(&mut source.before, Before::Nothing);
        self.replace_feed(id);
        self.give_back(id, before, now);
    }

    fn feed_over(&mut self, id: LegId, number: u64, now: Now) {
        self.end_source(id, number, now);
        if let Some(leg) = self.legs.get_mut(id) {
            leg.taps.0.retain(|tap| tap.number != number);
        }
    }
}

fn check(spec: &Feed) -> Result<(), Refusal> {
    let texts = [
        &spec.feed,
        &spec.url,
        &spec.account,
        &spec.call,
        &spec.bearer.0,
    ];
    let mut texts = texts.into_iter().chain(
        spec.parameters
            .iter()
            .flat_map(|(name, value)| [name, value]),
    );
    if spec.feed.is_empty() || texts.any(|text| text.len() > MAX_TEXT) {
        let text =
            format!("a feed needs a name; no text of it may have more than {MAX_TEXT} bytes");
        return Err(bad_description(&text));
    }
    if spec.parameters.len() > MAX_PARAMETERS {
        let text = format!("a feed takes {MAX_PARAMETERS} parameters at most");
        return Err(bad_description(&text));
    }
    if !RATES.contains(&spec.rate) {
        return Err(bad_description("a feed's rate is 8000, 16000 or 24000 Hz"));
    }
    if spec.encoding == crate::description::Encoding::Mulaw && spec.rate != 8_000 {
        return Err(bad_description("mu-law is 8000 Hz"));
    }
    Ok(())
}
