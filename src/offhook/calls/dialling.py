"""A call that a command places: third-party call control (RFC 3725) in which every offer is ours.

The endpoint's own devices ring first; whoever answers there hears ringback while the target is called for him. Lives here:
the two steps. Never here: devices and forwarding (seeking.py), what rings (fork.py).
"""

from dataclasses import dataclass

from offhook.calls import bridge, ending, seeking
from offhook.calls.call import Call, CallConfig, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.commands import Dial
from offhook.calls.effects import Happened, LookUp, Publish
from offhook.calls.events import FactsFound
from offhook.calls.fork import Fork
from offhook.calls.index import Index
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.ports import SourceKind
from offhook.calls.routing import destination_of
from offhook.sip.domains import aor_of, parted, uri_of_name
from offhook.sip.errors import PeerError
from offhook.sip.events import UsageId
from offhook.sip.fields import q850_reason, quote, sip_reason
from offhook.sip.ids import Ids
from offhook.sip.message import Response
from offhook.sip.uri import Uri, parse_uri

AUTO_ANSWER = (("Call-Info", "<sip:offhook.invalid>;answer-after=0"), ("Answer-Mode", "Auto"))
"""Whoever has clicked need not pick up: the mark that desk phones know, and RFC 5373's."""


def target_of(domain: str, text: str) -> Uri | None:
    """What a command dials: a name, a number or a URI. None if it cannot be read."""
    try:
        return parse_uri(text if ":" in text else f"sip:{text}@{domain}")
    except PeerError:
        return None


def look_up(command: Dial) -> Effects:
    """Who places the call, and where its devices are."""
    return [LookUp(f"dial/{command.call_ref}", None, command.username)]


def begin(command: Dial, facts: FactsFound, config: CallConfig, ids: Ids, index: Index, now: float) -> Effects:
    """The account and devices are known: they ring, or the call ends before it began."""
    domain = parted(command.username)[1]
    target, account = target_of(domain or config.domain, command.target), facts.callee
    wrong = _impossible(command, target, facts)
    if wrong is not None or target is None or account is None:
        code = wrong.row.code if wrong is not None else "destination_unknown"
        ended = Happened("call.ended", command.call_ref, "", (("code", code), ("by", "server")))
        return [Publish(ended)]
    # Nobody has called, so the caller's leg is a place for whichever device answers.
    place = Leg(command.call_ref, "caller", UsageId(""), facts.bindings[0].flow, 0, account)
    call = Call(command.call_ref, place, destination_of(target, config.gruus), now, config, ids, index)
    index.calls[call.ref], call.by_command, call.domain = call, True, domain
    shown = f"{quote(command.name) + ' ' if command.name else ''}<{aor_of(call.destination.name, config.domain)}>"
    one = Fork(ids.ref(), place, DialledFirst(target), account, ring_seconds=config.ring_seconds)
    one.follows, one.shown = False, shown
    one.extra = AUTO_ANSWER if command.auto_answer else ()
    one.destination = destination_of(uri_of_name(account.username, config.domain), config.gruus)
    call.forks.append(one)
    return [call.happened("call.created"), *seeking.found(call, one, facts, now)]


def _impossible(command: Dial, target: Uri | None, facts: FactsFound) -> Outcome | None:
    if facts.callee is None:
        return refusal("destination_unknown", f"Nobody here is called {command.username}")
    if not facts.bindings:
        return refusal("not_registered", f"{command.username} is not registered")
    return refusal("destination_unknown", f"{command.target} cannot be dialled") if target is None else None


def _failed(call: Call, outcome: Outcome, now: float) -> Effects:
    call.refused_text = outcome.text
    row = CATALOGUE[outcome.row.code]
    reason = q850_reason(row.q850, outcome.text) if row.q850 else sip_reason(outcome.status, outcome.text)
    return ending.end(call, outcome.row.code, "callee", now, reason)


@dataclass(slots=True, eq=False)
class DialledFirst:
    """Waiter of the fork that rings the devices of who dials by a command."""

    target: Uri

    def ringing(self, call: Call, fork: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """Nobody listens yet."""
        return []

    def answered(self, call: Call, fork: Fork, leg: Leg, now: float) -> Effects:
        """This device is the caller now, and hears ringback while the target is called."""
        leg.role, call.caller = "caller", leg
        one = Fork(call.ids.ref(), leg, seeking.Seeker(DialledSecond(leg)), leg.account)
        return [*bridge.play(leg, SourceKind.RINGBACK), *seeking.seek(call, one, self.target, now)]

    def failed(self, call: Call, fork: Fork, outcome: Outcome, now: float) -> Effects:
        """Nobody is there who would call."""
        return _failed(call, outcome, now)

    def connected(self, call: Call, fork: Fork, now: float) -> Effects:
        """See Waiter: an endpoint's name is never a built-in's."""
        return []

    def forwarded(self, call: Call, fork: Fork) -> Effects:
        """See Waiter: a click follows no forwarding."""
        return []

    def abandoned(self, call: Call, fork: Fork) -> Effects:
        """See Waiter."""
        return []


@dataclass(slots=True, eq=False)
class DialledSecond:
    """Waiter of the fork that rings the target; its party has answered already."""

    party: Leg

    def ringing(self, call: Call, fork: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """Early media of the target's side replaces our ringback."""
        told: Effects = [] if fork.ringing_told else [call.happened("call.ringing", leg)]
        fork.ringing_told = True
        early = bridge.complete_branch(leg, response) if response.body and fork.ear is None else None
        if early is None:
            return told
        fork.ear, fork.ear_tag = leg, bridge.tag_of(response)
        return [*told, *early, *bridge.join(self.party, leg)]

    def answered(self, call: Call, fork: Fork, leg: Leg, now: float) -> Effects:
        """They talk."""
        call.answered_at, call.state = now, CallState.TALKING
        return bridge.join(self.party, leg)

    def connected(self, call: Call, fork: Fork, now: float) -> Effects:
        """A built-in destination was dialled."""
        assert fork.destination is not None
        call.answered_at, call.state = now, CallState.TALKING
        return bridge.feed(call, self.party, fork.destination)

    def failed(self, call: Call, fork: Fork, outcome: Outcome, now: float) -> Effects:
        """The party gets BYE with the reason."""
        return _failed(call, outcome, now)

    def forwarded(self, call: Call, fork: Fork) -> Effects:
        """See Waiter: the party hears ringback already."""
        return []

    def abandoned(self, call: Call, fork: Fork) -> Effects:
        """See Waiter."""
        return []
