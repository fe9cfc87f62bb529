"""A house with trunks: carriers are SIP endpoints behind gates, names lead where the test says.

house = TrunkHouse(link)
carrier = house.carrier("198.51.100.7")
house.trunk(targets=[{"uri": "sip:198.51.100.7"}], allowed_prefixes=["+1"])
alice = house.caller(); alice.dial("+15125550100")
carrier.respond(200, SDP)
"""

from dataclasses import dataclass, field
from typing import Any

from offhook.api.trunk_fields import trunk_fields
from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.commands import DropTrunk, UseTrunk
from offhook.calls.outbound import Outbound, OutboundSettings
from offhook.calls.trunk import Trunk, read_trunk
from offhook.calls.trunks import Trunks, TrunkState
from offhook.server.number_plan import WorldPlan
from offhook.sip.commands import HangUp, RespondInvite, SendInDialog, SendInvite
from offhook.sip.config import SipConfig
from offhook.sip.events import InviteReceived, UsageId
from offhook.sip.flow import Flow, Transport
from offhook.sip.hop import Hop
from offhook.sip.message import Headers, Request, Response
from offhook.sip.secret import Secret
from offhook.sip.uri import parse_uri
from tests.support.challenger import Challenger, Gate
from tests.support.house import WITH_SDP, House, Phone
from tests.support.ids import SeededIds
from tests.support.link import Link, Station
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN, make_endpoint

HOSTS = frozenset({DOMAIN, "127.0.0.2"})


class Carrier:
    """One address of a carrier; `silent` swallows everything, `refuses` makes the connection fail."""

    def __init__(self, house: "TrunkHouse", address: str, transport: Transport, gates: list[Gate]) -> None:
        self.house, self.address, self.transport = house, address, transport
        config = SipConfig(address, aliases=frozenset({"carrier.example"}))
        self.gate = Challenger(make_endpoint(f"c{address[-1]}", len(house.link.stations) + 50, config), gates)
        self.station: Station = house.link.station(address, self.gate)
        self.there, self.back = house.link.connect(self.station, house.station, transport, 5060, address)
        self.station.apply(self.gate.flow_opened(self.there, house.link.now))
        self.refuses = ""
        self.call = UsageId(f"call-from-{address}")

    def got(self, method: str) -> list[Request]:
        """Requests of a method that came in, past the gate or not."""
        return [one for one in self.station.received if isinstance(one, Request) and one.method == method]

    @property
    def invite(self) -> Request:
        """The INVITE that was let in last."""
        return self._last().request

    def _last(self) -> InviteReceived:
        event = self.station.of(InviteReceived)[-1]
        assert isinstance(event, InviteReceived)
        return event

    def respond(self, status: int, body: bytes = b"", seconds: float = 0.1, **headers: str) -> None:
        """Answers it."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        extra = Headers([*(WITH_SDP if body else ()), *fields])
        self.station.perform(RespondInvite(self._last().usage, status, extra, body))
        self.house.link.run(seconds)

    def hang_up(self, usage: UsageId | None = None) -> None:
        """BYE."""
        self.station.perform(HangUp(usage or self._last().usage))
        self.house.link.run(0.1)

    def ask(self, method: str, body: bytes = b"", usage: UsageId | None = None) -> None:
        """A request in the dialog."""
        headers = WITH_SDP if body else Headers()
        self.station.perform(SendInDialog(usage or self._last().usage, method, headers, body))
        self.house.link.run(0.1)

    def refer(self, target: str) -> None:
        """REFER in the dialog of the call that came in."""
        fields = Headers([("Refer-To", target)])
        self.station.perform(SendInDialog(self._last().usage, "REFER", fields))
        self.house.link.run(0.2)

    def answers(self, method: str) -> list[Response]:
        """Final responses to requests of a method, in order."""
        came = [one for one in self.station.received if isinstance(one, Response) and one.status >= 200]
        return [one for one in came if (one.headers.get("CSeq") or "").endswith(f" {method}")]

    def dial(
        self, uri: str, from_: str = "<sip:+14155550123@carrier.example>", body: bytes = SDP, **headers: str
    ) -> None:
        """INVITE to the house."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        extra = Headers([*(WITH_SDP if body else ()), *fields])
        to = parse_uri(uri)
        self.station.perform(SendInvite(self.call, self.there.id, to, from_, f"<{uri}>", 70, extra, body))
        self.house.link.run(0.2)

    def final(self) -> Response:
        """The final response to the own INVITE."""
        answers = [one for one in self.station.received if isinstance(one, Response) and one.status >= 200]
        return next(one for one in reversed(answers) if "INVITE" in (one.headers.get("CSeq") or ""))


