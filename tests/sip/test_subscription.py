"""Subscriptions of RFC 6665 as notifier (EVT-3, EVT-4), and the one that a REFER implies (XFER-1)."""

from dataclasses import replace

import pytest

from offhook.sip.commands import AcceptSubscription, MoveSubscription, Notify
from offhook.sip.config import SubscriptionLimits
from offhook.sip.events import (
    FlowLost,
    NotifyDue,
    RequestInDialog,
    SubscriptionEnd,
    SubscriptionEnded,
    SubscriptionId,
)
from offhook.sip.flow import Transport
from offhook.sip.message import Request, Response
from tests.support.link import Link
from tests.support.messages import make_flow, make_request, make_response
from tests.support.nodes import DOMAIN, make_account
from tests.support.pair import Pair
from tests.support.subscribing import CONFIG, ONE, Subscribing


def ended(end: SubscriptionEnd) -> SubscriptionEnded:
    return SubscriptionEnded(ONE, end)


# SUBSCRIBE outside a dialog


def test_accepted_subscription_says_its_state_in_the_dialog(link: Link) -> None:
    one = Subscribing(link)
    answer = one.subscribe(Expires="900", Event="dialog;id=7")
    assert (answer.status, answer.headers.get("Expires")) == (200, "900")
    assert answer.headers.get("Contact")
    notify = one.notifies[-1]
    assert str(notify.uri) == "sip:alice@127.0.0.2:5070"
    assert notify.headers.get("Event") == "dialog;id=7", "the id is repeated (RFC 6665 8.2.1)"
    assert notify.headers.get("Subscription-State") == "active;expires=900"
    assert (notify.headers.get("Content-Type"), notify.body) == ("text/plain", b"state")
    assert notify.headers.get("Contact") == answer.headers.get("Contact")
    assert (notify.headers.get("From") or "").endswith((answer.headers.get("To") or "").rpartition(";")[2])


@pytest.mark.parametrize(
    ("extra", "status", "field", "value"),
    [
        ({"Event": "conference"}, 489, "Allow-Events", "dialog, presence, refer"),
        ({"Event": ""}, 489, "Allow-Events", "dialog, presence, refer"),
        ({"Expires": "599"}, 423, "Min-Expires", "600"),
        ({"Expires": "soon"}, 400, "Warning", None),
        ({"Contact": "nonsense <"}, 400, "Warning", None),
    ],
)
def test_what_cannot_be_served_is_refused_before_call_control_hears(
    link: Link, extra: dict[str, str], status: int, field: str, value: str | None
) -> None:
    """EVT-3."""
    one = Subscribing(link)
    one.send(one.request(**extra))
    answer = one.last(Response)
    assert answer.status == status
    assert answer.headers.get(field) == value or (value is None and answer.headers.get(field))
    assert one.node.events == []
    one.assert_nothing_left()


def test_longer_than_we_give_is_cut_and_no_time_gets_ours(link: Link) -> None:
    one = Subscribing(link)
    assert one.subscribe(Expires="7200").headers.get("Expires") == "3600"
    other = Subscribing(Link())
    assert other.subscribe().headers.get("Expires") == "3600"


def test_expires_0_is_a_question_for_the_state(link: Link) -> None:
    """RFC 6665 4.4.3: the answer to it ends it."""
    one = Subscribing(link)
    one.send(one.request(Expires="0"))
    assert one.accept().headers.get("Expires") == "0"
    one.say("state", "terminated", "timeout")
    assert one.said == [("terminated;reason=timeout", "state")]
    one.answer(200)
    one.assert_nothing_left()


def test_more_than_an_endpoint_may_have(link: Link) -> None:
    """SUBSCRIPTIONS_PER_ENDPOINT names its setting."""
    one = Subscribing(link, config=replace(CONFIG, subscriptions=SubscriptionLimits(per_endpoint=1)))
    one.subscribe()
    one.send(make_request("SUBSCRIBE", branch="z9hG4bKx", call_id="sub-2", Event="dialog", Contact="<sip:a@b>"))
    answer = one.accept(SubscriptionId("two"))
    assert answer.status == 403
    assert "limits.subscriptions_per_endpoint is 1" in (answer.headers.get("Warning") or "")
    assert one.told == [SubscriptionEnded(SubscriptionId("two"), SubscriptionEnd.REFUSED)]


