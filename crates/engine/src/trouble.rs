//! Contained panics of a shard: after too many of them in a minute it takes no new calls.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Each panic cost one call; this many are no accident.
const LIMIT: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// The latest panics.
#[derive(Default)]
pub struct Trouble {
    seen: u64,
    recent: VecDeque<Instant>,
}

impl Trouble {
    /// The engine has contained `panics` since it began.
    pub fn note(&mut self, panics: u64, now: Instant) {
        for _ in self.seen..panics {
            self.recent.push_back(now);
            if self.recent.len() > LIMIT {
                self.recent.pop_front();
            }
        }
        self.seen = panics;
    }

    /// Whether new calls would only be lost.
    pub fn refuses(&self, now: Instant) -> bool {
        let first = self.recent.front();
        self.recent.len() == LIMIT && first.is_some_and(|at| now.duration_since(*at) < WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_panics_within_a_minute_close_the_shard_until_the_first_is_old() {
        let (mut trouble, begin) = (Trouble::default(), Instant::now());
        for second in 0..9 {
            trouble.note(second + 1, begin + Duration::from_secs(second));
        }
        let last = begin + Duration::from_secs(59);
        assert!(!trouble.refuses(last));
        trouble.note(10, last);
        assert!(trouble.refuses(last));
        assert!(!trouble.refuses(begin + WINDOW));
    }

    #[test]
    fn the_same_count_again_is_no_new_panic() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        (0..20).for_each(|_| trouble.note(9, now));
        assert!(!trouble.refuses(now));
    }
}
