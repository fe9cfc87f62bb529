"""Trunks as the API shows them (API.md 12.1)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from offhook.api.times import milliseconds
from offhook.calls.health import SET_ASIDE
from offhook.calls.trunk_day import Day
from offhook.calls.trunks import TrunkState
from offhook.sip.registration import LineState

NOT_RUNNING: dict[str, Any] = {
    "state": "unknown",
    "since": None,
    "code": None,
    "text": None,
    "channels": {"in": 0, "out": 0},
    "calls_per_second": 0.0,
    "last_24h": Day().sums(0.0),
    "targets": [],
    "registration": {"state": "off", "expires_at": None, "sip_code": None, "sip_reason": None, "code": None},
}
"""Before a trunk is in service."""


def status_of(state: TrunkState, now: float, elsewhere: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """`status` of one trunk; `now` is the core's clock, `elsewhere` counts calls in and out that other nodes have of it."""
    line, usage = state.line, state.usage
    return {
        "state": state.state,
        "since": _wall(state.since, now),
        "code": state.code or None,
        "text": _words(state, now),
        "channels": {"in": len(usage.legs_in) + elsewhere[0], "out": len(usage.legs_out) + elsewhere[1]},
        "calls_per_second": usage.per_second(now),
        "last_24h": state.day.sums(now),
        "targets": [
            {
                "uri": place.uri,
                "address": f"{hop.address}:{hop.port}",
                "transport": hop.transport.value.lower(),
                "state": {True: "up", False: "down", None: "unknown"}[place.up],
                "rtt_ms": round(place.rtt * 1000, 1) if place.rtt is not None else None,
                "last_ok_at": _wall(place.last_ok, now),
                "failures": place.failures,
                "code": place.said or None,
            }
            for hop, place in state.health.places.items()
        ],
        "registration": {
            "state": line.state.value,
            "expires_at": _wall(line.expires_at, now) if line.state is LineState.REGISTERED else None,
            "sip_code": line.status or None,
            "sip_reason": line.reason or None,
            "code": line.code or None,
        },
    }


def _words(state: TrunkState, now: float) -> str:
    """One sentence for people (TRK-1)."""
    line = state.line
    said = f" ({line.status} {line.reason})" if line.status else f" ({line.reason})" if line.reason else ""
    match state.state:
        case "disabled":
            return "switched off"
        case "unknown":
            return "nothing has been heard yet"
        case "up":
            return "registered" if line.state is LineState.REGISTERED else "answers"
        case _ if line.code:
            return f"registration failed{said}"
        case _ if state.code == SET_ASIDE:
            waiting = [(str(hop), place.aside_until) for hop, place in state.health.places.items()]
            asked = [f"{hop} for {round(until - now)} s more" for hop, until in waiting if until is not None]
            return f"refused a call with 503 and asked for none to {', '.join(asked)}"
        case _:
            down = [f"{hop}" for hop, place in state.health.places.items() if place.up is False]
            return f"no answer from {', '.join(down)}"


def _wall(at: float | None, now: float) -> str | None:
    if at is None:
        return None
    return milliseconds(datetime.now(UTC) + timedelta(seconds=at - now))