@dataclass
class Outside:
    """house.Ways: names and addresses of the test."""

    names: dict[str, tuple[Hop, ...]] = field(default_factory=dict)
    carriers: dict[str, Carrier] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
    located: list[do.Locate] = field(default_factory=list)
    rated: list[tuple[Hop, bool]] = field(default_factory=list)

    def locate(self, effect: do.Locate) -> did.Located:
        """IP addresses are what they are; other names are the test's."""
        self.located.append(effect)
        target = effect.target
        if target.host in self.names:
            return did.Located(effect.token, self.names[target.host])
        if target.host.replace(".", "").isdigit():
            transport = target.transport or Transport.UDP
            return did.Located(
                effect.token, (Hop(transport, target.host, target.port or 5060, target.certificate_name),)
            )
        return did.Located(effect.token, (), f"{target.host} has no address")

    def connect(self, effect: do.Connect) -> did.Connected:
        """The carrier at the address, if it lets itself be reached."""
        carrier = self.carriers.get(effect.hop.address)
        if carrier is None:
            return did.Connected(effect.token, None, "trunk_unreachable", f"{effect.hop}: connection refused")
        if carrier.refuses:
            return did.Connected(effect.token, None, carrier.refuses, f"{effect.hop}: refused by the test")
        return did.Connected(effect.token, carrier.back)


class TrunkHouse(House):
    """Alice, Bob and Carol, and as many carriers and trunks as a test wants."""

    def __init__(self, link: Link, **settings: Any) -> None:
        trunks = Trunks(DOMAIN, SeededIds(5), b"key of the tests")
        self.outbound = Outbound(OutboundSettings(**settings), HOSTS, WorldPlan(), trunks, SeededIds(6))
        super().__init__(link, self.outbound)
        self.outside = Outside()
        self.node.carriers = self.outside

    def carrier(self, address: str, transport: Transport = Transport.UDP, gates: list[Gate] | None = None) -> Carrier:
        """A carrier at an address; without `gates` it asks nobody for credentials."""
        self.outside.carriers[address] = Carrier(self, address, transport, gates or [])
        return self.outside.carriers[address]

    def trunk(self, id_: str = "t1", password: str | None = None, **fields: Any) -> Trunk:
        """A trunk in service, with the API's own defaults; OPTIONS are off unless asked for."""
        body = {"name": id_, "health": {"options_interval": 0}, **fields}
        inbound = dict(body.get("inbound", {}))
        secret = inbound.pop("digest_password", None)
        if inbound:
            body["inbound"] = inbound
        values, faults = trunk_fields(body)
        assert not faults, faults
        trunk = read_trunk(id_, values, Secret(password) if password else None, Secret(secret) if secret else None)
        self.apply(lambda: self.node.command(UseTrunk(trunk)))
        return trunk

    def state(self, id_: str = "t1") -> TrunkState:
        """What the house knows of a trunk."""
        state = self.outbound.trunks.get(id_)
        assert state is not None
        return state

    def assert_nothing_left(self, *phones: Phone, seconds: float = 200.0) -> None:
        """The trunks' own clocks end with the trunks."""
        for state in list(self.outbound.trunks):
            assert not state.usage.legs_in | state.usage.legs_out, "every channel has been given back"
            self.apply(lambda id_=state.trunk.id: self.node.command(DropTrunk(id_)))
        super().assert_nothing_left(*phones, seconds=seconds)

    def warning(self, response: Response) -> str:
        """The slug and words of a refusal."""
        return response.headers.get("Warning") or ""
