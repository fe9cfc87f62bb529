"""CALL-5: reliable provisional responses (RFC 3262) in both roles, and UPDATE in early dialogs (RFC 3311)."""

import pytest

from offhook.sip.commands import HangUp, Respond, RespondInvite, SendInDialog
from offhook.sip.events import (
    InviteAccepted,
    InviteCanceled,
    InviteProgressed,
    InviteRejected,
    PrackMissing,
    ProvisionalAcknowledged,
    RequestAnswered,
    RequestInDialog,
)
from offhook.sip.flow import Transport
from offhook.sip.message import Headers, Request, Response
from offhook.sip.reliable import parse_rack, rseq_of
from tests.support.link import Link, Station
from tests.support.messages import SDP, make_request, make_response
from tests.support.pair import WITH_SDP, Pair

OTHER = SDP.replace(b"4000", b"4100")


def responses(station: Station, status: int) -> list[Response]:
    return [one for one in station.sent if isinstance(one, Response) and one.status == status]


def answers(station: Station, method: str) -> list[int]:
    """Final statuses that a station received to a method."""
    finals = [one for one in station.received if isinstance(one, Response) and one.status >= 200]
    return [one.status for one in finals if (one.headers.get("CSeq") or "").endswith(f" {method}")]


def script(pair: Pair, method: str, cseq: int, body: bytes = b"", **extra: str) -> None:
    """A request of a hand-written caller to bob, in the dialog that `make_request("INVITE")` began."""
    tag = (pair.bob.sent[-1].headers.get("To") or "").rpartition("=")[2]
    branch = f"z9hG4bK{method}{cseq}"
    pair.bob.feed(make_request(method, branch=branch, cseq=cseq, to_tag=tag, body=body, **extra), pair.back)


# the callee's side


