"""Registration with a carrier (TRK-2): 423 obeyed, 403 and a refused password wait 15 minutes, failures back off."""

import re
from itertools import pairwise

import pytest

from offhook.calls.commands import DropTrunk
from offhook.sip.events import InviteReceived
from offhook.sip.message import Headers, Request
from tests.support.carriers import Carrier, TrunkHouse
from tests.support.challenger import Gate
from tests.support.link import Link
from tests.support.messages import SDP

CARRIER = "198.51.100.7"
LINE = {"targets": [{"uri": f"sip:{CARRIER}"}], "register": True, "username": "line1", "password": "zanzibar"}


class Registrar:
    """Answers REGISTER as the test says, and notes when each came."""

    def __init__(self, house: TrunkHouse, carrier: Carrier) -> None:
        self.house, self.came = house, []
        self.answers: list[tuple[int, Headers]] = []
        carrier.gate.verdict = self.verdict

    def verdict(self, request: Request) -> tuple[int, Headers]:
        self.came.append((round(self.house.link.now, 1), request))
        if self.answers:
            return self.answers.pop(0)
        expires = request.headers.get("Expires") or ""
        return 200, Headers([("Contact", f"{request.headers.get('Contact')};expires={expires}")])

    @property
    def gaps(self) -> list[float]:
        times = [at for at, _ in self.came]
        return [round(after - before, 1) for before, after in pairwise(times)]


def line(link: Link, *gates: Gate, **fields: object) -> tuple[TrunkHouse, Carrier, Registrar]:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, gates=list(gates))
    registrar = Registrar(house, carrier)
    return house, carrier, registrar


@pytest.mark.ladder
def test_trunk_register_423_403_backoff(link: Link) -> None:
    house, _, registrar = line(link)
    registrar.answers = [(423, Headers([("Min-Expires", "1800")])), (403, Headers())]
    house.trunk(**LINE, expires=60)
    link.run(1)
    assert [one.headers.get("Expires") for _, one in registrar.came] == ["60", "1800"], "1. 423 obeyed, at once"
    state = house.state()
    assert (state.line.state, state.line.status, state.line.code) == ("failed", 403, "trunk_auth_failed")
    assert state.alarm == "trunk_auth_failed", "2. an alarm, because a person has to act"
    assert [one.type for one in house.node.published].count("trunk.alarm") == 1
    link.run(890)
    assert len(registrar.came) == 2, "3. nothing for a quarter of an hour: trying on would lock the account"
    link.run(20)
    assert len(registrar.came) == 3
    assert (state.line.state, state.alarm) == ("registered", ""), "4. then it works again, and the alarm is over"
    numbers = [int((one.headers.get("CSeq") or "").split()[0]) for _, one in registrar.came]
    assert numbers == sorted(set(numbers)), "5. CSeq only rises"
    assert len({one.headers.get("Call-ID") for _, one in registrar.came}) == 1, "6. one Call-ID for life"


def test_a_password_refused_twice_waits_and_alarms(link: Link) -> None:
    house, carrier, registrar = line(link, Gate(status=401, password="another"))
    house.trunk(**LINE)
    link.run(1)
    assert len(carrier.got("REGISTER")) == 2, "one plain challenge, and the refusal of the answer"
    assert house.state().alarm == "trunk_auth_failed"
    link.run(890)
    assert len(carrier.got("REGISTER")) == 2
    assert not registrar.came


def test_refresh_at_eighty_percent_with_credentials_unasked(link: Link) -> None:
    house, carrier, registrar = line(link, Gate(status=401))
    house.trunk(**LINE, expires=600)
    link.run(3000)
    assert all(0.75 * 600 <= gap <= 0.85 * 600 for gap in registrar.gaps), registrar.gaps
    assert len(carrier.gate.challenged) == 1, "asked once, then unasked with nc one higher"
    assert len(registrar.gaps) >= 5


