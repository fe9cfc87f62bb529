"""RFC 3665 section 3.3: two proxies on the way, each with a realm of its own, as a trunk sees them."""

import pytest

from offhook.sip.message import Request
from tests.support.carriers import TrunkHouse
from tests.support.challenger import Gate
from tests.support.link import Link
from tests.support.messages import SDP

CARRIER = "198.51.100.7"


def realms(request: Request) -> int:
    return len(request.headers.all("Proxy-Authorization"))


@pytest.mark.ladder
def test_rfc3665_3_3_multiple_authentication_at_a_carrier(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, gates=[Gate("atlanta.example.com"), Gate("biloxi.example.com")])
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"], username="line1", password="zanzibar")
    alice = house.caller()
    alice.dial("+14155550123")
    carrier.respond(180)
    carrier.respond(200, SDP)
    alice.hang_up()
    link.run(0.2)
    invites = carrier.got("INVITE")
    assert [realms(one) for one in invites] == [0, 1, 2], "1. one realm after the other, none forgotten"
    acks = carrier.got("ACK")
    assert [realms(one) for one in acks] == [0, 1, 2], "2. each ACK as its INVITE (F6, F12 and F22 of the figure)"
    assert [realms(one) for one in carrier.got("BYE")] == [2], "3. BYE carries both unasked"
    assert [one.status for one in alice.answers("INVITE")] == [200]
    assert carrier.gate.proofs[-1][0] == "BYE"
    house.assert_nothing_left(alice)
