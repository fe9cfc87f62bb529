"""RFC 3261 17.1.1 and RFC 6026 7.2, step by step as lists of effects."""

from offhook.sip.effects import Send, StartTimer, StopTimer
from offhook.sip.events import Failure
from offhook.sip.flow import Transport
from offhook.sip.timers import Timer, TimerKey, Timers
from offhook.sip.transaction.invite_client import InviteClient, State
from offhook.sip.transaction.machine import (
    Effect,
    Received,
    RequestFailed,
    ResponsePassed,
    SendFailed,
    Terminated,
    TimerFired,
)
from tests.support.messages import make_flow, make_request, make_response

INVITE = make_request("INVITE", Route="<sip:edge.example.com;lr>")


class NobodyListens:
    def answered(self, response: object) -> list[Effect]:
        return []

    def failed(self, failure: object) -> list[Effect]:
        return []


OWNER = NobodyListens()


def machine(transport: Transport = Transport.UDP) -> InviteClient:
    return InviteClient("key", INVITE, make_flow(transport=transport), OWNER, Timers())


def key(timer: Timer) -> TimerKey:
    return TimerKey("key", timer)


def fire(transaction: InviteClient, timer: Timer) -> list[Effect]:
    assert transaction.fired(timer)
    return transaction.handle(TimerFired(timer))


def test_timer_a_doubles_without_ceiling_until_b() -> None:
    transaction = machine()
    flow = transaction.flow.id
    assert transaction.start() == [
        Send(flow, INVITE),
        StartTimer(key(Timer.A), 0.5),
        StartTimer(key(Timer.B), 32.0),
    ]
    for seconds in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0):
        assert fire(transaction, Timer.A) == [Send(flow, INVITE), StartTimer(key(Timer.A), seconds)]
    assert fire(transaction, Timer.B) == [
        StopTimer(key(Timer.A)),
        RequestFailed("key", OWNER, Failure.NO_RESPONSE),
        Terminated("key"),
    ]
    assert transaction.handle(Received(make_response(INVITE, 200))) == []


def test_reliable_transport_has_neither_a_nor_d() -> None:
    transaction = machine(Transport.WSS)
    assert transaction.start() == [Send(transaction.flow.id, INVITE), StartTimer(key(Timer.B), 32.0)]
    busy = make_response(INVITE, 486, "t")
    effects = transaction.handle(Received(busy))
    assert effects[0] == StopTimer(key(Timer.B))
    assert effects[2:] == [ResponsePassed("key", OWNER, busy), Terminated("key")]


def test_provisional_stops_a_and_b() -> None:
    transaction = machine()
    transaction.start()
    trying = make_response(INVITE, 100)
    assert transaction.handle(Received(trying)) == [
        StopTimer(key(Timer.A)),
        StopTimer(key(Timer.B)),
        ResponsePassed("key", OWNER, trying),
    ]
    assert transaction.state is State.PROCEEDING
    ringing = make_response(INVITE, 180, "t")
    assert transaction.handle(Received(ringing)) == [ResponsePassed("key", OWNER, ringing)]


def test_refusal_is_acknowledged_each_time_and_told_once() -> None:
    transaction = machine()
    transaction.start()
    busy = make_response(INVITE, 486, "their-tag")
    effects = transaction.handle(Received(busy))
    sent = effects[2]
    assert isinstance(sent, Send)
    ack = sent.message
    assert ack.headers.all("Via") == INVITE.headers.all("Via")
    assert ack.headers.get("Route") == "<sip:edge.example.com;lr>"
    assert ack.headers.get("To") == "<sip:bob@example.com>;tag=their-tag"
    assert ack.headers.get("CSeq") == "1 ACK"
    assert effects[3:] == [ResponsePassed("key", OWNER, busy), StartTimer(key(Timer.D), 32.0)]
    assert transaction.handle(Received(busy)) == [sent]
    assert fire(transaction, Timer.D) == [Terminated("key")]


def test_accepted_passes_every_2xx_until_m() -> None:
    transaction = machine()
    transaction.start()
    ok = make_response(INVITE, 200, "t")
    assert transaction.handle(Received(ok))[2:] == [
        ResponsePassed("key", OWNER, ok),
        StartTimer(key(Timer.M), 32.0),
    ]
    other = make_response(INVITE, 200, "fork")
    assert transaction.handle(Received(ok)) == [ResponsePassed("key", OWNER, ok)]
    assert transaction.handle(Received(other)) == [ResponsePassed("key", OWNER, other)]
    assert transaction.handle(Received(make_response(INVITE, 486, "late"))) == []
    assert fire(transaction, Timer.M) == [Terminated("key")]


def test_failed_flow_ends_it() -> None:
    transaction = machine(Transport.TCP)
    transaction.start()
    assert transaction.handle(SendFailed()) == [
        StopTimer(key(Timer.B)),
        RequestFailed("key", OWNER, Failure.FLOW_FAILED),
        Terminated("key"),
    ]
