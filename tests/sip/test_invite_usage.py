"""The INVITE usage between two endpoints: forks, CANCEL, BYE, re-INVITE, glare."""

from offhook.sip.commands import CancelInvite, HangUp, Respond, SendInDialog
from offhook.sip.events import (
    AckMissing,
    AckReceived,
    DialogLost,
    Failure,
    FlowLost,
    HungUp,
    InviteAccepted,
    InviteCanceled,
    InviteProgressed,
    InviteRejected,
    RequestAnswered,
    RequestInDialog,
)
from offhook.sip.flow import Transport
from offhook.sip.message import Headers, Request, Response
from offhook.sip.outgoing_invite import FORKS
from tests.support.link import Link
from tests.support.messages import SDP, make_request, make_response
from tests.support.pair import WITH_SDP, Pair

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def last_asked(pair: Pair) -> RequestInDialog:
    event = pair.bob.events[-1]
    assert isinstance(event, RequestInDialog)
    return event


def statuses(pair: Pair, method: str) -> list[int]:
    """Final statuses bob sent to this method."""
    return [
        message.status
        for message in pair.bob.sent
        if isinstance(message, Response)
        and message.status >= 200
        and (message.headers.get("CSeq") or "").endswith(method)
    ]


def inside(pair: Pair, method: str, cseq: int, **extra: str) -> Request:
    """A hand-made request inside a dialog that `make_request("INVITE")` began."""
    tag = (pair.bob.sent[-1].headers.get("To") or "").rpartition("=")[2]
    return make_request(method, branch=f"z9hG4bK{method}{cseq}", cseq=cseq, to_tag=tag, **extra)


# answers


