//! Rooms: many legs hear each other. One tick mixes for all; who is not speaking shares one encoder with the others.
//!
//! Here: who is in a room, and who of them is heard; the sound itself is made in `mix.rs`. Who is loud is known without
//! decoding (RFC 6464 levels, G.711 bytes); at most `SPEAKERS` are decoded and mixed.

use std::time::Instant;

use arrayvec::ArrayVec;
use offhook_dsp::Codec;

use crate::chime::Chimes;
use crate::commands::Refusal;
use crate::engine::Engine;
use crate::far::{Attend, Place, What};
use crate::floor::Floor;
use crate::ids::LegId;
use crate::io::Now;
use crate::leg::Leg;
use crate::members::kept_place;
use crate::outbox::Outbox;
use crate::pause::Made;
use crate::receive::{Incoming, Meaning};
use crate::recording::Taps;
use crate::route;
use crate::send::{Overruns, Source};
use crate::speaker::{HANG, SPEECH, Speaker, loudness};
use crate::tick::next_slot;
use crate::timers::{Deadlines, Kind};
use crate::transcode::Encoding;
use crate::voice::{Ear, Rates, WIDE};

/// Members of one room (MEDIA.md section 9).
pub(crate) const MAX_MEMBERS: usize = 500;
/// The loudest who are heard at once: more voices are noise, and decoding stays bounded.
const SPEAKERS: usize = 4;

/// A member on another shard: what it hears is encoded here and sent there.
pub(crate) struct FarMember {
    pub(crate) leg: LegId,
    pub(crate) link: u64,
    /// None: it hears something else.
    pub(crate) hears: Option<Ear>,
    /// How much louder it is heard, dB.
    pub(crate) gain: i8,
    /// While it speaks, for it alone.
    pub(crate) encoding: Option<Box<Encoding>>,
}

/// One room.
pub(crate) struct Room {
    pub(crate) members: Vec<LegId>,
    /// Members on other shards.
    pub(crate) far: Vec<FarMember>,
    pub(crate) speakers: ArrayVec<Speaker, SPEAKERS>,
    /// Encoders that listeners share: one for each way to hear.
    pub(crate) shared: Vec<Encoding>,
    /// The ways to hear of the last tick, and whether anybody only listens by them.
    pub(crate) ears: Vec<(Ear, bool)>,
    /// Those of the ears, and of recordings.
    pub(crate) rates: Rates,
    pub(crate) taps: Taps,
    pub(crate) chimes: Chimes,
    pub(crate) floor: Floor,
    pub(crate) overruns: Overruns,
    /// Its tick's.
    pub(crate) deadlines: Deadlines,
}

impl Room {
    /// Decoders and encoders that a panic left halfway go; members and places stay.
    pub(crate) fn renew(&mut self) {
        self.speakers.clear();
        self.shared.clear();
        self.far
            .iter_mut()
            .for_each(|member| member.encoding = None);
    }

    /// Recordings that run of it.
    pub(crate) fn taps(&mut self) -> &mut Taps {
        &mut self.taps
    }

    /// At which a codec is decoded here, Hz. Opus has any: at what its listeners hear when it begins to speak.
    pub(crate) fn rate_of(&self, codec: Codec) -> u32 {
        let heard = self.rates.iter().copied().max().unwrap_or(WIDE);
        codec.native_rate().min(heard.max(WIDE))
    }

    /// A member is not heard from now on: what it says fades within a tick.
    pub(crate) fn hush(&mut self, leg: LegId) {
        if let Some(speaker) = self.speaker(leg) {
            speaker.leaves = true;
        }
    }

