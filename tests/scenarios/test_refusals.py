"""Who may call whom, and what the caller hears if not: always a status, a slug and words."""

import pytest

from offhook.sip.flow import Transport
from offhook.sip.message import Request
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.nodes import authorized


@pytest.mark.parametrize(
    ("dialled", "from_user", "status", "slug"),
    [
        ("nobody", "", 404, "destination-unknown Nobody here is called nobody"),
        ("carol", "", 480, "not-registered carol is not registered"),
        ("bob", "bob", 403, "from-not-yours"),
    ],
)
def test_a_refusal_has_words(link: Link, dialled: str, from_user: str, status: int, slug: str) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial(dialled, from_user=from_user)
    assert alice.final().status == status
    assert slug in (alice.final().headers.get("Warning") or "")
    assert not bob.got("INVITE")
    house.assert_nothing_left(alice, bob)


def test_names_are_found_without_regard_to_case(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("BoB")
    assert bob.got("INVITE")
    alice.cancel()
    bob.respond(180)
    house.assert_nothing_left(alice, bob)


def invite(house: House, phone: Phone, request: Request) -> None:
    """A raw INVITE on a phone's flow."""
    house.station.feed(request, phone.back)
    house.link.run(0.1)


def test_a_stranger_is_challenged_and_nothing_is_kept_of_him(link: Link) -> None:
    house = House(link)
    phone = Phone(house, "phone", "alice", Transport.UDP, "sip:alice@127.0.0.1")
    request = make_request("INVITE", "sip:echo@example.com", to="<sip:echo@example.com>", body=SDP)
    invite(house, phone, request)
    first = house.station.sent[-1]
    assert first.status == 407  # type: ignore[union-attr]
    # 1. an unknown user and a wrong password hear the same
    challenged = []
    for username, password in (("alice", "wrong"), ("nobody", "wrong")):
        request = make_request(
            "INVITE", "sip:echo@example.com", branch=f"z9hG4bK{username}", call_id=username, body=SDP
        )
        again = authorized(request, first, username, password)  # type: ignore[arg-type]
        invite(house, phone, again)
        challenged.append(house.station.sent[-1])
    assert [one.status for one in challenged] == [407, 407]  # type: ignore[union-attr]
    names = [[name for name, _ in one.headers] for one in challenged]
    assert names[0] == names[1]
    # 2. no media was opened, no call is kept
    assert house.media.told == []
    assert house.node.switchboard._calls == {}
    # 3. the right answer opens the door
    request = make_request("INVITE", "sip:echo@example.com", branch="z9hG4bKright", call_id="right", body=SDP)
    invite(house, phone, authorized(request, first, "alice"))  # type: ignore[arg-type]
    assert [one.status for one in house.station.sent if hasattr(one, "status")][-1] == 200


def test_an_offer_without_a_common_codec_is_refused_with_both_lists(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", body=SDP.replace(b"RTP/AVP 0", b"RTP/AVP 18"))
    assert alice.final().status == 488
    warning = alice.final().headers.get("Warning") or ""
    assert "G729" in warning
    assert "OPUS, G722, PCMU, PCMA" in warning
    house.assert_nothing_left(alice, bob)


def test_no_ports_left(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    house.media.refuse = "ports_exhausted"
    alice.dial("bob")
    assert alice.final().status == 503
    assert "media-ports-exhausted" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob)


def test_a_callee_without_a_description_is_a_bad_answer(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(200)
    link.run(1)
    assert alice.final().status == 502
    assert bob.got("ACK")
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)
