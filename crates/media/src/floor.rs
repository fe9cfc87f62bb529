//! Who has the floor of a room: the loudest of those who speak, told when it changes.
//!
//! A cough takes nobody's turn and a breath gives none away: who takes the floor leads for a while, who falls silent keeps
//! it for a while, and two changes are apart.

use std::time::{Duration, Instant};

use crate::ids::LegId;
use crate::speaker::SPEECH;

/// So much louder than who has the floor is who takes it while that one speaks, dB.
const LEAD: f32 = 3.0;
/// And for so long.
const TAKES: Duration = Duration::from_millis(300);
/// Nobody has it after so long a silence: longer than a breath.
const FALLS: Duration = Duration::from_secs(1);
/// From one change to the next: two a second at most.
const APART: Duration = Duration::from_millis(500);

/// The floor of one room.
#[derive(Default)]
pub(crate) struct Floor {
    /// Who has it.
    holder: Option<LegId>,
    /// When that was told.
    told: Option<Instant>,
    /// What would be told instead, and since when.
    rival: Option<(Option<LegId>, Instant)>,
}

impl Floor {
    /// A tick with the levels of who speaks, dBov. Who has the floor now, if that has changed; nobody is a change, too.
    pub(crate) fn judge(
        &mut self,
        levels: impl Iterator<Item = (LegId, f32)> + Clone,
        now: Instant,
    ) -> Option<Option<LegId>> {
        let wanted = self.wanted(levels);
        if wanted == self.holder {
            self.rival = None;
            return None;
        }
        let since = match self.rival {
            Some((rival, since)) if rival == wanted => since,
            _ => now,
        };
        self.rival = Some((wanted, since));
        let due = if wanted.is_some() { TAKES } else { FALLS };
        let passed = |since: Instant, due: Duration| now.saturating_duration_since(since) >= due;
        if !passed(since, due) || self.told.is_some_and(|told| !passed(told, APART)) {
            return None;
        }
        (self.holder, self.told, self.rival) = (wanted, Some(now), None);
        Some(wanted)
    }

    fn wanted(&self, levels: impl Iterator<Item = (LegId, f32)> + Clone) -> Option<LegId> {
        let speaks = levels.filter(|(_, level)| *level >= SPEECH);
        let (loudest, level) = speaks.clone().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let holds = speaks.clone().find(|(leg, _)| Some(*leg) == self.holder);
        let keeps = holds.is_some_and(|(_, own)| level < own + LEAD);
        if keeps { self.holder } else { Some(loudest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told in so many ticks with these levels, with the tick.
    fn ticks(
        floor: &mut Floor,
        from: Instant,
        range: std::ops::Range<u32>,
        levels: &[(u64, f32)],
    ) -> Vec<(u32, u64)> {
        let levels = levels.iter().map(|(leg, level)| (LegId(*leg), *level));
        range
            .filter_map(|at| {
                let now = from + Duration::from_millis(20) * at;
                let told = floor.judge(levels.clone(), now)?;
                Some((at, told.map_or(0, |leg| leg.0)))
            })
            .collect()
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_cough_takes_nobodys_turn_and_a_breath_gives_none_away() {
        let (mut floor, from) = (Floor::default(), Instant::now());
        // 1. who speaks for 300 ms has the floor
        assert_eq!(ticks(&mut floor, from, 0..10, &[(1, -20.0)]), []);
        assert_eq!(ticks(&mut floor, from, 10..20, &[(1, -20.0)]), [(15, 1)]);
        // 2. a cough of 200 ms is no turn, nor is one who is hardly louder
        let cough = [(1, -20.0), (2, -10.0)];
        assert_eq!(ticks(&mut floor, from, 20..30, &cough), []);
        let level = [(1, -20.0), (2, -18.0)];
        assert_eq!(ticks(&mut floor, from, 30..130, &level), []);
        // 3. a breath gives nothing away, a silence of a second does
        assert_eq!(ticks(&mut floor, from, 130..160, &[(1, -90.0)]), []);
        assert_eq!(ticks(&mut floor, from, 160..170, &[(1, -20.0)]), []);
        assert_eq!(ticks(&mut floor, from, 170..250, &[]), [(220, 0)]);
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn two_changes_a_second_are_the_most() {
        let (mut floor, from, mut told) = (Floor::default(), Instant::now(), 0);
        for turn in 0..100 {
            let levels = [(u64::from(turn % 2) + 1, -20.0)];
            told += ticks(&mut floor, from, turn * 16..(turn + 1) * 16, &levels).len();
        }
        // 100 turns of 320 ms.
        assert!((20..=64).contains(&told), "{told}");
    }
}
