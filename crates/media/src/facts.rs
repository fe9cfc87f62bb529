//! All that is known of a leg, as one record.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use offhook_dsp::Counters;

use crate::component::Component;
use crate::description::LegFacts;
use crate::ice::Ice;
use crate::latch::Latch;
use crate::leg::{Keys, Leg, Path};
use crate::quality;
use crate::receive::Receiver;
use crate::send::{Overruns, Sender, Source};

/// What others know of a leg.
pub(crate) struct Around {
    /// Our addresses as its description names them.
    pub(crate) announced: Vec<SocketAddr>,
    /// Of who decodes its packets.
    pub(crate) playout: Counters,
    /// Why the leg that feeds it is not heard.
    pub(crate) source: Option<&'static str>,
    pub(crate) overruns: Overruns,
}

/// Milliseconds since then; -1 = never.
fn age(at: Option<Instant>, now: Instant) -> i64 {
    at.map_or(-1, |at| {
        i64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX)
    })
}

/// The facts of a leg.
pub(crate) fn of(leg: &Leg, around: &Around, now: Instant) -> LegFacts {
    let age = |at| age(at, now);
    LegFacts {
        leg: leg.id.0,
        local: leg.local_text(),
        remote: leg.remote_text(now),
        path_state: leg.path_state(now).to_owned(),
        keys_state: leg.keys_state().to_owned(),
        suite: leg.keys.suite.to_owned(),
        codec_in: leg
            .rx
            .codec
            .map_or("", |codec| codec.name())
            .to_ascii_uppercase(),
        codec_out: leg
            .tx
            .speech
            .map_or("", |speech| speech.codec.name())
            .to_ascii_uppercase(),
        transcoded: leg.tx.decoding.is_some(),
        source: leg.tx.source_name(),
        gate: gate(leg, now).to_owned(),
        first_in_ms: age(leg.rx.first),
        last_in_ms: age(leg.rx.last),
        first_out_ms: age(leg.tx.first),
        last_out_ms: age(leg.tx.last),
        verdict_in: leg.supervision.inward.name().to_owned(),
        verdict_out: leg.supervision.outward.name().to_owned(),
        quality: quality::measure(leg, around.playout),
        evidence: evidence(leg, around, now),
        video: None,
    }
}

/// What stands between us and the peer's ear.
fn gate(leg: &Leg, now: Instant) -> &'static str {
    match (leg.outlet(now), &leg.tx.source) {
        (Err(gate), _) => gate.name(),
        (Ok(_), Source::None) if leg.tx.hushed => "muted",
        (Ok(_), Source::None) => "no_source",
        (Ok(_), _) => "open",
    }
}

/// Facts as text: a kind of leg has only its own, and what never happened is left out.
struct Told {
    facts: BTreeMap<String, String>,
    now: Instant,
}

impl Told {
    fn put(&mut self, key: &str, value: impl ToString) {
        let value = value.to_string();
        if !value.is_empty() {
            self.facts.insert(key.to_owned(), value);
        }
    }

    /// Milliseconds since then.
    fn age(&mut self, key: &str, at: Option<Instant>) {
        if at.is_some() {
            self.put(key, age(at, self.now));
        }
    }
}

fn evidence(leg: &Leg, around: &Around, now: Instant) -> BTreeMap<String, String> {
    let facts = BTreeMap::new();
    let mut told = Told { facts, now };
    for (prefix, found) in [
        ("in", &leg.supervision.inward),
        ("out", &leg.supervision.outward),
    ] {
        for (key, value) in found.current.iter().flat_map(|verdict| &verdict.evidence) {
            told.put(&format!("{prefix}.{key}"), value);
        }
    }
    let announced = around.announced.iter().map(SocketAddr::to_string);
    told.put("announced", announced.collect::<Vec<_>>().join(" "));
    told.put("direction", direction(leg));
    received(&leg.rx, &mut told);
    for (key, count) in [
        (crate::verdict::drops(leg), leg.rx.unread),
        ("unsent", leg.tx.unsent),
    ] {
        if count > 0 {
            told.put(key, count);
        }
    }
    match &leg.path {
        Path::Port(port) => {
            learnt(&port.latch, &mut told);
            if let Some(component) = &port.component {
                reported(component, &mut told);
            }
        }
        Path::WebRtc(path) => checked(&path.ice, &mut told),
    }
    secured(&leg.keys, &mut told);
    sent(&leg.tx, around, &mut told);
    if let Some(link) = &leg.link {
        told.put("link_sent", link.sent);
        told.put("link_received", link.received);
        told.put("link_dropped", link.dropped);
    }
    if leg.echoes() {
        told.put("echo", true);
    }
    told.facts
}

