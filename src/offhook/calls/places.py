"""A leg that a command or a document places, before anybody has answered: devices and trunks ring for it.

Whoever answers takes the place, and its ref with it, so that one id names the leg from the first moment to its log. Never
here: who rings (seeking.py, hunt.py), what is waited for (placing.py, connecting.py).
"""

from offhook.calls import reports
from offhook.calls.addresses import shown, uri_of
from offhook.calls.call import Call
from offhook.calls.document import DialTarget
from offhook.calls.fork import Asked, Fork, Waiter
from offhook.calls.index import Index
from offhook.calls.leg import Leg, LegState
from offhook.calls.numbers import is_e164, looks_dialled
from offhook.calls.outbound import API
from offhook.calls.outcome import Outcome
from offhook.calls.passing import identity
from offhook.sip.events import UsageId
from offhook.sip.fields import quote
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.location import ClientCredentials
from offhook.sip.secret import Secret
from offhook.sip.uri import Uri

NOWHERE = Flow(FlowId(""), Transport.UDP, ("", 0), ("", 0), "", secure=False, loopback=False)
"""Where a leg is before anybody has answered for it."""


def sender(text: str, name: str, domain: str) -> str:
    """From towards devices: the number, name or URI that the command gives."""
    uri = uri_of(text, domain)
    address = f"sip:{uri.user}@{domain}" if uri is not None and uri.scheme == "tel" else str(uri or f"sip:{domain}")
    return f"{quote(name) + ' ' if name else ''}<{address}>"


def number_of(text: str, index: Index) -> str | None:
    if is_e164(text):
        return text
    return index.outbound.normal(text) if index.outbound is not None and looks_dialled(text) else None


def gone(call: Call, one: Fork, code: str) -> None:
    """The fork is cancelled with whoever waited for it."""
    place = one.asked.place if one.asked is not None else None
    if place is not None:
        call.give_up_place(place, code)


def target_fork(call: Call, party: Leg, target: DialTarget, seconds: float, waiter: Waiter) -> tuple[Fork, Uri | None]:
    """The fork of one destination, and its URI; None: it cannot be dialled."""
    domain = call.at
    uri = uri_of(target.to, domain)
    from_ = sender(target.from_, "", domain) if target.from_ else identity(party, call.config.domain)
    place = Leg(call.ids.ref(), "callee", UsageId(""), NOWHERE, 0, identity=from_)
    place.dialled, place.to_name = "outbound-dial", shown(uri) if uri is not None else target.to
    place.from_name = target.from_ or (call.to_name if party.dialled == "outbound-api" else call.from_name)
    call.places.append(place)
    reports.listen(call, place, target.wish)
    number = number_of(target.from_, call.index) if target.from_ else _own_number(call, party)
    credentials = ClientCredentials(target.username, Secret(target.password)) if target.username else None
    asked = Asked(place, from_, number, "", credentials, (), target.seconds or seconds)
    one = Fork(call.ids.ref(), party, waiter, API, ring_seconds=target.seconds or seconds, asked=asked)
    one.extra, one.shown = target.headers, from_
    call.forks.append(one)
    return one, uri


def _own_number(call: Call, party: Leg) -> str | None:
    """Without a number of its own a document shows the one that its call was placed with."""
    if call.placed is None or party is not call.caller:
        return None
    return number_of(call.placed.from_, call.index)


def rang(one: Fork) -> None:
    """A branch rings, and so does the leg that it stands for."""
    place = one.asked.place if one.asked is not None else None
    if place is not None and place.state is LegState.TRYING:
        place.state = LegState.RINGING


def failed(call: Call, one: Fork, outcome: Outcome) -> None:
    """Nobody answered for the place of a fork."""
    place = one.asked.place if one.asked is not None else None
    if place is None:
        return
    place.account = place.account or one.callee
    place.trunk = one.hunt.trunk if one.hunt is not None else place.trunk
    place.sip_code, place.sip_text = outcome.heard or outcome.status, outcome.text
    if one in call.forks:
        call.forks.remove(one)
    call.give_up_place(place, outcome.row.code)


def drop(call: Call, one: Fork) -> None:
    """A built-in destination needs no leg of its own."""
    place = one.asked.place if one.asked is not None else None
    if place is not None and place in call.places:
        call.places.remove(place)
        call.reported = [each for each in call.reported if each.leg is not place]
