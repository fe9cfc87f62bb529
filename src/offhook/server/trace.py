"""A call's trail in words: rows as API.md 12.4 shows them, and the document that the store keeps.

A document is plain data: {"call_ref", "from", "to", "state", "end_code", "explanation", "started_at", "legs", "dropped",
"data"}. Secrets are gone from it. Ladder and capture file are made from it (ladder.py, pcap.py), so they are the same for a
live call and for one that ended long ago.
"""

import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.call import Call
from offhook.calls.explanation import explanation
from offhook.calls.leg import Leg
from offhook.server.pcap import capture
from offhook.server.recorder import Entry, Said, Strand, Trail
from offhook.server.redaction import without_secrets
from offhook.sip import events as sip
from offhook.sip.flow import Flow

Row = dict[str, Any]


def document(trail: Trail, call: Call | None, epoch: float) -> dict[str, Any]:
    """The whole trace of a call. `epoch` is the Unix time at which the loop's clock showed 0."""
    legs = call.legs if call is not None else []
    return {
        "call_ref": trail.call_ref,
        "from": name_of(call.caller) if call else "",
        "to": call.to_name if call else "",
        "state": call.state.value if call else "ended",
        "end_code": call.end_code if call else None,
        "explanation": explanation(call) if call else "",
        "legs": [_leg(leg) for leg in legs],
        "dropped": trail.dropped,
        "data": _Writer(trail, legs, epoch).rows(),
    }


def pcap(document: dict[str, Any]) -> bytes:
    """The SIP messages of a document as a capture file."""
    messages = [one for one in document["data"] if one["kind"] == "sip" and "raw" in one]
    return capture(
        (
            datetime.fromisoformat(one["at"]).timestamp(),
            _address(one["details"]["source"]),
            _address(one["details"]["destination"]),
            one["raw"].encode(),
        )
        for one in messages
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "leg_ref": leg.ref,
        "role": leg.role,
        "name": name_of(leg),
        "transport": leg.flow.transport.value.lower(),
        "source": f"{leg.flow.remote[0]}:{leg.flow.remote[1]}",
        "end_code": leg.end_code,
    }


def name_of(leg: Leg) -> str:
    """Whose leg it is, in a word: an endpoint, or the number behind a trunk."""
    if leg.account is not None:
        return leg.account.username
    if leg.trunk is not None:
        return f"{leg.shown or 'anonymous'} ({leg.trunk.name})"
    return leg.role


