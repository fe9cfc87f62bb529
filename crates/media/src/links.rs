//! Who feeds whom: bridges, players, and what a direction needs before its first packet.

use offhook_dsp::Counters;

use crate::description::SourceKind;
use crate::engine::Engine;
use crate::far::{Place, What};
use crate::ids::LegId;
use crate::io::Now;
use crate::leg::Leg;
use crate::members::room_of;
use crate::player::Player;
use crate::prompt::Prompt;
use crate::route;
use crate::send::Source;
use crate::speaker::Speaker;

impl Engine {
    /// The leg feeds nobody and nothing feeds it.
    pub(crate) fn unlink(&mut self, id: LegId) {
        self.unlink_source(id);
        self.unlink_sink(id);
    }

    /// Each becomes the other's source; earlier links of both end. A leg with itself echoes.
    pub(crate) fn bridge(&mut self, a: LegId, b: LegId, now: Now) {
        let feeds = |leg: Option<&Leg>, source: LegId| {
            leg.is_some_and(|leg| matches!(leg.tx.source, Source::Leg(known) if known == source))
        };
        if feeds(self.legs.get(a), b) && feeds(self.legs.get(b), a) {
            return;
        }
        for id in [a, b] {
            self.unlink_source(id);
            self.unlink_sink(id);
        }
        for (id, source) in [(a, b), (b, a)] {
            if let Some(leg) = self.legs.get_mut(id) {
                leg.feed_from(Source::Leg(source));
                leg.sink = Some(source);
            }
        }
        self.compile(a, now);
        self.compile(b, now);
        self.begin_pictures([a, b], now);
    }

    /// What feeds a leg, if it is a leg.
    pub(crate) fn source_of(&self, id: LegId) -> Option<LegId> {
        match self.legs.get(id)?.tx.source {
            Source::Leg(source) => Some(source),
            Source::None
            | Source::Player(_)
            | Source::Prompt(_)
            | Source::Feed(_)
            | Source::Room(_) => None,
        }
    }

    /// A player becomes the leg's source; the leg is still heard by the one it feeds.
    pub(crate) fn play(&mut self, id: LegId, kind: SourceKind, country: &str, now: Now) {
        let playing = self.legs.get(id).is_some_and(|leg| match &leg.tx.source {
            Source::Player(player) => player.plays(kind, country),
            Source::Prompt(prompt) => prompt.is_music() && kind == SourceKind::Music,
            Source::None | Source::Leg(_) | Source::Feed(_) | Source::Room(_) => false,
        });
        if playing {
            return;
        }
        self.unlink_source(id);
        self.next_player += 1;
        let number = self.next_player;
        if let Some(leg) = self.legs.get_mut(id) {
            let player = Player::new(kind, country);
            leg.feed_from(match kind {
                SourceKind::Music => Source::Prompt(Box::new(Prompt::music(number, player))),
                SourceKind::Tone | SourceKind::Ringback => Source::Player(player),
            });
        }
        self.arm_tick(id, now);
    }

    /// Nothing feeds the leg until it is given a source: by command, so that is no fault.
    pub(crate) fn hush(&mut self, id: LegId) {
        self.unlink_source(id);
        if let Some(leg) = self.legs.get_mut(id) {
            leg.feed_from(Source::None);
            leg.tx.hushed = true;
        }
    }

    /// Ends a player, or the leg's stay in a room; a bridge stays.
    pub(crate) fn stop(&mut self, id: LegId, now: Now) {
        let files =
            |leg: &Leg| matches!(&leg.tx.source, Source::Prompt(prompt) if !prompt.is_music());
        if self.legs.get(id).is_some_and(files) {
            return self.finish_prompt(id, "stopped", String::new(), now);
        }
        if let Some(leg) = self.legs.get_mut(id) {
            if matches!(leg.tx.source, Source::Player(_) | Source::Prompt(_)) {
                leg.feed_from(Source::None);
            }
        }
        if self
            .legs
            .get(id)
            .is_some_and(|leg| leg.tx.source.room().is_some())
        {
            self.unlink_source(id);
        }
    }

