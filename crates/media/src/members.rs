//! A member's place in its room while it hears something else: a prompt, music, or what the receiver of its feed sends.
//!
//! It is neither heard nor sent the room meanwhile, but the room is not over, nor what records it; and nobody takes its place.

use crate::engine::Engine;
use crate::ids::LegId;
use crate::leg::Leg;
use crate::prompt::Before;
use crate::send::Source;

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
