"""By which way a call came here: History-Info (RFC 7044) and Diversion (RFC 5806), read, written, converted (RFC 7544)."""

from dataclasses import dataclass
from urllib.parse import quote, unquote

from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, readable_list
from offhook.sip.message import Headers
from offhook.sip.uri import Uri

ALWAYS, BUSY, NO_ANSWER, UNREACHABLE, DEFLECTED = 302, 486, 408, 503, 480
"""Causes of RFC 4458 section 2: why a call left one target for the next."""

_REASONS = {ALWAYS: "unconditional", BUSY: "user-busy", NO_ANSWER: "no-answer", UNREACHABLE: "unavailable",
            404: "unavailable", DEFLECTED: "deflection", 487: "deflection"}  # fmt: skip
_CAUSES = {"unconditional": ALWAYS, "user-busy": BUSY, "no-answer": NO_ANSWER, "unavailable": UNREACHABLE,
           "deflection": DEFLECTED, "do-not-disturb": BUSY}  # fmt: skip

MOST = 20
"""Entries read of a message: more are of no use to anybody, and a loop is found by its names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One target the call had: its address, and the cause for which it left it (0: it is the present one)."""

    address: str
    cause: int = 0
    private: bool = False


History = tuple[Entry, ...]


def read(headers: Headers) -> History:
    """What the fields tell, the oldest target first; History-Info counts before Diversion. Unreadable ones are left out."""
    lines = [value for line in headers.all("History-Info") for value in readable_list(line)]
    if lines:
        found = [entry for value in lines[:MOST] if (entry := _of_history(value)) is not None]
        # The last entry is whom the request is for; only those it has left are history.
        return tuple(found[:-1])
    lines = [value for line in headers.all("Diversion") for value in readable_list(line)]
    return tuple(entry for value in lines[:MOST][::-1] if (entry := _of_diversion(value)) is not None)


def _of_history(value: str) -> Entry | None:
    try:
        uri = parse_name_addr(value).uri
    except PeerError:
        return None
    said = {name.lower(): unquote(text) for name, _, text in (one.partition("=") for one in uri.headers.split("&"))}
    cause = _number_after(said.get("reason", ""), "cause=") or ALWAYS
    private = "history" in said.get("privacy", "").lower()
    return Entry(_bare(uri), cause, private)


def _of_diversion(value: str) -> Entry | None:
    try:
        name = parse_name_addr(value)
    except PeerError:
        return None
    cause = _CAUSES.get((name.params.get("reason") or "").lower(), ALWAYS)
    return Entry(_bare(name.uri), cause, name.params.get("privacy") not in (None, "off"))


def _bare(uri: Uri) -> str:
    return f"{uri.scheme}:{uri.user or ''}" if uri.scheme == "tel" else f"sip:{uri.user or ''}@{uri.host}"


def _number_after(text: str, mark: str) -> int:
    digits = text.partition(mark)[2][:3]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def history_info(history: History, target: str) -> list[tuple[str, str]]:
    """One field with every target that was left and the present one; none while the call came straight."""
    if not history:
        return []
    values, index, cause = [], "1", 0
    for entry in history:
        marks = [f"Reason={quote(f'SIP;cause={entry.cause}', safe='')}"]
        marks += ["Privacy=history"] if entry.private else []
        values.append(_value(f"{_address(_with_host(entry.address, target), cause)}?{'&'.join(marks)}", index))
        index, cause = f"{index}.1", entry.cause
    values.append(_value(_address(target, cause), index))
    return [("History-Info", ", ".join(values))]


def _with_host(address: str, target: str) -> str:
    """A tel URI has no place for the Reason (RFC 3966), so a number is written as a SIP URI of the target's host."""
    if not address.startswith("tel:"):
        return address
    return f"sip:{address.removeprefix('tel:')}@{target.rpartition('@')[2].partition(';')[0]};user=phone"


def _address(address: str, cause: int) -> str:
    return f"{address};cause={cause}" if cause else address


def _value(address: str, index: str) -> str:
    # RFC 7044 section 5: mp names the entry that this one was mapped from.
    parent = index.rpartition(".")[0]
    return f"<{address}>;index={index}" + (f";mp={parent}" if parent else "")


def diversion(history: History) -> list[tuple[str, str]]:
    """The same for peers that know only Diversion, the newest first."""
    return [
        ("Diversion", f"<{entry.address}>;reason={_REASONS.get(entry.cause, 'unknown')}"
         + (";privacy=full" if entry.private else ""))
        for entry in reversed(history)
    ]  # fmt: skip