    /// Makes what a direction needs before its first packet, on both sides of a leg.
    pub(crate) fn compile(&mut self, id: LegId, now: Now) {
        let sink = self.sink_of(id);
        for leg in [Some(id), sink].into_iter().flatten() {
            self.compile_source(leg, now);
            self.compile_video(leg);
            self.arm_tick(leg, now);
            self.drive_digits(leg, now);
        }
        self.tell_far(id, now);
    }

    /// How the one who decodes this leg's packets gets on with them, if one does.
    pub(crate) fn playout_of(&self, leg: &Leg) -> Counters {
        let Some(sink) = leg.sink else {
            let room = room_of(leg).and_then(|number| self.rooms.get(&number));
            let mut speakers = room.into_iter().flat_map(|room| &room.speakers);
            let speaker = speakers.find(|speaker| speaker.leg == leg.id);
            return speaker.map(Speaker::counters).unwrap_or_default();
        };
        if self.is_far(sink.0) {
            let link = leg.link.as_ref();
            return link.map(|link| link.known.counters).unwrap_or_default();
        }
        let listener = self
            .legs
            .get(sink)
            .filter(|sink| matches!(sink.tx.source, Source::Leg(from) if from == leg.id));
        let decoding = listener.and_then(|listener| listener.tx.decoding.as_ref());
        decoding
            .map(|decoding| decoding.counters())
            .unwrap_or_default()
    }

    pub(crate) fn compile_source(&mut self, id: LegId, now: Now) {
        let complexity = self.effort.complexity();
        let Some(Source::Leg(from)) = self.legs.get(id).map(|leg| &leg.tx.source) else {
            return;
        };
        let from = *from;
        // A peer sends, as a rule, the codec it prefers to hear.
        let incoming = self
            .legs
            .get(from)
            .and_then(|leg| leg.rx.codec.or(leg.tx.speech.map(|speech| speech.codec)));
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let told = leg.link.as_ref().filter(|link| link.fed_by(from));
        match (
            incoming.or(told.and_then(|link| link.known.codec)),
            leg.tx.speech,
        ) {
            (Some(incoming), Some(speech)) if incoming != speech.codec => {
                route::prepare(leg, from, incoming, speech.codec, complexity, now.instant);
            }
            // A decoder that is there has sound still to be heard: the first packet passed on ends it.
            _ => {}
        }
    }

    /// The leg's source no longer feeds it.
    fn unlink_source(&mut self, id: LegId) {
        self.replace_prompt(id);
        self.replace_feed(id);
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if let Source::Leg(source) = leg.tx.source {
            leg.feed_from(Source::None);
            if let Some(source) = self
                .legs
                .get_mut(source)
                .filter(|source| source.sink == Some(id))
            {
                source.sink = None;
            } else if self.is_far(source.0) {
                self.part(id, true, false);
            }
        } else if let Source::Room(room) = leg.tx.source {
            leg.feed_from(Source::None);
            self.leave(id, room);
        }
    }

    /// The leg no longer feeds another.
    fn unlink_sink(&mut self, id: LegId) {
        if let Some(sink) = self.sink_of(id) {
            self.unlink_source(sink);
        }
        if let Some(leg) = self.legs.get_mut(id).filter(|leg| leg.link.is_some()) {
            leg.sink = None;
            self.part(id, true, true);
        }
    }

    /// A leg that is gone feeds nobody and is fed by nobody.
    pub(crate) fn unlink_removed(&mut self, id: LegId, gone: &Leg) {
        if let Some(room) = room_of(gone) {
            self.leave(id, room);
        }
        if let Some(link) = &gone.link {
            if let Place::Leg(_) = link.far {
                let parted = What::Parted {
                    hears: true,
                    feeds: true,
                };
                self.cross(link.far, id.0, link.number, parted);
            }
        }
        if let Source::Leg(source) = gone.tx.source {
            if let Some(source) = self
                .legs
                .get_mut(source)
                .filter(|source| source.sink == Some(id))
            {
                source.sink = None;
            }
        }
        if let Some(sink) = gone.sink.and_then(|sink| self.legs.get_mut(sink)) {
            if matches!(sink.tx.source, Source::Leg(source) if source == id) {
                sink.feed_from(Source::None);
            }
        }
    }
}
