"""Keeps the session timer of one INVITE usage (RFC 4028): refreshes in time, ends what nobody refreshes.

Lives here: when something is due, and the requests that refresh. Never here: what is negotiated (session_timer.py).
"""

from typing import TYPE_CHECKING

from offhook.sip.effects import Deliver
from offhook.sip.events import SessionRefreshDue
from offhook.sip.glare import pause
from offhook.sip.message import Request, Response
from offhook.sip.session_timer import Fields, SessionTimer
from offhook.sip.timers import Timer
from offhook.sip.transaction.machine import Effect

if TYPE_CHECKING:
    from offhook.sip.invite_usage import InviteUsage

OWN = 0
"""Number under which the usage's clock knows these timers: no INVITE of either side has it."""
LAST_TRY = 2.0
"""Seconds before the end within which a refused refresh is not tried again."""

TELLS_NOTHING = frozenset({408, 481, 491, 502, 503, 504})
"""Refusals that come from where the dialog is unknown, from a machine on the way, or that pass by themselves."""


class SessionKeeper:
    """Part of a usage, which it is given each time: one that it kept would not be free at once when it is done."""

    def __init__(self, usage: "InviteUsage") -> None:
        config = usage.core.config
        self.timer = SessionTimer(config.session_expires, config.min_se, usage.flow.transport.websocket)
        self._paused = False
        self._wait = 0.0
        self._left = 0.0

    # ---- terms

    def answer(self, usage: "InviteUsage", request: Request) -> tuple[Fields, list[Effect]]:
        """The fields of a 2xx of ours to INVITE or UPDATE, and the clocks that it sets."""
        fields = self.timer.answer(request)
        return fields, self._arm(usage)

    def accepted(self, usage: "InviteUsage", response: Response) -> list[Effect]:
        """A 2xx to an INVITE or UPDATE of ours."""
        self.timer.accepted(response)
        return self._arm(usage)

    # ---- clocks

    def pause(self, usage: "InviteUsage") -> list[Effect]:
        """LIVE-2: while the device is away nobody can refresh, so nothing is due either."""
        self._paused = True
        return self._stop(usage)

    def resume(self, usage: "InviteUsage") -> list[Effect]:
        """The device is back: the clocks begin anew."""
        self._paused = False
        return self._arm(usage) if self.timer.terms is not None else []

    def _arm(self, usage: "InviteUsage") -> list[Effect]:
        terms = self.timer.terms
        effects = self._stop(usage)
        if terms is None or self._paused or not usage.established:
            # An UPDATE in the early dialog names terms too; there is no session to expire yet.
            return effects
        self._left = terms.expiry
        effects.append(usage.start_timer(OWN, Timer.SESSION, terms.expiry))
        if terms.ours:
            effects += self._later(usage, terms.refresh(usage.takes("UPDATE")))
        return effects

    def _later(self, usage: "InviteUsage", seconds: float) -> list[Effect]:
        self._wait = seconds
        return [usage.start_timer(OWN, Timer.REFRESH, seconds)]

    def _stop(self, usage: "InviteUsage") -> list[Effect]:
        return [*usage.stop_timer(OWN, Timer.REFRESH), *usage.stop_timer(OWN, Timer.SESSION)]

    # ---- what is due

    def confirmed(self, usage: "InviteUsage") -> list[Effect]:
        """LIVE-11: a page that offered less than we do, or kept the duty, is asked at once to leave it to us."""
        terms = self.timer.terms
        if terms is None or not terms.spoken or not usage.flow.transport.websocket or not usage.takes("UPDATE"):
            return []
        if terms.ours and terms.interval >= self.timer.expires:
            return []
        return usage.refresh(self.timer.ask(self.timer.expires, take=True))

    def due(self, usage: "InviteUsage") -> list[Effect]:
        """We refresh now, or as soon as what is under way is done; any 2xx to it sets the clocks anew."""
        self._left -= self._wait
        if usage.negotiating:
            return self._again(usage, pause(usage.owns_call_id, usage.core.ids))
        if usage.takes("UPDATE"):
            return usage.refresh(self.timer.ask())
        # Refused or not answered in time it is tried once more before the end.
        return [*self._again(usage, self._left / 2), Deliver(SessionRefreshDue(usage.id))]

    def answers(self, usage: "InviteUsage", response: Response) -> list[Effect] | None:
        """A peer that keeps no timer has no duty to take a refresh: one that refuses INVITE or UPDATE is alive, which is all
        that we asked. None if the refusal does not tell so."""
        terms = self.timer.terms
        watched = terms is not None and not terms.spoken
        return self._arm(usage) if watched and response.status not in TELLS_NOTHING else None

    def refused(self, usage: "InviteUsage", response: Response) -> list[Effect]:
        """The peer did not take the refresh, which by itself ends nothing."""
        alive = self.answers(usage, response)
        if alive is not None:
            return alive
        if response.status == 491:
            return self._again(usage, pause(usage.owns_call_id, usage.core.ids))
        return self._again(usage, self._left / 2)

    def _again(self, usage: "InviteUsage", seconds: float) -> list[Effect]:
        if self._paused or self._left - seconds < LAST_TRY:
            return []
        return self._later(usage, seconds)
