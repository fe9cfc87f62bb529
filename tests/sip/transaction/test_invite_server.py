"""RFC 3261 17.2.1 and RFC 6026 7.1, step by step as lists of effects."""

from offhook.sip.effects import Send, StartTimer, StopTimer
from offhook.sip.flow import Transport
from offhook.sip.timers import Timer, TimerKey, Timers
from offhook.sip.transaction.invite_server import InviteServer, State
from offhook.sip.transaction.machine import AckPassed, Effect, Received, Respond, Terminated, TimerFired
from tests.support.messages import make_flow, make_request, make_response

INVITE = make_request("INVITE", Timestamp="54")
ACK = make_request("ACK")


def machine(transport: Transport = Transport.UDP) -> InviteServer:
    return InviteServer("key", INVITE, make_flow(transport=transport), Timers())


def key(timer: Timer) -> TimerKey:
    return TimerKey("key", timer)


def fire(transaction: InviteServer, timer: Timer) -> list[Effect]:
    assert transaction.fired(timer)
    return transaction.handle(TimerFired(timer))


def test_hundred_at_once_and_the_last_1xx_for_each_copy() -> None:
    transaction = machine()
    (sent,) = transaction.start()
    assert isinstance(sent, Send)
    assert sent.message.status == 100
    assert sent.message.headers.get("To") == "<sip:bob@example.com>"
    assert sent.message.headers.get("Timestamp") == "54"
    assert transaction.handle(Received(INVITE)) == [sent]
    ringing = Send(transaction.flow.id, make_response(INVITE, 180, "t"))
    assert transaction.handle(Respond(ringing.message)) == [ringing]
    assert transaction.handle(Received(INVITE)) == [ringing]


def test_refusal_is_repeated_by_g_until_h() -> None:
    transaction = machine()
    transaction.start()
    busy = Send(transaction.flow.id, make_response(INVITE, 486, "t"))
    assert transaction.handle(Respond(busy.message)) == [
        busy,
        StartTimer(key(Timer.G), 0.5),
        StartTimer(key(Timer.H), 32.0),
    ]
    for seconds in (1.0, 2.0, 4.0, 4.0):
        assert fire(transaction, Timer.G) == [busy, StartTimer(key(Timer.G), seconds)]
    assert transaction.handle(Received(INVITE)) == [busy]
    assert fire(transaction, Timer.H) == [StopTimer(key(Timer.G)), Terminated("key")]


def test_ack_stops_repetition_and_i_absorbs_copies() -> None:
    transaction = machine()
    transaction.start()
    transaction.handle(Respond(make_response(INVITE, 486, "t")))
    assert transaction.handle(Received(ACK)) == [
        StopTimer(key(Timer.G)),
        StopTimer(key(Timer.H)),
        StartTimer(key(Timer.I), 5.0),
    ]
    assert transaction.state is State.CONFIRMED
    assert transaction.handle(Received(ACK)) == []
    assert fire(transaction, Timer.I) == [Terminated("key")]


def test_reliable_transport_has_neither_g_nor_i() -> None:
    transaction = machine(Transport.TCP)
    transaction.start()
    busy = Send(transaction.flow.id, make_response(INVITE, 486, "t"))
    assert transaction.handle(Respond(busy.message)) == [busy, StartTimer(key(Timer.H), 32.0)]
    assert transaction.handle(Received(ACK)) == [StopTimer(key(Timer.H)), Terminated("key")]


def test_accepted_absorbs_invites_and_passes_acks_up_until_l() -> None:
    transaction = machine()
    transaction.start()
    ok = Send(transaction.flow.id, make_response(INVITE, 200, "t"))
    assert transaction.handle(Respond(ok.message)) == [ok, StartTimer(key(Timer.L), 32.0)]
    assert transaction.handle(Received(INVITE)) == []
    assert transaction.handle(Respond(ok.message)) == [ok]
    assert transaction.handle(Received(ACK)) == [AckPassed("key", ACK)]
    assert transaction.handle(Respond(make_response(INVITE, 486, "t"))) == []
    assert fire(transaction, Timer.L) == [Terminated("key")]


def test_a_stranger_is_refused_once_and_forgotten() -> None:
    """8.2.7: his address may be forged; a copy of his INVITE is a new one."""
    transaction = InviteServer("key", INVITE, make_flow(), Timers(), stranger=True)
    assert transaction.start() == []
    challenge = Send(transaction.flow.id, make_response(INVITE, 407, "t"))
    assert transaction.handle(Respond(challenge.message)) == [challenge, Terminated("key")]


def test_a_stranger_who_was_let_in_is_served_as_anybody() -> None:
    transaction = InviteServer("key", INVITE, make_flow(), Timers(), stranger=True)
    assert transaction.start() == []
    # 1. He asks again before anything was said: 100, so that he stops.
    (hundred,) = transaction.handle(Received(INVITE))
    assert isinstance(hundred, Send)
    assert hundred.message.status == 100
    # 2. After the first ringing a refusal is repeated until its ACK.
    transaction.handle(Respond(make_response(INVITE, 180, "t")))
    busy = Send(transaction.flow.id, make_response(INVITE, 486, "t"))
    assert transaction.handle(Respond(busy.message)) == [
        busy,
        StartTimer(key(Timer.G), 0.5),
        StartTimer(key(Timer.H), 32.0),
    ]
