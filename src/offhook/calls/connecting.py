"""A document's step that calls others for its leg: group after group, all of a group at once (API.md 8.4).

Lives here: the waiter of those forks, and what the leg hears meanwhile. Never here: which step comes next (program.py).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offhook.calls import answering, bridge, early, fork, places, seeking
from offhook.calls.call import Call, CallState, Effects
from offhook.calls.conference import as_focus
from offhook.calls.description import speech_of
from offhook.calls.document import Connect, DialTarget
from offhook.calls.fork import Fork
from offhook.calls.leg import Leg
from offhook.calls.outcome import COMPLETED_ELSEWHERE, Outcome, best, refusal
from offhook.calls.ports import SourceKind
from offhook.calls.routing import conference_of
from offhook.sip.message import Response

if TYPE_CHECKING:
    from offhook.calls.program import Program


@dataclass(slots=True, eq=False)
class Connecting:
    """Waiter of every fork of one step; `left` are the groups to come, `forks` those that ring."""

    program: "Program"
    step: Connect
    left: list[tuple[DialTarget, ...]]
    forks: list[Fork] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def ringing(self, call: Call, fork_: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """An unanswered leg hears what a caller hears (CALL-6); an answered one early media in the place of ringback."""
        places.rang(fork_)
        others = [one for one in self.forks if one is not fork_]
        if any(one.ear is not None for one in others):
            return []
        if not self.program.leg.confirmed:
            fork_.ringing_told = fork_.ringing_told or any(one.ringing_told for one in others)
            return early.ringing(call, fork_, leg, response)
        told: Effects = [] if fork_.ringing_told else [call.happened("call.ringing", leg)]
        fork_.ringing_told = True
        heard = (
            bridge.complete_branch(leg, response) if response.body and fork_.ear is None and leg.early_media else None
        )
        if heard is None:
            return told
        fork_.ear, fork_.ear_tag = leg, bridge.tag_of(response)
        return [*told, *heard, *bridge.join(self.program.leg, leg)]

    def answered(self, call: Call, fork_: Fork, leg: Leg, now: float) -> Effects:
        """The two talk; whoever else of the group rings is cancelled."""
        party = self.program.leg
        losers = self._cancel_others(call, fork_)
        self._pair(call, leg)
        self.program.since = now
        call.state = CallState.TALKING
        if party.confirmed:
            return [*losers, *bridge.join(party, leg)]
        call.answered_at = now
        accept = answering.accept_incoming(call, party, speech_of(leg.chosen), leg)
        return [*losers, *accept[:-1], *bridge.join(party, leg), accept[-1]]

    def connected(self, call: Call, fork_: Fork, now: float) -> Effects:
        """A built-in destination takes the leg."""
        party, destination = self.program.leg, fork_.destination
        assert destination is not None
        losers = self._cancel_others(call, fork_)
        places.drop(call, fork_)
        if party.confirmed:
            return [*losers, *bridge.feed(call, party, destination)]
        call.answered_at = now
        accept = answering.accept_incoming(call, party, ())
        if conference_of(destination.user) is not None:
            accept[-1] = as_focus(accept[-1])
        return [*losers, *accept, *bridge.feed(call, party, destination), call.happened("call.answered", party)]

    def failed(self, call: Call, fork_: Fork, outcome: Outcome, now: float) -> Effects:
        """One destination is out; after the last of a group the next group rings."""
        places.failed(call, fork_, outcome)
        if fork_ in self.forks:
            self.forks.remove(fork_)
        self.outcomes.append(outcome)
        if self.forks or call.state is CallState.ENDED:
            return []
        return self.go_on(call, now)

    def forwarded(self, call: Call, fork_: Fork) -> Effects:
        """See Waiter: the leg hears ringing already."""
        return []

    def abandoned(self, call: Call, fork_: Fork) -> Effects:
        """The leg has gone meanwhile."""
        self.left = []
        places.gone(call, fork_, "caller_canceled")
        return []

    def go_on(self, call: Call, now: float) -> Effects:
        """The next group, or the end of the step."""
        if not self.left:
            return self.program.dialled(call, None, best(self.outcomes), now)
        group = self.left.pop(0)
        made = [
            places.target_fork(call, self.program.leg, one, self.step.seconds, seeking.Seeker(self)) for one in group
        ]
        self.forks = [one for one, _ in made]
        effects: Effects = []
        for one, uri in made:
            if uri is None:
                effects += self.failed(
                    call, one, refusal("destination_unknown", "The destination cannot be dialled"), now
                )
            elif one in self.forks:
                effects += seeking.seek(call, one, uri, now)
        return effects

    def give_up(self, call: Call, code: str) -> Effects:
        """The step is over before anybody answered: what rings is cancelled."""
        self.left = []
        return self._cancel(call, list(self.forks), code)

    def _pair(self, call: Call, leg: Leg) -> None:
        if call.pairs is not None:
            call.pairs |= {leg.ref: self.program.leg.ref, self.program.leg.ref: leg.ref}

    def _cancel_others(self, call: Call, winner: Fork) -> Effects:
        others, self.forks, self.left = [one for one in self.forks if one is not winner], [], []
        return self._cancel(call, others, "answered_elsewhere")

    def _cancel(self, call: Call, forks: list[Fork], code: str) -> Effects:
        effects: Effects = []
        for one in forks:
            effects += fork.cancel(call, one, COMPLETED_ELSEWHERE if code == "answered_elsewhere" else "", code)
            places.gone(call, one, code)
        self.forks = []
        return effects


def begin(call: Call, program: "Program", step: Connect, now: float) -> Effects:
    """The first group rings; an answered leg hears ringback meanwhile."""
    tone = bridge.play(program.leg, SourceKind.RINGBACK) if program.leg.confirmed else []
    return [*tone, *Connecting(program, step, list(step.groups)).go_on(call, now)]


def stop(call: Call, leg: Leg, code: str) -> Effects:
    """Whatever rings for a leg by its document is cancelled."""
    waiters = [one.waiter.inner if isinstance(one.waiter, seeking.Seeker) else one.waiter for one in call.forks]
    mine = {id(one): one for one in waiters if isinstance(one, Connecting) and one.program.leg is leg}
    return [effect for one in mine.values() for effect in one.give_up(call, code)]
