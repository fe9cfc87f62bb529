"""Calls as the API shows them (API.md 12.3, 12.4): plain objects made from call control's own records."""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from offhook.calls.call import Call, CallState
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.explanation import explanation
from offhook.calls.leg import Finding, Leg, LegState
from offhook.calls.ports import KeyKind, LegFacts, Quality


def iso(moment: float | None, now: float) -> str | None:
    """A time on the core's clock as ISO 8601 UTC with milliseconds."""
    if moment is None:
        return None
    wall = datetime.fromtimestamp(time.time() - (now - moment), UTC)
    return wall.strftime("%Y-%m-%dT%H:%M:%S.") + f"{wall.microsecond // 1000:03d}Z"


def call_view(call: Call, facts: dict[str, LegFacts], now: float) -> dict[str, Any]:
    """One call. `facts` are fresh ones of live legs by leg_ref; legs without use the last that are known."""
    end = call.ended_at if call.ended_at is not None else now
    state = call.state.value
    if call.state is CallState.TALKING and any(leg.state is LegState.HELD for leg in call.legs):
        state = "held"
    legs = [_leg(call, leg, facts.get(leg.ref) or leg.facts, now) for leg in call.legs]
    for one, leg in zip(legs, call.legs, strict=True):
        partner = call.peer_of(leg)
        one["peer_ref"] = partner.ref if partner is not None else None
    open_codes = sorted({one["code"] for leg in legs for one in leg["findings"] if one["until"] is None})
    return {
        "call_ref": call.ref,
        "state": state,
        "direction": direction_of(call),
        "from": call.from_name,
        "to": call.to_name,
        "created_at": iso(call.created_at, now),
        "answered_at": iso(call.answered_at, now),
        "ended_at": iso(call.ended_at, now),
        "duration_ms": int((end - call.answered_at) * 1000) if call.answered_at is not None else 0,
        "verdict": _verdict(call, open_codes),
        "findings": open_codes,
        "recording": False,
        "end_code": call.end_code,
        "end_reason": CATALOGUE[call.end_code].end if call.end_code else None,
        "end_text": call.refused_text or (CATALOGUE[call.end_code].cause if call.end_code else None),
        "ended_by": call.ended_by or None,
        "explanation": explanation(call) or None,
        "legs": legs,
    }


def direction_of(call: Call) -> str:
    """`inbound` from a trunk, `outbound` to one, else `internal`."""
    if call.caller.trunk is not None:
        return "inbound"
    return "outbound" if any(leg.trunk is not None for leg in call.legs) else "internal"


def _verdict(call: Call, codes: list[str]) -> str:
    if call.end_code is not None and CATALOGUE[call.end_code].severity == "error":
        return "failed"
    severities = {CATALOGUE[code].severity for code in codes}
    return "failed" if "error" in severities else "degraded" if "warning" in severities else "ok"


WORST = (("mos_min", "mos", min), ("loss_percent_max", "loss_percent", max), ("jitter_ms_max", "jitter_ms", max),
         ("rtt_ms_max", "rtt_ms", max))  # fmt: skip
"""The worst that a leg has been, of which figure."""


def _quality(leg: Leg, now_: Quality, facts: LegFacts | None) -> dict[str, Any]:
    """The figures of now, and the worst of all samples."""
    every = [asdict(one) for _, one in leg.samples] + [asdict(now_)]
    worst: dict[str, Any] = {}
    for name, figure, of in WORST:
        # A figure of 0 is one that was not measured yet.
        measured = [one[figure] for one in every if one[figure]]
        worst[name] = of(measured) if measured else 0.0
    first = facts.first_in_ms if facts is not None and facts.first_in_ms >= 0 else None
    silent = facts.last_in_ms if facts is not None and facts.verdict_in and facts.last_in_ms >= 0 else 0
    return {**asdict(now_), **worst, "first_packet_ms": first, "silent_ms": silent}


def _leg(call: Call, leg: Leg, facts: LegFacts | None, now: float) -> dict[str, Any]:
    quality = facts.quality if facts is not None else leg.quality
    return {
        "leg_ref": leg.ref,
        "role": leg.role,
        "type": "webrtc" if leg.webrtc else "sip",
        "call_direction": call.way_of(leg),
        "sip_call_id": leg.sip_call_id,
        "device_id": None,
        "state": leg.state.value,
        "endpoint_id": leg.account.endpoint_id if leg.account else None,
        "trunk_id": leg.trunk.id or None if leg.trunk else None,
        "user_agent": leg.user_agent,
        "connected_name": leg.connected or None,
        "flow": {
            "transport": leg.flow.transport.value.lower(),
            "source": f"{leg.flow.remote[0]}:{leg.flow.remote[1]}",
            "state": "detached" if leg.detached else "asleep" if leg.asleep else "attached",
            "moves": leg.flow_moves,
        },
        "held_by": "device" if leg.state is LegState.HELD else "api" if leg.held_by_api else None,
        "muted": leg.muted,
        "speaking": call.index.speaks(leg),
        "media": _media(leg, facts),
        "quality": _quality(leg, quality, facts),
        "digits": [{"digit": digit, "duration_ms": ms, "method": method} for digit, ms, method in leg.digits],
        "silence": {"in": facts.verdict_in, "out": facts.verdict_out} if facts else {"in": "", "out": ""},
        "facts": asdict(facts) if facts is not None else None,
        "findings": [_finding(one, leg, now) for one in leg.findings],
        "end_code": leg.end_code,
    }


