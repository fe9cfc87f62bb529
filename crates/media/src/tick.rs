//! Timers of legs: the tick of those that encode, presses, reports, supervision.

use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::event::Event;
use crate::ids::LegId;
use crate::io::Now;
use crate::leg::{Leg, Path};
use crate::route::{RFC_4733, deliver, prepare_encoding};
use crate::send::{Overruns, Source};
use crate::timers::{Kind, claim};
use crate::transcode::{MAX_TICK_SAMPLES, played_rate};
use crate::verdict::{self, Telling, Verdict};
use crate::{quality, reports};

/// Length of a tick.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// Legs tick in this many slots of 1 ms, so that a shard's encoding is spread.
const SLOTS: u32 = 20;
/// A tick this late is not caught up: the shard stood still, the sound is gone.
pub(crate) const TOO_LATE: Duration = Duration::from_millis(200);
/// How often verdicts and liveness are looked at: they are due to half a second.
const SUPERVISION: Duration = Duration::from_millis(250);
/// Quality is told so often while media flows.
const QUALITY: Duration = Duration::from_secs(5);

impl Engine {
    pub(crate) fn timer(&mut self, id: LegId, kind: Kind, at: Instant, now: Now) {
        if kind == Kind::Room {
            return self.room_timer(id.0, at, now);
        }
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if !claim(&mut leg.deadlines, kind, at) {
            return;
        }
        self.in_hand = Some(id);
        match kind {
            Kind::Media if leg.tx.source.room().is_none() => {
                self.ticks += 1;
                self.tick(id, at, now);
            }
            // Its room sends what it hears.
            Kind::Media | Kind::Room => {}
            Kind::Event => self.event_timer(id, now),
            Kind::Supervise => self.supervise(id, now),
            Kind::Report => self.report(id, now),
            Kind::Quality => self.report_quality(id, now),
            Kind::Dtls => self.dtls_timer(id, now),
            Kind::KeyFrame => self.drive_key_frame(id, now),
        }
    }

    /// Arms the timers of a leg that was completed.
    pub(crate) fn arm_completed(&mut self, id: LegId, now: Now) {
        let random = self.random_byte();
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let supervise = now.instant + SUPERVISION;
        if leg.lent_to.is_some() {
            // Its path and keys need care; what there is to tell is the other leg's.
            return self
                .timers
                .arm(&mut leg.deadlines, id, Kind::Supervise, supervise);
        }
        let report = leg.reports.next(random, now.instant);
        for (kind, at) in [
            (Kind::Report, report),
            (Kind::Quality, now.instant + QUALITY),
            (Kind::Supervise, supervise),
        ] {
            self.timers.arm(&mut leg.deadlines, id, kind, at);
        }
    }

    /// Arms the tick in the leg's slot, if the leg encodes.
    pub(crate) fn arm_tick(&mut self, id: LegId, now: Now) {
        let epoch = self.epoch.unwrap_or(now.instant);
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if leg.tx.ticks() && !leg.deadlines.armed(Kind::Media) {
            self.timers.arm(
                &mut leg.deadlines,
                id,
                Kind::Media,
                next_slot(epoch, id.slot(), now.instant),
            );
        }
    }

    fn tick(&mut self, id: LegId, at: Instant, now: Now) {
        let (epoch, complexity) = (self.epoch.unwrap_or(at), self.effort.complexity());
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if !leg.tx.ticks() {
            return;
        }
        leg.tx.overruns.tick(at, now.instant);
        let late = now.instant.saturating_duration_since(at) > TOO_LATE;
        let next = if late {
            next_slot(epoch, id.slot(), now.instant)
        } else {
            at + TICK
        };
        self.timers.arm(&mut leg.deadlines, id, Kind::Media, next);
        if self.prompt_tick(id, now) || self.frames_tick(id, now) {
            return;
        }
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(speech) = leg.tx.speech else { return };
        let decoding = leg.tx.decoding.as_ref();
        if decoding.is_some_and(|decoding| decoding.waits(now.instant)) {
            return self.feed_tick(id, now);
        }
        let rate = leg
            .tx
            .decoding
            .as_ref()
            .map_or(played_rate(speech.codec), |decoding| decoding.rate());
        prepare_encoding(leg, speech.codec, rate, complexity);
        let Some(mut encoding) = leg.tx.encoding.take() else {
            return;
        };

        let mut frame = [0i16; MAX_TICK_SAMPLES];
        let samples = encoding.tick_samples();
        let sound = frame.get_mut(..samples).unwrap_or_default();
        fill(leg, rate, sound, now.instant);
        let tone = leg.tx.digits.tone();
        match tone {
            Some((digit, spec)) => encoding.overlay(digit, spec, sound),
            None => encoding.end_overlay(),
        }
        let ticks = encoding.packet_ticks();
        let decoding = leg.tx.decoding.as_mut();
        let silence = decoding.and_then(|decoding| decoding.silence());
        encoding.push(sound, silence.filter(|_| tone.is_none()));
        // A press by telephone-event mutes the sound beside it.
        let muted = leg.tx.digits.active() && tone.is_none();
        while let Some(made) = encoding.packet() {
            deliver(leg, made, ticks, muted, &mut self.out, now);
        }
        leg.tx.encoding = Some(encoding);
        let heard = leg.tx.decoding.as_ref().map(|decoding| decoding.played());
        if let Some((from, counters)) = heard
            && let Some(speaker) = self.legs.get_mut(from)
        {
            speaker.quality.observe(&counters);
        }
        self.feed_tick(id, now);
    }

    fn event_timer(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let changes = leg.rx.event_timeout(now.instant);
        if let Some(deadline) = leg.rx.event_deadline() {
            self.timers
                .arm(&mut leg.deadlines, id, Kind::Event, deadline);
        }
        self.presses(id, changes, RFC_4733, now);
        self.drive_digits(id, now);
    }

