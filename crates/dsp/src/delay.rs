//! How long packets must wait: the 95th percentile of their relative arrival delay in a forgetting histogram.
//!
//! Relative delay is transit time (arrival minus media time) over the smallest transit time of the last seconds, so a drifting
//! sender clock moves the floor and not the histogram. All times are microseconds on the buffer's own axis.

/// Lowest target, microseconds: one frame.
pub const MIN_US: i64 = 20_000;
/// Highest target, microseconds.
pub const MAX_US: i64 = 200_000;
/// Target before anything is known, microseconds.
pub const START_US: i64 = 40_000;

const BIN_US: i64 = 5_000;
const BINS: usize = 41;
/// Share of the histogram that stays per packet: half is forgotten in about 7 s of 20 ms packets.
const KEEP: f32 = 0.998;
const PERCENTILE: f32 = 0.95;
/// The floor is the minimum over this many buckets of time.
const BUCKETS: usize = 8;
const BUCKET_US: i64 = 500_000;

/// The estimator of one stream.
#[derive(Debug, Clone)]
pub struct DelayEstimate {
    bins: [f32; BINS],
    /// Bucket number and the smallest transit in it.
    minima: [(i64, i64); BUCKETS],
    floor: Option<i64>,
    target: i64,
}

impl DelayEstimate {
    /// An estimator that knows nothing: its target is 40 ms.
    pub fn new() -> Self {
        let mut bins = [0.0; BINS];
        bins[(START_US / BIN_US) as usize - 1] = 1.0;
        Self {
            bins,
            minima: [(i64::MIN, i64::MAX); BUCKETS],
            floor: None,
            target: START_US,
        }
    }

    /// The smallest recent transit time; `None` before the first packet.
    pub fn floor(&self) -> Option<i64> {
        self.floor
    }

    /// How long a packet of the smallest transit time should wait.
    pub fn target(&self) -> i64 {
        self.target
    }

    /// Takes a packet that arrived at `now` with this transit time.
    pub fn arrived(&mut self, now: i64, transit: i64) {
        let floor = self.lower(now, transit);
        let bin = ((transit - floor) / BIN_US).clamp(0, BINS as i64 - 1) as usize;
        for share in &mut self.bins {
            *share *= KEEP;
        }
        self.bins[bin] += 1.0 - KEEP;
        self.target = self.percentile();
    }

    /// The media time axis was shifted so that the newest packet has this transit time: only the histogram is still true.
    pub fn rebase(&mut self) {
        self.minima = [(i64::MIN, i64::MAX); BUCKETS];
        self.floor = None;
    }

    fn lower(&mut self, now: i64, transit: i64) -> i64 {
        let bucket = now.div_euclid(BUCKET_US);
        let slot = &mut self.minima[bucket.rem_euclid(BUCKETS as i64) as usize];
        *slot = if slot.0 == bucket {
            (bucket, slot.1.min(transit))
        } else {
            (bucket, transit)
        };
        let recent = self
            .minima
            .iter()
            .filter(|(at, _)| *at > bucket - BUCKETS as i64);
        let floor = recent.map(|(_, least)| *least).min().unwrap_or(transit);
        self.floor = Some(floor);
        floor
    }

    fn percentile(&self) -> i64 {
        let goal = PERCENTILE * self.bins.iter().sum::<f32>();
        let mut sum = 0.0;
        let bin = self.bins.iter().position(|share| {
            sum += share;
            sum >= goal
        });
        // A bin's upper edge: the delay that covers all of it.
        ((bin.unwrap_or(BINS - 1) as i64 + 1) * BIN_US).clamp(MIN_US, MAX_US)
    }
}