_KEYS = {KeyKind.DTLS: "dtls-srtp", KeyKind.SDES: "sdes-srtp"}


def _media(leg: Leg, facts: LegFacts | None) -> dict[str, Any]:
    codec = facts.codec_in or facts.codec_out if facts else (leg.chosen[0].name if leg.chosen else None)
    suite = (facts.suite if facts else "") or leg.suite
    seen = facts.video.codec_in if facts is not None and facts.video is not None else ""
    return {
        "codec": codec or None,
        "video_codec": (seen or leg.video_chosen[0].name) if leg.video_chosen else None,
        "codec_out": facts.codec_out if facts else None,
        "direction": leg.direction,
        "encryption": f"{_KEYS.get(leg.offer.keys, '')} {suite}" if suite and leg.offer is not None else None,
        "transcoded": facts.transcoded if facts else False,
        "path": {
            "local": facts.local if facts else leg.path[0],
            "remote": facts.remote if facts else leg.path[1],
            "protocol": "tcp" if leg.over_tcp else "udp",
            "changes": leg.path_changes,
        },
    }


def _finding(one: Finding, leg: Leg, now: float) -> dict[str, Any]:
    row = CATALOGUE[one.code]
    return {
        "code": one.code,
        "severity": row.severity,
        "leg_ref": leg.ref,
        "direction": one.direction,
        "since": iso(one.since, now),
        "until": iso(one.until, now),
        "evidence": {"verdict": one.verdict, **one.evidence},
        "cause": row.cause,
        "remedy": row.remedy,
    }


def diagnosis_of(call: dict[str, Any]) -> dict[str, Any]:
    """What is wrong, in one sentence, with every finding behind it."""
    findings = [one for leg in call["legs"] for one in leg["findings"] if one["until"] is None]
    return {
        "call_ref": call["call_ref"],
        "verdict": call["verdict"],
        "summary": _summary(call, findings),
        "paths": _paths(call),
        "findings": findings,
    }


def _summary(call: dict[str, Any], findings: list[dict[str, Any]]) -> str:
    if call["verdict"] == "failed" and call["explanation"]:
        return f"The call failed: {call['explanation']}"
    bad = [one for one in findings if one["severity"] != "info"]
    if not bad:
        return "Sound flows in both directions." if call["state"] == "talking" else "Nothing is wrong with this call."
    names = {leg["leg_ref"]: call["from"] if leg["role"] == "caller" else call["to"] for leg in call["legs"]}
    parts = []
    for one in bad:
        whose = names.get(one["leg_ref"], "the device")
        who = f"{whose} is not heard" if one["direction"] == "from_device" else f"{whose} hears nothing"
        parts.append(f"{who}: {one['cause'][0].lower()}{one['cause'][1:]}. {one['remedy']}.")
    return " ".join(parts)


def _paths(call: dict[str, Any]) -> list[dict[str, Any]]:
    """Each direction between two legs that talk, or talked last."""
    legs = {leg["leg_ref"]: leg for leg in call["legs"]}
    ended = [leg for leg in call["legs"] if leg["quality"]["packets_in"] or leg["quality"]["packets_out"]][:2]
    pairs = [(leg, legs[leg["peer_ref"]]) for leg in call["legs"] if leg["peer_ref"] in legs]
    if not pairs and len(ended) == 2:
        pairs = [(ended[0], ended[1]), (ended[1], ended[0])]
    alone = [leg for leg in call["legs"] if leg["state"] in ("answered", "held") and leg["peer_ref"] not in legs]
    return [*(_path(one, other) for one, other in pairs), *(_path(one, None) for one in alone)]


def _path(speaker: dict[str, Any], hearer: dict[str, Any] | None) -> dict[str, Any]:
    """From one device to the other, or to us alone."""
    blocked = _blocked(speaker, hearer)
    path = {
        "from": speaker["leg_ref"],
        "to": hearer["leg_ref"] if hearer is not None else None,
        "media": "audio",
        "state": "silent" if blocked else "flowing",
        "packets": speaker["quality"]["packets_in"],
        "blocked_at": blocked,
    }
    if blocked:
        path["expected_since"] = _since(speaker, "from_device") or (_since(hearer, "to_device") if hearer else None)
    return path


def _blocked(speaker: dict[str, Any], hearer: dict[str, Any] | None) -> str | None:
    """Where sound stops: it does not come to us, it is lost between us and the hearer, or we do not send it. Unknown while
    nothing has come and no verdict is there yet, or when the call ended before that."""
    if speaker["silence"]["in"]:
        return "before_offhook"
    if not speaker["quality"]["packets_in"]:
        told = any(one["direction"] == "from_device" for one in speaker["findings"])
        return "before_offhook" if told else "unknown"
    if hearer is None:
        return None
    if hearer["silence"]["out"]:
        return "inside_offhook" if hearer["silence"]["out"] == "no_source" else "after_offhook"
    came, sent = speaker["quality"]["packets_in"], hearer["quality"]["packets_out"]
    return "inside_offhook" if came > MANY and not sent else None


MANY = 100
"""Packets after whose arrival something must have been sent on."""


def _since(leg: dict[str, Any], direction: str) -> str | None:
    open_ = [one["since"] for one in leg["findings"] if one["direction"] == direction and one["until"] is None]
    return open_[0] if open_ else None
