//! A member's place in its room while it hears something else: a prompt, music, or what the receiver of its feed sends.
//!
//! It is neither heard nor sent the room meanwhile, but the room is not over, nor what records it; and nobody takes its place.

use crate::commands::{Refusal, bad_description};
use crate::engine::Engine;
use crate::ids::LegId;
use crate::leg::Leg;
use crate::prompt::Before;
use crate::send::Source;

/// By how much a member may be heard louder, dB: from hardly to four times the amplitude, as far as noise allows.
const GAINS: std::ops::RangeInclusive<i32> = -40..=12;

/// The room that the leg is in, whether it hears it now or not.
pub(crate) fn room_of(leg: &Leg) -> Option<u64> {
    leg.tx.source.room().or_else(|| kept_place(leg))
}

/// The room to which the leg comes back.
pub(crate) fn kept_place(leg: &Leg) -> Option<u64> {
    let before = match &leg.tx.source {
        Source::Prompt(prompt) => prompt.before(),
        Source::Feed(feed) => &feed.before,
        _ => return None,
    };
    match before {
        Before::Room(room) => Some(*room),
        Before::Nothing | Before::Source(_) => None,
    }
}

impl Engine {
    /// The leg is heard in its room from now on, or is not: what it hears goes on.
    pub(crate) fn mute(&mut self, id: LegId, muted: bool) -> Result<(), Refusal> {
        let number = self.room_in(id)?;
        if let Some(leg) = self.legs.get_mut(id) {
            leg.muted = muted;
        }
        self.heard_anew(id, number);
        Ok(())
    }

    /// The leg is heard in its room by so much louder or softer, dB.
    pub(crate) fn set_gain(&mut self, id: LegId, decibels: i32) -> Result<(), Refusal> {
        let number = self.room_in(id)?;
        if !GAINS.contains(&decibels) {
            let (low, high) = (GAINS.start(), GAINS.end());
            let text = format!("the gain of a member is {low} to {high} dB");
            return Err(bad_description(&text));
        }
        if let Some(leg) = self.legs.get_mut(id) {
            leg.gain = i8::try_from(decibels).unwrap_or_default();
        }
        self.heard_anew(id, number);
        Ok(())
    }

    fn room_in(&self, id: LegId) -> Result<u64, Refusal> {
        let room = self.legs.get(id).and_then(room_of);
        room.ok_or_else(|| bad_description("the leg is in no room"))
    }

    /// Its room learns what has changed of how the leg is heard.
    fn heard_anew(&mut self, id: LegId, number: u64) {
        if self.is_far(number) {
            return self.attend(id, None);
        }
        let muted = self.legs.get(id).is_some_and(|leg| leg.muted);
        if let (Some(room), true) = (self.rooms.get_mut(&number), muted) {
            room.hush(id);
        }
    }

    /// Whether the leg hears rooms at 48 kHz from now on, as far as its codec and its peer do.
    pub(crate) fn hear_full_band(&mut self, id: LegId, full_band: bool) {
        if let Some(leg) = self.legs.get_mut(id) {
            leg.full_band = full_band;
        }
    }

    /// A member hears something else from now on: its sound goes nowhere.
    pub(crate) fn step_aside(&mut self, id: LegId, number: u64) {
        if self.is_far(number) {
            return self.attend(id, None);
        }
        if let Some(room) = self.rooms.get_mut(&number) {
            room.hush(id);
        }
    }

    /// What has taken the leg from its room ends without giving it back: its place is given up, too.
    pub(crate) fn give_up_place(&mut self, id: LegId, before: &Before) {
        if let Before::Room(room) = before {
            self.leave(id, *room);
        }
    }
}
