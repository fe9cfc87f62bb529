"""Legs as section 8 of API.md shows them: live ones, those that wait to be placed, and those that have ended."""

import time
from datetime import UTC, datetime
from typing import Any

from offhook.api.times import seconds
from offhook.calls.addresses import shown, uri_of
from offhook.calls.call import Call
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.commands import Place
from offhook.calls.leg import Leg, LegState
from offhook.calls.program import STATUS
from offhook.calls.reports import kind_in, sip_code, state_of

TYPES = {"webrtc": "relay_webrtc_call", "sip": "relay_sip_call", "phone": "relay_pstn_call"}
ENDS = {"completed": "completed", "canceled": "canceled"}
"""Statuses of the log that an ended leg keeps; every other failed."""


def leg_view(call: Call, leg: Leg, now: float) -> dict[str, Any]:
    """One leg of a call, live or just ended."""
    ended = leg.state is LegState.ENDED
    code = (leg.end_code or call.end_code or "hangup") if ended else None
    talked = None
    if ended:
        end = leg.ended_at if leg.ended_at is not None else call.ended_at if call.ended_at is not None else now
        talked = int((end - leg.answered_at) * 1000) if leg.answered_at is not None else 0
    began = leg.began_at if leg.began_at is not None else call.created_at
    return _object(
        id=leg.ref,
        from_=leg.from_name or call.from_name,
        to=leg.to_name or call.to_name,
        direction=call.way_of(leg),
        status=_ended(call, leg, code) if code is not None else state_of(leg),
        type_=TYPES[kind_in(call, leg)],
        url=call.placed.url or None if call.placed is not None and leg is call.caller else None,
        parent=call.ref if leg is not call.caller else None,
        talked=talked,
        created=datetime.fromtimestamp(time.time() - (now - began), UTC),
        own={"call_ref": call.ref, "end_code": code, "sip_code": sip_code(leg) or None},
    )


def _ended(call: Call, leg: Leg, code: str) -> str:
    row = CATALOGUE.get(code)
    reason = leg.end_reason or call.end_reason or (row.end if row is not None and row.end else "error")
    return ENDS.get(STATUS.get(reason, "failed"), "failed")


def queued_view(command: Place, domain: str) -> dict[str, Any]:
    """A call that waits to be placed."""
    uri = uri_of(command.to, domain)
    phone = command.to.startswith("+")
    return _object(
        id=command.call_ref,
        from_=command.from_,
        to=shown(uri) if uri is not None else command.to,
        direction="outbound-api",
        status="queued",
        type_=TYPES["phone" if phone else "sip"],
        url=command.link.url if command.link is not None else None,
        parent=None,
        talked=None,
        created=datetime.now(UTC),
        own={"call_ref": command.call_ref, "end_code": None, "sip_code": None},
    )


def logged_view(row: dict[str, Any]) -> dict[str, Any]:
    """A leg of the log (log_rows.shown), in the words of this section."""
    own = row["offhook"]
    kept = {name: own[name] for name in ("call_ref", "end_code", "sip_code")}
    return {**row, "status": ENDS.get(row["status"], "failed"), "offhook": kept}


def _object(
    *,
    id: str,
    from_: str,
    to: str,
    direction: str,
    status: str,
    type_: str,
    url: str | None,
    parent: str | None,
    talked: int | None,
    created: datetime,
    own: dict[str, Any],
) -> dict[str, Any]:
    return {
        "id": id,
        "from": from_,
        "to": to,
        "direction": direction,
        "status": status,
        "type": type_,
        "source": "realtime_api" if direction == "outbound-api" else None,
        "url": url,
        "parent_id": parent,
        "duration": talked // 1000 if talked is not None else None,
        "duration_ms": talked,
        "billing_ms": talked,
        "charge": 0.0,
        "charge_details": [],
        "created_at": seconds(created),
        "offhook": own,
    }
