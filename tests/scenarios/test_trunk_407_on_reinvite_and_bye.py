"""A carrier that challenges every request, not only the first (TRK-3)."""

import pytest

from offhook.sip.commands import Respond, SendInDialog
from offhook.sip.events import RequestInDialog
from offhook.sip.message import Request
from tests.support.carriers import TrunkHouse
from tests.support.challenger import Gate
from tests.support.house import WITH_SDP
from tests.support.link import Link
from tests.support.messages import SDP

CARRIER = "198.51.100.7"


def number(request: Request) -> int:
    return int((request.headers.get("CSeq") or "0").split()[0])


@pytest.mark.ladder
def test_trunk_407_on_reinvite_and_bye(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, gates=[Gate()])
    carrier.gate.life = 1
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"], username="line1", password="zanzibar")
    alice = house.caller()
    alice.dial("+14155550123")
    carrier.respond(200, SDP)
    assert alice.final().status == 200, "1. the caller sees nothing of the 407"
    leg = house.call().winner
    assert leg is not None
    house.station.perform(SendInDialog(leg.usage, "INVITE", WITH_SDP, leg.body))
    link.run(0.2)
    (asked,) = carrier.station.of(RequestInDialog)
    assert isinstance(asked, RequestInDialog)
    carrier.station.perform(Respond(asked.transaction, 200, WITH_SDP, SDP))
    link.run(0.2)
    alice.hang_up()
    link.run(0.2)
    invites, byes = carrier.got("INVITE"), carrier.got("BYE")
    assert [number(one) for one in invites] == [1, 2, 3, 4], "2. INVITE and re-INVITE once more each, CSeq one higher"
    assert [number(one) for one in byes] == [5, 6], "3. BYE too"
    assert len({one.headers.get("Call-ID") for one in (*invites, *byes)}) == 1, "4. the Call-ID stays"
    assert len({(one.headers.get("From") or "").rpartition("tag=")[2] for one in (*invites, *byes)}) == 1, (
        "5. so does the tag"
    )
    assert [method for method, _ in carrier.gate.proofs] == ["INVITE", "INVITE", "BYE"], "6. each proved at last"
    assert all(one.headers.get("Proxy-Authorization") for one in invites[1:]), "7. later ones carry credentials unasked"
    house.assert_nothing_left(alice)
