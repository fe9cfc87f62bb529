"""TCP phones on a private network whose connection is gone are dialled at their Contact when somebody calls (REG-12).

Lives here: the look-up that waits until each of them is connected or has failed. One that cannot be reached loses its
binding, so that only one call waits for a phone that is off.
"""

from dataclasses import dataclass, field, replace

from offhook.calls.effects import CallEffect, Connect, LookUp, Sip, StartTimer
from offhook.calls.events import Connected, FactsFound
from offhook.sip.commands import Attach, Unbind


@dataclass(frozen=True, slots=True)
class DialBack:
    """Token of a `Connect`: for the look-up `token`, a binding of an address of record."""

    token: str
    aor: str
    binding: str


@dataclass(frozen=True, slots=True)
class Redial:
    """Timer at which the look-up `token` is made anew."""

    token: str


@dataclass(slots=True)
class _Waiting:
    facts: FactsFound
    open: set[DialBack]


@dataclass(slots=True)
class DialBacks:
    """Owned by the switchboard."""

    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _resumed: str = ""

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, token: str, facts: FactsFound) -> list[CallEffect] | None:
        """None when every device found for a look-up has its flow; else the connections to make before it is made anew."""
        resumed, self._resumed = self._resumed, ""
        if resumed == token:
            # Once is enough: what is lost by now is lost.
            return None
        lost = [(one, hop) for one in facts.bindings if not one.attached and (hop := one.dial_back) is not None]
        if not lost or facts.callee is None:
            return None
        dials = {DialBack(token, one.aor, one.id): hop for one, hop in lost}
        self._waiting[token] = _Waiting(facts, set(dials))
        return [Connect(dial, hop) for dial, hop in dials.items()]

    def connected(self, event: Connected) -> list[CallEffect]:
        """One of them is connected or has failed; after the last the look-up is made anew."""
        token = event.token
        waiting = self._waiting.get(token.token) if isinstance(token, DialBack) else None
        if waiting is None or not isinstance(token, DialBack) or token not in waiting.open:
            return []
        waiting.open.discard(token)
        made = Unbind(token.aor, token.binding) if event.flow is None else Attach(token.aor, token.binding, event.flow)
        effects: list[CallEffect] = [Sip(made)]
        if not waiting.open:
            # Not at once: the binding is written when what has been asked for is done.
            effects.append(StartTimer(Redial(token.token), 0.0))
        return effects

    def due(self, key: Redial) -> list[CallEffect]:
        """All that was wanted is done: who is there now?"""
        waiting = self._waiting.get(key.token)
        callee = waiting.facts.callee if waiting is not None else None
        return [LookUp(key.token, None, callee.username)] if callee is not None else []

    def resumed(self, event: FactsFound) -> FactsFound:
        """The answer to a look-up that was made anew: what was known before, with the bindings of now."""
        waiting = self._waiting.get(event.token)
        if waiting is None or waiting.open:
            return event
        del self._waiting[event.token]
        self._resumed = event.token
        return replace(waiting.facts, token=event.token, bindings=event.bindings)
