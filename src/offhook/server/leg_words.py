"""A leg in the words of webhooks: JSON events, form callbacks, requests for documents (API.md 10.1, 10.2, 10.4).

Lives here: from call control's report to plain fields. Never here: signatures and delivery (signing.py, outbox.py).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from offhook.calls.program import STATUS
from offhook.calls.reports import LegReport
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr
from offhook.sip.response import phrase
from offhook.sip.uri import parse_uri

API_VERSION = "2010-04-01"


class Words:
    """`epoch` is the Unix time at which the core's clock began; `node` and `space` are this server's."""

    def __init__(self, epoch: float, node: str, space: str) -> None:
        self._epoch, self._node, self._space = epoch, node, space

    def at(self, moment: float | None) -> float | None:
        """A time on the core's clock as Unix time."""
        return None if moment is None else round(self._epoch + moment, 3)

    # ---- JSON

    def state_event(self, leg: LegReport, project: str, now: float, event_id: str, sequence: int) -> dict[str, Any]:
        """`calling.call.state`."""
        ended = leg.state == "ended"
        params = self._params(leg) | {"call_state": leg.state, "end_reason": leg.end_reason if ended else None}
        if not ended:
            del params["end_reason"]
        own: dict[str, Any] = {"event_id": event_id, "sequence": sequence, "call_ref": leg.call_ref}
        if ended:
            own |= {"end_code": leg.end_code, "sip_code": leg.sip_code or None}
            if leg.quality is not None:
                own["quality"] = {"mos": leg.quality.mos, "loss_percent": leg.quality.loss_percent}
        return self._event("calling.call.state", project, now, params, own)

    def other_event(
        self,
        kind: str,
        leg: LegReport,
        details: Mapping[str, str],
        project: str,
        now: float,
        event_id: str,
        sequence: int,
    ) -> dict[str, Any]:
        """`calling.call.refer`, `calling.call.record`, `calling.call.stream` and `calling.call.user_event`."""
        params = self._params(leg)
        if kind == "refer":
            params["state"] = details["state"]
            params["sip_refer_response_code"] = _number(details["response"])
            params["sip_notify_response_code"] = _number(details["notify"])
        elif kind in ("stream", "record"):
            params |= details
        else:
            params["event"] = details["event"]
        own = {"event_id": event_id, "sequence": sequence, "call_ref": leg.call_ref}
        return self._event(f"calling.call.{kind}", project, now, params, own)

    def _event(
        self, type_: str, project: str, now: float, params: dict[str, Any], own: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "event_type": type_,
            "event_channel": f"project:{project}",
            "timestamp": self.at(now),
            "project_id": project,
            "space_id": self._space,
            "params": params,
            "offhook": own,
        }

    def _params(self, leg: LegReport) -> dict[str, Any]:
        params: dict[str, Any] = {
            "call_id": leg.leg_ref,
            "node_id": self._node,
            "segment_id": leg.leg_ref,
            "tag": None,
            "direction": "inbound" if leg.way == "inbound" else "outbound",
            "device": {"type": _device(leg), "params": _ends(leg)},
            "parent": self._other(leg.parent),
            "peer": self._other(leg.peer),
            "start_time": self.at(leg.began_at),
        }
        if leg.answered_at is not None:
            params["answer_time"] = self.at(leg.answered_at)
        if leg.ended_at is not None:
            params["end_time"] = self.at(leg.ended_at)
        return params

    def _other(self, ref: str) -> dict[str, str] | None:
        return {"call_id": ref, "node_id": self._node} if ref else None

    # ---- forms

    def callback(self, leg: LegReport, project: str, now: float, sequence: int, sids: bool) -> dict[str, str]:
        """A status callback; a field without a value is left out."""
        fields = self._identity(leg, project, sids) | {
            "CallerName": leg.name,
            "ForwardedFrom": leg.forwarded_from,
            "Timestamp": format_datetime(datetime.fromtimestamp(self._epoch + now, UTC)),
            "SequenceNumber": str(sequence),
            "CallbackSource": "call-progress-events",
        }
        if leg.state == "ended":
            talked = leg.ended_at - leg.answered_at if leg.ended_at is not None and leg.answered_at is not None else 0.0
            fields |= {
                "CallDuration": str(round(talked)),
                "SipResultCode": str(leg.sip_code or ""),
                "SipInviteResultPhrase": leg.sip_text or (phrase(leg.sip_code) if leg.sip_code else ""),
                "OffhookEndCode": leg.end_code,
                **_sound(leg),
            }
        return {name: value for name, value in fields.items() if value != ""}

    def document_form(self, leg: LegReport, project: str, sids: bool = False) -> dict[str, str]:
        """The request for a cXML document."""
        fields = self._identity(leg, project, sids)
        if leg.kind != "phone":
            fields |= {"SipCallId": leg.sip_call_id, "SipSourceIp": leg.source, **_sip_parts(leg)}
            fields |= {f"SipHeader_{name}": value for name, value in leg.fields}
        return {name: value for name, value in fields.items() if value != ""}

    def _identity(self, leg: LegReport, project: str, sids: bool) -> dict[str, str]:
        return {
            "AccountSid": sid("AC", project, sids),
            "ApiVersion": API_VERSION,
            "CallSid": sid("CA", leg.leg_ref, sids),
            "ParentCallSid": sid("CA", leg.parent, sids) if leg.parent else "",
            "CallStatus": call_status(leg),
            "Direction": leg.way,
            "From": leg.from_,
            "To": leg.to,
        }

    # ---- the request for SWML

    def document_json(self, leg: LegReport, project: str) -> dict[str, Any]:
        """The body that asks for a SWML document."""
        call: dict[str, Any] = {
            "call_id": leg.leg_ref,
            "node_id": self._node,
            "segment_id": leg.leg_ref,
            "call_state": leg.state,
            "direction": "inbound" if leg.way == "inbound" else "outbound",
            "type": leg.kind,
            "from": leg.from_,
            "to": leg.to,
            "headers": [{"name": name, "value": value} for name, value in leg.fields],
            "project_id": project,
            "space_id": self._space,
        }
        if leg.from_.startswith("+"):
            call["from_number"] = leg.from_
        if leg.to.startswith("+"):
            call["to_number"] = leg.to
        if leg.parent:
            call["parent"] = self._other(leg.parent)
        if leg.peer:
            call["peer"] = self._other(leg.peer)
        if leg.kind != "phone":
            call["sip_data"] = _sip_data(leg)
        return {"call": call, "vars": {}, "envs": dict(leg.variables), "params": {}}