# refresh, expiry, unsubscribe


def test_refresh_prolongs_and_asks_for_the_full_state(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe(Expires="600")
    one.answer(200)
    link.run(500)
    one.send(one.request(to_tag=one.tag, Expires="600"))
    answer = one.last(Response)
    assert (answer.status, answer.headers.get("Expires")) == (200, "600")
    assert one.told == [NotifyDue(ONE)]
    link.run(500)
    assert one.told == [NotifyDue(ONE)], "1000 s after the first SUBSCRIBE it lives by the second"


def test_it_runs_out_with_a_last_notify(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe(Expires="600")
    one.answer(200)
    link.run(601)
    assert one.told == [ended(SubscriptionEnd.EXPIRED)]
    assert one.said[-1] == ("terminated;reason=timeout", "state")
    one.answer(200)
    one.assert_nothing_left()


def test_unsubscribe_gets_a_last_notify(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe()
    one.answer(200)
    one.send(one.request(to_tag=one.tag, Expires="0"))
    assert one.last(Response).headers.get("Expires") == "0"
    assert one.told == [ended(SubscriptionEnd.UNSUBSCRIBED)]
    assert one.said[-1] == ("terminated;reason=timeout", "state")
    one.answer(200)
    one.assert_nothing_left()


def test_what_does_not_belong_in_its_dialog(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe()
    one.answer(200)
    late = one.request(to_tag=one.tag)
    for request, status in (
        (one.request(to_tag=one.tag, Event="presence"), 481),
        (one.request("BYE", to_tag=one.tag), 481),
        (one.request(to_tag=one.tag, Expires="60"), 423),
        (one.request(to_tag=one.tag, Expires="never"), 400),
        (late, 500),
    ):
        one.send(request)
        assert one.last(Response).status == status, request.method
    assert one.told == []


# NOTIFY


def test_one_notify_at_a_time_then_only_the_latest(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe()
    for body in ("second", "third", "fourth"):
        one.say(body)
    assert [body for _, body in one.said] == ["state"]
    one.answer(200)
    assert [body for _, body in one.said] == ["state", "fourth"]
    one.answer(200)
    assert [body for _, body in one.said] == ["state", "fourth"]


def test_the_end_waits_for_the_notify_before_it(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe()
    one.say("over", "terminated", "noresource")
    one.say("too late")
    assert [note.slug for note in one.node.notes] == ["subscription-gone"]
    one.answer(200)
    assert one.said[-1] == ("terminated;reason=noresource", "over")
    one.answer(200)
    assert one.told == [], "call control ended it itself"
    one.assert_nothing_left()


@pytest.mark.parametrize("status", [404, 408, 481, 489, 501])
def test_a_subscriber_that_knows_nothing_of_it_ends_it(link: Link, status: int) -> None:
    """EVT-3."""
    one = Subscribing(link)
    one.subscribe()
    one.say("second")
    one.answer(status)
    assert one.told == [ended(SubscriptionEnd.GONE)]
    assert len(one.said) == 1
    one.assert_nothing_left()


def test_no_answer_to_notify_ends_it(link: Link) -> None:
    """EVT-3."""
    one = Subscribing(link, Transport.UDP)
    one.subscribe()
    link.run(33)
    assert one.told == [ended(SubscriptionEnd.GONE)]
    one.assert_nothing_left()


def test_a_busy_subscriber_keeps_it(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe()
    one.answer(503)
    assert one.told == []
    one.say("second")
    assert one.said[-1][1] == "second"


# flows


def test_a_lost_flow_pauses_it_and_the_return_says_one_full_state(link: Link) -> None:
    """EVT-4, LIVE-5."""
    one = Subscribing(link)
    one.subscribe()
    one.close(one.flow)
    assert one.node.events[-1] == FlowLost(one.flow.id, (), (ONE,))
    one.say("second")
    one.say("third")
    assert len(one.said) == 1, "the pause sends nothing"
    second = one.open()
    one.node.perform(MoveSubscription(ONE, second.id))
    assert one.told == [NotifyDue(ONE)]
    one.say("full")
    assert [body for _, body in one.said] == ["state", "full"]
    one.answer(200, second)
    one.node.perform(MoveSubscription(ONE, second.id))
    assert one.told == [NotifyDue(ONE)], "moved while it lives: nothing is said"


def test_a_paused_subscription_still_runs_out(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe(Expires="600")
    one.close(one.flow)
    link.run(601)
    assert one.told == [ended(SubscriptionEnd.EXPIRED)]
    assert len(one.said) == 1
    one.assert_nothing_left(0)


def test_the_end_of_a_paused_one_leaves_nothing(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe()
    one.close(one.flow)
    one.say("over", "terminated")
    one.assert_nothing_left(0)


def test_no_flow_to_move_to(link: Link) -> None:
    one = Subscribing(link)
    one.subscribe()
    one.node.perform(MoveSubscription(ONE, make_flow("nowhere").id))
    assert [note.slug for note in one.node.notes] == ["flow-gone"]


def test_subscribe_from_another_flow_of_the_same_endpoint_moves_it(link: Link) -> None:
    """AUTH-13 for subscriptions: trusted as the same endpoint it moves, else it is challenged."""
    one = Subscribing(link)
    one.subscribe()
    one.close(one.flow)
    second = one.open()
    one.send(one.request(to_tag=one.tag), second)
    assert one.last(Response).status == 407
    authenticator = one.node.node._doorkeeper._authenticator  # type: ignore[attr-defined]
    authenticator.trust(second, make_account("alice"), link.now)
    one.send(one.request(to_tag=one.tag), second)
    assert one.last(Response).status == 200
    assert one.told == [NotifyDue(ONE)]
    one.say("full")
    assert one.said[-1][1] == "full"


def test_the_transaction_to_accept_may_be_gone(link: Link) -> None:
    one = Subscribing(link)
    one.node.perform(AcceptSubscription(ONE, "gone", "alice"))
    assert one.told == [ended(SubscriptionEnd.GONE)]
    one.node.perform(Notify(ONE))
    assert [note.slug for note in one.node.notes] == ["subscription-gone"]


# REFER


class Referring:
    """Alice and Bob talk; Alice sends REFER, Bob's call control accepts it."""

    def __init__(self, link: Link) -> None:
        self.pair = Pair(link, Transport.TLS, replace(CONFIG, events=()))
        self.link = link
        self.pair.talk()
        self.invite = self.pair.request(self.pair.alice, "INVITE")
        self.tag = (self.pair.alice.received[-1].headers.get("To") or "").rpartition("tag=")[2]
        self.refer()

    def send(self, method: str, cseq: int, **extra: str) -> None:
        request = make_request(
            method,
            branch=f"z9hG4bK{method}{cseq}",
            transport="TLS",
            cseq=cseq,
            call_id=self.invite.headers.get("Call-ID") or "",
            from_tag=(self.invite.headers.get("From") or "").rpartition("tag=")[2],
            to_tag=self.tag,
            **extra,
        )
        self.pair.bob.feed(request, self.pair.back)

    def refer(self, cseq: int = 9) -> None:
        self.send("REFER", cseq, Refer_To="<sip:carol@example.com>")
        event = self.pair.bob.of(RequestInDialog)[-1]
        assert isinstance(event, RequestInDialog)
        self.pair.bob.perform(AcceptSubscription(ONE, event.transaction, "alice"))

    def say(self, body: str, state: str = "active", reason: str = "") -> None:
        self.pair.bob.perform(Notify(ONE, body.encode(), "message/sipfrag", state, reason))

    def answer(self, status: int) -> None:
        self.pair.bob.feed(make_response(self.notifies[-1], status), self.pair.back)

    @property
    def notifies(self) -> list[Request]:
        return [one for one in self.pair.bob.sent if isinstance(one, Request) and one.method == "NOTIFY"]

    def last(self) -> Response:
        found = next(one for one in reversed(self.pair.bob.sent) if isinstance(one, Response))
        assert isinstance(found, Response)
        return found


def test_refer_implies_a_subscription_in_the_calls_dialog(link: Link) -> None:
    """XFER-1: 202, Event with the CSeq as id, the dialog's own Call-ID, tags and CSeq."""
    one = Referring(link)
    assert (one.last().status, bool(one.last().headers.get("Contact"))) == (202, True)
    one.say("SIP/2.0 100 Trying")
    notify = one.notifies[-1]
    assert notify.headers.get("Event") == "refer;id=9"
    assert notify.headers.get("Subscription-State") == "active;expires=300"
    assert notify.headers.get("Call-ID") == one.invite.headers.get("Call-ID")
    one.answer(200)
    one.say("SIP/2.0 200 OK", "terminated", "noresource")
    one.answer(200)
    assert one.pair.bob.node.subscriptions == 0  # type: ignore[attr-defined]
    assert one.pair.bob.node.dialogs == 1, "the call stands"  # type: ignore[attr-defined]


def test_bye_leaves_the_subscription_its_dialog(link: Link) -> None:
    """RFC 5057: the transferor may leave after 202; NOTIFYs go on until the end."""
    one = Referring(link)
    one.say("SIP/2.0 100 Trying")
    one.answer(200)
    one.send("BYE", 10)
    assert one.last().status == 200
    one.say("SIP/2.0 180 Ringing")
    assert one.notifies[-1].body == b"SIP/2.0 180 Ringing"
    one.answer(200)
    one.send("SUBSCRIBE", 11, Event="refer;id=9", Expires="600")
    assert one.last().headers.get("Expires") == "600"
    assert one.notifies[-1].body == b"SIP/2.0 180 Ringing", "it repeats by itself what it said last"
    one.answer(200)
    one.say("SIP/2.0 200 OK", "terminated", "noresource")
    one.answer(200)
    left = one.pair.bob.node
    assert (left.subscriptions, left.dialogs, left.usages) == (0, 0, 0)  # type: ignore[attr-defined]


def test_a_transferor_that_forgot_ends_only_the_subscription(link: Link) -> None:
    one = Referring(link)
    one.say("SIP/2.0 100 Trying")
    one.answer(481)
    assert one.pair.bob.events[-1] == ended(SubscriptionEnd.GONE)
    assert one.pair.bob.node.dialogs == 1  # type: ignore[attr-defined]


def test_other_subscriptions_do_not_share_a_calls_dialog(link: Link) -> None:
    """RFC 5057, section 1: dialog re-use only for REFER."""
    one = Referring(link)
    one.send("SUBSCRIBE", 10, Event="dialog")
    assert one.last().status == 403


def test_the_transferors_flow_comes_back(link: Link) -> None:
    """EVT-4 for an implied subscription: it follows its call."""
    one = Referring(link)
    one.say("SIP/2.0 100 Trying")
    bob = one.pair.bob
    link.disconnect(one.pair.back.id)
    one.say("SIP/2.0 180 Ringing")
    assert len(one.notifies) == 1
    second = link.connect(one.pair.alice, bob, Transport.TLS)[1]
    core = bob.node._core  # type: ignore[attr-defined]
    next(iter(core.usages.values())).move(second)
    bob.apply(core.subscriptions.resumed(second.id, link.now))
    assert [one.body for one in one.notifies] == [b"SIP/2.0 100 Trying", b"SIP/2.0 180 Ringing"]


def test_a_call_that_ended_before_its_refer_was_accepted(link: Link) -> None:
    one = Referring(link)
    one.send("REFER", 20, Refer_To="<sip:carol@example.com>")
    event = one.pair.bob.of(RequestInDialog)[-1]
    assert isinstance(event, RequestInDialog)
    one.send("BYE", 21)
    two = SubscriptionId("two")
    one.pair.bob.perform(AcceptSubscription(two, event.transaction, "alice"))
    assert one.pair.bob.events[-1] == SubscriptionEnded(two, SubscriptionEnd.GONE)


def test_refer_outside_a_dialog_makes_one(link: Link) -> None:
    """XFER-2 with Target-Dialog: 202 and a dialog of its own."""
    one = Subscribing(link)
    one.send(one.request("REFER", Refer_To="<sip:carol@example.com>"))
    answer = one.accept()
    assert answer.status == 202
    one.say("SIP/2.0 100 Trying")
    assert one.notifies[-1].headers.get("Event") == "refer;id=1"
    assert DOMAIN in str(one.notifies[-1].headers.get("To"))
    one.answer(200)
    one.say("SIP/2.0 603 Decline", "terminated", "noresource")
    one.answer(200)
    one.assert_nothing_left()
