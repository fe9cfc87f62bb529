"""CALL-11, LIVE-11: session timers (RFC 4028) of one dialog, both roles, against peers that do and do not know them."""

import pytest

from offhook.sip.commands import HangUp, Respond, SendInDialog
from offhook.sip.events import (
    DialogLost,
    HungUp,
    InviteReceived,
    InviteRejected,
    RequestAnswered,
    RequestInDialog,
    SessionExpired,
    SessionRefreshDue,
)
from offhook.sip.flow import Transport
from offhook.sip.glare import pause
from offhook.sip.message import Request, Response
from offhook.sip.response import NO_FIELDS
from offhook.sip.session_timer import SessionTimer, Terms, session_expires
from tests.support.ids import SeededIds
from tests.support.link import Link, Station
from tests.support.messages import SDP, make_request, make_response
from tests.support.pair import WITH_SDP, Pair

TIMER = {"Supported": "timer"}


def sent(station: Station, method: str) -> list[Request]:
    """Requests of a method, repetitions left out."""
    found = [one for one in station.sent if isinstance(one, Request) and one.method == method]
    return list({one.headers.get("CSeq"): one for one in found}.values())


def last_response(station: Station) -> Response:
    return next(one for one in reversed(station.sent) if isinstance(one, Response))


def answer_updates(pair: Pair, station: Station) -> None:
    """Call control of a station that says 200 to everything in the dialog."""

    def told(event: object) -> None:
        if isinstance(event, RequestInDialog):
            station.perform(
                Respond(event.transaction, 200, WITH_SDP if event.request.body else NO_FIELDS, event.request.body)
            )

    station.on_event = told


class Called(Pair):
    """Bob is called by a script with what it wants to say about timers."""

    def __init__(self, link: Link, transport: Transport = Transport.UDP, **fields: str) -> None:
        super().__init__(link, transport)
        for method in ("UPDATE", "BYE"):
            # Only the script speaks for the caller.
            link.drop("bob", method, times=1000)
        self.bob.feed(make_request("INVITE", body=SDP, **fields), self.back)
        self.respond(200, SDP)
        self.answer = last_response(self.bob)
        self.tag = (self.answer.headers.get("To") or "").rpartition("=")[2]

    def say(self, method: str, cseq: int, body: bytes = b"", **fields: str) -> None:
        request = make_request(method, branch=f"z9hG4bK{method}{cseq}", cseq=cseq, to_tag=self.tag, body=body, **fields)
        self.bob.feed(request, self.back)

    def says_ok(self, **fields: str) -> None:
        """200 to the last request of bob's."""
        request = next(one for one in reversed(self.bob.sent) if isinstance(one, Request))
        self.bob.feed(make_response(request, 200, **fields), self.back)


# as UAS


@pytest.mark.parametrize(
    ("fields", "said", "required"),
    [
        # our interval and the refresher's role when the peer leaves both open
        (TIMER, "1800;refresher=uas", False),
        # its interval, never raised; the role is ours where it is free, its own where it fixed it
        ({**TIMER, "Session-Expires": "90"}, "90;refresher=uas", False),
        ({**TIMER, "Session-Expires": "600;refresher=uas"}, "600;refresher=uas", False),
        ({**TIMER, "Session-Expires": "600; refresher=UAC"}, "600;refresher=uac", True),
        ({**TIMER, "Session-Expires": "4000"}, "4000;refresher=uas", False),
        ({**TIMER, "Min-SE": "3600"}, "3600;refresher=uas", False),
        # a peer that does not know timers is told nothing
        ({}, None, False),
        ({"Session-Expires": "90"}, None, False),
        ({**TIMER, "Session-Expires": "soon"}, "1800;refresher=uas", False),
    ],
)
def test_the_answer_keeps_what_the_peer_fixed(
    link: Link, fields: dict[str, str], said: str | None, required: bool
) -> None:
    called = Called(link, **fields)
    assert called.answer.headers.get("Session-Expires") == said
    assert (called.answer.headers.get("Require") == "timer") is required


def test_an_interval_below_ours_is_422_with_the_minimum(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP, Session_Expires="60", **TIMER), pair.back)
    assert last_response(pair.bob).status == 422
    assert last_response(pair.bob).headers.get("Min-SE") == "90"
    assert pair.bob.of(InviteReceived) == []
    # a peer that could not understand 422 is let in
    pair.bob.feed(make_request("INVITE", call_id="b", branch="z9hG4bKb", body=SDP, Session_Expires="60"), pair.back)
    assert pair.bob.of(InviteReceived)


def test_422_in_the_dialog_too(link: Link) -> None:
    called = Called(link, **TIMER)
    called.say("ACK", 1)
    called.say("UPDATE", 2, Session_Expires="30", **TIMER)
    assert last_response(called.bob).status == 422


