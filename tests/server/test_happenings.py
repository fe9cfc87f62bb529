"""What events of calls, devices, trunks and strangers say, and whose they are (API.md 12.5), over the whole core."""

from types import SimpleNamespace
from typing import Any

from offhook.calls import events as did
from offhook.calls.call import Call
from offhook.calls.effects import Happened
from offhook.calls.event_types import TYPES
from offhook.server.happenings import Happenings
from offhook.sip.flow import FlowId
from offhook.sip.location import Binding
from tests.support.carriers import TrunkHouse
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import talking
from tests.support.transferring import answer_notify, refer

ROOT, OTHER = "root project", "alice's project"
CARRIER = "198.51.100.7"


class Told(list[Any]):
    """Stands in the place of what the house has published, and in that of the table of events."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.happenings = Happenings(self, ROOT, self, lambda: house.link.now)  # type: ignore[arg-type]
        house.node.published = self

    def append(self, happened: Happened) -> None:
        self.happenings.told(happened)

    def publish(
        self, type_: str, project: str, call_ref: str = "", leg_ref: str = "", data: Any = None, **more: Any
    ) -> None:
        assert type_ in TYPES
        super().append(SimpleNamespace(type=type_, project=project, call=call_ref, leg=leg_ref, data=data, **more))

    def endpoint(self, username: str) -> Any:
        account = self.house.node.accounts.get(username)
        owner = OTHER if username == "alice" else ROOT
        return SimpleNamespace(id=account.id, project_id=owner) if account is not None else None

    def trunk(self, id_: str) -> Any:
        return SimpleNamespace(id=id_, project_id="the trunk's project")

    def call(self, ref: str) -> Call | None:
        return self.house.node.switchboard.by_ref(ref)

    def on_flow(self, flow: FlowId) -> list[Binding]:
        every = (one for rows in self.house.node.bindings.values() for one in rows)
        return [one for one in every if one.flow.id == flow]

    def last(self, type_: str) -> Any:
        return next(one for one in reversed(self) if one.type == type_)


def test_the_life_of_a_call(link: Link) -> None:
    house = House(link)
    told = Told(house)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    link.run(3)
    bob.respond(200, SDP)
    link.run(10)
    call = house.call()
    bob.hang_up(bob.ringing)
    of_call = [one for one in told if one.call]
    # 1. its stations, in order, all of one call and of the caller's project
    assert [one.type for one in of_call] == ["call.created", "call.ringing", "call.answered", "call.ended"]
    assert {(one.call, one.project) for one in of_call} == {(call.ref, OTHER)}
    # 2. whose call it is, and which leg
    ids = (house.node.accounts["alice"].id, house.node.accounts["bob"].id)
    created, ringing, answered, ended = of_call
    assert {name: created.data[name] for name in ("from", "to", "direction")} == {
        "from": "alice",
        "to": "bob",
        "direction": "internal",
    }
    assert (created.endpoints, ringing.endpoints) == (ids, ids)
    assert (ringing.data["leg"]["role"], ringing.data["leg"]["username"], ringing.data["leg"]["transport"]) == (
        "callee",
        "bob",
        "udp",
    )
    # 3. times and the end
    assert 3000 <= answered.data["setup_ms"] < 3500
    facts = ended.data
    assert (facts["end_code"], facts["end_reason"], facts["ended_by"], facts["answered"]) == (
        "hangup",
        "hangup",
        "callee",
        True,
    )
    assert 10_000 <= facts["duration_ms"] < 10_500


def test_a_call_that_fails_says_why(link: Link) -> None:
    house = House(link)
    told = Told(house)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(486)
    facts = told.last("call.ended").data
    assert (facts["end_code"], facts["end_reason"], facts["answered"], facts["duration_ms"]) == (
        "callee_busy",
        "busy",
        False,
        0,
    )
    assert facts["explanation"]


def test_detached_moved_and_findings(link: Link) -> None:
    house = House(link)
    told = Told(house)
    alice, bob = talking(house)
    leg = house.call().caller
    assert leg.media is not None
    media = leg.media.leg

    def found(verdict: str) -> None:
        house.apply(lambda: house.node.tell(did.SilenceFound(media, "in", verdict, ())))

    # 1. a finding comes with its words, the same one once, another one in its place
    for verdict in ("no_packets", "no_packets", "digital_silence"):
        found(verdict)
    house.apply(lambda: house.node.tell(did.Heard(media, "in")))
    shown = [(one.type, one.data["code"]) for one in told if one.type.startswith("call.finding")]
    assert shown == [
        ("call.finding_raised", "no_media_from_device"),
        ("call.finding_cleared", "no_media_from_device"),
        ("call.finding_raised", "microphone_silent"),
        ("call.finding_cleared", "microphone_silent"),
    ]
    raised = told.last("call.finding_raised").data
    assert (raised["severity"], raised["direction"], raised["leg"]["username"]) == ("warning", "from_device", "alice")
    assert raised["remedy"]
    # 2. nothing is cleared that was not raised
    house.apply(lambda: house.node.tell(did.Heard(media, "in")))
    assert len([one for one in told if one.type == "call.finding_cleared"]) == 2
    # 3. the connection goes and comes back
    alice.lose()
    assert told.last("call.detached").data["leg"]["username"] == "alice"
    alice.reconnect()
    assert told.last("call.moved").leg == leg.ref
    alice.hang_up()
    assert bob.got("BYE")


def test_hold_and_transfer(link: Link) -> None:
    house = House(link)
    told = Told(house)
    alice, bob = house.talking()
    carol = house.callee("carol")
    alice.ask("INVITE", SDP + b"a=sendonly\r\n")
    assert told.last("call.held").data["leg"]["username"] == "alice"
    alice.ask("INVITE", SDP)
    assert told.last("call.resumed").data["leg"]["username"] == "alice"
    answer_notify(alice)
    refer(alice, f"<sip:carol@{DOMAIN}>")
    carol.respond(200, SDP)
    assert told.last("call.transferred").data["to"] == "carol"
    assert house.node.accounts["carol"].id in told.last("call.transferred").endpoints
    bob.hang_up(bob.ringing)


def test_trunks(link: Link) -> None:
    house = TrunkHouse(link)
    told = Told(house)
    carrier = house.carrier(CARRIER)
    carrier.refuses = ""
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], username="line", password="secret", register=True)
    link.run(1)
    up = told.last("trunk.registered")
    assert (up.project, up.data["trunk_id"], up.data["sip_code"], up.data["code"]) == (
        "the trunk's project",
        "t1",
        200,
        None,
    )
    assert told.last("trunk.up").data["trunk"] == "t1"


def test_strangers_are_told_of_sparingly(link: Link) -> None:
    house = House(link)
    told = Told(house)

    def knock(source: str) -> None:
        details = (("source", source), ("user", "alice"), ("locked", "both"))
        told.append(Happened("security.login_locked", "", "", details))

    for _ in range(100):
        knock("203.0.113.9")
    # 1. one address: five at once
    assert [one.type for one in told] == ["security.login_locked"] * 5
    assert (told[0].project, told[0].endpoints) == (OTHER, (house.node.accounts["alice"].id,))
    # 2. later again, with the number of those left out
    link.run(20)
    knock("203.0.113.9")
    assert told[-1].data["left_out"] == 95
    # 3. many addresses: 50 at once, 10 a second
    link.run(60)
    told.clear()
    for number in range(1000):
        knock(f"203.0.{number // 250}.{number % 250}")
    assert len(told) == 50


def test_what_only_the_log_hears(link: Link) -> None:
    house = House(link)
    told = Told(house)
    told.append(Happened("call.digit", "c", "l", (("digit", "7"),)))
    told.append(Happened("message.delivered", "", "", (("id", "x"),)))
    assert list(told) == []
