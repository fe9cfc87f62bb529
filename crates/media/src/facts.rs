//! All that is known of a leg, as one record.

use std::time::Instant;

use offhook_dsp::Counters;

use crate::description::LegFacts;
use crate::leg::{Leg, Path};
use crate::quality;

/// The facts of a leg. `playout`: of who decodes its packets.
pub(crate) fn of(leg: &Leg, playout: Counters, now: Instant) -> LegFacts {
    let age = |at: Option<Instant>| {
        at.map_or(-1, |at| {
            i64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX)
        })
    };
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
        gate: leg
            .outlet(now)
            .map_or_else(|gate| gate.name(), |_| "open")
            .to_owned(),
        first_in_ms: age(leg.rx.first),
        last_in_ms: age(leg.rx.last),
        first_out_ms: age(leg.tx.first),
        last_out_ms: age(leg.tx.last),
        verdict_in: leg.supervision.inward.name().to_owned(),
        verdict_out: leg.supervision.outward.name().to_owned(),
        evidence: evidence(leg),
        quality: quality::measure(leg, playout),
        video: None,
    }
}

fn evidence(leg: &Leg) -> std::collections::BTreeMap<String, String> {
    let mut evidence = std::collections::BTreeMap::new();
    for (prefix, told) in [
        ("in", &leg.supervision.inward),
        ("out", &leg.supervision.outward),
    ] {
        for (key, value) in told.current.iter().flat_map(|verdict| &verdict.evidence) {
            evidence.insert(format!("{prefix}.{key}"), value.clone());
        }
    }
    let mut put = |key: &str, value: String| evidence.insert(key.to_owned(), value);
    put("datagrams", leg.rx.datagrams.to_string());
    let dropped = [
        (crate::verdict::drops(leg), leg.rx.unread),
        ("unsent", leg.tx.unsent),
    ];
    for (key, count) in dropped {
        if count > 0 {
            put(key, count.to_string());
        }
    }
    if let Some((number, count, _)) = leg.rx.unknown {
        put("unknown_payload_type", format!("{number} x {count}"));
    }
    match &leg.path {
        Path::Port(port) => {
            if let Some(component) = &port.component {
                put("rtcp_keys", component.keys.state(true).to_owned());
                put("rtcp_verdict", component.told.name().to_owned());
                if let Some(handshake) = &component.keys.handshake {
                    put("rtcp_dtls_error", handshake.error().to_owned());
                }
            }
            let (count, last) = port.latch.refused();
            put("latch_consistent", port.latch.consistent().to_string());
            if let Some((source, _)) = last {
                put("refused", format!("{source} x {count}"));
            }
        }
        Path::WebRtc(path) => {
            let ice = &path.ice;
            put("stun_requests", ice.requests.to_string());
            put("stun_bad_integrity", ice.bad_integrity.to_string());
            put("stun_wrong_ufrag", ice.wrong_ufrag.to_string());
            put("pair_changes", ice.path_changes.to_string());
        }
    }
    if let Some(handshake) = &leg.keys.handshake {
        put(
            "dtls_role",
            if handshake.is_active() {
                "active"
            } else {
                "passive"
            }
            .to_owned(),
        );
        put("dtls_seen", handshake.seen().to_owned());
        put("dtls_error", handshake.error().to_owned());
    }
    if let Some(inbound) = &leg.keys.inbound {
        let counters = inbound.counters();
        put("srtp_opened", counters.opened.to_string());
        put("srtp_failed", counters.failed.to_string());
        put("srtp_replayed", counters.replayed.to_string());
    }
    if leg.tx.digits.dropped > 0 {
        put("digits_dropped", leg.tx.digits.dropped.to_string());
    }
    if let Some(link) = &leg.link {
        put("link_sent", link.sent.to_string());
        put("link_received", link.received.to_string());
        put("link_dropped", link.dropped.to_string());
    }
    if leg.echoes() {
        put("echo", "true".to_owned());
    }
    evidence.retain(|_, value| !value.is_empty());
    evidence
}
