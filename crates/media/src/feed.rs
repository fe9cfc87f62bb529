//! Feeds: a leg's packets are copied for a WebSocket, as for a recording; what its receiver sends back is a source of the leg.
//!
//! The source takes the leg with its first sound, and gives it back to what fed it before when no more comes.

use std::time::Instant;

use offhook_dsp::{Codec, opus};

use crate::commands::{Refusal, bad_description};
use crate::description::{Encoding, Feed, Track};
use crate::engine::Engine;
pub(crate) use crate::feed_source::{FeedSource, Form};
pub use crate::frame::{Frame, MAX_BYTES};
use crate::ids::LegId;
use crate::io::{Now, Output};
use crate::leg::Leg;
use crate::outbox::Outbox;
use crate::prompt::{self, Before};
use crate::recording::{MAX_TAPS, Piece, Tap, Taps, Use};
use crate::send::Source;

/// Bytes of a feed's name, URL and each of its parameters.
const MAX_TEXT: usize = 2_048;
/// Parameters of one feed.
const MAX_PARAMETERS: usize = 32;
/// Rates of a feed, Hz.
const RATES: [u32; 3] = [8_000, 16_000, 24_000];
/// Why a feed of Opus ends when its leg goes over to another codec.
pub const OTHER_CODEC: &str = "codec";

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
    /// One packet, of a feed of Opus.
    Frame(Frame),
    /// To be echoed when everything before it has been heard.
    Mark(String),
    /// Everything that waits is dropped, its marks are echoed.
    Clear,
    /// The feed is over by itself.
    Over,
}

impl Taps {
    /// A press of the leg's peer, for feeds that carry what it says.
    pub(crate) fn pressed(&self, digit: char, duration_ms: u32, out: &mut Outbox, now: Instant) {
        let hears = |tap: &&Tap| tap.what_for != Use::Recording && tap.says.is_some();
        for tap in self.copies.iter().filter(hears) {
            out.push(tap.entry(Piece::Digit(digit, duration_ms), now));
        }
    }

