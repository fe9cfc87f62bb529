//! Rooms: many legs hear each other. One tick mixes for all; who is not speaking shares one encoder with the others.
//!
//! Who is loud is known without decoding (RFC 6464 levels, G.711 bytes); at most `SPEAKERS` are decoded and mixed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use offhook_dsp::{Codec, level};

use crate::chime::Chimes;
use crate::commands::Refusal;
use crate::engine::Engine;
use crate::far::{Attend, Kind as Mixed, Linked, Place, What};
use crate::ids::LegId;
use crate::io::{Now, Output};
use crate::leg::Leg;
use crate::members::kept_place;
use crate::outbox::Outbox;
use crate::pause::Made;
use crate::receive::{Incoming, Meaning};
use crate::recording::Taps;
use crate::route;
use crate::send::{Overruns, Source};
use crate::tick::{TICK, TOO_LATE, next_slot};
use crate::timers::{Deadlines, Kind, claim};
use crate::transcode::{Decoding, Encoding, MAX_TICK_SAMPLES, Wish};

/// Members of one room (MEDIA.md section 9).
pub(crate) const MAX_MEMBERS: usize = 500;
/// The loudest who are heard at once: more voices are noise, and decoding stays bounded.
const SPEAKERS: usize = 4;
/// Who was not loud for so long makes room for another.
const HANG: Duration = Duration::from_millis(300);
/// Softest speech, dBov: breathing and line noise lie below.
const SPEECH: f32 = -55.0;
/// What a packet counts for whose loudness nothing tells: softer than speech that is known.
const UNTOLD: f32 = -50.0;
/// Rate of the mix unless every member is narrow-band, Hz.
const WIDE: u32 = 16_000;
const NARROW: u32 = 8_000;
/// The level of a room in which nobody speaks, -dBov: none.
const NO_SOUND: u8 = 127;
/// Above this the sum is bent, so that loud voices together do not crackle: -6 dBFS.
const KNEE: i32 = 16_384;

struct Speaker {
    leg: LegId,
    decoding: Box<Decoding>,
    loud: Instant,
    level: f32,
}

/// A member on another shard: what it hears is encoded here and sent there.
struct FarMember {
    leg: LegId,
    link: u64,
    hears: Option<Wish>,
    /// Wide-band, as it heard the room last: hearing something else for a while changes nothing for the others.
    wide: bool,
    /// While it speaks, for it alone.
    encoding: Option<Box<Encoding>>,
}

impl FarMember {
    /// How it hears from now on; none: something else.
    fn attend(&mut self, link: u64, hears: Option<Wish>) {
        (self.link, self.hears) = (link, hears);
        self.wide = hears.map_or(self.wide, is_wide);
    }
}

fn is_wide(wish: Wish) -> bool {
    wish.codec.native_rate() > NARROW
}

/// One room.
pub(crate) struct Room {
    members: Vec<LegId>,
    /// Members on other shards.
    far: Vec<FarMember>,
    speakers: ArrayVec<Speaker, SPEAKERS>,
    /// Encoders that listeners share: one for each wish.
    shared: Vec<Encoding>,
    rate: u32,
    taps: Taps,
    chimes: Chimes,
    pub(crate) overruns: Overruns,
    /// Its tick's.
    deadlines: Deadlines,
}

