"""REG-12: phones that are dialled back, and calls that wait for it."""

from dataclasses import replace

from offhook.calls.dial_back import DialBack, DialBacks, Redial
from offhook.calls.effects import Connect, LookUp, Sip, StartTimer
from offhook.calls.entry import Entry
from offhook.calls.events import Connected, FactsFound
from offhook.sip.commands import Attach, Unbind
from offhook.sip.flow import Transport
from offhook.sip.location import Account, Binding
from offhook.sip.uri import parse_uri
from tests.support.messages import make_flow
from tests.support.nodes import make_account

AOR, BOB = "sip:bob@example.com", make_account("bob")
DESK = Binding(
    AOR, parse_uri("sip:bob@127.0.0.2:5070"), make_flow("gone", Transport.TCP), "c", 1, 1e9, id="desk", attached=False
)
HALL = replace(DESK, contact=parse_uri("sip:bob@127.0.0.2:5072"), id="hall")
PAGE = replace(
    DESK, contact=parse_uri("sip:bob@x.invalid"), flow=make_flow("page", Transport.WSS), id="page", attached=True
)


def facts(*bindings: Binding, callee: Account | None = BOB) -> FactsFound:
    return FactsFound("call", make_account("alice"), callee, bindings, entry=Entry("n1", "+1", None))


def test_nothing_waits_when_every_device_has_its_flow() -> None:
    assert DialBacks().hold("call/fork", facts(PAGE)) is None
    assert DialBacks().hold("call/fork", facts(DESK, callee=None)) is None


def test_the_look_up_is_made_anew_after_the_last_connection() -> None:
    backs, before = DialBacks(), facts(DESK, PAGE, HALL)
    effects = backs.hold("call/fork", before)
    assert effects is not None
    assert [(one.token, str(one.hop)) for one in effects if isinstance(one, Connect)] == [
        (DialBack("call/fork", AOR, "desk"), "127.0.0.2:5070/tcp"),
        (DialBack("call/fork", AOR, "hall"), "127.0.0.2:5072/tcp"),
    ]
    first, second = [one.token for one in effects if isinstance(one, Connect)]
    flow = make_flow("back", Transport.TCP)
    # A phone that is off loses its binding, so that the next call does not wait for it.
    assert backs.connected(Connected(second, None, "trunk_unreachable", "refused")) == [Sip(Unbind(AOR, "hall"))]
    assert backs.connected(Connected(second, flow)) == []
    redial = Redial("call/fork")
    assert backs.connected(Connected(first, flow)) == [Sip(Attach(AOR, "desk", flow)), StartTimer(redial, 0.0)]
    assert backs.due(redial) == [LookUp("call/fork", None, "bob")]
    assert backs.connected(Connected(first, flow)) == []
    # What was known of the caller is not looked up again.
    back = replace(DESK, flow=flow, attached=True)
    answer = FactsFound("call/fork", None, BOB, (back, PAGE))
    assert backs.resumed(answer) == replace(before, token="call/fork", bindings=(back, PAGE))
    assert len(backs) == 0
    assert backs.due(redial) == []
    # Another one that is lost by now is not waited for again.
    assert backs.hold("call/fork", replace(answer, bindings=(HALL,))) is None
    assert backs.resumed(answer) is answer


def test_the_connections_of_others_are_left_alone() -> None:
    assert DialBacks().connected(Connected("of a trunk", None)) == []
