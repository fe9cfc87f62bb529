//! Time stretching by one pitch period: how playout follows a sender whose clock or network drifts, without a click.
//!
//! Both work on sound not yet played. They refuse when no period resembles the next one, unless the sound is too quiet to hear.

use crate::level::rms_dbov;
use crate::pitch::{self, best_lag, blend};

/// Below this level a cut or a repeat is not heard, periodic or not.
const QUIET_DBOV: f32 = -50.0;
/// Resemblance of two periods from which joining them is not heard.
const ALIKE: f32 = 0.8;
/// At most this much sound is looked at, microseconds.
const REACH_US: usize = 40_000;

/// Removes one pitch period from the front part of `pcm`; the samples removed, 0 when refused.
pub fn accelerate(pcm: &mut Vec<i16>, rate: u32) -> usize {
    let Some(lag) = joint(pcm, rate) else {
        return 0;
    };
    for i in 0..lag {
        pcm[i] = blend(pcm[i], pcm[i + lag], i as f32 / lag as f32);
    }
    pcm.drain(lag..2 * lag);
    lag
}

/// Repeats one pitch period in the front part of `pcm`; the samples added, 0 when refused.
pub fn expand(pcm: &mut Vec<i16>, rate: u32) -> usize {
    let Some(lag) = joint(pcm, rate) else {
        return 0;
    };
    let bridge: Vec<i16> = (0..lag)
        .map(|i| blend(pcm[i + lag], pcm[i], i as f32 / lag as f32))
        .collect();
    pcm.splice(lag..lag, bridge);
    lag
}

/// The period at which the start of `pcm` may be joined to itself. Two periods always fit into `pcm`.
fn joint(pcm: &[i16], rate: u32) -> Option<usize> {
    let reach = pcm.len().min(pitch::samples(rate, REACH_US));
    let shortest = pitch::samples(rate, pitch::MIN_US);
    let longest = (reach / 2).min(pitch::samples(rate, pitch::MAX_US));
    if longest < shortest {
        return None;
    }
    let window = reach - longest;
    let (lag, alike) = best_lag(rate, shortest, longest, |lag| {
        (&pcm[..window], &pcm[lag..lag + window])
    });
    (alike >= ALIKE || rms_dbov(&pcm[..reach]) < QUIET_DBOV).then_some(lag)
}
