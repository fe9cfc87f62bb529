"""RFC 3261 17.1.2, step by step as lists of effects."""

from offhook.sip.effects import Send, StartTimer, StopTimer
from offhook.sip.events import Failure
from offhook.sip.flow import Transport
from offhook.sip.timers import Timer, TimerKey, Timers
from offhook.sip.transaction.machine import (
    Effect,
    Received,
    RequestFailed,
    ResponsePassed,
    SendFailed,
    Terminated,
    TimerFired,
)
from offhook.sip.transaction.non_invite_client import NonInviteClient, State
from tests.sip.transaction.test_invite_client import OWNER
from tests.support.messages import make_flow, make_request, make_response

BYE = make_request("BYE")


def machine(transport: Transport = Transport.UDP) -> NonInviteClient:
    return NonInviteClient("key", BYE, make_flow(transport=transport), OWNER, Timers())


def key(timer: Timer) -> TimerKey:
    return TimerKey("key", timer)


def fire(transaction: NonInviteClient, timer: Timer) -> list[Effect]:
    assert transaction.fired(timer)
    return transaction.handle(TimerFired(timer))


def test_timer_e_doubles_up_to_t2_until_f() -> None:
    transaction = machine()
    flow = transaction.flow.id
    assert transaction.start() == [Send(flow, BYE), StartTimer(key(Timer.E), 0.5), StartTimer(key(Timer.F), 32.0)]
    for seconds in (1.0, 2.0, 4.0, 4.0, 4.0):
        assert fire(transaction, Timer.E) == [Send(flow, BYE), StartTimer(key(Timer.E), seconds)]
    assert fire(transaction, Timer.F) == [
        StopTimer(key(Timer.E)),
        RequestFailed("key", OWNER, Failure.NO_RESPONSE),
        Terminated("key"),
    ]


def test_provisional_slows_e_to_t2_and_f_goes_on() -> None:
    transaction = machine()
    transaction.start()
    trying = make_response(BYE, 100)
    assert transaction.handle(Received(trying)) == [ResponsePassed("key", OWNER, trying)]
    assert transaction.state is State.PROCEEDING
    assert fire(transaction, Timer.E) == [Send(transaction.flow.id, BYE), StartTimer(key(Timer.E), 4.0)]
    assert transaction.running == {Timer.E, Timer.F}


def test_final_is_told_once_and_k_absorbs_copies() -> None:
    transaction = machine()
    transaction.start()
    ok = make_response(BYE, 200)
    assert transaction.handle(Received(ok)) == [
        StopTimer(key(Timer.E)),
        StopTimer(key(Timer.F)),
        ResponsePassed("key", OWNER, ok),
        StartTimer(key(Timer.K), 5.0),
    ]
    assert transaction.handle(Received(ok)) == []
    assert fire(transaction, Timer.K) == [Terminated("key")]


def test_reliable_transport_has_neither_e_nor_k() -> None:
    transaction = machine(Transport.WS)
    assert transaction.start() == [Send(transaction.flow.id, BYE), StartTimer(key(Timer.F), 32.0)]
    ok = make_response(BYE, 200)
    assert transaction.handle(Received(ok)) == [
        StopTimer(key(Timer.F)),
        ResponsePassed("key", OWNER, ok),
        Terminated("key"),
    ]


def test_failed_flow_ends_it() -> None:
    transaction = machine(Transport.TLS)
    transaction.start()
    assert RequestFailed("key", OWNER, Failure.FLOW_FAILED) in transaction.handle(SendFailed())
    assert transaction.state is State.TERMINATED
