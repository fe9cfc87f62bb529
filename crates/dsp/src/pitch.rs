//! The pitch search shared by concealment and stretching.

/// Shortest pitch period searched, microseconds (400 Hz).
pub const MIN_US: usize = 2_500;
/// Longest pitch period searched, microseconds (67 Hz).
pub const MAX_US: usize = 15_000;

/// Samples in `us` microseconds at `rate`.
pub fn samples(rate: u32, us: usize) -> usize {
    rate as usize * us / 1_000_000
}

/// The lag in `shortest..=longest` whose two windows, given by `pair`, resemble each other most, with the normalised
/// correlation (-1 to 1). A coarse pass at 8 kHz, then a fine one around its best.
pub fn best_lag<'a>(
    rate: u32,
    shortest: usize,
    longest: usize,
    pair: impl Fn(usize) -> (&'a [i16], &'a [i16]),
) -> (usize, f32) {
    let stride = (rate / 8_000).max(1) as usize;
    let pick = |lags: &mut dyn Iterator<Item = usize>| {
        lags.map(|lag| (lag, likeness(pair(lag), stride))).fold(
            (shortest, f32::MIN),
            |best, next| {
                if next.1 > best.1 { next } else { best }
            },
        )
    };
    let coarse = pick(&mut (shortest..=longest).step_by(stride));
    if stride == 1 {
        return coarse;
    }
    let from = coarse.0.saturating_sub(stride).max(shortest);
    pick(&mut (from..=(coarse.0 + stride).min(longest)))
}

fn likeness((a, b): (&[i16], &[i16]), stride: usize) -> f32 {
    let (mut cross, mut left, mut right) = (0.0f32, 1.0f32, 1.0f32);
    for (x, y) in a.iter().step_by(stride).zip(b.iter().step_by(stride)) {
        let (x, y) = (f32::from(*x), f32::from(*y));
        cross += x * y;
        left += x * x;
        right += y * y;
    }
    cross / (left * right).sqrt()
}

/// The sample `share` of the way from `a` to `b`.
pub fn blend(a: i16, b: i16, share: f32) -> i16 {
    (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as i16
}
