//! How hard Opus works, by how busy the shard is.

/// Complexities worth having, and the share of the shard's time in percent from which each is the most: 4 costs what 5 does, 2
/// costs more than 1 and sounds worse, 0 is hardly cheaper than 1 (bench/RESULTS.md).
const STEPS: [(u8, u8); 3] = [(0, 5), (10, 3), (15, 1)];
/// A higher step is taken back below this share of its threshold, percent. The way from 5 to 1 saves a third of what
/// transcoding costs: nearer together they would take turns.
const BACK: u32 = 60;
/// What a new measure weighs against what was known, as one part of so many: about a second at ten measures a second.
const MEMORY: i32 = 10;

/// The complexity of all encoders of a shard.
#[derive(Debug)]
pub(crate) struct Effort {
    highest: u8,
    /// Hundredths of a percent of the shard's time.
    busy: i32,
    step: usize,
}

impl Effort {
    /// An idle shard; `highest` is the operator's limit.
    pub(crate) fn new(highest: u8) -> Self {
        Self {
            highest,
            busy: 0,
            step: 0,
        }
    }

    /// What an encoder is set to from now on.
    pub(crate) fn complexity(&self) -> u8 {
        STEPS
            .get(self.step)
            .map_or(self.highest, |(_, complexity)| {
                (*complexity).min(self.highest)
            })
    }

    /// The share of time in percent that the shard worked since the last measure.
    pub(crate) fn measured(&mut self, percent: u8) {
        self.busy += (i32::from(percent.min(100)) * 100 - self.busy) / MEMORY;
        let busy = u32::try_from(self.busy).unwrap_or(0);
        while let Some((from, _)) = STEPS.get(self.step + 1) {
            if busy < u32::from(*from) * 100 {
                break;
            }
            self.step += 1;
        }
        while let Some((from, _)) = STEPS.get(self.step) {
            if self.step == 0 || busy >= u32::from(*from) * BACK {
                break;
            }
            self.step -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(effort: &mut Effort, percent: u8, measures: u32) -> u8 {
        (0..measures).for_each(|_| effort.measured(percent));
        effort.complexity()
    }

    #[test]
    fn a_busy_shard_works_less_on_each_frame_and_an_idle_one_more_again() {
        let mut effort = Effort::new(5);
        assert_eq!(after(&mut effort, 5, 100), 5);
        // A moment of work changes nothing.
        assert_eq!(after(&mut effort, 40, 1), 5);
        assert_eq!(after(&mut effort, 12, 100), 3);
        assert_eq!(after(&mut effort, 80, 100), 1);
        // What the change itself saved does not take it back.
        assert_eq!(after(&mut effort, 12, 100), 1);
        assert_eq!(after(&mut effort, 7, 100), 3);
        assert_eq!(after(&mut effort, 0, 100), 5);
    }

    #[test]
    fn the_operator_sets_the_most() {
        assert_eq!(Effort::new(2).complexity(), 2);
        assert_eq!(after(&mut Effort::new(2), 100, 100), 1);
        assert_eq!(after(&mut Effort::new(0), 100, 100), 0);
    }
}
