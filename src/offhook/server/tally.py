"""What is counted while the server works (API.md 12.6): plain numbers in dictionaries, because a message costs microseconds.

Lives here: counting. Never here: how the numbers are shown (metrics.py).
"""

from collections import Counter
from typing import Any

from offhook.calls.catalogue import CATALOGUE
from offhook.calls.effects import CallRecord, Happened
from offhook.sip.message import Message, Request, Response

METHODS = frozenset(
    {"INVITE", "ACK", "CANCEL", "BYE", "REGISTER", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE"}
    | {"MESSAGE", "PUBLISH"}
)
OTHER = "other"
"""Methods that a stranger invents are one."""
SETUP = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
"""Seconds from the INVITE to the answer: machines answer in tenths, people in some seconds."""
SCORES = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.2, 4.4)
"""Mean opinion scores; 3.0 is where people complain, 4.4 is what G.711 can reach."""
ANSWERS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
"""Seconds of a REST request; long polls of events wait up to 30."""


class Spread:
    """A histogram: how many values are at most each limit, and their sum."""

    def __init__(self, limits: tuple[float, ...]) -> None:
        self.limits = limits
        self.counts = [0] * (len(limits) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Counts one value."""
        at = next((index for index, limit in enumerate(self.limits) if value <= limit), len(self.limits))
        self.counts[at] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """(limit, values up to it), as Prometheus wants them."""
        total, found = 0, []
        for limit, count in zip((*self.limits, float("inf")), self.counts, strict=True):
            total += count
            found.append(("+Inf" if limit == float("inf") else str(limit), float(total)))
        return found


class Tally:
    """One of each server."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str, str]] = Counter()
        """By method, status ("" for requests) and direction."""
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.findings: Counter[str] = Counter()
        self.packets: Counter[str] = Counter()
        self.lost = 0
        self.unread = 0
        """Datagrams that this machine dropped before the engine read them."""
        self.webhooks_failed = 0
        self.setup = Spread(SETUP)
        self.scores = Spread(SCORES)
        self.requests: Counter[tuple[str, str]] = Counter()
        """REST requests by family and status."""
        self.answers = Spread(ANSWERS)

    def message(self, message: Message, direction: str) -> None:
        """One SIP message, `in` or `out`."""
        if isinstance(message, Request):
            method, status = message.method, ""
        else:
            method, status = (message.headers.get("CSeq") or "").rpartition(" ")[2], str(message.status)
            if direction == "out" and message.status >= 300:
                self._refusal(message)
        self.messages[(method if method in METHODS else OTHER, status, direction)] += 1

    def refreshed(self) -> None:
        """One REGISTER and its 200, neither of which was taken apart."""
        self.messages["REGISTER", "", "in"] += 1
        self.messages["REGISTER", "200", "out"] += 1

    def _refusal(self, response: Response) -> None:
        """What we refuse says why in Warning."""
        slug = (response.headers.get("Warning") or "").partition('"')[2].partition(" ")[0]
        code = slug.strip('"').replace("-", "_")
        if code in CATALOGUE:
            self.refused[code] += 1

    def happened(self, event: Happened) -> None:
        """Something that call control tells."""
        if event.type == "call.finding_raised":
            self.findings[dict(event.details).get("code", OTHER)] += 1

    def call_ended(self, record: CallRecord) -> None:
        """One call with the records of its legs."""
        legs = [facts for _, facts in record.legs]
        caller = next((one for one in legs if one.get("role") == "caller"), legs[0] if legs else {})
        self.ended[caller.get("end_code") or "hangup"] += 1
        if caller.get("answered_at") is not None:
            began = caller.get("began_at")
            self.setup.add(max(0.0, caller["answered_at"] - (began if began is not None else record.created_at)))
        for one in legs:
            self._media(one.get("quality") or {})

    def _media(self, quality: dict[str, Any]) -> None:
        self.packets["in"] += quality.get("packets_in", 0)
        self.packets["out"] += quality.get("packets_out", 0)
        self.lost += quality.get("lost_in", 0)
        if quality.get("mos"):
            self.scores.add(quality["mos"])

    def answered(self, family: str, status: int, seconds: float) -> None:
        """One REST request."""
        self.requests[(family, str(status))] += 1
        self.answers.add(seconds)