@pytest.mark.parametrize(("update", "due"), [("UPDATE", 45), ("INFO", 30)])
def test_we_refresh_at_half_or_at_a_third_without_update(link: Link, update: str, due: float) -> None:
    called = Called(link, Session_Expires="90", Allow=f"INVITE, {update}", **TIMER)
    called.say("ACK", 1)
    link.run(due - 0.1)
    assert not sent(called.bob, "UPDATE")
    assert not called.bob.of(SessionRefreshDue)
    link.run(0.2)
    if update == "UPDATE":
        refresh = sent(called.bob, "UPDATE")[0]
        assert refresh.body == b""
        assert refresh.headers.get("Session-Expires") == "90;refresher=uac"
        assert refresh.headers.get("Min-SE") == "90"
        called.says_ok(Session_Expires="90;refresher=uac")
        # call control is not bothered with it
        assert not called.bob.of(RequestAnswered)
        link.run(45.1)
        assert len(sent(called.bob, "UPDATE")) == 2
    else:
        assert called.bob.of(SessionRefreshDue)


def test_the_peer_that_is_to_refresh_and_does_not_is_hung_up(link: Link) -> None:
    called = Called(link, Session_Expires="90;refresher=uac", **TIMER)
    called.say("ACK", 1)
    # 1. interval - min(32, interval/3)
    link.run(59.9)
    called.say("UPDATE", 2, Session_Expires="90;refresher=uac", **TIMER)
    asked = called.bob.events[-1]
    assert isinstance(asked, RequestInDialog)
    called.bob.perform(Respond(asked.transaction, 200))
    # 2. a refresh sets the clock anew, and our 200 repeats the terms
    assert last_response(called.bob).headers.get("Session-Expires") == "90;refresher=uac"
    link.run(59.9)
    assert not called.bob.of(SessionExpired)
    link.run(0.2)
    assert called.bob.of(SessionExpired)
    bye = sent(called.bob, "BYE")[0]
    assert bye.headers.get("Reason") == 'SIP;cause=408;text="The session was not refreshed"'


def test_the_roles_may_be_swapped_by_a_refresh(link: Link) -> None:
    called = Called(link, Session_Expires="90;refresher=uac", Allow="UPDATE", **TIMER)
    called.say("ACK", 1)
    called.say("INVITE", 2, SDP, Session_Expires="120;refresher=uas", **TIMER)
    asked = called.bob.events[-1]
    assert isinstance(asked, RequestInDialog)
    called.bob.perform(Respond(asked.transaction, 200, WITH_SDP, SDP))
    assert last_response(called.bob).headers.get("Session-Expires") == "120;refresher=uas"
    called.say("ACK", 2)
    link.run(61)
    assert sent(called.bob, "UPDATE")[0].headers.get("Session-Expires") == "120;refresher=uac"


def test_a_refusal_of_the_refresh_is_tried_again_and_ends_at_the_expiry(link: Link) -> None:
    called = Called(link, Session_Expires="90", Allow="UPDATE", **TIMER)
    called.say("ACK", 1)
    for _ in range(7):
        link.run(9)
        updates = sent(called.bob, "UPDATE")
        if updates:
            called.bob.feed(make_response(updates[-1], 500), called.back)
    assert len(sent(called.bob, "UPDATE")) > 1
    assert called.bob.of(SessionExpired)


@pytest.mark.parametrize(("method", "allow", "status"), [("UPDATE", "UPDATE", 501), ("INVITE", "INVITE, BYE", 488)])
def test_a_peer_without_timers_may_refuse_every_refresh(link: Link, method: str, allow: str, status: int) -> None:
    """It owes none: its refusals tell that it is alive, and the call goes on for hours. Silence ends it all the same."""
    called = Called(link, Allow=allow)
    called.say("ACK", 1)
    for number in range(1, 9):
        link.run(901)
        if method == "INVITE":
            called.bob.perform(SendInDialog(called.ringing, "INVITE", WITH_SDP, SDP))
        assert len(sent(called.bob, method)) == number
        called.bob.feed(make_response(sent(called.bob, method)[-1], status), called.back)
    assert not called.bob.of(SessionExpired), "1. four intervals, all refused"
    link.run(1801)
    assert called.bob.node.usages == 0, "2. then it is dead"


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_forgot_the_dialog_ends_it(link: Link, status: int) -> None:
    called = Called(link, Session_Expires="90", Allow="UPDATE", **TIMER)
    called.say("ACK", 1)
    link.run(46)
    called.bob.feed(make_response(sent(called.bob, "UPDATE")[-1], status), called.back)
    assert called.bob.node.usages == 0


def test_a_peer_without_timers_is_refreshed_all_the_same(link: Link) -> None:
    called = Called(link, Allow="UPDATE")
    called.say("ACK", 1)
    link.run(901)
    assert sent(called.bob, "UPDATE")
    called.says_ok()
    link.run(900)
    assert len(sent(called.bob, "UPDATE")) == 2
    called.says_ok()
    # it is dead from now on: noticed by the unanswered refresh
    link.run(2000)
    assert called.bob.node.usages == 0


# JsSIP


