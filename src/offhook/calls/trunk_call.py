"""The ten-second call of a trunk's test (API.md 12.1): one number by one trunk, whatever the others are.

Lives here: the call. Never here: the other steps of the test, which need no call (server/trunk_test.py).
"""

from offhook.calls import places, seeking
from offhook.calls.call import Call, CallConfig, Effects, Placed
from offhook.calls.caller_id import CallerNumbers
from offhook.calls.commands import Place, TryTrunk
from offhook.calls.document import Document, Pause
from offhook.calls.fork import Asked, Fork
from offhook.calls.index import Index
from offhook.calls.leg import Leg
from offhook.calls.outbound import API
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.placing import PlacedWaits
from offhook.calls.routing import Destination
from offhook.sip.events import UsageId
from offhook.sip.ids import Ids
from offhook.sip.uri import Uri


def begin(command: TryTrunk, config: CallConfig, ids: Ids, index: Index, now: float) -> Effects:
    """Rings the number; whoever answers is kept for the time of the test and then let go."""
    place = Leg(command.call_ref, "caller", UsageId(""), places.NOWHERE, 0, shown=command.shown or "test")
    place.dialled, place.began_at = "outbound-api", now
    uri = Uri("sip", command.number, config.domain)
    call = Call(command.call_ref, place, Destination(command.number, False, None, uri), now, config, ids, index)
    call.placed = Placed(command.shown or "trunk test", command.number)
    index.calls[call.ref] = call
    call.by_command, call.project = True, command.project
    asked = Asked(place, "", command.shown, seconds=command.ring_seconds)
    talk = Document((Pause(command.talk_seconds),))
    waiter = seeking.Seeker(PlacedWaits(Place(command.call_ref, command.number, command.shown or "", talk)))
    one = Fork(ids.ref(), place, waiter, API, ring_seconds=command.ring_seconds, asked=asked)
    created = call.happened("call.created")
    known = CallerNumbers((), frozenset({command.shown} if command.shown else ()), command.shown)
    out = index.outbound
    if out is None:
        way: Effects | Outcome = refusal("not_routable", "There is no way out")
    else:
        way = out.by_trunk(call, one, command.number, command.trunk_id, known, command.permits, now)
    return [created, *(waiter.failed(call, one, way, now) if isinstance(way, Outcome) else way)]