class _Writer:
    """One trail at work: knows which leg and flow things belong to."""

    def __init__(self, trail: Trail, legs: list[Leg], epoch: float) -> None:
        self._trail = trail
        self._epoch = epoch
        by_usage = {leg.usage: leg.ref for leg in legs}
        self._leg_of: dict[int, str] = {}
        for strand in trail.strands.values():
            leg = by_usage.get(strand.usage) if strand.usage is not None else None
            self._know(strand, leg or "")
        self._media = {leg.media.leg: leg.ref for leg in legs if leg.media is not None}
        self._names = {leg.ref: name_of(leg) for leg in legs}
        self._usages = by_usage
        self._flows: dict[str, Flow] = {leg.flow.id: leg.flow for leg in legs}
        for entry in trail.entries():
            if isinstance(entry.a, Flow):
                self._flows.setdefault(entry.a.id, entry.a)

    def _know(self, strand: Strand, leg: str) -> None:
        for entry in strand:
            self._leg_of[entry.number] = leg

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        for entry in self._trail.entries():
            row = self._message(entry) if entry.what in ("in", "out") else self._thing(entry)
            if row is not None:
                rows.append({"at": self._at(entry.at), "seq": len(rows) + 1, **row})
        return rows

    def _at(self, at: float) -> str:
        moment = datetime.fromtimestamp(self._epoch + at, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _message(self, entry: Entry) -> Row:
        text = without_secrets(entry.b).decode("utf-8", "replace")
        flow = entry.a if isinstance(entry.a, Flow) else self._flows.get(entry.a)
        theirs, ours = ("0.0.0.0:0", "0.0.0.0:0") if flow is None else (_host(flow.remote), _host(flow.local))
        source, destination = (theirs, ours) if entry.what == "in" else (ours, theirs)
        return {
            "kind": "sip",
            "leg_ref": self._leg_of.get(entry.number, ""),
            "direction": entry.what,
            "summary": summary_of(text),
            "details": {
                "transport": flow.transport.value if flow is not None else "",
                "source": source,
                "destination": destination,
                "octets": len(entry.b),
            },
            "raw": text,
        }

    def _thing(self, entry: Entry) -> Row | None:
        write = _WORDS.get(type(entry.a))
        if write is None:
            return None
        words = write(self, entry.a)
        if words is None:
            return None
        kind, text = words
        return {
            "kind": kind,
            "leg_ref": self._leg(entry.a),
            "direction": "in" if entry.what == "event" else "out",
            "summary": text,
            "details": _details(entry.a),
        }

    def _leg(self, thing: Any) -> str:
        if isinstance(thing, do.Publish):
            return thing.event.leg_ref
        if isinstance(thing, do.BridgeMedia):
            return self._media.get(thing.a, "")
        usage = getattr(thing, "usage", None)
        if usage is not None:
            return self._usages.get(usage, "")
        media = getattr(thing, "leg", None)
        return self._media.get(media, "") if isinstance(media, int) else getattr(thing, "leg_ref", "")

    def name(self, media: int) -> str:
        """Whose leg of the engine it is."""
        return self._names.get(self._media.get(media, ""), "a device")

    def usage(self, usage: sip.UsageId) -> str:
        """Whose usage it is."""
        return self._names.get(self._usages.get(usage, ""), "a device")


def _host(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


_START = re.compile(r"^(?:SIP/2\.0 (\d{3}) ?([^\r\n]*)|(\S+) (\S+) SIP/2\.0)")
_CSEQ = re.compile(r"(?im)^cseq\s*:\s*(\d+)\s+(\S+)")


def summary_of(text: str) -> str:
    """`INVITE sip:bob@example.com`, or `180 Ringing (INVITE)`."""
    start, cseq = _START.match(text), _CSEQ.search(text)
    if start is None:
        return text.partition("\r\n")[0][:80]
    status, reason, method, uri = start.groups()
    if status is None:
        return f"{method} {uri}"
    return f"{status} {reason} ({cseq.group(2) if cseq else '?'})"


def _details(thing: Any) -> dict[str, Any]:
    if isinstance(thing, Said):
        return thing.details
    if isinstance(thing, do.Publish):
        return dict(thing.event.details)
    if isinstance(thing, did.SilenceFound):
        return {"verdict": thing.verdict, **thing.evidence}
    if isinstance(thing, do.CompleteMedia):
        return {"codecs": [one.name for one in thing.remote.audio], "direction": thing.remote.direction.value}
    if isinstance(thing, did.LegMediaFailed | did.DescriptionRefused | did.PathChanged | did.DigitPressed):
        return {key: value for key, value in asdict(thing).items() if key != "leg"}
    return {}


Words = tuple[str, str]

_TOLD = {
    "call.created": "the call begins",
    "call.ringing": "the caller is told that it rings",
    "call.answered": "answered",
    "call.held": "on hold",
    "call.resumed": "off hold",
    "call.detached": "the connection is gone, the call stands",
    "call.moved": "the device is back on another connection",
    "call.transferred": "transferred",
    "call.digit": "a key was pressed",
    "call.finding_raised": "something is wrong",
    "call.finding_cleared": "that is over",
    "call.ended": "the call ends",
}
"""Events of the API in words; others stand as they are."""

_SILENT = {"in": "is not heard", "out": "hears nothing", "reports": "can send no reports"}
_AGAIN = {"in": "sound again (in)", "out": "sound again (out)", "reports": "reports can come"}


def _timer(_: _Writer, event: did.TimerFired) -> Words:
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(event.key).__name__).lower()
    return "timer", f"{spelled} is over"


def _published(_: _Writer, effect: do.Publish) -> Words:
    details = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in effect.event.details)
    told = _TOLD.get(effect.event.type, effect.event.type)
    return "route", f"{told}{': ' + details if details else ''}"


def _rejected(writer: _Writer, event: sip.InviteRejected) -> Words | None:
    if event.response is not None:
        # The message says it.
        return None
    why = event.failure.value.replace("_", " ") if event.failure is not None else "lost"
    return "timer", f"no answer from {writer.usage(event.usage)}: {why}"