def test_failures_back_off_from_two_seconds_to_five_minutes(link: Link) -> None:
    house, _, registrar = line(link)
    registrar.answers = [(500, Headers())] * 12
    house.trunk(**LINE)
    link.run(2000)
    expected = [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    for gap, middle in zip(registrar.gaps, expected, strict=False):
        assert 0.75 * middle - 0.2 <= gap <= 1.25 * middle + 0.2, registrar.gaps
    assert len(registrar.gaps) >= 9


def test_retry_after_is_obeyed(link: Link) -> None:
    house, _, registrar = line(link)
    registrar.answers = [(503, Headers([("Retry-After", "77 (busy)")]))]
    house.trunk(**LINE)
    link.run(100)
    assert registrar.gaps == [77.0]


def test_the_expires_of_our_contact_counts_before_the_field(link: Link) -> None:
    house, _, registrar = line(link)

    def brief(request: Request) -> tuple[int, Headers]:
        registrar.came.append((round(link.now, 1), request))
        contact = request.headers.get("Contact") or ""
        others = "<sip:other@192.0.2.9>;expires=3000, " + f"{contact};expires=100"
        return 200, Headers([("Contact", others), ("Expires", "3000")])

    house.outside.carriers[CARRIER].gate.verdict = brief
    house.trunk(**LINE)
    link.run(200)
    assert 75 <= registrar.gaps[0] <= 85


def test_the_contact_is_a_random_token_and_calls_to_it_come_in(link: Link) -> None:
    house, carrier, registrar = line(link)
    house.node.numbers["+15125550100"] = "bob"
    bob = house.callee()
    house.trunk(**LINE, inbound={"trust_targets": False}, numbers={"called_from": "to"})
    link.run(1)
    contact = registrar.came[0][1].headers.get("Contact") or ""
    token = re.match(r"<sip:([^@]+)@", contact)
    assert token is not None
    assert len(token.group(1)) >= 16
    carrier.dial(f"sip:{token.group(1)}@127.0.0.2")
    assert not bob.station.of(InviteReceived), "1. the number stands in To, which names nobody here"
    assert carrier.final().status == 404
    uri = f"sip:{token.group(1)}@127.0.0.2"
    carrier.dial(uri, P_Called_Party_ID="<sip:+15125550100@x>")
    told = carrier.final().headers.get("Warning") or ""
    assert "numbers.called_from=p_called_party_id" in told, "2. where it stands after all is said"
    house.trunk(**LINE, inbound={"trust_targets": False}, numbers={"called_from": "p_called_party_id"})
    link.run(1)
    carrier.dial(uri, P_Called_Party_ID="<sip:+15125550100@x>")
    assert bob.station.of(InviteReceived), "2. the token alone says whose call it is; the number stands elsewhere"
    bob.respond(200, SDP)
    bob.hang_up(bob.ringing)


def test_outbound_is_used_where_the_peer_knows_it(link: Link) -> None:
    house, _, registrar = line(link)
    registrar.answers = [(500, Headers([("Supported", "path, outbound")]))]
    house.trunk(**LINE)
    link.run(10)
    first, second = (one.headers.get("Contact") or "" for _, one in registrar.came[:2])
    assert "reg-id" not in first
    assert ";reg-id=1;+sip.instance=" in second
    assert ";ob>" in second


def test_a_deleted_trunk_takes_its_registration_back(link: Link) -> None:
    house, _, registrar = line(link)
    house.trunk(**LINE)
    link.run(1)
    house.apply(lambda: house.node.command(DropTrunk("t1")))
    assert registrar.came[-1][1].headers.get("Expires") == "0"
    link.run(5000)
    assert len(registrar.came) == 2


@pytest.mark.parametrize("code", ["trunk_dns_failed", "trunk_unreachable"])
def test_no_way_there_is_said_and_tried_again(link: Link, code: str) -> None:
    house, carrier, registrar = line(link)
    if code == "trunk_unreachable":
        carrier.refuses = code
    target = "nowhere.example" if code == "trunk_dns_failed" else CARRIER
    house.trunk(**{**LINE, "targets": [{"uri": f"sip:{target}"}]})
    link.run(1)
    assert (house.state().line.state, house.state().line.code) == ("failed", code)
    if code == "trunk_unreachable":
        carrier.refuses = ""
        link.run(30)
        assert house.state().line.state == "registered"
        assert registrar.came