impl Room {
    /// Decoders and encoders that a panic left halfway go; members and places stay.
    fn renew(&mut self) {
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

    /// What everybody in it hears beside the members.
    pub(crate) fn chimes(&mut self) -> &mut Chimes {
        &mut self.chimes
    }

    /// Of the mix, Hz.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// A member is not heard from now on.
    pub(crate) fn hush(&mut self, leg: LegId) {
        self.speakers.retain(|speaker| speaker.leg != leg);
    }

    fn new() -> Self {
        Self {
            members: Vec::new(),
            far: Vec::new(),
            speakers: ArrayVec::new(),
            shared: Vec::new(),
            rate: WIDE,
            taps: Taps::default(),
            chimes: Chimes::default(),
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
        let rate = self.rate;
        if let Some(speaker) = self.speaker(from) {
            if level >= SPEECH {
                speaker.loud = now;
            }
            if !speaker.decoding.fits(from, codec, rate) {
                let Some(fresh) = Decoding::new(from, codec, rate) else {
                    return;
                };
                *speaker.decoding = fresh;
            }
            speaker.decoding.push(incoming, payload, now);
            return;
        }
        if level < SPEECH || !self.make_room(level, now) {
            return;
        }
        if let Some(mut decoding) = Decoding::new(from, codec, rate).map(Box::new) {
            decoding.push(incoming, payload, now);
            self.speakers.push(Speaker {
                leg: from,
                decoding,
                loud: now,
                level,
            });
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

/// How loud a packet is, dBov, as far as it tells without being decoded.
fn loudness(codec: Codec, incoming: &Incoming, payload: &[u8]) -> f32 {
    if let Some(told) = incoming.level {
        return -f32::from(told.level);
    }
    match codec {
        Codec::Pcmu | Codec::Pcma => level::companded_dbov(codec, payload),
        Codec::Opus | Codec::G722 if incoming.lone || codec.is_silence_hint(payload) => {
            level::FLOOR_DBOV
        }
        Codec::Opus | Codec::G722 => UNTOLD,
    }
}

/// One voice less, bent softly above the knee.
fn without(total: &[i32], own: Option<&[i16]>, out: &mut [i16]) {
    for (at, (sample, sum)) in out.iter_mut().zip(total).enumerate() {
        let own = own.and_then(|own| own.get(at)).copied().unwrap_or_default();
        *sample = soft(sum - i32::from(own));
    }
}

fn soft(sample: i32) -> i16 {
    let size = sample.abs();
    if size <= KNEE {
        return i16::try_from(sample).unwrap_or_default();
    }
    // The excess is squeezed into what is left: continuous in value and slope, never above full scale.
    let head = i32::from(i16::MAX) - KNEE;
    let excess = i64::from(size - KNEE);
    let bent =
        KNEE + i32::try_from(excess * i64::from(head) / (excess + i64::from(head))).unwrap_or(head);
    i16::try_from(bent * sample.signum()).unwrap_or(i16::MAX)
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
            }
        }
        if let Some(leg) = self.legs.get_mut(id) {
            leg.muted = muted;
        }
        if let (Some(room), true) = (self.rooms.get_mut(&number), muted) {
            room.speakers.retain(|speaker| speaker.leg != id);
        }
        self.retune(number);
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
            Some(member) => member.attend(link, attend.hears),
            None if full => return false,
            None => room.far.push(FarMember {
                leg: id,
                link,
                hears: attend.hears,
                wide: attend.hears.is_some_and(is_wide),
                encoding: None,
            }),
        }
        if attend.muted {
            room.speakers.retain(|speaker| speaker.leg != id);
        }
        self.retune(number);
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
            self.retune(number);
            self.conduct(number, now);
        }
    }