    fn of_number(&self, number: u64) -> Option<&Tap> {
        self.copies.iter().find(|tap| tap.number == number)
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
        let form = match spec.encoding {
            Encoding::Mulaw | Encoding::L16 => Form::Samples(spec.rate),
            Encoding::Opus => {
                speaks_opus(leg, &spec)?;
                Form::Opus
            }
        };
        let too_many = |text: String| ("too_many_taps", text);
        if leg.taps.copies.len() >= MAX_TAPS {
            let text = format!("{MAX_TAPS} recordings and feeds run here, as many as may");
            return Err(too_many(text));
        }
        let mut others = leg.taps.copies.iter();
        if spec.two_way && others.any(|tap| matches!(tap.what_for, Use::Feed(_, true))) {
            let text = "a feed that is heard runs here, and there is one at most".to_owned();
            return Err(too_many(text));
        }
        let mut others = leg.taps.copies.iter();
        if others.any(|tap| tap.name == spec.feed && tap.what_for != Use::Recording) {
            return Err(bad_description("a feed of that name runs here"));
        }
        leg.taps.copies.push(Tap {
            number,
            name: spec.feed.clone(),
            start: now.instant,
            says,
            hears,
            paused: false,
            what_for: Use::Feed(form, spec.two_way),
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
            let mut taps = leg.taps.copies.iter();
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
        let Some(Use::Feed(form, true)) = leg.taps.of_number(number).map(|tap| tap.what_for) else {
            return;
        };
        match what {
            Return::Over => {}
            Return::Sound(sound) if form != Form::Opus => {
                self.take_leg(id, number, form, now);
                if let Some(source) = self.feed_source(id, number) {
                    source.push(&sound);
                }
            }
            Return::Frame(frame) if form == Form::Opus => {
                self.take_leg(id, number, form, now);
                if let Some(source) = self.feed_source(id, number) {
                    source.push_frame(frame);
                }
            }
            // A feed has one form.
            Return::Sound(_) | Return::Frame(_) => {}
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
    fn take_leg(&mut self, id: LegId, number: u64, form: Form, now: Now) {
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
                number, form, before,
            ))));
        }
        self.arm_tick(id, now);
    }

    /// One tick of a leg that is sent a receiver's Opus packets; false if it is not, or if a digit sounds in their place.
    pub(crate) fn frames_tick(&mut self, id: LegId, now: Now) -> bool {
        let Some(leg) = self.legs.get_mut(id) else {
            return false;
        };
        let (speech, sounding) = (leg.tx.speech, leg.tx.digits.tone().is_some());
        let Source::Feed(feed) = &mut leg.tx.source else {
            return false;
        };
        let Some(speech) = speech.filter(|_| feed.is_opus()) else {
            return false;
        };
        let begun = feed.begin_tick();
        while let Some(frame) = begun.then(|| frame_of(leg)).flatten() {
            // A feed of Opus ends when its leg goes over to another codec; this is the second lock.
            if speech.codec == Codec::Opus && !sounding {
                let (bytes, ticks) = (frame.bytes(), frame.ticks());
                prompt::send(leg, bytes, ticks, speech.payload_type, &mut self.out, now);
            }
        }
        if let Source::Feed(feed) = &mut leg.tx.source {
            let missing = feed.end_tick();
            if missing > 0 && !sounding {
                leg.tx.pause(missing);
            }
        }
        if !sounding {
            self.feed_tick(id, now);
        }
        !sounding
    }

    /// After a description: feeds of Opus end where the leg does not speak it any more.
    pub(crate) fn feeds_follow(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get(id) else { return };
        if leg.tx.speech.is_some_and(|one| one.codec == Codec::Opus) {
            return;
        }
        let opus = |tap: &&Tap| matches!(tap.what_for, Use::Feed(Form::Opus, _));
        let end = |tap: &Tap| tap.entry(Piece::End(OTHER_CODEC), now.instant);
        let ended = leg.taps.copies.iter().filter(opus);
        let over: Vec<_> = ended.map(|tap| (tap.number, end(tap))).collect();
        for (number, end) in over {
            // Marks that waited come before the end.
            self.feed_over(id, number, now);
            self.out.push(end);
        }
    }

    /// After a tick: marks that were reached, and the end of a source that has run dry.
    pub(crate) fn feed_tick(&mut self, id: LegId, now: Now) {
        let Some(Source::Feed(feed)) = self.legs.get(id).map(|leg| &leg.tx.source) else {
            return;
        };
        let (number, dry) = (feed.number, feed.is_dry());
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
            leg.taps.copies.retain(|tap| tap.number != number);
        }
    }
}

fn frame_of(leg: &mut Leg) -> Option<Frame> {
    match &mut leg.tx.source {
        Source::Feed(feed) => feed.frame(),
        _ => None,
    }
}

/// Whether a leg speaks Opus in the directions that a feed of Opus wants: what it hears is agreed, what it says may be
/// another of the codecs it was offered.
fn speaks_opus(leg: &Leg, spec: &Feed) -> Result<(), Refusal> {
    let hears = leg.tx.speech.map(|speech| speech.codec);
    let says = leg.rx.codec.or(hears);
    let wanted = [
        (spec.track != Track::Inbound || spec.two_way, hears),
        (spec.track != Track::Outbound, says),
    ];
    for codec in wanted
        .into_iter()
        .filter_map(|(of, codec)| of.then_some(codec))
    {
        if codec != Some(Codec::Opus) {
            let other = codec.map_or("no codec yet", Codec::name);
            let text =
                format!("the leg speaks {other}, and a feed of Opus carries packets as they come");
            return Err(("other_codec", text));
        }
    }
    Ok(())
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
    if spec.encoding == Encoding::Opus {
        return match spec.rate {
            opus::CLOCK => Ok(()),
            _ => Err(bad_description("the clock of Opus is 48000 Hz")),
        };
    }
    if !RATES.contains(&spec.rate) {
        return Err(bad_description("a feed's rate is 8000, 16000 or 24000 Hz"));
    }
    if spec.encoding == Encoding::Mulaw && spec.rate != 8_000 {
        return Err(bad_description("mu-law is 8000 Hz"));
    }
    Ok(())
}
