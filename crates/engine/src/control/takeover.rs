//! Legs that a new commander finds: those it never names are closed when the grace time is over.

use std::collections::HashSet;
use std::time::Instant;

/// What ran when a new commander came.
pub struct Takeover {
    deadline: Instant,
    /// (call, leg) of everything found.
    found: Vec<(u64, u64)>,
    named: HashSet<u64>,
}

impl Takeover {
    /// The new commander has until `deadline`.
    pub fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            found: Vec::new(),
            named: HashSet::new(),
        }
    }

    /// What the shards list.
    pub fn found(&mut self, legs: impl Iterator<Item = (u64, u64)>) {
        self.found.extend(legs);
    }

    /// A command is about this leg or call.
    pub fn name(&mut self, subject: u64) {
        self.named.insert(subject);
    }

    /// When `orphans` are closed.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Calls of which nothing was named.
    pub fn orphans(&self) -> HashSet<u64> {
        let known: HashSet<u64> = self
            .found
            .iter()
            .filter(|(call, leg)| self.named.contains(call) || self.named.contains(leg))
            .map(|(call, _)| *call)
            .collect();
        self.found
            .iter()
            .map(|(call, _)| *call)
            .filter(|call| !known.contains(call))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_kept_when_it_or_one_of_its_legs_is_named() {
        let mut takeover = Takeover::new(Instant::now());
        takeover.name(11);
        takeover.found([(1, 10), (1, 11), (2, 20), (3, 30)].into_iter());
        takeover.name(2);
        assert_eq!(takeover.orphans(), HashSet::from([3]));
    }
}
