//! Counts of latencies in steps of 10 µs up to 200 ms.

const STEP_NS: u64 = 10_000;
const STEPS: usize = 20_000;

/// A histogram; what is longer falls into the last step.
pub struct Latencies(Vec<u64>);

impl Latencies {
    /// Empty.
    pub fn new() -> Self {
        Self(vec![0; STEPS + 1])
    }

    /// Counts one.
    pub fn add(&mut self, nanoseconds: u64) {
        let step = usize::try_from(nanoseconds / STEP_NS).unwrap_or(STEPS);
        self.0[step.min(STEPS)] += 1;
    }

    /// The upper edge, in microseconds, of the step that holds this share (0 to 1) of all. 0 when empty.
    pub fn percentile(&self, share: f64) -> u64 {
        let total: u64 = self.0.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.0.iter().enumerate() {
            seen += count;
            if total > 0 && seen >= wanted.max(1) {
                return (step as u64 + 1) * STEP_NS / 1_000;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_upper_edges() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile(0.5), 0);
        for microseconds in 1..=1_000 {
            latencies.add(microseconds * 1_000 - 1);
        }
        assert_eq!(latencies.percentile(0.5), 500);
        assert_eq!(latencies.percentile(0.99), 990);
        latencies.add(u64::MAX);
        assert_eq!(latencies.percentile(1.0), 200_010);
    }
}