/// What was agreed, as we would say it.
fn direction(leg: &Leg) -> &'static str {
    match (leg.remote.is_some(), leg.may_send(), leg.may_receive()) {
        (false, ..) => "",
        (_, true, true) => "sendrecv",
        (_, true, false) => "sendonly",
        (_, false, true) => "recvonly",
        (_, false, false) => "inactive",
    }
}

fn received(rx: &Receiver, told: &mut Told) {
    told.put("datagrams", rx.datagrams);
    told.age("first_datagram_ms", rx.first_datagram);
    told.age("last_datagram_ms", rx.last_datagram);
    if let Some(source) = rx.last_source {
        told.put("last_source", source);
    }
    told.put("bad_headers", rx.bad_headers);
    if let Some((number, count, _)) = rx.unknown {
        told.put("unknown_payload_type", format!("{number} x {count}"));
    }
    if let Some(ssrc) = rx.stream() {
        told.put("ssrc_in", format!("{ssrc:#010x}"));
        told.put("ssrc_changes", rx.ssrc_changes);
    }
    told.put("loops", rx.loops);
    // How long ago it was loud, of sound at all, and a description of silence.
    told.age("sound_ms", rx.sound);
    told.age("speech_ms", rx.speech);
    told.age("comfort_noise_ms", rx.comfort);
}

fn learnt(latch: &Latch, told: &mut Told) {
    told.put("latch_policy", latch.policy_name());
    told.put("latch_consistent", latch.consistent());
    if let (count, Some((source, _))) = latch.refused() {
        told.put("refused", format!("{source} x {count}"));
    }
}

/// Of the port beside it for RTCP, which shakes hands for itself.
fn reported(component: &Component, told: &mut Told) {
    told.put("rtcp_keys", component.keys.state(true));
    told.put("rtcp_verdict", component.told.name());
    if let Some(handshake) = &component.keys.handshake {
        told.put("rtcp_dtls_error", handshake.error());
    }
}

fn checked(ice: &Ice, told: &mut Told) {
    told.put("stun_requests", ice.requests);
    told.put("stun_bad_integrity", ice.bad_integrity);
    told.put("stun_wrong_ufrag", ice.wrong_ufrag);
    told.age("stun_last_ms", ice.last_request());
    told.age("pair_ms", ice.selected_at);
    told.put("pair_changes", ice.path_changes);
}

fn secured(keys: &Keys, told: &mut Told) {
    if let Some(handshake) = &keys.handshake {
        let role = if handshake.is_active() {
            "active"
        } else {
            "passive"
        };
        told.put("dtls_role", role);
        told.put("dtls_version", handshake.version());
        told.put("dtls_seen", handshake.seen());
        told.put("dtls_expected", handshake.expected());
        told.put("dtls_error", handshake.error());
    }
    if let Some(inbound) = &keys.inbound {
        let counters = inbound.counters();
        told.put("srtp_opened", counters.opened);
        told.put("srtp_failed", counters.failed);
        told.put("srtp_replayed", counters.replayed);
        told.put("srtp_too_old", counters.too_old);
        told.put("srtp_roc_trials", counters.roc_trials);
    }
}

fn sent(tx: &Sender, around: &Around, told: &mut Told) {
    told.put("source_verdict", around.source.unwrap_or_default());
    let errors = tx.send_errors.iter();
    let errors = errors.map(|(errno, count)| format!("{errno} x {count}"));
    told.put("send_errors", errors.collect::<Vec<_>>().join(" "));
    if let Some((origin, at)) = tx.unreachable.as_deref() {
        told.put("unreachable", origin);
        told.age("unreachable_ms", Some(*at));
    }
    if tx.acknowledged.at.is_some() {
        told.age("report_ms", tx.acknowledged.at);
        told.put("report_highest", tx.acknowledged.highest);
        told.put("not_acknowledged", tx.acknowledged.missed());
    }
    if let Some(encoding) = &tx.encoding {
        told.put("encoder_rate", encoding.rate());
        if let Some(complexity) = encoding.complexity() {
            told.put("encoder_complexity", complexity);
        }
    }
    told.put("late_ticks", around.overruns.count);
    if tx.digits.dropped > 0 {
        told.put("digits_dropped", tx.digits.dropped);
    }
}