    fn report(&mut self, id: LegId, now: Now) {
        let random = self.random_byte();
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        reports::send(leg, false, &mut self.out, now);
        let next = leg.reports.next(random, now.instant);
        self.timers.arm(&mut leg.deadlines, id, Kind::Report, next);
        self.report_video(id, false, now);
    }

    fn report_quality(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get(id) else { return };
        let measured = quality::measure(leg, self.playout_of(leg));
        let packets = measured.packets_in + measured.packets_out + measured.signs_in;
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if packets > std::mem::replace(&mut leg.quality.packets, packets) {
            self.out.event(Event::QualityReported {
                leg: id.0,
                quality: measured,
            });
        }
        self.timers
            .arm(&mut leg.deadlines, id, Kind::Quality, now.instant + QUALITY);
    }

    fn dtls_timer(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let before = leg.handshakes_in_flight();
        leg.handshakes()
            .for_each(|handshake| handshake.timeout(now.instant));
        self.pump_dtls(id, before, now);
    }

    fn supervise(&mut self, id: LegId, now: Now) {
        self.settle_path(id, now);
        self.start_handshake(id, now);
        if self.legs.get(id).is_some_and(|leg| leg.lent_to.is_none()) {
            self.watch_media(id, now);
            self.judge(id, now);
            self.watch_silence(id, now.instant);
            self.tell_far(id, now);
        }
        if let Some(leg) = self.legs.get_mut(id) {
            self.timers.arm(
                &mut leg.deadlines,
                id,
                Kind::Supervise,
                now.instant + SUPERVISION,
            );
        }
    }

    fn settle_path(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Path::WebRtc(path) = &mut leg.path else {
            return;
        };
        if let Some(pair) = path.ice.settle(now.instant) {
            self.path_selected(id, pair, now);
        }
    }

    fn watch_media(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(last) = leg
            .rx
            .last
            .filter(|_| leg.may_receive() && !leg.supervision.stopped)
        else {
            return;
        };
        let silent = now
            .instant
            .saturating_duration_since(last.max(leg.due_since.unwrap_or(last)));
        if silent >= self.settings.stopped_after {
            leg.supervision.stopped = true;
            let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
            self.out.event(Event::MediaStopped {
                leg: id.0,
                silent_ms,
            });
        }
    }

    /// Why the leg that feeds this one is not heard.
    pub(crate) fn verdict_of_source(&self, leg: &Leg, now: Now) -> Option<Verdict> {
        let Source::Leg(feeder) = leg.tx.source else {
            return None;
        };
        if self.is_far(feeder.0) {
            return leg.link.as_ref()?.known.verdict.clone();
        }
        let feeder = self.legs.get(feeder)?;
        verdict::inward(feeder, self.settings.stopped_after, now.instant)
    }

    /// Of what is made for the leg here.
    pub(crate) fn overruns_of(&self, leg: &Leg) -> Overruns {
        let room = leg.tx.source.room().and_then(|room| self.rooms.get(&room));
        room.map_or(leg.tx.overruns, |room| room.overruns)
    }

    /// Looks at both directions, and at the reports beside them, and tells what changed.
    fn judge(&mut self, id: LegId, now: Now) {
        let stopped_after = self.settings.stopped_after;
        let Some(leg) = self.legs.get(id) else { return };
        let inward = verdict::inward(leg, stopped_after, now.instant);
        let feeder = self.verdict_of_source(leg, now);
        let outward = verdict::outward(leg, feeder.as_ref(), self.overruns_of(leg), now.instant);
        let of_video = || verdict::reports(self.lender_of(leg)?, now.instant);
        let reports = verdict::reports(leg, now.instant)
            .map(|one| one.with("line", "audio"))
            .or_else(|| Some(of_video()?.with("line", "video")));
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let component = leg.component();
        let beside = component.map(|it| it.told.update(reports, now.instant));
        let told = [
            ("in", leg.supervision.inward.update(inward, now.instant)),
            ("out", leg.supervision.outward.update(outward, now.instant)),
            ("reports", beside.unwrap_or(Telling::Nothing)),
        ];
        for (direction, telling) in told {
            let direction = direction.to_owned();
            match telling {
                Telling::Nothing => {}
                Telling::Heard => self.out.event(Event::Heard {
                    leg: id.0,
                    direction,
                }),
                Telling::Found(found) => self.out.event(Event::SilenceFound {
                    leg: id.0,
                    direction,
                    verdict: found.name.to_owned(),
                    evidence: found.evidence,
                }),
            }
        }
    }
}

/// One tick of the leg's source; silence if it has none.
fn fill(leg: &mut Leg, rate: u32, sound: &mut [i16], now: Instant) {
    match (&mut leg.tx.decoding, &mut leg.tx.source) {
        (Some(decoding), _) => {
            let pulled = decoding.pull(now);
            sound
                .iter_mut()
                .zip(pulled)
                .for_each(|(sample, pulled)| *sample = *pulled);
        }
        (None, Source::Player(player)) => player.fill(rate, sound),
        (None, Source::Feed(feed)) => feed.fill(rate, sound),
        (None, _) => {}
    }
}

/// The next time of a slot after `now`: absolute, so that ticks do not drift.
pub(crate) fn next_slot(epoch: Instant, slot: u32, now: Instant) -> Instant {
    let start = epoch + Duration::from_millis(u64::from(slot % SLOTS));
    let passed = now.saturating_duration_since(start).as_millis() / TICK.as_millis();
    let next = u32::try_from(passed + 1).unwrap_or(u32::MAX);
    start + TICK * next
}
