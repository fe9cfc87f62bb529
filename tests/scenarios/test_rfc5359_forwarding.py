"""RFC 5359 2.7 to 2.9 and 2.12 through the house: an endpoint's calls go on to another (CALL-14, CALL-16, CALL-17)."""

from dataclasses import replace

import pytest

from offhook.sip.commands import RespondInvite
from offhook.sip.location import Binding, Forward
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN


def change(house: House, username: str, **fields: object) -> None:
    """The endpoint's settings."""
    accounts = house.node.accounts
    accounts[username] = replace(accounts[username], **fields)  # type: ignore[arg-type]


def finish(house: House, alice: Phone, *phones: Phone) -> None:
    """Alice hangs up; nothing is left anywhere."""
    alice.hang_up()
    house.assert_nothing_left(alice, *phones)


@pytest.mark.ladder
def test_rfc5359_2_7_forward_unconditional(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    change(house, "bob", forward=Forward(always="carol"))
    alice.dial("bob")
    # 1. bob's own device stays quiet, the caller hears that it goes on
    assert not bob.got("INVITE")
    assert "offhook: 181 INVITE" in link.arrows()
    # 2. the new target learns from whom it came, and why
    said = carol.invite.headers.get("History-Info") or ""
    assert said == (
        f"<sip:bob@{DOMAIN}?Reason=SIP%3Bcause%3D302>;index=1, <sip:carol@{DOMAIN};cause=302>;index=1.1;mp=1"
    )
    assert carol.invite.headers.get("To") == f"<sip:carol@{DOMAIN}>"
    carol.respond(180)
    carol.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, bob, carol)


@pytest.mark.ladder
@pytest.mark.parametrize("status", [486, 600])
def test_rfc5359_2_8_forward_busy(link: Link, status: int) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    change(house, "bob", forward=Forward(busy=f"sip:carol@{DOMAIN}"))
    alice.dial("bob")
    bob.respond(status)
    assert "cause=486" in (carol.invite.headers.get("History-Info") or "")
    carol.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, bob, carol)


@pytest.mark.ladder
def test_rfc5359_2_9_forward_no_answer(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    change(house, "bob", forward=Forward(no_answer="carol"), ring_seconds=20)
    alice.dial("bob")
    bob.respond(180)
    link.run(21)
    assert bob.got("CANCEL")
    assert "cause=408" in (carol.invite.headers.get("History-Info") or "")
    carol.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, bob, carol)


def test_an_endpoint_without_a_device_forwards(link: Link) -> None:
    house = House(link)
    alice, carol = house.caller(), house.callee("carol")
    change(house, "bob", forward=Forward(unreachable="carol"))
    alice.dial("bob")
    assert "cause=503" in (carol.invite.headers.get("History-Info") or "")
    carol.respond(200, SDP)
    finish(house, alice, carol)


