"""RFC 3261 17.2.2 and RFC 4320, step by step as lists of effects."""

from offhook.sip.effects import Send, StartTimer, StopTimer
from offhook.sip.flow import Transport
from offhook.sip.timers import Timer, TimerKey, Timers
from offhook.sip.transaction.machine import Effect, Received, Respond, Terminated, TimerFired
from offhook.sip.transaction.non_invite_server import NonInviteServer
from tests.support.messages import make_flow, make_request, make_response

INFO = make_request("INFO", to_tag="t")


def machine(transport: Transport = Transport.UDP) -> NonInviteServer:
    return NonInviteServer("key", INFO, make_flow(transport=transport), Timers())


def key(timer: Timer) -> TimerKey:
    return TimerKey("key", timer)


def fire(transaction: NonInviteServer, timer: Timer) -> list[Effect]:
    assert transaction.fired(timer)
    return transaction.handle(TimerFired(timer))


def test_copies_are_absorbed_before_and_answered_after_the_final_response() -> None:
    transaction = machine()
    transaction.start()
    assert transaction.handle(Received(INFO)) == []
    ok = Send(transaction.flow.id, make_response(INFO, 200))
    assert transaction.handle(Respond(ok.message)) == [
        StopTimer(key(Timer.F)),
        StopTimer(key(Timer.TRYING)),
        ok,
        StartTimer(key(Timer.J), 32.0),
    ]
    assert transaction.handle(Received(INFO)) == [ok]
    assert transaction.handle(Respond(make_response(INFO, 500))) == []
    assert fire(transaction, Timer.J) == [Terminated("key")]


def test_reliable_transport_has_no_j() -> None:
    transaction = machine(Transport.WS)
    ok = Send(transaction.flow.id, make_response(INFO, 200))
    assert transaction.handle(Respond(ok.message)) == [ok, Terminated("key")]


def test_hundred_only_when_e_would_have_reached_t2() -> None:
    transaction = machine()
    assert transaction.start() == [StartTimer(key(Timer.TRYING), 3.5), StartTimer(key(Timer.F), 32.0)]
    (trying,) = fire(transaction, Timer.TRYING)
    assert isinstance(trying, Send)
    assert trying.message.status == 100
    assert transaction.handle(Received(INFO)) == [trying]


def test_no_408_ever() -> None:
    transaction = machine()
    transaction.start()
    fire(transaction, Timer.TRYING)
    assert fire(transaction, Timer.F) == [Terminated("key")]


def test_a_stranger_is_refused_and_forgotten_but_what_he_achieved_is_kept() -> None:
    """8.2.7: a copy of a refused request is refused again; one that changed something is answered from memory."""
    register = make_request("REGISTER")
    refused = NonInviteServer("key", register, make_flow(), Timers(), stranger=True)
    challenge = Send(refused.flow.id, make_response(register, 401, "t"))
    assert refused.handle(Respond(challenge.message)) == [challenge, Terminated("key")]
    served = NonInviteServer("key", register, make_flow(), Timers(), stranger=True)
    ok = Send(served.flow.id, make_response(register, 200, "t"))
    assert served.handle(Respond(ok.message)) == [ok, StartTimer(key(Timer.J), 32.0)]
    asked = make_request("OPTIONS")
    told = NonInviteServer("key", asked, make_flow(), Timers(), stranger=True)
    able = Send(told.flow.id, make_response(asked, 200, "t"))
    assert told.handle(Respond(able.message)) == [able, Terminated("key")]