def sid(letters: str, id_: str, wanted: bool) -> str:
    """An id as the caller of this API writes it: two letters and 32 digits (13.5), or the bare UUID."""
    return f"{letters}{id_.replace('-', '')}" if wanted else id_


def call_status(leg: LegReport) -> str:
    """The word of `CallStatus` (API.md 8.3)."""
    if leg.state == "ended":
        return STATUS.get(leg.end_reason, "failed")
    if leg.state in ("answered", "ending"):
        return "in-progress"
    return "ringing" if leg.state == "ringing" else "initiated" if leg.state == "created" else leg.state


def _device(leg: LegReport) -> str:
    return leg.kind


def _ends(leg: LegReport) -> dict[str, str]:
    ends = {"from": leg.from_, "to": leg.to}
    return ends | {"from_number": leg.from_, "to_number": leg.to} if leg.kind == "phone" else ends


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _sip_parts(leg: LegReport) -> dict[str, str]:
    """User and host of the other end's address."""
    host = user = ""
    try:
        uri = parse_uri(leg.uri or (leg.to if leg.to.startswith(("sip:", "sips:")) else f"sip:{leg.to}"))
        host, user = uri.host, uri.unescaped_user
    except PeerError:
        pass
    return {"SipDomain": host, "SipUsername": user}


def _sip_data(leg: LegReport) -> dict[str, str]:
    parts = {"sip_call_id": leg.sip_call_id}
    came = {name.lower(): value for name, value in leg.addresses}
    named = {"req": leg.uri, "from": leg.from_, "to": leg.to, "contact": "", **came}
    for side, text in named.items():
        if ":" not in text:
            parts[f"sip_{side}_user"] = text
            continue
        try:
            uri = parse_name_addr(text).uri
        except PeerError:
            continue
        parts |= {f"sip_{side}_uri": str(uri), f"sip_{side}_user": uri.unescaped_user, f"sip_{side}_host": uri.host}
        parts[f"sip_{side}_port"] = str(uri.port or "")
    return {name: value for name, value in parts.items() if value}


def _sound(leg: LegReport) -> dict[str, str]:
    one, more = leg.quality, leg.sound
    if one is None or more is None:
        return {}
    return {
        "AudioInMos": f"{one.mos:.2f}",
        "AudioInMediaPacketCount": str(one.packets_in),
        "AudioInSkipPacketCount": str(one.lost_in),
        "AudioInFlushPacketCount": str(one.late_in),
        "AudioInJitterMinVariance": f"{more.jitter_min:.2f}",
        "AudioInJitterMaxVariance": f"{more.jitter_max:.2f}",
        "AudioInLargestJbSize": str(more.buffer_max),
        "AudioInAveragePtime": str(more.ptime),
        "AudioInDtmfPacketCount": str(one.dtmf_in),
        "AudioOutMediaPacketCount": str(one.packets_out),
        "AudioOutDtmfPacketCount": str(one.dtmf_out),
    }