def test_do_not_disturb(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    change(house, "bob", do_not_disturb=True)
    alice.dial("bob")
    assert alice.final().status == 480
    assert "do-not-disturb bob takes no calls now" in (alice.final().headers.get("Warning") or "")
    assert not bob.got("INVITE")
    # It counts as busy where calls are forwarded.
    change(house, "bob", forward=Forward(busy="carol"))
    alice.dial("bob")
    assert carol.got("INVITE")
    carol.respond(200, SDP)
    finish(house, alice, bob, carol)


def test_a_forwarding_to_a_built_in_destination_answers(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    change(house, "bob", forward=Forward(busy="music"))
    alice.dial("bob")
    bob.respond(486)
    assert alice.final().status == 200
    finish(house, alice, bob)


def redirect(phone: Phone, status: int, *contacts: str) -> None:
    """A 3xx of a device; contacts are URIs, or whole values."""
    fields = Headers([("Contact", one if one.startswith("<") else f"<{one}>") for one in contacts])
    phone.station.perform(RespondInvite(phone.ringing, status, fields))
    phone.house.link.run(0.1)


def test_a_devices_own_redirection_is_followed_inside_the_space(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    alice.dial("bob")
    redirect(bob, 302, f"sip:carol@{DOMAIN}")
    assert "cause=480" in (carol.invite.headers.get("History-Info") or "")
    carol.respond(200, SDP)
    finish(house, alice, bob, carol)


def test_a_redirection_to_elsewhere_is_refused_in_words(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    redirect(bob, 302, "sip:somebody@elsewhere.example")
    assert alice.final().status == 480
    warning = alice.final().headers.get("Warning") or ""
    assert "forward-refused bob forwards to sip:somebody@elsewhere.example" in warning
    house.assert_nothing_left(alice, bob)


def test_a_device_that_names_several_is_followed_by_q(link: Link) -> None:
    """RFC 3261 section 8.1.3.4: the best first, the next when that fails; what leads nowhere is passed over."""
    house = House(link)
    house.node.accounts["dora"] = replace(house.node.accounts["alice"], username="dora", id="id-dora")
    alice, bob, carol, dora = house.caller(), house.callee(), house.callee("carol"), house.callee("dora")
    alice.dial("bob")
    low, high = f"<sip:dora@{DOMAIN}>;q=0.3", f"<sip:carol@{DOMAIN}>;q=0.8, <sip:x@elsewhere.example>"
    redirect(bob, 302, low, "<not a uri>;q=0.9", high)
    assert not dora.got("INVITE"), "1."
    carol.respond(486)
    said = dora.invite.headers.get("History-Info") or ""
    assert "carol" not in said, "2. it is bob who forwards, not who was tried before"
    assert said.startswith(f"<sip:bob@{DOMAIN}?"), "2."
    assert house.call().forks[0].rights == house.node.accounts["bob"], "3. and bob's rights count"
    dora.respond(200, SDP)
    finish(house, alice, bob, carol, dora)


def test_a_forwarding_to_nobody_names_the_forwarder(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    change(house, "bob", forward=Forward(always="nobody"))
    alice.dial("bob")
    assert alice.final().status == 480
    assert "bob forwards to nobody" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_loop_forward_to_each_other(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    change(house, "bob", forward=Forward(always="carol"))
    change(house, "carol", forward=Forward(busy="bob"))
    alice.dial("bob")
    carol.respond(486)
    # CALL-17: the second visit ends it.
    assert alice.final().status == 482
    assert "bob → carol → bob" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob, carol)


def test_five_forwardings_at_most(link: Link) -> None:
    house = House(link, forward_hops=2)
    alice, dora = house.caller(), house.callee("alice", "desk")
    house.node.accounts["dora"] = replace(house.node.accounts["alice"], username="dora", id="id-dora")
    change(house, "bob", forward=Forward(always="carol"))
    change(house, "carol", forward=Forward(always="dora"))
    change(house, "dora", forward=Forward(always="alice"))
    alice.dial("bob")
    assert alice.final().status == 480
    assert "forward_hops" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, dora)


@pytest.mark.ladder
def test_rfc5359_2_12_find_me(link: Link) -> None:
    """Bob's devices ring one after the other, then carol's."""
    house = House(link)
    alice, desk, cell = house.caller(), house.callee(name="desk"), house.callee(name="cell")
    carol = house.callee("carol")
    change(house, "bob", ring="serial", ring_seconds=30, forward=Forward(no_answer="carol"))
    alice.dial("bob")
    # 1. one rings alone
    assert (len(desk.got("INVITE")), len(cell.got("INVITE"))) == (1, 0)
    desk.respond(180)
    link.run(16)
    # 2. then the other, the first is told to stop
    assert desk.got("CANCEL")
    assert len(cell.got("INVITE")) == 1
    # 3. nobody of his answers: carol rings
    cell.respond(480)
    assert carol.got("INVITE")
    carol.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, desk, cell, carol)


def test_devices_of_one_q_value_ring_together(link: Link) -> None:
    house = House(link)
    alice, desk, cell, page = (
        house.caller(),
        house.callee(name="desk"),
        house.callee(name="cell"),
        house.callee(name="page"),
    )
    aor = f"sip:bob@{DOMAIN}"
    weights = {"desk": 1.0, "cell": 0.5, "page": 1.0}
    bindings: list[Binding] = [
        replace(one, q=weights[parse_uri(str(one.contact)).user or ""]) for one in house.node.bindings[aor]
    ]
    house.node.bindings[aor] = tuple(bindings)
    change(house, "bob", ring="q")
    alice.dial("bob")
    assert [bool(one.got("INVITE")) for one in (desk, page, cell)] == [True, True, False]
    desk.respond(486)
    page.respond(480)
    assert cell.got("INVITE")
    cell.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, desk, cell, page)
