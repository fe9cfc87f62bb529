"""What a caller asks of the devices that ring (RFC 3840, RFC 3841) and how many may (RFC 5393), through the house."""

from dataclasses import replace

from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN


def two_devices(link: Link) -> tuple[House, Phone, Phone, Phone]:
    """Bob has a desk phone and a page that shows video."""
    house = House(link)
    alice, desk, page = house.caller(), house.callee(name="desk"), house.callee(name="page")
    aor = f"sip:bob@{DOMAIN}"
    of_desk, of_page = house.node.bindings[aor]
    house.node.bindings[aor] = (
        replace(of_desk, q=0.5, instance="<urn:uuid:desk>", params={"audio": None}),
        replace(of_page, q=1.0, instance="<urn:uuid:page>", params={"audio": None, "video": None}),
    )
    return house, alice, desk, page


def rang(*phones: Phone) -> list[bool]:
    return [bool(phone.got("INVITE")) for phone in phones]


def test_no_fork_rings_the_best_device_alone(link: Link) -> None:
    house, alice, desk, page = two_devices(link)
    alice.dial("bob", Request_Disposition="no-fork")
    assert rang(desk, page) == [False, True]
    page.respond(486)
    # 1. and nobody else afterwards
    assert alice.final().status == 486
    assert rang(desk) == [False]
    house.assert_nothing_left(alice, desk, page)


def test_a_device_is_chosen_by_its_instance(link: Link) -> None:
    house, alice, desk, page = two_devices(link)
    alice.dial("bob", Accept_Contact='*;+sip.instance="<urn:uuid:desk>";require;explicit')
    assert rang(desk, page) == [True, False]
    desk.respond(200, SDP)
    alice.hang_up()
    house.assert_nothing_left(alice, desk, page)


def test_devices_that_the_caller_does_not_want(link: Link) -> None:
    house, alice, desk, page = two_devices(link)
    alice.dial("bob", Reject_Contact="*;audio")
    assert rang(desk, page) == [False, False]
    assert alice.final().status == 480
    assert "or none that the caller wants" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, desk, page)


def test_the_breadth_is_divided_among_the_branches(link: Link) -> None:
    house, alice, desk, page = two_devices(link)
    alice.dial("bob", Max_Breadth="5")
    assert sorted(int(one.invite.headers.get("Max-Breadth") or "") for one in (desk, page)) == [2, 3]
    alice.cancel()
    for one in (desk, page):
        one.respond(180)
    house.assert_nothing_left(alice, desk, page)


def test_a_breadth_that_is_used_up_is_refused(link: Link) -> None:
    house, alice, desk, page = two_devices(link)
    alice.dial("bob", Max_Breadth="0")
    assert alice.final().status == 440
    assert alice.final().reason == "Max-Breadth Exceeded"
    assert rang(desk, page) == [False, False]
    house.assert_nothing_left(alice, desk, page)
