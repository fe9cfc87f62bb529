//! The tick of a room: who speaks is summed once for each rate at which somebody hears, and encoded once for each distinct
//! mix and way to hear.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use offhook_dsp::Codec;

use crate::engine::Engine;
use crate::event::Event;
use crate::far::{Kind as Mixed, Linked, Place, What};
use crate::ids::LegId;
use crate::io::{Now, Output};
use crate::outbox::Outbox;
use crate::pause::Made;
use crate::room::{FarMember, Room, deliver, inside, slot, wanted};
use crate::route;
use crate::tick::{TICK, TOO_LATE, next_slot};
use crate::timers::{Kind, claim};
use crate::transcode::{Encoding, MAX_TICK_SAMPLES};
use crate::voice::{Ear, Rates, WIDE, tick_samples};

/// The level of a room in which nobody speaks, -dBov: none.
const NO_SOUND: u8 = 127;
/// Above this the sum is bent, so that loud voices together do not crackle: -6 dBFS.
const KNEE: i32 = 16_384;

/// 20 ms of everybody together at one rate.
struct Sum<'a> {
    rate: u32,
    total: &'a [i32],
    /// Bent, as who does not speak hears it.
    everybody: &'a [i16],
    /// The level of it where nobody speaks.
    silence: Option<u8>,
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
        let rates = self.tune(room, number);
        self.pull(room, number, now);
        self.take_turns(room, number);
        let chimes = room.chimes.take(&rates);
        let silence = (room.speakers.is_empty() && !chimes).then_some(NO_SOUND);
        for rate in rates {
            let mut total = [0i32; MAX_TICK_SAMPLES];
            let total = total.get_mut(..tick_samples(rate)).unwrap_or_default();
            let voices = room.speakers.iter().map(|speaker| &speaker.voice);
            voices
                .chain(room.chimes.voice())
                .for_each(|voice| voice.add(rate, total));
            let mut everybody = [0i16; MAX_TICK_SAMPLES];
            let everybody = everybody.get_mut(..total.len()).unwrap_or_default();
            without(total, None, everybody);
            if rate == WIDE && !room.taps.is_empty() {
                room.taps.mixed(rate, everybody, &mut self.out, now.instant);
            }
            let sum = Sum {
                rate,
                total,
                everybody,
                silence,
            };
            self.send_listeners(room, number, &sum, now);
            self.send_speakers(room, number, &sum, now);
        }
        room.speakers.retain(|speaker| speaker.stays(now.instant));
    }

    /// How its members hear the room now, and at which rates it is therefore mixed. Encoders that nobody hears go.
    fn tune(&mut self, room: &mut Room, number: u64) -> Rates {
        room.ears.clear();
        let legs = &self.legs;
        let here = room.members.iter().map(|member| {
            let leg = legs.get(*member).filter(|leg| inside(leg, number));
            (*member, leg.and_then(wanted))
        });
        let far = room.far.iter().map(|member| (member.leg, member.hears));
        for (member, ear) in here.chain(far) {
            let Some(ear) = ear else { continue };
            let listens = !room.speakers.iter().any(|speaker| speaker.leg == member);
            match room.ears.iter_mut().find(|(known, _)| *known == ear) {
                Some((_, shared)) => *shared |= listens,
                None => room.ears.push((ear, listens)),
            }
        }
        let ears = &room.ears;
        room.shared
            .retain(|one| ears.iter().any(|(ear, _)| one.fits(ear.wish, ear.rate)));
        let shared = &room.shared;
        let lacks = |ear: Ear| !shared.iter().any(|it| it.fits(ear.wish, ear.rate));
        let listened = ears.iter().filter(|(ear, listens)| *listens && lacks(*ear));
        let lacking: Vec<Ear> = listened.map(|(ear, _)| *ear).collect();
        for ear in lacking {
            let shared = self.begin_to_share(room, number, ear);
            room.shared.extend(shared);
        }
        let ears = &room.ears;
        room.rates.clear();
        // A recording is wide-band from its beginning to its end, whoever comes and goes.
        let recorded = (!room.taps.is_empty()).then_some(WIDE);
        for rate in ears.iter().map(|(ear, _)| ear.rate).chain(recorded) {
            if !room.rates.contains(&rate) {
                // There are no more rates than it holds.
                let _ = room.rates.try_push(rate);
            }
        }
        room.rates.clone()
    }

    /// The next 20 ms of who speaks, and who of them has the floor.
    fn pull(&mut self, room: &mut Room, number: u64, now: Now) {
        for speaker in &mut room.speakers {
            self.in_hand = Some(speaker.leg);
            let far = room.far.iter().find(|member| member.leg == speaker.leg);
            let here = self.legs.get(speaker.leg).map(|leg| leg.gain);
            let gain = far.map(|member| member.gain).or(here).unwrap_or(0);
            speaker.pull(gain, &room.rates, now.instant);
            if let Some(leg) = self.legs.get_mut(speaker.leg) {
                leg.quality.observe(&speaker.counters());
            }
        }
        self.in_hand = None;
        let speaking = room.speakers.iter().filter(|speaker| !speaker.leaves);
        let levels = speaking.map(|speaker| (speaker.leg, speaker.lately));
        if let Some(holder) = room.floor.judge(levels, now.instant) {
            let leg = holder.map_or(0, |leg| leg.0);
            self.out.event(Event::RoomSpeaker { room: number, leg });
        }
    }

    fn send_listeners(&mut self, room: &mut Room, number: u64, sum: &Sum<'_>, now: Now) {
        let complexity = self.effort.complexity();
        let Room {
            members,
            far,
            speakers,
            shared,
            ..
        } = room;
        let listens = |id: LegId| !speakers.iter().any(|speaker| speaker.leg == id);
        for shared in shared.iter_mut().filter(|one| one.rate() == sum.rate) {
            self.in_hand = None;
            let (wish, ticks) = (shared.wish(), shared.packet_ticks());
            shared.set_complexity(complexity);
            shared.push(sum.everybody, sum.silence);
            let hears =
                |ear: Option<Ear>| ear.is_some_and(|ear| ear.wish == wish && ear.rate == sum.rate);
            while let Some(made) = shared.packet() {
                for member in members.iter() {
                    let leg = self.legs.get_mut(*member).filter(|_| listens(*member));
                    let leg = leg.filter(|leg| inside(leg, number));
                    if let Some(leg) = leg.filter(|leg| hears(wanted(leg))) {
                        self.in_hand = Some(*member);
                        deliver(leg, made, ticks, &mut self.out, now);
                    }
                }
                self.in_hand = None;
                let far = far.iter().filter(|it| hears(it.hears) && listens(it.leg));
                for member in far {
                    send_far(&mut self.out, member, number, (wish.codec, ticks), made);
                }
            }
        }
    }

    /// Each of who speaks hears the others.
    fn send_speakers(&mut self, room: &mut Room, number: u64, sum: &Sum<'_>, now: Now) {
        for speaker in &room.speakers {
            let mut sound = [0i16; MAX_TICK_SAMPLES];
            let sound = sound.get_mut(..sum.total.len()).unwrap_or_default();
            without(sum.total, Some(speaker.voice.at(sum.rate)), sound);
            match room.far.iter_mut().find(|it| it.leg == speaker.leg) {
                Some(member) => self.send_far_speaker(member, number, sum.rate, sound),
                None => self.send_speaker(speaker.leg, number, sum.rate, sound, now),
            }
        }
    }

    fn send_far_speaker(&mut self, member: &mut FarMember, number: u64, rate: u32, sound: &[i16]) {
        self.in_hand = None;
        let Some(ear) = member.hears.filter(|ear| ear.rate == rate) else {
            return;
        };
        let fits = |encoding: &Encoding| encoding.fits(ear.wish, rate);
        let complexity = self.effort.complexity();
        let fresh = || Encoding::new(ear.wish, rate, complexity).map(Box::new);
        let encoding = member.encoding.take();
        let Some(mut encoding) = encoding.filter(|it| fits(it)).or_else(fresh) else {
            return;
        };
        encoding.set_complexity(complexity);
        let ticks = encoding.packet_ticks();
        encoding.push(sound, None);
        while let Some(made) = encoding.packet() {
            send_far(&mut self.out, member, number, (ear.wish.codec, ticks), made);
        }
        member.encoding = Some(encoding);
    }

    fn send_speaker(&mut self, id: LegId, number: u64, rate: u32, sound: &[i16], now: Now) {
        self.in_hand = Some(id);
        let complexity = self.effort.complexity();
        let Some(leg) = self.legs.get_mut(id).filter(|leg| inside(leg, number)) else {
            return;
        };
        let Some(ear) = wanted(leg).filter(|ear| ear.rate == rate) else {
            return;
        };
        route::prepare_encoding(leg, ear.wish.codec, rate, complexity);
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
