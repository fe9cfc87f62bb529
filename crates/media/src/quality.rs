//! How good a leg sounds: measures, and the E-model's estimate (ITU-T G.107).

use offhook_dsp::{Codec, Counters};

use crate::description::Quality;
use crate::leg::{Leg, Path};

/// Processing of both ends beside buffer and packet time, ms.
const PROCESSING_MS: f64 = 20.0;
/// Robustness to loss of G.711 with concealment and without (ITU-T G.113 appendix I).
const BPL_G711_CONCEALED: f64 = 25.1;
const BPL_G711_PLAIN: f64 = 4.3;
/// Our constants: G.113 gives none for these on the narrow-band scale.
const BPL_WIDE: f64 = 10.0;
const BPL_OPUS_FEC: f64 = 20.0;

/// What quality reports need to remember.
#[derive(Debug, Clone, Default)]
pub(crate) struct QualityClock {
    /// Packets of both directions, and other signs of the peer, at the last report.
    pub(crate) packets: u64,
    pub(crate) rtt_ms: Option<f64>,
    /// None: nobody ever did.
    pub(crate) played: Option<Box<Played>>,
}

impl QualityClock {
    /// What who decodes the leg's packets now has counted, after each of its ticks.
    pub(crate) fn observe(&mut self, counters: &Counters) {
        self.played.get_or_insert_default().observe(counters);
    }
}

/// What was counted by all who ever decoded a leg's packets: each time that it is held, or speaks in a room, it is another decoder.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Played {
    before: Counted,
    present: Counted,
}

/// A call of seven weeks fits.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    played: u32,
    late: u32,
    concealed_ms: u32,
    fec_ms: u32,
}

impl Counted {
    fn of(counters: &Counters) -> Self {
        let Counters {
            played,
            late,
            concealed_ms,
            fec_ms,
            ..
        } = *counters;
        let short = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            played: short(played),
            late: short(late),
            concealed_ms: short(concealed_ms),
            fec_ms: short(fec_ms),
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            played: self.played.saturating_add(other.played),
            late: self.late.saturating_add(other.late),
            concealed_ms: self.concealed_ms.saturating_add(other.concealed_ms),
            fec_ms: self.fec_ms.saturating_add(other.fec_ms),
        }
    }
}

impl Played {
    fn observe(&mut self, counters: &Counters) {
        let present = Counted::of(counters);
        if present.played < self.present.played {
            self.before = self.before.with(self.present);
        }
        self.present = present;
    }

    /// The present decoder's counters with those of all before it.
    fn total(mut self, counters: Counters) -> Counters {
        self.observe(&counters);
        let all = self.before.with(self.present);
        Counters {
            played: all.played.into(),
            late: all.late.into(),
            concealed_ms: all.concealed_ms.into(),
            fec_ms: all.fec_ms.into(),
            ..counters
        }
    }
}

/// Inputs of the estimate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    pub(crate) rtt_ms: f64,
    pub(crate) buffer_ms: f64,
    pub(crate) packet_ms: f64,
    /// Lost or too late, percent.
    pub(crate) loss_percent: f64,
    pub(crate) burst_ratio: f64,
    pub(crate) bpl: f64,
}

/// Mean opinion score on the narrow-band scale, 1..=4.5. The formula is G.107's with Ie 0 and default transmission.
pub(crate) fn mos(conditions: Conditions) -> f64 {
    let delay =
        conditions.rtt_ms / 2.0 + conditions.buffer_ms + conditions.packet_ms + PROCESSING_MS;
    let delay_impairment = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
    let loss = conditions.loss_percent;
    let loss_impairment = 95.0 * loss / (loss / conditions.burst_ratio.max(1.0) + conditions.bpl);
    // G.107 Annex B: below 0 the score is 1; the polynomial would rise again.
    let r = (93.2 - delay_impairment - loss_impairment).clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

fn bpl(codec: Option<Codec>, concealed: bool, fec: bool) -> f64 {
    match codec {
        Some(Codec::Pcmu | Codec::Pcma) if concealed => BPL_G711_CONCEALED,
        Some(Codec::Pcmu | Codec::Pcma) | None => BPL_G711_PLAIN,
        Some(Codec::Opus) if fec => BPL_OPUS_FEC,
        Some(Codec::Opus | Codec::G722) => BPL_WIDE,
    }
}

/// The measures of a leg. `counters`: of who decodes its packets now, if anybody does.
pub(crate) fn measure(leg: &Leg, counters: Counters) -> Quality {
    let played = leg.quality.played.as_deref().copied();
    let counters = played.unwrap_or_default().total(counters);
    let measures = leg.rx.measures();
    let expected = measures.expected.max(1) as f64;
    let loss_percent = if measures.expected == 0 {
        0.0
    } else {
        measures.lost as f64 * 100.0 / expected
    };
    let late_percent = counters.late as f64 * 100.0 / expected;
    let rtt_ms = leg.quality.rtt_ms.unwrap_or(0.0);
    let estimate = Conditions {
        rtt_ms,
        buffer_ms: f64::from(counters.buffer_ms),
        packet_ms: f64::from(leg.offer.ptime),
        loss_percent: (loss_percent + late_percent).min(100.0),
        burst_ratio: measures.burst_ratio,
        // What is passed on untouched is concealed by the far end, if at all: we count it as concealed.
        bpl: bpl(leg.rx.codec, true, counters.fec_ms > 0),
    };
    Quality {
        packets_in: leg.rx.packets,
        packets_out: leg.tx.packets,
        lost_in: measures.lost,
        late_in: counters.late,
        reordered: measures.reordered,
        duplicates: measures.duplicates,
        loss_percent,
        jitter_ms: measures.jitter_ms,
        rtt_ms,
        remote_loss_percent: leg.tx.acknowledged.loss_percent,
        remote_jitter_ms: leg.tx.acknowledged.jitter_ms,
        buffer_ms: u64::from(counters.buffer_ms),
        concealed_ms: counters.concealed_ms,
        mos: if leg.rx.packets == 0 {
            0.0
        } else {
            mos(estimate)
        },
        dtmf_in: leg.rx.digits,
        dtmf_out: leg.tx.digits.sent,
        drift_ppm: measures.drift_ppm,
        signs_in: signs(leg),
        unread_in: leg.rx.unread,
    }
}

/// Signs of life that are no media.
fn signs(leg: &Leg) -> u64 {
    let checks = match &leg.path {
        Path::WebRtc(path) => u64::from(path.ice.requests),
        Path::Port(_) => 0,
    };
    leg.rx.reports + checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(rtt_ms: f64, loss_percent: f64) -> Conditions {
        Conditions {
            rtt_ms,
            buffer_ms: 40.0,
            packet_ms: 20.0,
            loss_percent,
            burst_ratio: 1.0,
            bpl: BPL_G711_CONCEALED,
        }
    }

    #[test]
    fn a_clean_line_scores_what_g107_gives_and_loss_and_delay_lower_it() {
        let clean = mos(conditions(40.0, 0.0));
        assert!((4.3..4.5).contains(&clean), "{clean}");
        assert!(mos(conditions(40.0, 5.0)) < clean - 0.3);
        assert!(mos(conditions(800.0, 0.0)) < clean - 0.5);
        assert_eq!(
            mos(Conditions {
                bpl: BPL_G711_PLAIN,
                ..conditions(2000.0, 100.0)
            }),
            1.0
        );
    }
}