def test_a_page_that_offers_ninety_seconds_is_asked_after_the_ack_to_leave_it_to_us(link: Link) -> None:
    called = Called(link, Transport.WSS, Session_Expires="90", Allow="INVITE,UPDATE,BYE", **TIMER)
    assert called.answer.headers.get("Session-Expires") == "90;refresher=uas"
    # 1. nothing before the ACK: a page refuses it
    assert sent(called.bob, "UPDATE") == []
    called.say("ACK", 1)
    update = sent(called.bob, "UPDATE")[0]
    assert update.headers.get("Session-Expires") == "1800;refresher=uac"
    called.says_ok(Session_Expires="1800;refresher=uac")
    # 2. only once, and the next is at half of 1800
    link.run(890)
    assert len(sent(called.bob, "UPDATE")) == 1
    link.run(20)
    assert len(sent(called.bob, "UPDATE")) == 2


def test_our_invite_to_a_page_takes_the_role(link: Link) -> None:
    pair = Pair(link, Transport.WSS)
    pair.invite()
    assert pair.request(pair.alice, "INVITE").headers.get("Session-Expires") == "1800;refresher=uac"
    other = Pair(Link())
    other.invite()
    assert other.request(other.alice, "INVITE").headers.get("Session-Expires") == "1800"


# as UAC


def test_422_is_obeyed_once(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    first = pair.request(pair.alice, "INVITE")
    pair.alice.feed(make_response(first, 422, "x", Min_SE="3600"), pair.there)
    second = pair.request(pair.alice, "INVITE")
    # 1. the same call with the next number
    assert second.headers.get("CSeq") == "2 INVITE"
    assert second.headers.get("Call-ID") == first.headers.get("Call-ID")
    assert second.headers.get("From") == first.headers.get("From")
    assert (second.headers.get("Session-Expires"), second.headers.get("Min-SE")) == ("3600", "3600")
    assert second.body == first.body
    # 2. a second 422 with nothing new is the end
    pair.alice.feed(make_response(second, 422, "x", Min_SE="3600"), pair.there)
    assert pair.alice.of(InviteRejected)
    link.run(100)
    assert (pair.alice.node.transactions, pair.alice.node.usages, pair.alice.timers) == (0, 0, {})


def test_422_to_a_request_in_the_dialog(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, SDP))
    invite = pair.request(pair.alice, "INVITE")
    pair.alice.feed(make_response(invite, 422, Min_SE="2000"), pair.there)
    again = pair.request(pair.alice, "INVITE")
    assert again.headers.get("Session-Expires") == "2000;refresher=uas"
    assert not pair.alice.of(RequestAnswered)


def test_two_of_us_refresh_for_an_hour_and_stop_with_the_call(link: Link) -> None:
    pair = Pair(link)
    answer_updates(pair, pair.bob)
    answer_updates(pair, pair.alice)
    pair.talk()
    link.run(3650)
    assert 3 <= sum(arrow.endswith(": UPDATE") for arrow in link.arrows()) <= 5
    assert not pair.alice.of(SessionExpired)
    pair.alice.perform(HangUp(pair.call))
    pair.assert_nothing_left()


def test_every_request_of_ours_repeats_the_terms(link: Link) -> None:
    pair = Pair(link)
    answer_updates(pair, pair.bob)
    pair.talk()
    for method in ("INVITE", "UPDATE"):
        pair.alice.perform(SendInDialog(pair.call, method, WITH_SDP, SDP))
        link.run(1)
        # Bob, as UAS, has taken the role.
        assert pair.request(pair.alice, method).headers.get("Session-Expires") == "1800;refresher=uas"


def test_a_dead_peer_is_noticed(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    link.drop("bob", "UPDATE", times=100)
    link.run(1800)
    # The refresher meets no answer and ends the call, by a BYE that may yet arrive.
    assert pair.bob.of(DialogLost)
    assert pair.alice.of(HungUp)


# parts


def test_glare_pauses_never_meet() -> None:
    ids = SeededIds(1)
    owner = [pause(True, ids) for _ in range(500)]
    other = [pause(False, ids) for _ in range(500)]
    assert 2.1 <= min(owner) <= max(owner) <= 4.0
    assert 0 <= min(other) <= max(other) <= 2.0
    assert all(abs(one * 100 - round(one * 100)) < 1e-6 for one in (*owner, *other))


def test_terms() -> None:
    assert [Terms(seconds, True, True).expiry for seconds in (90, 96, 1800)] == [60, 64, 1768]
    assert Terms(90, True, True).refresh(update=False) == 30
    assert Terms(1800, True, True).refresh(update=False) == 900
    assert session_expires(make_request("INVITE", Session_Expires="90;refresher=uac;x")) == (90, "uac")
    assert session_expires(make_request("INVITE", Session_Expires="99999999999")) is None
    timer = SessionTimer(1800, 90, False)
    assert not timer.refused(make_response(make_request("INVITE"), 422))
    assert timer.refused(make_response(make_request("INVITE"), 422, Min_SE="100"))
