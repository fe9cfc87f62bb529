"""Details of calls for the API: what each leg was like every five seconds, and what calls were like at their end.

Live calls are asked; the last ones that ended are in memory; every other is read from the store, where it is kept for
`logs.call_detail_days` (API.md 12.3).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from offhook.calls.call import Call
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.commands import CallCommand, NoteReport
from offhook.server.recorder import Said
from offhook.server.views import call_view, iso
from offhook.store.call_log import CallLog

REPORTS = 100
"""Reports of pages that are kept of one call: one every five seconds for eight minutes, or a few that matter."""
ALL = 50_000
"""Reports kept in memory of all calls, some 1.5 KB each: two minutes of 2,000 pages. Those of the call that has been silent
the longest go first; what had come before its end is in the store."""


PAGES = frozenset({"microphone_denied", "playback_blocked", "client_overloaded"})
"""Codes that only the page can know; a warning raises the finding, a sample with the code says that it is over."""


class Details:
    """`call` finds a call by any of its refs, live or just ended; `owner` its project; `per_second` calls are kept in detail
    when they end, those with something wrong always. `call_of` finds a live call by a SIP Call-ID, `command` goes to call
    control, `said` to the trace."""

    def __init__(
        self,
        log: CallLog,
        call: Callable[[str], Call | None],
        owner: Callable[[Call], str],
        per_second: float,
        clock: Callable[[], float],
        call_of: Callable[[str], Call | None],
        command: Callable[[CallCommand], None],
        said: Callable[[str, Said], None],
    ) -> None:
        self._log, self._call, self._owner, self._clock = log, call, owner, clock
        self._call_of, self._command, self._said = call_of, command, said
        self._rate, self._tokens, self._at = per_second, max(1.0, per_second), clock()
        self._reports: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._kept = 0

    # ---- the end of a call

    def ended(self, ref: str) -> None:
        """A call is over and its media closed."""
        call = self._call(ref)
        if call is None or not self._may(bool(_wrong(call))):
            return
        view = call_view(call, {}, self._clock())
        document = {"call": view, "samples": self._samples(call), "client_reports": self._reports.get(call.ref, [])}
        self._log.keep(call.ref, self._owner(call), document)

    def _may(self, wrong: bool) -> bool:
        now = self._clock()
        most = max(1.0, self._rate)
        self._tokens, self._at = min(most, self._tokens + (now - self._at) * self._rate), now
        if self._tokens < 1:
            return wrong
        self._tokens -= 1
        return True

    # ---- reading

    async def stored(self, ref: str) -> dict[str, Any] | None:
        """The call as it was at its end, by the id of any of its legs: `call`, `samples`, `client_reports`, `project_id`."""
        return await self._log.details(ref)

    async def samples(self, project: str, ref: str) -> list[dict[str, Any]] | None:
        """One each 5 s of each leg, in order of time; None if no call has this id."""
        call = self._call(ref)
        if call is not None:
            return self._samples(call) if self._owner(call) == project else None
        document = await self._log.details(ref)
        if document is None or document["project_id"] not in (project, ""):
            return None
        samples: list[dict[str, Any]] = document["samples"]
        return samples

    def _samples(self, call: Call) -> list[dict[str, Any]]:
        now = self._clock()
        taken = [(at, leg.ref, quality) for leg in call.legs for at, quality in leg.samples]
        return [
            {"at": iso(at, now), "leg_ref": ref, **asdict(quality)}
            for at, ref, quality in sorted(taken, key=lambda one: (one[0], one[1]))
        ]

    # ---- pages

    def client_report(self, project: str, ref: str, username: str, report: Mapping[str, Any]) -> bool:
        """What a page says; False unless its endpoint takes, or took, part in the call."""
        call = self._call(ref) or self._call_of(str(report.get("sip_call_id") or ""))
        if call is None or self._owner(call) != project:
            return False
        folded = username.casefold()
        theirs = [one for one in call.legs if one.account and (not folded or one.account.username.casefold() == folded)]
        if not theirs:
            return False
        leg = next((one for one in theirs if not one.behind), theirs[0])
        code = report.get("code")
        if code in PAGES:
            self._command(NoteReport(leg.ref, str(code), report.get("kind") == "sample"))
        if report.get("kind") != "sample":
            text = f"the page reports {report.get('kind')}{': ' + str(code) if code else ''}"
            shown = {name: report[name] for name in ("code", "rating", "issues", "stats") if report.get(name)}
            self._said(call.ref, Said("client", leg.ref, text, shown))
        endpoint = leg.account.id if leg.account else None
        self._keep(call.ref, {"at": iso(self._clock(), self._clock()), "endpoint_id": endpoint, **report})
        return True

    def _keep(self, ref: str, report: dict[str, Any]) -> None:
        kept = self._reports.setdefault(ref, [])
        kept.append(report)
        self._kept += 1
        if len(kept) > REPORTS:
            del kept[0]
            self._kept -= 1
        self._reports.move_to_end(ref)
        while self._kept > ALL:
            self._kept -= len(self._reports.popitem(last=False)[1])

    def reports(self, ref: str) -> list[dict[str, Any]]:
        """What pages have said about a call."""
        return self._reports.get(ref, [])


def _wrong(call: Call) -> list[str]:
    return [one.code for leg in call.legs for one in leg.findings if CATALOGUE[one.code].severity != "info"]
