"""Calls that the API or a document places: one leg to one destination, for which devices and trunks ring (API.md 8.1).

Lives here: the place that such a leg has before anybody answers, the command that dials, its refusals. Never here: whom a
name reaches (seeking.py), what runs after the answer (program.py).
"""

from dataclasses import dataclass

from offhook.calls import ending, places, pressing, program, reports, seeking
from offhook.calls.addresses import shown, uri_of
from offhook.calls.call import Call, CallConfig, CallState, Effects, Placed
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.commands import Place
from offhook.calls.effects import PlayFiles
from offhook.calls.entry import Entry, ForwardsTo, Member, Permits, RingsMembers
from offhook.calls.events import FactsFound
from offhook.calls.fork import Asked, Fork
from offhook.calls.index import Index
from offhook.calls.leg import Leg
from offhook.calls.numbers import dialled_in, looks_dialled
from offhook.calls.outbound import API
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.routing import destination_of
from offhook.sip.events import UsageId
from offhook.sip.fields import q850_reason, sip_reason
from offhook.sip.ids import Ids
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Response
from offhook.sip.uri import Uri

SECRET = "secret"
"""The name of what is played to the callee alone: traces do not say which files these were."""
SECRET_ROUNDS = 4
"""Times that it is said, so that a pen can be found."""


def begin(command: Place, config: CallConfig, ids: Ids, index: Index, now: float) -> Effects:
    """The call is there, and its destination is looked for."""
    domain = command.domain or config.domain
    uri = uri_of(command.to, domain)
    from_ = places.sender(command.from_, command.name, domain)
    place = Leg(command.call_ref, "caller", UsageId(""), places.NOWHERE, 0, identity=from_, shown=command.from_)
    place.dialled, place.began_at = "outbound-api", now
    to = shown(uri) if uri is not None else command.to
    destination = destination_of(uri or Uri("sip", "", domain), config.gruus)
    call = Call(command.call_ref, place, destination, now, config, ids, index)
    call.placed = Placed(command.from_, to, command.link.url if command.link is not None else "", command.variables)
    index.calls[call.ref], call.by_command, call.project = call, True, command.project
    call.domain = command.domain
    call.sealed = bool(command.secret)
    reports.listen(call, place, command.wish)
    number = places.number_of(command.from_, index)
    credentials = ClientCredentials(command.username, command.password) if command.username else None
    asked = Asked(place, from_, number, command.name, credentials, command.codecs, command.seconds)
    one = Fork(ids.ref(), place, seeking.Seeker(PlacedWaits(command)), API, ring_seconds=command.seconds, asked=asked)
    one.extra, one.shown = command.fields, from_
    created = call.happened("call.created")
    if uri is None or (destination.built_in and not (index.outbound and index.outbound.is_foreign(uri))):
        text = f"{command.to} is no destination that can be called"
        return [created, *one.waiter.failed(call, one, refusal("destination_unknown", text), now)]
    return [created, *seeking.seek(call, one, uri, now)]


# ---- refused at once


def impossible(to: Uri, facts: FactsFound, index: Index, now: float) -> Outcome | None:
    """API.md 8.1: why a call cannot be placed, as far as it is known without sending a packet. `facts` are those of a
    look-up of the destination by the API's rights."""
    out = index.outbound
    foreign = out is not None and out.is_foreign(to)
    if not foreign and destination_of(to).built_in:
        return refusal("destination_unknown", f"{to.unescaped_user} has no device that could be called")
    if facts.callee is not None:
        return _not_there(Member(facts.callee, facts.bindings), facts.entry, index, now)
    if facts.entry is not None:
        return _leads_nowhere(facts.entry, index, now)
    if out is None or not (foreign or looks_dialled(dialled_in(to))):
        return refusal("destination_unknown", f"Nobody here is called {to.unescaped_user}")
    return out.judge(to, facts.permits or Permits())


def _not_there(member: Member, entry: Entry | None, index: Index, now: float) -> Outcome | None:
    callee = member.account
    forwards = callee.forward.always or callee.forward.unreachable or (entry is not None and entry.fallback)
    if forwards or (
        callee.enabled and (any(map(callee.rings, member.bindings)) or index.away.lately(callee.username, now))
    ):
        return None
    return refusal("not_registered", f"{callee.username} is {'not registered' if callee.enabled else 'switched off'}")


def _leads_nowhere(entry: Entry, index: Index, now: float) -> Outcome | None:
    match entry.handler:
        case None:
            return refusal("number_not_assigned", f"{entry.name} is ours, and has no handler")
        case RingsMembers(members):
            wrong = [_not_there(one, entry, index, now) for one in members]
            none = refusal("not_registered", f"{entry.name} has no endpoint")
            return (wrong[0] if wrong else none) if all(wrong) else None
        case ForwardsTo():
            return None
        case _:
            return refusal("handler_unavailable", f"{entry.name} is handled by a document, which only callers reach")


# ---- the command's own leg


@dataclass(slots=True, eq=False)
class PlacedWaits:
    """Waiter of the fork that rings the destination of a command; whoever answers becomes the call's first leg."""

    command: Place

    def ringing(self, call: Call, fork: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """Nobody listens yet."""
        places.rang(fork)
        if fork.ringing_told:
            return []
        fork.ringing_told = True
        return [call.happened("call.ringing", leg)]

    def answered(self, call: Call, fork: Fork, leg: Leg, now: float) -> Effects:
        """Its document runs."""
        call.answered_at, call.state = now, CallState.TALKING
        pressed = pressing.press(call, leg, self.command.digits, now) if self.command.digits else []
        if self.command.secret and leg.media is not None:
            pressed.append(PlayFiles(leg.media.leg, SECRET, self.command.secret, SECRET_ROUNDS))
        if self.command.document is not None:
            return [*pressed, *program.run(call, leg, self.command.document, now)]
        if self.command.link is not None:
            return [*pressed, *program.fetch_and_run(call, leg, self.command.link, now)]
        return pressed

    def failed(self, call: Call, fork: Fork, outcome: Outcome, now: float) -> Effects:
        """The call ends with why."""
        places.failed(call, fork, outcome)
        call.refused_text = outcome.text
        row = CATALOGUE[outcome.row.code]
        reason = q850_reason(row.q850, outcome.text) if row.q850 else sip_reason(outcome.status, outcome.text)
        return ending.end(call, outcome.row.code, "callee", now, reason)

    def connected(self, call: Call, fork: Fork, now: float) -> Effects:
        """A forwarding leads to a built-in destination, which nobody would hear."""
        text = "The destination forwards to one that only callers can hear"
        return self.failed(call, fork, refusal("forward_refused", text), now)

    def forwarded(self, call: Call, fork: Fork) -> Effects:
        """See Waiter: nobody is to be told."""
        return []

    def abandoned(self, call: Call, fork: Fork) -> Effects:
        """See Waiter."""
        return []
