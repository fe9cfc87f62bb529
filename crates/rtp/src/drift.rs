//! How fast a sender's clock runs by ours.

use std::time::{Duration, Instant};

/// In each, the packet that was fastest on its way stands for the clock: the others were only held up longer.
const SPAN: Duration = Duration::from_secs(10);
/// Spans that are compared. A path that becomes longer or shorter moves one step between them, a clock moves all.
const STEPS: usize = 6;
/// Off by more than this, the source has started over.
const JUMP_MICROS: i64 = 1_000_000;

/// The clock of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drift {
    /// When the stream began, or began anew.
    origin: Option<Instant>,
    last: u32,
    /// Clock units sent since `origin`.
    sent: i64,
    span: u32,
    /// Least delay of the present span, against the first packet's, in microseconds.
    least: i32,
    /// Changes of the least delay from span to span, the newest last; the first `filled` are none.
    steps: [i32; STEPS],
    filled: u8,
    before: Option<i32>,
}

impl Drift {
    pub(crate) fn packet(&mut self, timestamp: u32, now: Instant, clock_rate: u32) {
        let Some(origin) = self.origin else {
            *self = Self {
                origin: Some(now),
                last: timestamp,
                ..Self::default()
            };
            return;
        };
        self.sent += i64::from(timestamp.wrapping_sub(self.last) as i32);
        self.last = timestamp;
        let elapsed = now.saturating_duration_since(origin);
        let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        let delay = micros.saturating_sub(self.sent * 1_000_000 / i64::from(clock_rate.max(1)));
        if (delay - i64::from(self.least)).abs() > JUMP_MICROS {
            self.origin = None;
            return self.packet(timestamp, now, clock_rate);
        }
        let delay = delay as i32;
        let span = u32::try_from(elapsed.as_micros() / SPAN.as_micros()).unwrap_or(u32::MAX);
        if span == self.span {
            self.least = self.least.min(delay);
        } else {
            self.close(span);
            self.least = delay;
        }
    }

    fn close(&mut self, span: u32) {
        // A pause of a span or more leaves nothing to compare with.
        if span == self.span + 1 {
            if let Some(before) = self.before {
                self.steps.rotate_left(1);
                self.steps[STEPS - 1] = self.least - before;
                self.filled = (self.filled + 1).min(STEPS as u8);
            }
            self.before = Some(self.least);
        } else {
            self.before = None;
        }
        self.span = span;
    }

    /// Parts in a million by which the sender's clock is too fast (below 0: too slow), after 70 seconds; 0 before.
    pub(crate) fn ppm(&self) -> f64 {
        if usize::from(self.filled) < STEPS {
            return 0.0;
        }
        let mut steps = self.steps;
        steps.sort_unstable();
        let median = f64::from(steps[STEPS / 2 - 1] + steps[STEPS / 2]) / 2.0;
        -median / SPAN.as_secs_f64()
    }
}