    fn new() -> Self {
        Self {
            members: Vec::new(),
            far: Vec::new(),
            speakers: ArrayVec::new(),
            shared: Vec::new(),
            ears: Vec::new(),
            rates: Rates::new(),
            taps: Taps::default(),
            chimes: Chimes::default(),
            floor: Floor::default(),
            overruns: Overruns::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Members, those on other shards among them.
    fn count(&self) -> usize {
        self.members.len() + self.far.len()
    }

    /// Members on other shards.
    pub(crate) fn far_members(&self) -> usize {
        self.far.len()
    }

    /// Whether a leg of another shard is a member.
    pub(crate) fn has_far(&self, leg: LegId) -> bool {
        self.far.iter().any(|member| member.leg == leg)
    }

    fn speaker(&mut self, leg: LegId) -> Option<&mut Speaker> {
        self.speakers.iter_mut().find(|speaker| speaker.leg == leg)
    }

    /// A packet of a member: decoded if it is among the loudest.
    fn heard(
        &mut self,
        from: LegId,
        codec: Codec,
        incoming: &Incoming,
        payload: &[u8],
        now: Instant,
    ) {
        let level = loudness(codec, incoming, payload);
        let rate = self.rate_of(codec);
        if let Some(speaker) = self.speaker(from) {
            speaker.leaves = false;
            if level >= SPEECH {
                speaker.loud = now;
            }
            speaker.hear(codec, rate, (incoming, payload), now);
            return;
        }
        if level < SPEECH || !self.make_room(level, now) {
            return;
        }
        if let Some(mut speaker) = Speaker::new(from, codec, rate, level, now) {
            speaker.hear(codec, rate, (incoming, payload), now);
            self.speakers.push(speaker);
        }
    }

    /// Whether one more may speak: there is a place, or one who has fallen silent gives his up.
    fn make_room(&mut self, level: f32, now: Instant) -> bool {
        if !self.speakers.is_full() {
            return true;
        }
        let idle = self.speakers.iter().position(|speaker| {
            now.saturating_duration_since(speaker.loud) >= HANG && speaker.level < level
        });
        idle.map(|at| self.speakers.remove(at)).is_some()
    }

    fn forget(&mut self, leg: LegId) {
        self.members.retain(|member| *member != leg);
        self.far.retain(|member| member.leg != leg);
        self.speakers.retain(|speaker| speaker.leg != leg);
    }
}

impl Engine {
    /// A leg hears the room and is heard in it, if it is not muted. False when the room is full.
    pub(crate) fn join(&mut self, id: LegId, number: u64, muted: bool, now: Now) -> bool {
        if self.is_far(number) {
            self.join_far(id, number, muted, None);
            return true;
        }
        let room = self.rooms.get(&number);
        if self.legs.get(id).and_then(kept_place) == Some(number) {
            self.come_back(id, number);
        } else if room.is_some_and(|room| room.members.contains(&id)) {
            // What it heard meanwhile is over.
            if let Some(leg) = self.legs.get_mut(id).filter(|leg| !inside(leg, number)) {
                leg.feed_from(Source::Room(number));
            }
        } else {
            if room.map_or(0, Room::count) >= MAX_MEMBERS {
                return false;
            }
            self.unlink(id);
            self.rooms
                .entry(number)
                .or_insert_with(Room::new)
                .members
                .push(id);
            if let Some(leg) = self.legs.get_mut(id) {
                leg.feed_from(Source::Room(number));
                leg.gain = 0;
            }
        }
        if let Some(leg) = self.legs.get_mut(id) {
            leg.muted = muted;
        }
        if let (Some(room), true) = (self.rooms.get_mut(&number), muted) {
            room.hush(id);
        }
        self.conduct(number, now);
        true
    }

    /// A member hears the room again, in the place of what it heard meanwhile.
    pub(crate) fn come_back(&mut self, id: LegId, number: u64) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        match std::mem::replace(&mut leg.tx.source, Source::Room(number)) {
            Source::Prompt(prompt) => {
                self.tell_finished(id, &prompt, "replaced", String::new());
            }
            Source::Feed(feed) => {
                if let Some(now) = self.latest {
                    self.played_out(id, *feed, now);
                }
            }
            _ => {}
        }
        if let Some(leg) = self.legs.get_mut(id) {
            leg.feed_from(Source::Room(number));
        }
    }

    /// A leg of another shard is in a room here, and hears as it says. False when the room is full.
    pub(crate) fn join_from_afar(
        &mut self,
        number: u64,
        id: LegId,
        link: u64,
        attend: Attend,
        now: Now,
    ) -> bool {
        let room = self.rooms.entry(number).or_insert_with(Room::new);
        let full = room.count() >= MAX_MEMBERS;
        match room.far.iter_mut().find(|member| member.leg == id) {
            Some(member) => {
                (member.link, member.hears) = (link, attend.hears);
                member.gain = attend.gain;
            }
            None if full => return false,
            None => room.far.push(FarMember {
                leg: id,
                link,
                hears: attend.hears,
                gain: attend.gain,
                encoding: None,
            }),
        }
        if attend.muted {
            room.hush(id);
        }
        self.conduct(number, now);
        true
    }

    /// A leg leaves its room, if it is in one; an empty room is no more.
    pub(crate) fn leave(&mut self, id: LegId, number: u64) {
        if self.is_far(number) {
            self.cross(Place::Room(number), id.0, 0, What::Leave);
            if let Some(leg) = self.legs.get_mut(id) {
                leg.link = None;
            }
            return;
        }
        let Some(room) = self.rooms.get_mut(&number) else {
            return;
        };
        room.forget(id);
        if room.count() == 0 {
            let gone = self.rooms.remove(&number);
            if let (Some(mut gone), Some(now)) = (gone, self.latest) {
                gone.taps.end("ended", &mut self.out, now.instant);
            }
        } else if let Some(now) = self.latest {
            self.conduct(number, now);
        }
    }

    /// Arms the tick of the room, unless it is.
    fn conduct(&mut self, number: u64, now: Now) {
        let epoch = self.epoch.unwrap_or(now.instant);
        if let Some(room) = self.rooms.get_mut(&number) {
            if !room.deadlines.armed(Kind::Room) {
                let at = next_slot(epoch, slot(number), now.instant);
                self.timers
                    .arm(&mut room.deadlines, LegId(number), Kind::Room, at);
            }
        }
    }

    /// A packet of a room's member.
    pub(crate) fn room_packet(
        &mut self,
        from: LegId,
        number: u64,
        incoming: &Incoming,
        payload: &[u8],
        now: Now,
    ) {
        if self.legs.get(from).is_none_or(|leg| leg.muted) {
            return;
        }
        if self.is_far(number) {
            let incoming = *incoming;
            return self.cross_media(from, payload, |packet| What::Sound { incoming, packet });
        }
        self.room_sound(from, number, incoming, payload, now);
    }

    /// A packet of a member that is not muted.
    pub(crate) fn room_sound(
        &mut self,
        from: LegId,
        number: u64,
        incoming: &Incoming,
        payload: &[u8],
        now: Now,
    ) {
        let Some(room) = self.rooms.get_mut(&number) else {
            return;
        };
        match incoming.meaning {
            Meaning::Speech(codec) => room.heard(from, codec, incoming, payload, now.instant),
            Meaning::Event(_) | Meaning::ComfortNoise => {
                for decoding in room.speaker(from).into_iter().flat_map(Speaker::decodings) {
                    decoding.push_gap(incoming, now.instant);
                }
            }
            Meaning::Unknown | Meaning::Video => {}
        }
    }
}

/// Whether a member hears the room now.
pub(crate) fn inside(leg: &Leg, number: u64) -> bool {
    leg.tx.source.room() == Some(number)
}

/// Why a room takes nobody else.
pub(crate) fn full() -> Refusal {
    let text = format!("the room has {MAX_MEMBERS} members, as many as it may");
    ("room_full", text)
}

/// The tick's slot: rooms are spread as legs are.
pub(crate) fn slot(number: u64) -> u32 {
    // Truncation: any number does.
    number as u32
}

/// How a member hears.
pub(crate) fn wanted(leg: &Leg) -> Option<Ear> {
    let speech = leg.tx.speech?;
    let full_band = leg.full_band && leg.tx.plays_full_band;
    Some(Ear::new(route::wish(leg, speech.codec), full_band))
}

/// Sends a member what was made of the room's sound.
pub(crate) fn deliver(leg: &mut Leg, made: Made<'_>, ticks: u32, out: &mut Outbox, now: Now) {
    // A press by telephone-event mutes the sound beside it.
    let muted = leg.tx.digits.active();
    route::deliver(leg, made, ticks, muted, out, now);
}
