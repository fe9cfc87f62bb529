//! Why one side hears nothing: the first rule that fits names the verdict. Words and remedies are Python's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::dtls::{HANDSHAKE_TIMEOUT, Handshake, Phase};
use crate::leg::{Gate, Leg, Path};
use crate::send::{Overruns, Source};

/// Silence from the beginning is judged so long after media should flow.
pub(crate) const FROM_BEGINNING: Duration = Duration::from_secs(2);
/// Packets that carry no sound, and other things that must last, are judged after this.
pub(crate) const LASTING: Duration = Duration::from_secs(5);
/// A changed verdict is told at most this often.
const RETELL: Duration = Duration::from_secs(5);
/// An error of the network counts as long as it is this recent.
const ERROR_LIFE: Duration = Duration::from_secs(5);
/// Receiver reports in a row that do not advance while we send.
pub(crate) const UNACKNOWLEDGED_REPORTS: u32 = 2;

/// A verdict with the facts it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) name: &'static str,
    pub(crate) evidence: BTreeMap<String, String>,
}

impl Verdict {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            evidence: BTreeMap::new(),
        }
    }

    pub(crate) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.evidence.insert(key.to_owned(), value.to_string());
        self
    }
}

/// What was told of one direction.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) current: Option<Verdict>,
    told: Option<Instant>,
}

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Nothing,
    Found(Verdict),
    Heard,
}

impl Told {
    /// Takes the present verdict; says what changed for the listener.
    pub(crate) fn update(&mut self, verdict: Option<Verdict>, now: Instant) -> Telling {
        let Some(verdict) = verdict else {
            return if self.current.take().is_some() {
                Telling::Heard
            } else {
                Telling::Nothing
            };
        };
        let same = self
            .current
            .as_ref()
            .is_some_and(|current| current.name == verdict.name);
        let rested = self
            .told
            .is_none_or(|told| now.saturating_duration_since(told) >= RETELL);
        if same {
            self.current = Some(verdict);
            return Telling::Nothing;
        }
        if !rested && self.current.is_some() {
            return Telling::Nothing;
        }
        self.current = Some(verdict.clone());
        self.told = Some(now);
        Telling::Found(verdict)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.current.as_ref().map_or("", |verdict| verdict.name)
    }
}

/// Both directions of a leg, and whether its media is taken as stopped.
#[derive(Debug, Default)]
pub(crate) struct Supervision {
    pub(crate) inward: Told,
    pub(crate) outward: Told,
    pub(crate) stopped: bool,
}

fn since(at: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(at)
}

fn recent(at: Option<Instant>, now: Instant, within: Duration) -> bool {
    at.is_some_and(|at| since(at, now) < within)
}

/// Why the peer is not heard; `None`: it is heard, or nothing is due yet.
pub(crate) fn inward(leg: &Leg, stopped_after: Duration, now: Instant) -> Option<Verdict> {
    let due = leg
        .due_since
        .filter(|due| since(*due, now) >= FROM_BEGINNING)?;
    if !leg.may_receive() {
        return Some(
            Verdict::new("on_hold").with("direction", format!("{:?}", leg.offer.direction)),
        );
    }
    let last = leg.rx.last.map_or(due, |last| last.max(due));
    match leg.rx.last {
        Some(_) if since(last, now) >= stopped_after => {
            Some(refused(leg, now).unwrap_or_else(|| stopped(leg, last, now)))
        }
        Some(_) => no_sound(leg, now),
        None => Some(
            path(leg)
                .or_else(|| keys(leg))
                .or_else(|| refused(leg, now))
                .unwrap_or_else(|| nothing(leg)),
        ),
    }
}

fn stopped(leg: &Leg, last: Instant, now: Instant) -> Verdict {
    let verdict = Verdict::new("stopped").with("silent_ms", since(last, now).as_millis());
    with_drops(verdict.with("path", leg.path_state(now)), leg)
}

/// What was dropped here did come: the way to us is not to blame for it.
fn with_drops(verdict: Verdict, leg: &Leg) -> Verdict {
    match leg.rx.unread {
        0 => verdict,
        unread => verdict.with(drops(leg), unread),
    }
}

/// The name of what the leg's own socket had no room for, or of the same of the port that it shares with others.
pub(crate) fn drops(leg: &Leg) -> &'static str {
    match leg.path {
        Path::Port(_) => "socket_drops",
        Path::WebRtc(_) => "port_drops",
    }
}

