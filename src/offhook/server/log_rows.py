"""Rows of the call log: from call control's records to the table, and from there to the API (API.md section 9)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from offhook.api.times import milliseconds, seconds
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.effects import CallRecord
from offhook.calls.program import STATUS

TIMES = {"began_at": "began_at", "rang_at": "ringing_at", "answered_at": "answered_at", "left_at": "left_at"}
"""Times of a record on the core's clock, and their names in the table, as ISO 8601."""


def row_of(leg_ref: str, record: CallRecord, facts: dict[str, Any], epoch: float, project: str) -> dict[str, Any]:
    """The values of one leg. `epoch` is the Unix time at which the clock of the record began."""

    def moment(at: float) -> datetime:
        return datetime.fromtimestamp(epoch + at, UTC)

    told = dict(facts)
    for name, shown in TIMES.items():
        at = told.pop(name, None)
        told[shown] = milliseconds(moment(at)) if at is not None else None
    code = facts.get("end_code") or "hangup"
    row = CATALOGUE.get(code)
    reason = facts.get("end_reason") or (row.end if row is not None and row.end else "error")
    told |= {"end_code": code, "end_reason": reason}
    if told.get("sip_code") is None and told.get("answered_at") is not None:
        # Who answers by himself, as a built-in destination does, has no response of his own.
        told["sip_code"] = 200
    began, left = facts.get("began_at"), facts.get("left_at")
    return {
        "leg_ref": leg_ref,
        "call_ref": record.call_ref,
        "started_at": moment(began if began is not None else record.created_at),
        "ended_at": moment(left if left is not None else record.ended_at),
        "record": told,
        "project_id": project,
        "direction": facts.get("direction") or "inbound",
        "status": STATUS.get(reason, "failed"),
        "sender": str(facts.get("from") or "")[:320],
        "recipient": str(facts.get("to") or "")[:320],
        "endpoint_id": facts.get("endpoint_id"),
        "device_id": facts.get("device_id"),
        "trunk_id": facts.get("trunk_id"),
        "end_code": code,
        "mos": facts.get("mos") or None,
        "discarded_at": None,
    }


KINDS = {"ws": "relay_webrtc_call", "wss": "relay_webrtc_call"}


def kind_of(transport: str | None, trunk_id: str | None) -> str:
    """The type of a leg in the words of section 8."""
    return "relay_pstn_call" if trunk_id else KINDS.get(transport or "", "relay_sip_call")


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row as the API shows it."""
    started = _utc(row["started_at"])
    if row["discarded_at"] is not None:
        return {
            "id": row["leg_ref"],
            "discarded_at": seconds(_utc(row["discarded_at"])),
            "created_at": seconds(started),
        }
    record = row["record"]
    answered, ended = _read(record.get("answered_at")), _utc(row["ended_at"])
    talked = int((ended - answered).total_seconds() * 1000) if answered is not None else 0
    return {
        "id": row["leg_ref"],
        "from": row["sender"] if row["sender"] is not None else record.get("from"),
        "to": row["recipient"] if row["recipient"] is not None else record.get("to"),
        "direction": row["direction"] or "inbound",
        "status": row["status"] or "completed",
        "type": kind_of(record.get("transport"), row["trunk_id"] or record.get("trunk_id")),
        "source": "realtime_api" if row["direction"] == "outbound-api" else None,
        "url": None,
        "parent_id": row["call_ref"] if row["call_ref"] != row["leg_ref"] else None,
        "duration": talked // 1000,
        "duration_ms": talked,
        "billing_ms": talked,
        "charge": 0.0,
        "charge_details": [],
        "created_at": seconds(started),
        "offhook": _own(row, record, started, answered, ended),
    }


def _own(
    row: Mapping[str, Any], record: Mapping[str, Any], started: datetime, answered: datetime | None, ended: datetime
) -> dict[str, Any]:
    names = (
        "end_code", "end_reason", "sip_code", "sip_reason", "sip_call_id", "endpoint_id", "trunk_id", "user_agent",
        "codec", "encryption", "transport",
    )  # fmt: skip
    return {
        "call_ref": row["call_ref"],
        **{name: record.get(name) for name in names},
        "device_id": record.get("device_id"),
        "ended_by": record.get("ended_by") or None,
        "ringing_at": record.get("ringing_at"),
        "answered_at": record.get("answered_at"),
        "ended_at": milliseconds(ended),
        "setup_ms": int((answered - started).total_seconds() * 1000) if answered is not None else None,
        "findings": record.get("findings") or [],
        "quality": record.get("quality") or {},
        "explanation": record.get("text") or None,
    }


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
