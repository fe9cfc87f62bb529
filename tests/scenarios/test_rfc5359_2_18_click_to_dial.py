"""RFC 5359 2.18 by a command instead of a REFER outside a dialog: third-party call control, offers are ours (RFC 3725)."""

from dataclasses import replace

import pytest

from offhook.calls import effects as do
from offhook.calls.commands import Dial, HangUpCall
from offhook.calls.ports import SourceKind
from offhook.sip.location import Forward
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.transferring import bridged

REF = "018f0000-0000-7000-8000-000000000001"


def ended(house: House) -> list[tuple[str, str]]:
    """(call, code) of the calls that ended."""
    return [(one.call_ref, dict(one.details)["code"]) for one in house.node.published if one.type == "call.ended"]


@pytest.mark.ladder
def test_rfc5359_2_18_click_to_dial(link: Link) -> None:
    house = House(link)
    alice, bob = house.callee("alice"), house.callee()
    house.apply(lambda: house.node.command(Dial(REF, "alice", "bob", "Bob", auto_answer=True)))
    # 1. the one who clicked rings first, with our offer, and sees whom he calls
    assert (alice.invite.headers.get("From") or "").startswith(f'"Bob" <sip:bob@{DOMAIN}>')
    assert alice.invite.headers.get("Answer-Mode") == "Auto"
    assert alice.invite.body
    assert not bob.got("INVITE")
    alice.respond(180)
    alice.respond(200, SDP)
    # 2. then the other does, as if the first had dialled; the first hears ringback
    assert (bob.invite.headers.get("From") or "").startswith(f"<sip:alice@{DOMAIN}>")
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.RINGBACK  # type: ignore[union-attr]
    bob.respond(180)
    assert house.call().state.value == "ringing"
    bob.respond(200, SDP)
    # 3. they talk, and neither got a second offer
    assert bridged(house) == {frozenset(("alice", "bob"))}
    assert house.call().state.value == "talking"
    assert (len(alice.got("INVITE")), len(bob.got("INVITE"))) == (1, 1)
    bob.hang_up(bob.ringing)
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob)
    assert ended(house) == [(REF, "hangup")]
    assert house.node.log[0].legs[0][1]["from"] == "alice"


@pytest.mark.parametrize("status", [486, 603, 404])
def test_the_one_who_clicked_hears_why_it_failed(link: Link, status: int) -> None:
    house = House(link)
    alice, bob = house.callee("alice"), house.callee()
    house.apply(lambda: house.node.command(Dial(REF, "alice", "bob")))
    alice.respond(200, SDP)
    bob.respond(status)
    assert "text=" in (alice.got("BYE")[0].headers.get("Reason") or "")
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize(
    ("username", "target", "code"),
    [
        ("carol", "bob", "not_registered"),
        ("nobody", "bob", "destination_unknown"),
        ("alice", "sip:bob<", "destination_unknown"),
    ],
)
def test_a_click_that_leads_nowhere_ends_the_call_before_it_began(
    link: Link, username: str, target: str, code: str
) -> None:
    house = House(link)
    alice = house.callee("alice")
    house.apply(lambda: house.node.command(Dial(REF, username, target)))
    assert ended(house) == [(REF, code)]
    assert not alice.got("INVITE")
    assert house.node.switchboard.calls() == []


def test_the_one_who_clicked_does_not_answer(link: Link) -> None:
    house = House(link)
    alice, bob = house.callee("alice"), house.callee()
    accounts = house.node.accounts
    # A click rings the endpoint's own devices; its forwardings are for others.
    accounts["alice"] = replace(accounts["alice"], forward=Forward(no_answer="bob"))
    house.apply(lambda: house.node.command(Dial(REF, "alice", "bob")))
    alice.respond(180)
    link.run(61)
    assert alice.got("CANCEL")
    assert not bob.got("INVITE")
    assert ended(house) == [(REF, "callee_no_answer")]
    house.assert_nothing_left(alice, bob)


def test_a_click_on_a_built_in_destination(link: Link) -> None:
    house = House(link)
    alice = house.callee("alice")
    house.apply(lambda: house.node.command(Dial(REF, "alice", "tone")))
    alice.respond(200, SDP)
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.TONE  # type: ignore[union-attr]
    house.apply(lambda: house.node.command(HangUpCall(REF, "api_hangup")))
    assert alice.got("BYE")
    house.assert_nothing_left(alice)


def test_no_media_for_a_click(link: Link) -> None:
    house = House(link)
    alice = house.callee("alice")
    house.media.refuse = "ports_exhausted"
    house.apply(lambda: house.node.command(Dial(REF, "alice", "bob")))
    assert ended(house) == [(REF, "media_ports_exhausted")]
    house.assert_nothing_left(alice)