/// Nothing came because there is no path.
fn path(leg: &Leg) -> Option<Verdict> {
    let Path::WebRtc(path) = &leg.path else {
        return None;
    };
    let ice = &path.ice;
    if ice.requests == 0 && ice.bad_integrity > 0 {
        return Some(Verdict::new("ice_bad_credentials").with("requests", ice.bad_integrity));
    }
    if ice.requests == 0 {
        let verdict = Verdict::new("ice_no_checks").with("local", path.local);
        return Some(verdict.with("wrong_ufrag", ice.wrong_ufrag));
    }
    if ice.selected().is_none() {
        return Some(Verdict::new("ice_not_selected").with("requests", ice.requests));
    }
    None
}

/// Nothing is understood because there are no keys. Where nothing came at all the way to us is to blame, not the handshake.
fn keys(leg: &Leg) -> Option<Verdict> {
    let handshake = leg.keys.handshake.as_ref()?;
    (leg.keys.inbound.is_none() && reaches(leg)).then(|| unfinished(handshake))
}

/// Whether the peer's packets reach us: over ICE it has chosen a path, at a port of its own something came that was neither
/// refused nor junk.
fn reaches(leg: &Leg) -> bool {
    let Path::Port(port) = &leg.path else {
        return true;
    };
    let (refused, _) = port.latch.refused();
    leg.rx.datagrams > refused + leg.rx.bad_headers + leg.rx.loops
}

/// Why reports neither come nor go: the port of their own has no keys. Judged beside the sound or the picture, which has keys
/// already and needs no reports. A phone that shakes hands for its media alone is given the time that one may take, and a little more: one
/// that is under way ends by itself.
pub(crate) fn reports(leg: &Leg, now: Instant) -> Option<Verdict> {
    let Path::Port(port) = &leg.path else {
        return None;
    };
    let keys = &port.component.as_ref()?.keys;
    if keys.inbound.is_some() || leg.keys.inbound.is_none() {
        return None;
    }
    let verdict = unfinished(keys.handshake.as_ref()?);
    let given_up = since(leg.completed?, now) >= HANDSHAKE_TIMEOUT + LASTING;
    let name = match verdict.name {
        "dtls_fingerprint" => "rtcp_dtls_fingerprint",
        "dtls_failed" => "rtcp_dtls_failed",
        _ => given_up.then_some("rtcp_dtls_no_hello")?,
    };
    Some(Verdict { name, ..verdict }.with("port", port.pair.rtcp_port))
}

/// What a handshake without keys has come to.
fn unfinished(handshake: &Handshake) -> Verdict {
    let role = if handshake.is_active() {
        "active"
    } else {
        "passive"
    };
    match handshake.phase() {
        Phase::WrongFingerprint => Verdict::new("dtls_fingerprint")
            .with("expected", handshake.expected())
            .with("seen", handshake.seen()),
        Phase::Failed => Verdict::new("dtls_failed").with("error", handshake.error()),
        // Another attempt is under way; what ended the last one is the better answer.
        Phase::Handshake if !handshake.error().is_empty() => {
            Verdict::new("dtls_failed").with("error", handshake.error())
        }
        Phase::Waiting => Verdict::new("dtls_no_hello").with("role", role),
        Phase::Handshake if handshake.seen().is_empty() && handshake.is_active() => {
            Verdict::new("dtls_no_hello").with("role", role)
        }
        Phase::Handshake | Phase::Ready => Verdict::new("no_keys").with("role", role),
    }
}

/// Packets come and are not taken.
fn refused(leg: &Leg, now: Instant) -> Option<Verdict> {
    if let Some(inbound) = &leg.keys.inbound {
        let counters = inbound.counters();
        if counters.failed > 0 && recent(leg.rx.last_datagram, now, LASTING) && silent(leg, now) {
            let verdict = Verdict::new("srtp_auth")
                .with("failed", counters.failed)
                .with("suite", leg.keys.suite);
            return Some(verdict);
        }
    }
    if let Path::Port(port) = &leg.path {
        let (count, last) = port.latch.refused();
        if let Some((source, _)) = last.filter(|(_, at)| recent(Some(*at), now, LASTING)) {
            let verdict = Verdict::new("source_refused")
                .with("source", source)
                .with("packets", count);
            return Some(verdict.with("expected", leg.remote_text(now)));
        }
    }
    if leg.rx.loops > 0 && silent(leg, now) {
        return Some(Verdict::new("source_refused").with("loop", leg.rx.loops));
    }
    let (number, count, at) = leg.rx.unknown?;
    recent(Some(at), now, LASTING).then(|| {
        Verdict::new("wrong_payload_type")
            .with("payload_type", number)
            .with("packets", count)
    })
}

