//! All that is known of a video line, as one record.

use std::time::Instant;

use crate::description::VideoFacts;
use crate::leg::Leg;
use crate::send::Source;

/// The facts of a leg's video line. `carrier`: the leg whose transport it uses.
pub(crate) fn of(leg: &Leg, carrier: &Leg, now: Instant) -> Option<VideoFacts> {
    let video = leg.video.as_ref()?;
    let (rx, tx) = (&video.rx, &video.tx);
    let age = |at: Option<Instant>| {
        at.map_or(-1, |at| {
            i64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX)
        })
    };
    let (lost_in, expected, jitter_ms) = rx.measures();
    let codec = rx
        .codec
        .and_then(|at| video.offer.codecs.get(usize::from(at)));
    let gate = match carrier.transport(now) {
        _ if !video.may_send() => "on_hold",
        Err(gate) => gate.name(),
        Ok(_) if !matches!(leg.tx.source, Source::Leg(_)) => "no_source",
        Ok(_) => "open",
    };
    Some(VideoFacts {
        codec_in: codec.map(|one| one.name.clone()).unwrap_or_default(),
        local: carrier.local_text(),
        remote: carrier.remote_text(now),
        gate: gate.to_owned(),
        first_in_ms: age(rx.first),
        last_in_ms: age(rx.last),
        last_out_ms: age(tx.last),
        packets_in: rx.packets,
        packets_out: tx.packets,
        repaired_in: rx.repaired,
        repaired_out: tx.repaired,
        lost_in,
        loss_percent: lost_in as f64 * 100.0 / expected.max(1) as f64,
        jitter_ms,
        rtt_ms: tx.rtt_ms.unwrap_or(0.0),
        remote_loss_percent: tx.acknowledged.loss_percent,
        key_frames_asked: video.key_frames.asked,
        unknown_mid: rx.unknown_mid,
    })
}