def test_a_described_1xx_is_sent_reliably_and_the_200_says_it_no_more(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    pair.respond(183, SDP)
    link.run(0.1)
    # 1. Require and RSeq, and the PRACK names both numbers
    early = responses(pair.bob, 183)[0]
    prack = pair.request(pair.alice, "PRACK")
    assert early.headers.get("Require") == "100rel"
    assert prack.headers.get("RAck") == f"{early.headers.get('RSeq')} 1 INVITE"
    assert answers(pair.alice, "PRACK") == [200]
    assert pair.bob.of(ProvisionalAcknowledged)
    # 2. a 180 without a description is not worth a round trip
    pair.respond(180)
    assert responses(pair.bob, 180)[0].headers.get("Require") is None
    # 3. RFC 3261 13.2.1: what was acknowledged is not described again
    pair.respond(200, SDP)
    link.run(0.1)
    final = next(one for one in responses(pair.bob, 200) if (one.headers.get("CSeq") or "").endswith("INVITE"))
    assert (final.body, final.headers.get("Content-Type")) == (b"", None)
    assert pair.alice.of(InviteAccepted)


def test_one_at_a_time_and_in_order(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", Require="100rel", body=SDP), pair.back)
    for status in (180, 183, 182):
        pair.respond(status)
    # 1. required: every 1xx is reliable, the second waits for the PRACK of the first
    assert [one.status for one in pair.bob.sent if isinstance(one, Response)] == [100, 180]
    first = int(responses(pair.bob, 180)[0].headers.get("RSeq") or "0")
    script(pair, "PRACK", 2, RAck=f"{first} 1 INVITE")
    assert [one.status for one in pair.bob.sent if isinstance(one, Response)][2:] == [200, 183]
    script(pair, "PRACK", 3, RAck=f"{first + 1} 1 INVITE")
    # 2. numbers follow each other
    assert [int(responses(pair.bob, status)[0].headers.get("RSeq") or "0") for status in (183, 182)] == [
        first + 1,
        first + 2,
    ]


@pytest.mark.parametrize("rack", ["1 1 INVITE", "", "x y z", "99999999999999999999999 1 INVITE"])
def test_a_prack_for_nothing_is_481(link: Link, rack: str) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", Require="100rel", body=SDP), pair.back)
    pair.respond(180)
    rseq = responses(pair.bob, 180)[0].headers.get("RSeq")
    script(pair, "PRACK", 2, RAck=rack)
    assert pair.bob.sent[-1].status == 481  # type: ignore[union-attr]
    # the one it should have acknowledged still can be, once
    script(pair, "PRACK", 3, RAck=f"{rseq} 1 INVITE")
    assert pair.bob.sent[-1].status == 200  # type: ignore[union-attr]
    script(pair, "PRACK", 4, RAck=f"{rseq} 1 INVITE")
    assert pair.bob.sent[-1].status == 481  # type: ignore[union-attr]


def test_it_is_repeated_with_doubled_pauses_and_given_up_with_504(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    link.drop("alice", "PRACK", times=1000)
    began = link.now
    pair.respond(183, SDP)
    link.run(40)
    assert [round(at - began, 3) for at in link.times("bob: 183 INVITE")] == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert pair.bob.of(PrackMissing)
    rejected = pair.alice.of(InviteRejected)[0]
    assert isinstance(rejected, InviteRejected)
    assert rejected.response is not None
    assert rejected.response.status == 504
    assert "prack-missing" in (rejected.response.headers.get("Warning") or "")
    pair.assert_nothing_left()


def test_the_200_waits_for_the_prack_of_the_answer_only(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", Require="100rel", body=SDP), pair.back)
    pair.respond(180)
    rseq = int(responses(pair.bob, 180)[0].headers.get("RSeq") or "0")
    # 1. nothing was described yet: the 200 goes out at once, and the late PRACK is still known
    pair.respond(200, SDP)
    assert responses(pair.bob, 200)[-1].body == SDP
    script(pair, "PRACK", 2, RAck=f"{rseq} 1 INVITE")
    assert responses(pair.bob, 200)[-1].headers.get("CSeq") == "2 PRACK"


def test_the_200_is_held_until_the_answer_is_acknowledged(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    link.drop("alice", "PRACK")
    pair.respond(183, SDP)
    pair.respond(200, SDP)
    link.run(0.1)
    assert pair.alice.of(InviteAccepted) == []
    link.run(1)
    assert pair.alice.of(InviteAccepted)
    assert [one for one in link.arrows() if "200" in one][:2] == ["bob: 200 PRACK", "bob: 200 INVITE"]


def test_a_refusal_does_not_wait(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    link.drop("alice", "PRACK", times=9)
    pair.respond(183, SDP)
    pair.respond(486)
    link.run(0.1)
    assert pair.alice.of(InviteRejected)
    pair.assert_nothing_left()


def test_nothing_is_repeated_after_the_end_while_something_of_ours_is_unanswered(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", Require="100rel", body=SDP), pair.back)
    pair.respond(180, SDP)
    pair.bob.perform(SendInDialog(pair.ringing, "INFO"))
    pair.bob.perform(HangUp(pair.ringing))
    repeated = len(responses(pair.bob, 180))
    link.run(100)
    assert len(responses(pair.bob, 180)) == repeated
    assert pair.bob.node.usages == 0
    assert pair.bob.timers == {}


def test_cancel_while_a_200_waits_for_its_prack(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", Supported="100rel", body=SDP), pair.back)
    pair.respond(183, SDP)
    pair.respond(200, SDP)
    pair.bob.feed(make_request("CANCEL"), pair.back)
    assert pair.bob.of(InviteCanceled)
    assert responses(pair.bob, 487)
    assert pair.bob.node.usages == 0


def test_a_websocket_peer_gets_it_only_if_it_insists(link: Link) -> None:
    pair = Pair(link, Transport.WSS)
    # 1. not offered
    pair.invite()
    link.run(0.1)
    assert "100rel" not in (pair.request(pair.alice, "INVITE").headers.get("Supported") or "")
    # 2. not used, though supported
    pair.bob.feed(make_request("INVITE", call_id="other", Supported="100rel", body=SDP), pair.back)
    pair.respond(183, SDP)
    assert responses(pair.bob, 183)[-1].headers.get("RSeq") is None
    # 3. used when required
    pair.bob.feed(make_request("INVITE", call_id="third", branch="z9hG4bK3", Require="100rel", body=SDP), pair.back)
    pair.respond(183, SDP)
    assert responses(pair.bob, 183)[-1].headers.get("RSeq")


def test_a_late_offer_is_made_in_the_1xx_and_answered_in_the_prack(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", Supported="100rel"), pair.back)
    pair.respond(183, SDP)
    rseq = responses(pair.bob, 183)[0].headers.get("RSeq")
    # 1. while our offer is open an UPDATE with another meets 491
    script(pair, "UPDATE", 2, SDP)
    assert pair.bob.sent[-1].status == 491  # type: ignore[union-attr]
    script(pair, "PRACK", 3, OTHER, RAck=f"{rseq} 1 INVITE")
    acknowledged = pair.bob.of(ProvisionalAcknowledged)[0]
    assert isinstance(acknowledged, ProvisionalAcknowledged)
    assert acknowledged.request.body == OTHER
    # 2. then it is welcome
    script(pair, "UPDATE", 4, SDP)
    assert isinstance(pair.bob.events[-1], RequestInDialog)


def test_a_prack_may_make_a_further_offer(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", Supported="100rel", body=SDP), pair.back)
    pair.respond(183, SDP)
    pair.respond(200, SDP)
    rseq = responses(pair.bob, 183)[0].headers.get("RSeq")
    script(pair, "PRACK", 2, OTHER, RAck=f"{rseq} 1 INVITE")
    asked = pair.bob.events[-1]
    assert isinstance(asked, RequestInDialog)
    # The 200 waits for the answer to that offer too.
    assert responses(pair.bob, 200) == []

    pair.bob.perform(Respond(asked.transaction, 200, WITH_SDP, OTHER))
    assert [one.headers.get("CSeq") for one in responses(pair.bob, 200)] == ["2 PRACK", "1 INVITE"]


# the caller's side


def early(request: Request, rseq: int, tag: str = "a", status: int = 183, body: bytes = SDP) -> Response:
    return make_response(request, status, tag, body, Require="100rel", RSeq=str(rseq), Contact="<sip:x@127.0.0.2>")


def pracks(pair: Pair) -> list[str]:
    sent = [one for one in pair.alice.sent if isinstance(one, Request) and one.method == "PRACK"]
    return [one.headers.get("RAck") or "" for one in sent]


def test_order_copies_and_forks(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    invite = pair.request(pair.alice, "INVITE")
    # 1. the first number may be any; the next must follow; one that jumps is neither acknowledged nor told
    for rseq in (7, 9, 8, 9):
        pair.alice.feed(early(invite, rseq), pair.there)
    assert pracks(pair) == ["7 1 INVITE", "8 1 INVITE", "9 1 INVITE"]
    assert len(pair.alice.of(InviteProgressed)) == 3
    # 2. a copy gets the same PRACK again, and is not told twice
    pair.alice.feed(early(invite, 9), pair.there)
    sent = [one for one in pair.alice.sent if isinstance(one, Request) and one.method == "PRACK"]
    assert sent[-1] == sent[-2]
    assert len(pair.alice.of(InviteProgressed)) == 3
    # ... as often as the RFC lets it come, so that a peer which answers each PRACK with a copy does not start a storm
    for _ in range(20):
        pair.alice.feed(early(invite, 9), pair.there)
    assert len([one for one in pair.alice.sent if isinstance(one, Request) and one.method == "PRACK"]) == 3 + 7
    # 3. each fork counts for itself
    pair.alice.feed(early(invite, 1, "b"), pair.there)
    assert pracks(pair)[-1] == "1 1 INVITE"
    # 4. numbers inside each early dialog go on after it is confirmed
    pair.alice.feed(make_response(invite, 200, "a", Contact="<sip:x@127.0.0.2>"), pair.there)
    pair.alice.perform(SendInDialog(pair.call, "INFO"))
    assert pair.alice.sent[-1].headers.get("CSeq") == "5 INFO"


def test_update_in_the_early_dialog_by_either_side(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    # 1. no answer yet: nobody may offer anew
    pair.alice.perform(SendInDialog(pair.call, "UPDATE", WITH_SDP, SDP))
    assert isinstance(pair.alice.events[-1], RequestAnswered)
    pair.respond(183, SDP)
    link.run(0.1)
    # 2. the callee moves its media
    pair.bob.perform(SendInDialog(pair.ringing, "UPDATE", WITH_SDP, OTHER))
    link.run(0.1)
    asked = pair.alice.events[-1]
    assert isinstance(asked, RequestInDialog)
    assert asked.request.body == OTHER
    # 3. while that is open, ours would cross it
    pair.alice.perform(SendInDialog(pair.call, "UPDATE", WITH_SDP, SDP))
    refused = pair.alice.events[-1]
    assert isinstance(refused, RequestAnswered)
    assert refused.response is not None
    assert refused.response.status == 491

    pair.alice.perform(Respond(asked.transaction, 200, WITH_SDP, SDP))
    link.run(0.1)
    assert answers(pair.bob, "UPDATE") == [200]
    # 4. then the caller's
    pair.alice.perform(SendInDialog(pair.call, "UPDATE", WITH_SDP, SDP))
    link.run(0.1)
    assert isinstance(pair.bob.events[-1], RequestInDialog)
    pair.respond(200, SDP)
    link.run(0.1)
    assert pair.alice.of(InviteAccepted)


def test_update_before_a_reliable_answer_is_refused(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(183, SDP)
    script(pair, "UPDATE", 2, OTHER)
    refused = pair.bob.sent[-1]
    assert isinstance(refused, Response)
    assert refused.status == 500
    assert 0 <= int(refused.headers.get("Retry-After") or "99") <= 10


def test_what_is_no_reliable_response() -> None:
    request = make_request("INVITE")
    assert rseq_of(make_response(request, 183, "a", RSeq="1")) is None
    assert rseq_of(make_response(request, 183, "a", Require="100rel", RSeq="x")) is None
    assert rseq_of(make_response(request, 200, "a", Require="100rel", RSeq="1")) is None
    assert parse_rack("1 2 INVITE") == (1, 2, "INVITE")


def test_nothing_is_left_after_lost_messages_on_every_side(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    for sender, what in (("bob", "183 INVITE"), ("alice", "PRACK"), ("bob", "200 PRACK"), ("bob", "200 INVITE")):
        link.drop(sender, what)
    pair.respond(183, SDP)
    link.run(5)
    pair.respond(200, SDP)
    link.run(5)
    assert pair.alice.of(InviteAccepted)
    assert len(pair.bob.of(ProvisionalAcknowledged)) == 1

    pair.alice.perform(HangUp(pair.call))
    pair.assert_nothing_left()


def test_headers_of_call_control_are_kept(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    pair.bob.perform(RespondInvite(pair.ringing, 183, Headers([("Alert-Info", "<urn:alert:x>"), *WITH_SDP]), SDP))
    assert responses(pair.bob, 183)[0].headers.get("Alert-Info") == "<urn:alert:x>"