    /// Narrow-band only while every member is: who comes or goes may change the rate of the mix.
    fn retune(&mut self, number: u64) {
        let Some(room) = self.rooms.get_mut(&number) else {
            return;
        };
        let legs = &self.legs;
        let wide = room.members.iter().any(|member| {
            let speech = legs.get(*member).and_then(|leg| leg.tx.speech);
            speech.is_none_or(|speech| speech.codec.native_rate() > NARROW)
        });
        let wide = wide || room.far.iter().any(|member| member.wide);
        let rate = if wide { WIDE } else { NARROW };
        if rate != room.rate {
            room.rate = rate;
            room.shared.clear();
            room.speakers.clear();
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
                if let Some(speaker) = room.speaker(from) {
                    speaker.decoding.push_gap(incoming, now.instant);
                }
            }
            Meaning::Unknown | Meaning::Video => {}
        }
    }

    /// 20 ms of a room: pull the speakers, mix, encode once for each distinct mix and codec, send.
    pub(crate) fn room_timer(&mut self, number: u64, at: Instant, now: Now) {
        let stands = |room: &mut Room| claim(&mut room.deadlines, Kind::Room, at);
        if !self.rooms.get_mut(&number).is_some_and(stands) {
            return;
        }
        let Some(mut room) = self.rooms.remove(&number) else {
            return;
        };
        self.ticks += 1;
        room.overruns.tick(at, now.instant);
        // A panic here may cost the member whose sound is in hand its call, and no other: what it left halfway is made anew.
        let mixed = catch_unwind(AssertUnwindSafe(|| self.mix(&mut room, number, now))).is_ok();
        if !mixed {
            room.renew();
        }
        let epoch = self.epoch.unwrap_or(at);
        let late = now.instant.saturating_duration_since(at) > TOO_LATE;
        let next = if late {
            next_slot(epoch, slot(number), now.instant)
        } else {
            at + TICK
        };
        self.timers
            .arm(&mut room.deadlines, LegId(number), Kind::Room, next);
        self.rooms.insert(number, room);
        if !mixed {
            self.contain();
        }
    }

    fn mix(&mut self, room: &mut Room, number: u64, now: Now) {
        let samples = room.rate as usize / 50;
        let mut total = [0i32; MAX_TICK_SAMPLES];
        let mut voices: ArrayVec<(LegId, [i16; MAX_TICK_SAMPLES]), SPEAKERS> = ArrayVec::new();
        room.speakers.retain(|speaker| {
            self.in_hand = Some(speaker.leg);
            let mut voice = [0i16; MAX_TICK_SAMPLES];
            let pulled = speaker.decoding.pull(now.instant);
            voice
                .iter_mut()
                .zip(pulled)
                .for_each(|(sample, one)| *sample = *one);
            speaker.level = level::rms_dbov(pulled);
            if speaker.level >= SPEECH {
                speaker.loud = now.instant;
            }
            total
                .iter_mut()
                .zip(pulled)
                .for_each(|(sum, one)| *sum += i32::from(*one));
            voices.push((speaker.leg, voice));
            now.instant.saturating_duration_since(speaker.loud) < 2 * HANG
        });
        self.in_hand = None;
        let total = total.get_mut(..samples).unwrap_or_default();
        let chimes = room.chimes.add(room.rate, total);
        let total = &*total;
        let mut everybody = [0i16; MAX_TICK_SAMPLES];
        without(total, None, &mut everybody);
        let everybody = everybody.get(..samples).unwrap_or_default();
        if !room.taps.is_empty() {
            room.taps
                .mixed(room.rate, everybody, &mut self.out, now.instant);
        }
        let silence = (voices.is_empty() && !chimes).then_some(NO_SOUND);
        self.send_listeners(room, number, &voices, (everybody, silence), now);
        for (leg, voice) in &voices {
            let mut sound = [0i16; MAX_TICK_SAMPLES];
            without(total, Some(voice), &mut sound);
            let sound = sound.get(..samples).unwrap_or_default();
            match room.far.iter_mut().find(|member| member.leg == *leg) {
                Some(member) => self.send_far_speaker(member, number, room.rate, sound),
                None => self.send_speaker(*leg, room.rate, sound, now),
            }
        }
    }

    fn send_listeners(
        &mut self,
        room: &mut Room,
        number: u64,
        voices: &[(LegId, [i16; MAX_TICK_SAMPLES])],
        (sound, silence): (&[i16], Option<u8>),
        now: Now,
    ) {
        let complexity = self.effort.complexity();
        let listens = |id: LegId| !voices.iter().any(|(speaker, _)| *speaker == id);
        let here = room.members.iter().map(|member| {
            let hears = self.legs.get(*member).filter(|leg| inside(leg, number));
            let hears = hears.and_then(wanted);
            (*member, hears)
        });
        let far = room.far.iter().map(|member| (member.leg, member.hears));
        for (member, hears) in here.chain(far) {
            let Some(wish) = hears.filter(|_| listens(member)) else {
                continue;
            };
            if !room.shared.iter().any(|one| one.wish() == wish) {
                let encoding = Encoding::new(wish, room.rate, complexity);
                room.shared.extend(encoding);
            }
        }
        for shared in &mut room.shared {
            self.in_hand = None;
            let (wish, ticks) = (shared.wish(), shared.packet_ticks());
            shared.set_complexity(complexity);
            shared.push(sound, silence);
            while let Some(made) = shared.packet() {
                for member in &room.members {
                    let leg = self.legs.get_mut(*member).filter(|_| listens(*member));
                    let leg = leg.filter(|leg| inside(leg, number));
                    if let Some(leg) = leg.filter(|leg| wanted(leg) == Some(wish)) {
                        self.in_hand = Some(*member);
                        deliver(leg, made, ticks, &mut self.out, now);
                    }
                }
                self.in_hand = None;
                let hears = |member: &&FarMember| member.hears == Some(wish) && listens(member.leg);
                for member in room.far.iter().filter(hears) {
                    send_far(&mut self.out, member, number, (wish.codec, ticks), made);
                }
            }
        }
    }

    fn send_far_speaker(&mut self, member: &mut FarMember, number: u64, rate: u32, sound: &[i16]) {
        self.in_hand = None;
        let Some(wish) = member.hears else {
            return;
        };
        let fits = |encoding: &Encoding| encoding.fits(wish, rate);
        let complexity = self.effort.complexity();
        let fresh = || Encoding::new(wish, rate, complexity).map(Box::new);
        let encoding = member.encoding.take();
        let Some(mut encoding) = encoding.filter(|it| fits(it)).or_else(fresh) else {
            return;
        };
        encoding.set_complexity(complexity);
        let ticks = encoding.packet_ticks();
        encoding.push(sound, None);
        while let Some(made) = encoding.packet() {
            send_far(&mut self.out, member, number, (wish.codec, ticks), made);
        }
        member.encoding = Some(encoding);
    }

    fn send_speaker(&mut self, id: LegId, rate: u32, sound: &[i16], now: Now) {
        self.in_hand = Some(id);
        let complexity = self.effort.complexity();
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(speech) = leg.tx.speech else { return };
        route::prepare_encoding(leg, speech.codec, rate, complexity);
        let Some(mut encoding) = leg.tx.encoding.take() else {
            return;
        };
        let ticks = encoding.packet_ticks();
        encoding.push(sound, None);
        while let Some(made) = encoding.packet() {
            deliver(leg, made, ticks, &mut self.out, now);
        }
        leg.tx.encoding = Some(encoding);
    }
}