def test_one_to_tag_and_contact_for_every_answer(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    link.run(0.1)
    for status in (180, 183, 180, 200):
        pair.respond(status, SDP if status != 180 else b"")
    answers = [m for m in pair.bob.sent if isinstance(m, Response) and m.status > 100]
    assert len({m.headers.get("To") for m in answers}) == 1
    assert len({m.headers.get("Contact") for m in answers}) == 1
    assert all((m.headers.get("To") or "").rpartition(";")[2].startswith("tag=") for m in answers)


def test_websocket_contact_names_the_transport_and_an_opaque_user(link: Link) -> None:
    pair = Pair(link, Transport.WSS)
    pair.ring()
    contact = pair.bob.sent[-1].headers.get("Contact") or ""
    assert contact.endswith("@127.0.0.2:5060;transport=ws>")
    assert "bob" not in contact
    invite = pair.request(pair.alice, "INVITE")
    assert (invite.headers.get("Via") or "").startswith("SIP/2.0/WSS 127.0.0.1:")
    assert "alice" not in (invite.headers.get("Contact") or "")


def test_from_and_to_stay_byte_for_byte(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(SendInDialog(pair.call, "INFO"))
    link.run(0.1)
    pair.bob.perform(Respond(last_asked(pair).transaction, 200))
    pair.bob.perform(HangUp(pair.ringing))
    link.run(1)
    info, ack = pair.request(pair.alice, "INFO"), pair.request(pair.alice, "ACK")
    bye = pair.request(pair.bob, "BYE")
    for name in ("From", "To"):
        assert info.headers.get(name) == ack.headers.get(name)
    assert (info.headers.get("From"), info.headers.get("To")) == (bye.headers.get("To"), bye.headers.get("From"))
    assert (info.headers.get("From") or "").startswith('"Alice" <sip:alice@example.com>;tag=')


def test_answers_carry_exactly_the_vias_of_the_request(link: Link) -> None:
    pair = Pair(link)
    invite = make_request("INVITE", body=SDP)
    lower = 'SIP/2.0/SCTP [2001:db8::9]:5060;branch=z9hG4bKdeep;X="a,b"'
    fields = [("Via", "SIP/2.0/UDP  device.invalid;branch=z9hG4bKtop;rport;Other=1"), ("Via", lower)]
    fields += [field for field in invite.headers if field[0] != "Via"]
    pair.bob.feed(Request("INVITE", invite.uri, Headers(fields), SDP), pair.back)
    for answer in pair.bob.sent:
        host, port = pair.back.remote
        top = f"SIP/2.0/UDP  device.invalid;branch=z9hG4bKtop;rport={port};Other=1;received={host}"
        assert answer.headers.all("Via") == (top, lower)


# forks (CALL-4)


def test_second_fork_is_acknowledged_and_ended(link: Link) -> None:
    pair = Pair(link)
    link.drop("alice", "INVITE")
    pair.invite()
    invite = pair.request(pair.alice, "INVITE")
    contact = {"Contact": "<sip:one@127.0.0.2>"}
    pair.alice.feed(make_response(invite, 180, "one", **contact), pair.there)
    pair.alice.feed(make_response(invite, 180, "two", **contact), pair.there)
    assert pair.alice.node.dialogs == 2
    pair.alice.feed(make_response(invite, 200, "one", SDP, **contact), pair.there)
    pair.alice.feed(make_response(invite, 200, "two", SDP, **contact), pair.there)
    assert [event.tag for event in pair.alice.of(InviteProgressed) if isinstance(event, InviteProgressed)] == [
        "one",
        "two",
    ]
    assert len(pair.alice.of(InviteAccepted)) == 1
    assert pair.alice.node.dialogs == 1
    ack, bye = pair.alice.sent[-2:]
    assert isinstance(bye, Request)
    assert (ack.headers.get("To") or "").endswith("tag=two")
    assert (bye.method, bye.headers.get("Reason")) == ("BYE", ELSEWHERE)


def test_forks_are_bounded_whatever_tags_a_peer_makes_up(link: Link) -> None:
    pair = Pair(link)
    link.drop("alice", "INVITE")
    pair.invite()
    invite = pair.request(pair.alice, "INVITE")
    contact = {"Contact": "<sip:one@127.0.0.2>"}
    for number in range(3 * FORKS):
        pair.alice.feed(make_response(invite, 180, f"early{number}", **contact), pair.there)
        pair.alice.feed(make_response(invite, 199, f"early{number + 1}", **contact), pair.there)
    assert pair.alice.node.dialogs <= FORKS
    # 1. One of the known ones answers, and the call stands.
    pair.alice.feed(make_response(invite, 200, "early0", SDP, **contact), pair.there)
    assert len(pair.alice.of(InviteAccepted)) == 1
    # 2. Further answers begin no further dialog, and no transaction of ours to end one.
    count = len(pair.alice.sent)
    for number in range(3 * FORKS):
        pair.alice.feed(make_response(invite, 200, f"late{number}", SDP, **contact), pair.there)
    assert len(pair.alice.sent) == count
    assert pair.alice.node.dialogs == 1


def test_199_ends_one_early_dialog(link: Link) -> None:
    pair = Pair(link)
    link.drop("alice", "INVITE")
    pair.invite()
    invite = pair.request(pair.alice, "INVITE")
    for status, tag in ((180, "one"), (180, "two"), (199, "one")):
        pair.alice.feed(make_response(invite, status, tag), pair.there)
    assert pair.alice.node.dialogs == 1


def test_route_set_is_reversed_kept_and_used_down_the_flow(link: Link) -> None:
    pair = Pair(link)
    link.drop("alice", "INVITE")
    pair.invite()
    routes = {"Record-Route": "<sip:b.example.com;lr;x=1>, <sip:a.example.com;lr>", "Contact": "<sip:bob@10.9.8.7>"}
    pair.alice.feed(make_response(pair.request(pair.alice, "INVITE"), 200, "t", SDP, **routes), pair.there)
    ack = pair.request(pair.alice, "ACK")
    assert ack.headers.all("Route") == ("<sip:a.example.com;lr>", "<sip:b.example.com;lr;x=1>")
    assert str(ack.uri) == "sip:bob@10.9.8.7"
    assert link.arrows()[-1] == "alice: ACK"


def test_strict_router_gets_its_own_uri_in_the_request_line(link: Link) -> None:
    pair = Pair(link)
    invite = make_request("INVITE", body=SDP, Record_Route="<sip:strict@old.example.com>, <sip:b.example.com;lr>")
    pair.bob.feed(invite, pair.back)
    pair.respond(200, SDP)
    assert pair.bob.sent[-1].headers.get("Record-Route") == invite.headers.get("Record-Route")
    pair.bob.feed(inside(pair, "ACK", 1), pair.back)
    pair.bob.perform(HangUp(pair.ringing))
    bye = pair.request(pair.bob, "BYE")
    assert str(bye.uri) == "sip:strict@old.example.com"
    assert bye.headers.all("Route") == ("<sip:b.example.com;lr>", "<sip:alice@127.0.0.2:5070>")


# CANCEL (CALL-12)


def test_cancel_waits_for_a_first_1xx(link: Link) -> None:
    pair = Pair(link)
    link.drop("bob", "100 INVITE", times=1)
    pair.invite()
    pair.alice.perform(CancelInvite(pair.call, ELSEWHERE))
    link.run(0.3)
    assert "alice: CANCEL" not in link.arrows()
    link.run(1)
    assert link.arrows()[-4:] == ["alice: CANCEL", "bob: 200 CANCEL", "bob: 487 INVITE", "alice: ACK"]
    assert pair.bob.events[-1] == InviteCanceled(pair.ringing, ELSEWHERE)
    cancel, invite = pair.request(pair.alice, "CANCEL"), pair.request(pair.alice, "INVITE")
    for name in ("Via", "From", "To", "Call-ID"):
        assert cancel.headers.get(name) == invite.headers.get(name)
    rejected = pair.alice.events[-1]
    assert isinstance(rejected, InviteRejected)
    assert rejected.response is not None
    assert rejected.response.status == 487
    tags = {m.headers.get("To") for m in pair.bob.sent if isinstance(m, Response) and m.status >= 200}
    assert len(tags) == 1
    pair.assert_nothing_left()


def test_cancel_without_any_final_response_frees_the_leg(link: Link) -> None:
    pair = Pair(link)
    pair.ring()
    link.drop("alice", "CANCEL", times=100)
    pair.alice.perform(CancelInvite(pair.call))
    link.run(31)
    assert pair.alice.of(InviteRejected) == []
    link.run(2)
    assert pair.alice.events[-1] == InviteRejected(pair.call, None, Failure.NO_RESPONSE)
    pair.respond(480)
    pair.assert_nothing_left()


def test_cancel_that_comes_down_after_the_200_came_up_hangs_up(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(CancelInvite(pair.call, ELSEWHERE))
    link.run(0.1)
    assert link.arrows()[-2:] == ["alice: BYE", "bob: 200 BYE"]
    rejected = pair.alice.events[-1]
    assert isinstance(rejected, InviteRejected)
    assert rejected.response is not None
    assert rejected.response.status == 487
    assert pair.bob.events[-1] == HungUp(pair.ringing, ELSEWHERE)
    pair.assert_nothing_left()


def test_cancel_after_our_200_changes_nothing(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(200, SDP)
    pair.bob.feed(make_request("CANCEL"), pair.back)
    assert statuses(pair, "CANCEL") == [200]
    assert pair.bob.of(InviteCanceled) == []
    assert pair.bob.node.usages == 1


def test_cancel_for_nothing_is_481(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("CANCEL"), pair.back)
    assert statuses(pair, "CANCEL") == [481]


# BYE (CALL-13)


def test_bye_in_the_early_dialog_is_cancel(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(180)
    pair.bob.feed(inside(pair, "BYE", 2, Reason="Q.850;cause=16"), pair.back)
    assert statuses(pair, "BYE") == [200]
    assert statuses(pair, "INVITE") == [487]
    assert pair.bob.events[-1] == InviteCanceled(pair.ringing, "Q.850;cause=16")
    assert pair.bob.node.dialogs == 0


def test_byes_that_cross_are_both_answered_200(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(HangUp(pair.call))
    pair.bob.perform(HangUp(pair.ringing))
    link.run(0.1)
    assert sorted(link.arrows()[-4:]) == ["alice: 200 BYE", "alice: BYE", "bob: 200 BYE", "bob: BYE"]
    assert pair.alice.of(HungUp) == pair.bob.of(HungUp) == []
    pair.assert_nothing_left()


def test_requests_after_bye_are_481(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(200, SDP)
    later = [inside(pair, "ACK", 1), inside(pair, "BYE", 2), inside(pair, "INFO", 3), inside(pair, "INVITE", 4)]
    for request in later:
        pair.bob.feed(request, pair.back)
    assert statuses(pair, "BYE") == [200]
    assert statuses(pair, "INFO") == [481]
    assert statuses(pair, "INVITE") == [200, 481]


def test_hanging_up_before_the_ack_waits_for_it(link: Link) -> None:
    pair = Pair(link)
    pair.ring()
    link.drop("alice", "ACK", times=2)
    pair.respond(200, SDP)
    pair.bob.perform(HangUp(pair.ringing, "Q.850;cause=16"))
    assert pair.bob.node.usages == 0
    link.run(1.4)
    assert "bob: BYE" not in link.arrows()
    link.run(1)
    assert link.arrows()[-2:] == ["bob: BYE", "alice: 200 BYE"]
    assert pair.bob.of(AckReceived) == pair.bob.of(AckMissing) == []
    assert pair.alice.events[-1] == HungUp(pair.call, "Q.850;cause=16")
    pair.assert_nothing_left()


# inside the dialog


def test_lower_cseq_is_500(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP, cseq=10), pair.back)
    pair.respond(200, SDP)
    pair.bob.feed(inside(pair, "ACK", 10), pair.back)
    answered = pair.bob.sent[-1]
    pair.bob.feed(inside(pair, "INFO", 9), pair.back)
    assert statuses(pair, "INFO") == [500]
    assert answered is not pair.bob.sent[-1]


def test_reinvite_is_answered_by_call_control_and_repeated_until_ack(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, SDP))
    link.run(0.1)
    link.drop("alice", "ACK", times=2)
    pair.bob.perform(Respond(last_asked(pair).transaction, 200, WITH_SDP, SDP))
    link.run(5)
    assert link.arrows()[-6:] == ["bob: 200 INVITE", "alice: ACK x"] * 2 + ["bob: 200 INVITE", "alice: ACK"]
    answered = pair.alice.events[-1]
    assert isinstance(answered, RequestAnswered)
    assert (answered.method, answered.response is not None) == ("INVITE", True)
    assert len(pair.bob.of(AckReceived)) == 2
    assert pair.request(pair.alice, "ACK").headers.get("CSeq") == "2 ACK"


def test_reinvites_that_cross_are_both_491(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, SDP))
    pair.bob.perform(SendInDialog(pair.ringing, "INVITE", WITH_SDP, SDP))
    link.run(0.2)
    for station in (pair.alice, pair.bob):
        answered = station.events[-1]
        assert isinstance(answered, RequestAnswered)
        assert answered.response is not None
        assert answered.response.status == 491
        assert station.of(RequestInDialog) == []


def test_second_reinvite_before_our_answer_is_500_with_retry_after(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(200, SDP)
    pair.bob.feed(inside(pair, "ACK", 1), pair.back)
    for cseq in (2, 3):
        pair.bob.feed(inside(pair, "INVITE", cseq), pair.back)
    assert statuses(pair, "INVITE") == [200, 500]
    assert 0 <= int(pair.bob.sent[-1].headers.get("Retry-After") or "-1") <= 10
    assert len(pair.bob.of(RequestInDialog)) == 1


def test_our_second_reinvite_is_not_sent_but_told_as_glare(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, SDP))
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, SDP))
    answered = pair.alice.events[-1]
    assert isinstance(answered, RequestAnswered)
    assert answered.response is not None
    assert answered.response.status == 491
    assert len(link.times("alice: INVITE")) == 2


def test_reinvite_with_no_more_than_a_1xx_is_given_up_after_the_end(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    link.drop("bob", "487 INVITE", times=100)
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, SDP))
    link.run(0.1)
    pair.alice.perform(HangUp(pair.call))
    link.run(20)
    assert pair.alice.node.usages == 0
    assert pair.alice.node.dialogs == 1
    pair.assert_nothing_left()


def test_bye_during_their_reinvite_gives_487(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.perform(SendInDialog(pair.call, "INVITE", WITH_SDP, SDP))
    link.run(0.1)
    pair.alice.perform(HangUp(pair.call))
    link.run(0.1)
    assert statuses(pair, "INVITE") == [200, 487]
    assert pair.alice.of(RequestAnswered) == []
    pair.assert_nothing_left()


def test_reinvite_moves_the_remote_target(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(200, SDP)
    pair.bob.feed(inside(pair, "ACK", 1), pair.back)
    pair.bob.feed(inside(pair, "INVITE", 2, Contact="<sip:new@10.0.0.9>"), pair.back)
    pair.bob.perform(Respond(last_asked(pair).transaction, 200, WITH_SDP, SDP))
    pair.bob.perform(HangUp(pair.ringing))
    assert str(pair.request(pair.bob, "BYE").uri) == "sip:new@10.0.0.9"


def test_a_refused_reinvite_leaves_the_remote_target(link: Link) -> None:
    """RFC 6141 section 3.4: what is refused has changed nothing, and no 2xx waits for its ACK."""
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(200, SDP)
    pair.bob.feed(inside(pair, "ACK", 1), pair.back)
    pair.bob.feed(inside(pair, "INVITE", 2, Contact="<sip:new@10.0.0.9>"), pair.back)
    pair.bob.perform(Respond(last_asked(pair).transaction, 488))
    pair.bob.perform(HangUp(pair.ringing))
    assert str(pair.request(pair.bob, "BYE").uri) != "sip:new@10.0.0.9"
    assert pair.bob.of(AckMissing) == []


def test_481_inside_the_dialog_ends_it(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    link.drop("bob", "BYE", times=100)
    pair.bob.perform(HangUp(pair.ringing))
    pair.alice.perform(SendInDialog(pair.call, "INFO"))
    link.run(0.2)
    assert pair.alice.events[-1] == DialogLost(pair.call)
    pair.assert_nothing_left()


def test_no_answer_inside_the_dialog_ends_it_with_bye(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    link.drop("alice", "INFO", times=100)
    pair.alice.perform(SendInDialog(pair.call, "INFO"))
    link.run(33)
    assert pair.alice.events[-2:] == [RequestAnswered(pair.call, "INFO", None), DialogLost(pair.call)]
    assert link.arrows()[-2:] == ["alice: BYE", "bob: 200 BYE"]
    pair.assert_nothing_left()


# flows


def test_lost_flow_fails_requests_and_leaves_confirmed_usages_standing(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.talk()
    pair.alice.perform(SendInDialog(pair.call, "INFO"))
    link.disconnect(pair.there.id)
    # The request is a wish now (LIVE-7), so nobody is told that it failed.
    assert pair.alice.events[-1:] == [FlowLost(pair.there.id, (pair.call,))]
    assert not pair.alice.of(RequestAnswered)
    assert pair.bob.events[-1] == FlowLost(pair.back.id, (pair.ringing,))
    assert pair.alice.node.usages == pair.bob.node.usages == 1
    pair.alice.perform(HangUp(pair.call))
    pair.bob.perform(HangUp(pair.ringing))
    pair.assert_nothing_left(700)


def test_lost_flow_fails_a_ringing_invite(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.ring()
    link.disconnect(pair.there.id)
    assert pair.alice.events[-2:] == [
        InviteRejected(pair.call, None, Failure.FLOW_FAILED),
        FlowLost(pair.there.id, ()),
    ]
    pair.respond(480)
    pair.assert_nothing_left()


def test_invite_down_a_flow_that_is_gone_fails_at_once(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    link.disconnect(pair.there.id)
    pair.invite()
    assert pair.alice.events[-1] == InviteRejected(pair.call, None, Failure.FLOW_FAILED)