def _bridged(writer: _Writer, effect: do.BridgeMedia) -> Words:
    if effect.a == effect.b:
        return "media", f"{writer.name(effect.a)} hears its own echo"
    return "media", f"{writer.name(effect.a)} and {writer.name(effect.b)} hear each other"


def _offers(offers: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{offer.path.value} {'/'.join(one.name for one in offer.audio[:4])}" for _, offer in offers)


_WORDS: dict[type, Callable[[_Writer, Any], Words | None]] = {
    do.Explain: lambda _, one: ("route", one.text),
    do.Publish: _published,
    do.OpenMedia: lambda _, one: ("media", f"open {len(one.offers)} legs: {_offers(one.offers)}"),
    do.AddMediaLeg: lambda _, one: ("media", f"open a leg: {_offers((('', one.offer),))}"),
    Said: lambda _, one: (one.kind, one.text),
    do.CompleteMedia: lambda w, one: ("sdp", f"{w.name(one.leg)}: {_heard(one.remote)}"),
    do.UpdateMedia: lambda w, one: ("sdp", f"{w.name(one.leg)}: our half changes, {one.offer.direction.value}"),
    do.BridgeMedia: _bridged,
    do.PlayMedia: lambda w, one: ("media", f"{w.name(one.leg)} hears {one.source.value}"),
    do.SendDigits: lambda w, one: ("media", f"{len(one.digits)} digits go to {w.name(one.leg)}"),
    do.CloseMediaLeg: lambda w, one: ("media", f"{w.name(one.leg)}: closed"),
    do.RequestKeyFrame: lambda w, one: ("media", f"{w.name(one.leg)} is asked for a whole picture"),
    did.MediaOpened: lambda _, one: ("media", f"{len(one.legs)} legs are open"),
    did.MediaRefused: lambda _, one: ("media", f"the engine refuses: {one.text} ({one.code})"),
    did.PathChanged: lambda w, one: (
        _path_kind(one),
        f"{w.name(one.leg)}: path {one.local} <-> {one.remote} ({one.reason})",
    ),
    did.KeysReady: lambda w, one: ("dtls", f"{w.name(one.leg)}: keys are there, {one.suite}"),
    did.FirstMedia: lambda w, one: ("media", f"{w.name(one.leg)}: first sound after {one.after_ms} ms"),
    did.MediaStopped: lambda w, one: ("media", f"{w.name(one.leg)}: no packet for {one.silent_ms} ms"),
    did.MediaResumed: lambda w, one: ("media", f"{w.name(one.leg)}: packets are back"),
    did.KeyFrameWanted: lambda w, one: ("media", f"{w.name(one.leg)} should send a whole picture"),
    did.DigitPressed: lambda w, one: (
        "media",
        f"{w.name(one.leg)} pressed a key for {one.duration_ms} ms ({one.method})",
    ),
    did.SilenceFound: lambda w, one: ("media", f"{w.name(one.leg)} {_SILENT.get(one.direction, '')}: {one.verdict}"),
    did.Heard: lambda w, one: ("media", f"{w.name(one.leg)}: {_AGAIN.get(one.direction, '')}"),
    did.LegMediaFailed: lambda w, one: ("media", f"{w.name(one.leg)}: the engine's leg failed, {one.cause}"),
    did.DescriptionRefused: lambda w, one: ("media", f"the engine refuses {w.name(one.leg)}: {one.text} ({one.code})"),
    did.TimerFired: _timer,
    sip.InviteRejected: _rejected,
    sip.AckMissing: lambda w, one: ("timer", f"no ACK came from {w.usage(one.usage)}"),
    sip.DialogLost: lambda w, one: ("timer", f"{w.usage(one.usage)} no longer knows the call"),
}


def _path_kind(event: did.PathChanged) -> str:
    return "ice" if event.reason.startswith("ice") else "media"


def _heard(remote: Any) -> str:
    names = "/".join(one.name for one in remote.audio)
    where = f" at {remote.address}:{remote.port}" if remote.address else ""
    return f"takes {names}{where}, {remote.direction.value}"