/// 20 ms of the mix for a member on another shard.
fn send_far(
    out: &mut Outbox,
    member: &FarMember,
    number: u64,
    (codec, ticks): (Codec, u32),
    made: Made<'_>,
) {
    let (kind, packet) = match made {
        Made::Sound(payload) => (Mixed::Sound, out.copy(payload)),
        Made::Noise(level) => (Mixed::Noise, out.copy(&[level])),
        Made::Pause => (Mixed::Pause, out.copy(&[])),
    };
    let Some(packet) = packet else {
        return;
    };
    let what = What::Mixed {
        codec,
        ticks,
        kind,
        packet,
    };
    let to = Place::Leg(member.leg);
    out.push(Output::Linked(Linked::new(to, number, member.link, what)));
}

/// Whether a member hears the room now.
fn inside(leg: &Leg, number: u64) -> bool {
    leg.tx.source.room() == Some(number)
}

/// Why a room takes nobody else.
pub(crate) fn full() -> Refusal {
    let text = format!("the room has {MAX_MEMBERS} members, as many as it may");
    ("room_full", text)
}

/// The tick's slot: rooms are spread as legs are.
fn slot(number: u64) -> u32 {
    // Truncation: any number does.
    number as u32
}

/// How a member hears.
pub(crate) fn wanted(leg: &Leg) -> Option<Wish> {
    leg.tx.speech.map(|speech| route::wish(leg, speech.codec))
}

/// Sends a member what was made of the room's sound.
pub(crate) fn deliver(leg: &mut Leg, made: Made<'_>, ticks: u32, out: &mut Outbox, now: Now) {
    // A press by telephone-event mutes the sound beside it.
    let muted = leg.tx.digits.active();
    route::deliver(leg, made, ticks, muted, out, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_even_monotonic_and_never_full() {
        let mut last = i16::MIN;
        for sample in (-131_072..=131_072).step_by(37) {
            let bent = soft(sample);
            assert!(bent >= last, "{sample}");
            assert_eq!(bent, -soft(-sample), "{sample}");
            last = bent;
        }
        assert_eq!(soft(KNEE), 16_384);
        assert!(soft(131_072) > 29_000);
    }
}
