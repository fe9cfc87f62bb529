"""CALL-19 and CALL-20: nothing of one leg shows on another, whatever the parties do; what crosses does so by list."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.calls.passing import MOST, crossing
from offhook.sip.commands import RespondInvite, SendInDialog
from offhook.sip.encode import encode
from offhook.sip.location import Forward
from offhook.sip.message import Headers, Request
from tests.support.hiding import assert_hidden, described_by
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import make_request
from tests.support.nodes import DOMAIN
from tests.support.transferring import answer_notify, dialog, refer, second_call

ALICE, BOB, CAROL = described_by(1), described_by(2), described_by(3)
NOISE = {
    "User_Agent": "Secretive Phone 9.9",
    "P_Asserted_Identity": f"<sip:ceo@{DOMAIN}>",
    "Record_Route": "<sip:inside.example;lr>",
    "Organization": "Hidden Ltd",
    "Call_Info": "<http://198.51.100.77/icon.png>;purpose=icon",
    "Remote_Party_ID": f"<sip:ceo@{DOMAIN}>",
    "Geolocation": "<cid:home>",
}
"""Fields of a caller that nobody else is to see."""


def cast(link: Link) -> tuple[House, Phone, Phone, Phone]:
    """Alice, Bob and Carol, each with a description of its own."""
    house = House(link)
    return house, house.caller(), house.callee(), house.callee("carol")


def plain(house: House, alice: Phone, bob: Phone, carol: Phone) -> None:
    alice.dial("bob", ALICE, **NOISE)
    bob.respond(183, BOB)
    bob.respond(200, BOB)
    alice.ask("INVITE", ALICE + b"a=sendonly\r\n")
    alice.hang_up()


def forwarded(house: House, alice: Phone, bob: Phone, carol: Phone) -> None:
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], forward=Forward(busy="carol"))
    alice.dial("bob", ALICE, **NOISE)
    busy = Headers([("User-Agent", "Phone of Bob 7"), ("Organization", "Bob Ltd")])
    bob.station.perform(RespondInvite(bob.ringing, 486, busy))
    house.link.run(0.1)
    carol.respond(200, CAROL)
    carol.hang_up(carol.ringing)


def blind(house: House, alice: Phone, bob: Phone, carol: Phone) -> None:
    alice.dial("bob", ALICE, **NOISE)
    bob.respond(200, BOB)
    answer_notify(alice)
    refer(alice, f"<sip:carol@{DOMAIN}>", User_Agent="Transferor 1.2.3", Call_Info="<http://198.51.100.78/>")
    carol.respond(180)
    carol.respond(200, CAROL)
    house.link.run(3)
    bob.hang_up(bob.ringing)


def attended(house: House, alice: Phone, bob: Phone, carol: Phone) -> None:
    alice.dial("bob", ALICE)
    bob.respond(200, BOB)
    answer_notify(alice)
    second_call(alice, "carol", ALICE)
    carol.respond(200, CAROL)
    named = dialog(alice, "second-of-alice").replace(";", "%3B").replace("=", "%3D")  # type: ignore[arg-type]
    refer(alice, f"<sip:carol@{DOMAIN}?Replaces={named}>")
    house.link.run(3)
    carol.station.perform(SendInDialog(carol.ringing, "INVITE", WITH_SDP, CAROL + b"a=sendonly\r\n"))
    house.link.run(1)
    carol.hang_up(carol.ringing)


def refused(house: House, alice: Phone, bob: Phone, carol: Phone) -> None:
    alice.dial("bob", ALICE, **NOISE)
    fields = [("User-Agent", "Phone of Bob 7"), ("Warning", '399 bobs-host "of bob"'), ("Contact", "<sip:hidden@bobs>")]
    bob.station.perform(RespondInvite(bob.ringing, 488, Headers(fields)))
    house.link.run(0.1)


@pytest.mark.parametrize("scene", [plain, forwarded, blind, attended, refused], ids=lambda scene: scene.__name__)
def test_nothing_of_one_leg_shows_on_another(link: Link, scene: object) -> None:
    house, alice, bob, carol = cast(link)
    scene(house, alice, bob, carol)  # type: ignore[operator]
    house.link.run(40)
    # The count shows that there was something to find.
    assert assert_hidden(house, alice, bob, carol) > 30
    said = " ".join(f"{name}: {value}" for phone in (bob, carol) for one in phone.station.received
                    for name, value in one.headers)  # fmt: skip
    for secret in (
        "Secretive",
        "ceo@",
        "inside.example",
        "Hidden Ltd",
        "198.51.100.77",
        "cid:home",
        "Transferor 1.2.3",
    ):
        assert secret not in said
    heard = " ".join(value for one in alice.station.received for _, value in one.headers)
    for secret in ("Phone of Bob", "Bob Ltd", "bobs-host", "of bob", "hidden@bobs"):
        assert secret not in heard.replace("phone of bob", "")


def test_what_crosses_inside_the_space(link: Link) -> None:
    house, alice, bob, _ = cast(link)
    uui = "00" * 100 + ";encoding=hex"
    alice.dial("bob", Subject="lunch", Priority="urgent", X_Room="5", User_to_User=uui, Reason="SIP;cause=486")
    got = bob.invite.headers
    assert [got.get(name) for name in ("Subject", "Priority", "X-Room", "User-to-User", "Reason")] == [
        "lunch", "urgent", "5", uui, "SIP;cause=486",
    ]  # fmt: skip
    alice.cancel()
    bob.respond(180)
    house.assert_nothing_left(alice, bob)


def test_user_to_user_above_256_octets_stops(link: Link) -> None:
    _house, alice, bob, _ = cast(link)
    alice.dial("bob", User_to_User="ab" * 129)
    assert bob.invite.headers.get("User-to-User") is None
    bob.respond(486)
    alice.dial("bob", User_to_User="ab" * 128)
    assert bob.invite.headers.get("User-to-User") == "ab" * 128
    bob.respond(486)


@pytest.mark.parametrize(
    ("rights", "field", "value", "crosses"),
    [
        ((), "Alert-Info", "<http://example.com/ring.wav>", False),
        (("alert",), "Alert-Info", "<http://example.com/ring.wav>", True),
        (("alert",), "Alert-Info", "<http://x>;info=alert-autoanswer", False),
        (("page",), "Alert-Info", "<http://x>;info=alert-autoanswer", True),
        ((), "Call-Info", "<sip:x>;answer-after=0", False),
        (("page",), "Call-Info", "<sip:x>;answer-after=0", True),
        (("alert",), "Answer-Mode", "Auto", False),
        (("page",), "Answer-Mode", "Auto", True),
        (("page",), "Priv-Answer-Mode", "Auto;require", True),
    ],
)
def test_what_crosses_by_permission(link: Link, rights: tuple[str, ...], field: str, value: str, crosses: bool) -> None:
    house, alice, bob, _ = cast(link)
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], rights=frozenset(rights))
    alice.trust()
    alice.dial("bob", **{field.replace("-", "_"): value})
    assert (bob.invite.headers.get(field) == value) is crosses
    alice.cancel()
    bob.respond(180)


def test_further_fields_cross_by_the_setting(link: Link) -> None:
    house = House(link, pass_headers=("Organization", "p-vendor"))  # type: ignore[arg-type]
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", Organization="Ours", P_Vendor="7", P_Other="8")
    got = bob.invite.headers
    assert (got.get("Organization"), got.get("P-Vendor"), got.get("P-Other")) == ("Ours", "7", None)
    alice.cancel()
    bob.respond(180)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, f"<sip:alice@{DOMAIN}>"),
        ({"Privacy": "id"}, "anonymous.invalid"),
        ({"Privacy": "user;header"}, "anonymous.invalid"),
        ({"Privacy": "header"}, f"<sip:alice@{DOMAIN}>"),
        ({"Privacy": "none"}, f"<sip:alice@{DOMAIN}>"),
        ({"Privacy": "id;critical"}, "anonymous.invalid"),
    ],
)
def test_privacy(link: Link, fields: dict[str, str], shown: str) -> None:
    _house, alice, bob, _ = cast(link)
    alice.dial("bob", **fields)
    assert shown in (bob.invite.headers.get("From") or "")
    assert ("alice" in (bob.invite.headers.get("From") or "")) is ("alice" in shown)
    alice.cancel()
    bob.respond(180)


def test_privacy_none_shows_a_caller_who_calls_anonymously(link: Link) -> None:
    """RFC 3323 section 4.3: asked for in words, no privacy is given, whatever From says."""
    _house, alice, bob, _ = cast(link)
    alice.dial("bob", from_user="anonymous", Privacy="none")
    assert "<sip:alice@" in (bob.invite.headers.get("From") or "")
    alice.cancel()
    bob.respond(180)


def test_critical_privacy_that_nobody_knows_is_refused(link: Link) -> None:
    _house, alice, bob, _ = cast(link)
    alice.dial("bob", Privacy="moonlight;critical")
    assert alice.final().status == 500
    assert "privacy-not-available Privacy moonlight is critical" in (alice.final().headers.get("Warning") or "")
    assert not bob.got("INVITE")


def test_a_withheld_caller_stays_so_when_he_is_transferred(link: Link) -> None:
    _house, alice, bob, carol = cast(link)
    alice.dial("bob", ALICE, Privacy="id")
    bob.respond(200, BOB)
    answer_notify(bob)
    refer(bob, f"<sip:carol@{DOMAIN}>", bob.ringing)
    assert "anonymous.invalid" in (carol.invite.headers.get("From") or "")
    assert not any("alice" in value for _, value in carol.invite.headers)
    carol.respond(486)
    alice.hang_up()


def test_history_that_came_with_the_call_goes_on_and_grows(link: Link) -> None:
    house, alice, _bob, carol = cast(link)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], forward=Forward(always="carol"))
    alice.dial("bob", History_Info="<sip:first@x.example?Reason=SIP%3Bcause%3D486>;index=1, <sip:bob@x>;index=1.1")
    said = carol.invite.headers.get("History-Info") or ""
    assert [part.partition("?")[0].partition(";")[0].strip(" <>") for part in said.split(", ")] == [
        "sip:first@x.example", f"sip:bob@{DOMAIN}", f"sip:carol@{DOMAIN}",
    ]  # fmt: skip
    alice.cancel()
    carol.respond(180)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["X-A", "P-B", "Organization", "x-d", "Contact", "Via"]), st.text(max_size=40)))
)
def test_any_fields_of_a_caller_cross_by_list_or_not_at_all(fields: list[tuple[str, str]]) -> None:
    plain_one = make_request("INVITE")
    request = Request("INVITE", plain_one.uri, Headers([*plain_one.headers, *fields]))
    passed = crossing(request, frozenset({"page", "alert"}))
    # 1. only X- fields of these, 2. no more than the limit, 3. and all of it is something that we may write
    assert {name for name, _ in passed} <= {"X-A", "x-d"}
    assert len(passed) <= MOST
    encode(Request("INVITE", request.uri, Headers([*plain_one.headers, *passed])))