fn silent(leg: &Leg, now: Instant) -> bool {
    !recent(leg.rx.last, now, FROM_BEGINNING)
}

fn nothing(leg: &Leg) -> Verdict {
    let verdict = Verdict::new("no_packets").with("datagrams", leg.rx.datagrams);
    let verdict = verdict
        .with("local", leg.local_text())
        .with("bad_headers", leg.rx.bad_headers);
    with_drops(verdict, leg)
}

/// Packets are taken and carry no sound.
fn no_sound(leg: &Leg, now: Instant) -> Option<Verdict> {
    let rx = &leg.rx;
    let first = rx.first.filter(|first| since(*first, now) >= LASTING)?;
    if !recent(rx.speech, now, LASTING) && recent(rx.comfort, now, LASTING) {
        return Some(Verdict::new("comfort_noise_only").with(
            "since_ms",
            since(rx.speech.unwrap_or(first), now).as_millis(),
        ));
    }
    let quiet_since = rx.sound.or(rx.speech_since)?;
    let quiet = recent(rx.speech, now, LASTING) && since(quiet_since, now) >= LASTING;
    quiet.then(|| {
        Verdict::new("digital_silence").with("since_ms", since(quiet_since, now).as_millis())
    })
}

/// Why the peer hears nothing. `feeder`: the verdict of the leg that feeds this one; `overruns`: of what is made for it here.
pub(crate) fn outward(
    leg: &Leg,
    feeder: Option<&Verdict>,
    overruns: Overruns,
    now: Instant,
) -> Option<Verdict> {
    leg.due_since
        .filter(|due| since(*due, now) >= FROM_BEGINNING)?;
    match leg.outlet(now) {
        Err(Gate::OnHold) => return Some(Verdict::new("on_hold")),
        Err(Gate::NoAddress) => {
            return Some(Verdict::new("no_address").with("path", leg.path_state(now)));
        }
        Err(Gate::NoKeys) => return Some(Verdict::new("no_keys").with("keys", leg.keys_state())),
        Ok(_) => {}
    }
    no_source(leg, feeder, now)
        .or_else(|| network(leg, now))
        .or_else(|| {
            let late = overruns.lasting(now)?;
            Some(Verdict::new("overloaded").with("late_ticks", late))
        })
}

fn no_source(leg: &Leg, feeder: Option<&Verdict>, now: Instant) -> Option<Verdict> {
    let verdict = || Verdict::new("no_source").with("source", leg.tx.source_name());
    match &leg.tx.source {
        Source::None if leg.tx.hushed => Some(Verdict::new("muted")),
        Source::None => Some(verdict()),
        Source::Player(_) | Source::Prompt(_) | Source::Feed(_) | Source::Room(_) => None,
        Source::Leg(_) => match feeder {
            Some(cause) => Some(verdict().with("verdict", cause.name)),
            None if recent(leg.tx.last, now, LASTING) => None,
            // The feeding leg has no verdict yet: it is new, or what it sends is left out.
            None => leg
                .due_since
                .filter(|due| since(*due, now) >= LASTING)
                .map(|_| verdict()),
        },
    }
}

fn network(leg: &Leg, now: Instant) -> Option<Verdict> {
    let tx = &leg.tx;
    if let Some((errno, _)) = tx
        .send_error
        .filter(|(_, at)| recent(Some(*at), now, ERROR_LIFE))
    {
        return Some(
            Verdict::new("send_error")
                .with("errno", errno)
                .with("packets", tx.errors(errno)),
        );
    }
    if let Some((origin, _)) = tx
        .unreachable
        .as_deref()
        .filter(|(_, at)| recent(Some(*at), now, ERROR_LIFE))
    {
        return Some(
            Verdict::new("unreachable")
                .with("origin", origin)
                .with("destination", leg.remote_text(now)),
        );
    }
    let stalled = tx.acknowledged.stalled;
    (stalled >= UNACKNOWLEDGED_REPORTS && recent(tx.last, now, LASTING)).then(|| {
        Verdict::new("not_acknowledged")
            .with("reports", stalled)
            .with("highest", tx.acknowledged.highest)
    })
}
