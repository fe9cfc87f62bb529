"""Transfers in any interleaving leave every party bridged or ended, and nothing behind (section 6)."""

from contextlib import suppress
from dataclasses import replace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from offhook.calls.call import CallState
from offhook.calls.commands import Dial, HangUpEndpoint
from offhook.calls.leg import LegState
from offhook.sip.commands import CancelInvite, HangUp, RespondInvite, SendInDialog, SendInvite
from offhook.sip.events import InviteReceived, UsageId
from offhook.sip.flow import Transport
from offhook.sip.location import Forward
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.transferring import bridged

PAUSES = (0.0, 0.005, 0.02, 0.3, 2.5, 21.0, 65.0)
NAMES = ("alice", "bob", "carol")
LOST = ("ACK", "BYE", "200 INVITE", "NOTIFY")
names = st.sampled_from(NAMES)
steps = st.one_of(
    st.tuples(st.just("consult"), names, names),
    st.tuples(st.just("consult"), names, names),
    st.tuples(st.just("attended"), names, st.booleans()),
    st.tuples(st.just("all answer")),
    st.tuples(st.just("all answer")),
    st.tuples(st.just("respond"), names, st.sampled_from([180, 183, 200, 200, 200, 302, 486, 603])),
    st.tuples(st.just("dial"), names, st.sampled_from([*NAMES, "music", "conference-x"])),
    st.tuples(st.just("refer"), names, st.sampled_from([*NAMES, "music", "nobody", "conference-x"]), st.booleans()),
    st.tuples(st.just("hold"), names, st.booleans()),
    st.tuples(st.just("click"), names, st.sampled_from([*NAMES, "music"])),
    st.tuples(st.just("forward"), names, st.sampled_from([*NAMES, "music", ""])),
    st.tuples(st.just("come back"), names),
    st.tuples(st.just("attended"), names, st.booleans()),
    st.tuples(st.just("take"), names, names),
    st.tuples(st.just("hang up"), names, st.booleans()),
    st.tuples(st.just("lose"), names),
    st.tuples(st.just("slow"), st.sampled_from([0.0, 0.01, 3.0])),
    st.tuples(st.just("drop"), st.sampled_from(["offhook", *NAMES]), st.sampled_from(LOST)),
)  # fmt: skip


class Stage:
    """Three endpoints of one pickup group, each with one device that answers what it is asked; Alice talks with Bob."""

    def __init__(self, hold: str) -> None:
        self.link = Link()
        self.house = House(self.link, call_rate=1000.0, hold=hold)  # type: ignore[arg-type]
        self.phones: dict[str, Phone] = {}
        for name in NAMES:
            self.house.node.accounts[name] = replace(self.house.node.accounts[name], pickup_group="shop")
            phone = Phone(self.house, name, name, Transport.TLS, f"sip:{name}@127.0.0.1;transport=tls")
            phone.register()
            phone.trust()
            phone.oblige()
            self.phones[name] = phone
        self.clicks = 0
        self.placed: dict[str, list[UsageId]] = {name: [] for name in NAMES}
        self.dial("alice", "bob")
        self.link.run(0.1)
        self.respond("bob", 200)
        self.link.run(0.1)

    def do(self, what: str, *details: object) -> None:
        """One step; what a phone cannot do now is passed over."""
        getattr(self, what.replace(" ", "_"))(*details)

    def usages(self, name: str) -> list[UsageId]:
        """What the phone is in, the oldest first."""
        alive = self.phones[name].device._endpoint._core.usages
        return [usage for usage, one in alive.items() if not one.over]

    def respond(self, name: str, status: int) -> None:
        phone = self.phones[name]
        if phone.station.of(InviteReceived):
            body = SDP if status in (183, 200) else b""
            phone.station.perform(RespondInvite(phone.ringing, status, WITH_SDP if body else Headers(), body))

    def all_answer(self) -> None:
        """Whoever rings picks up."""
        self.link.run(0.05)
        for name in NAMES:
            self.respond(name, 200)

    def consult(self, name: str, target: str) -> None:
        """A second call of the device; whoever rings picks up."""
        self.dial(name, target)
        self.all_answer()
        self.link.run(0.05)

    def dial(self, name: str, target: str, replaces: str = "") -> None:
        phone = self.phones[name]
        if not self.connected(phone):
            return
        usage = UsageId(f"{name}-{len(self.placed[name])}")
        self.placed[name].append(usage)
        headers = Headers([*WITH_SDP, *([("Replaces", replaces)] if replaces else [])])
        uri, own = f"sip:{target}@{DOMAIN}", f"<sip:{name}@{DOMAIN}>"
        phone.station.perform(SendInvite(usage, phone.there.id, parse_uri(uri), own, f"<{uri}>", 70, headers, SDP))

    def connected(self, phone: Phone) -> bool:
        return phone.there.id in phone.device._endpoint._flows

    def refer(self, name: str, target: str, silent: bool) -> None:
        fields = [("Refer-To", f"<sip:{target}@{DOMAIN}>")]
        fields += [("Refer-Sub", "false"), ("Supported", "norefersub")] if silent else []
        for usage in self.usages(name)[:1]:
            self.phones[name].station.perform(SendInDialog(usage, "REFER", Headers(fields)))

    def attended(self, name: str, newest_first: bool) -> None:
        pair = self.usages(name)[:2]
        if len(pair) == 2:
            first, second = pair if newest_first else pair[::-1]
            named = self.named(name, second)
            if named:
                target = named.replace(";", "%3B").replace("=", "%3D")
                fields = [("Refer-To", f"<sip:somebody@{DOMAIN}?Replaces={target}>")]
                self.phones[name].station.perform(SendInDialog(first, "REFER", Headers(fields)))

    def named(self, name: str, usage: UsageId) -> str:
        with suppress(AssertionError):
            key = self.phones[name].device.dialog_of(usage)
            return f"{key.call_id};to-tag={key.remote_tag};from-tag={key.local_tag}"
        return ""

    def take(self, name: str, other: str) -> None:
        for usage in self.usages(other)[:1]:
            named = self.named(other, usage)
            if named:
                self.dial(name, other, named)

    def hang_up(self, name: str, newest: bool) -> None:
        usages = self.usages(name)
        for usage in usages[-1:] if newest else usages[:1]:
            phone = self.phones[name]
            placed = usage in self.placed[name]
            confirmed = phone.device._endpoint._core.usages[usage].phase.value == "established"
            if confirmed:
                phone.station.perform(HangUp(usage))
            elif placed:
                phone.station.perform(CancelInvite(usage))

    def hold(self, name: str, on: bool) -> None:
        for usage in self.usages(name)[:1]:
            body = SDP + (b"a=sendonly\r\n" if on else b"a=sendrecv\r\n")
            self.phones[name].station.perform(SendInDialog(usage, "INVITE", WITH_SDP, body))

    def click(self, name: str, target: str) -> None:
        self.clicks += 1
        ref = f"018f0000-0000-7000-8000-{self.clicks:012d}"
        self.house.station.apply(self.house.node.command(Dial(ref, name, target)))

    def forward(self, name: str, target: str) -> None:
        accounts = self.house.node.accounts
        accounts[name] = replace(accounts[name], forward=Forward(busy=target, no_answer=target, unreachable=target))

    def come_back(self, name: str) -> None:
        """The device connects and registers anew, as a page does after its network was gone."""
        phone = self.phones[name]
        if not self.connected(phone):
            phone.there, phone.back = self.link.connect(phone.station, self.house.station, Transport.TLS)
            phone.register()
            phone.trust()

    def lose(self, name: str) -> None:
        with suppress(KeyError):
            self.link.disconnect(self.phones[name].there.id)

    def slow(self, seconds: float) -> None:
        self.house.media.slow = seconds

    def drop(self, sender: str, text: str) -> None:
        self.link.drop(sender, text)


def check_parties(stage: Stage) -> None:
    """Once all is quiet: two parties of a call hear each other, and a party alone hears something of ours."""
    pairs = bridged(stage.house)
    for call in stage.house.node.switchboard.calls():
        if call.state is not CallState.TALKING or call.forks or call.arrivals:
            continue
        assert 1 <= len(call.parties) <= 2, call.parties
        if len(call.parties) == 2:
            both = frozenset(leg.account.username for leg in call.parties if leg.account is not None)
            if any(leg.state is LegState.HELD for leg in call.parties):
                # Who is held hears music.
                continue
            for leg in call.parties:
                settled = not (leg.detached or leg.proposed or leg.wished)
                assert leg.told_wish == "both" or not settled, f"{leg} is shown a hold\n{stage.link.ladder()}"
            assert both in pairs or len(both) == 1, f"{both} are not bridged: {pairs}\n{stage.link.ladder()}"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["local", "pass"]), st.lists(st.tuples(steps, st.sampled_from(PAUSES)), max_size=12))
@example("pass", [(("hold", "alice", True), 0.3), (("refer", "alice", "carol", False), 0.3), (("all answer",), 0.3)])
def test_every_transfer_ends_bridged_or_ended(hold: str, sequence: list[tuple[tuple[object, ...], float]]) -> None:
    stage = Stage(hold)
    for step, pause in sequence:
        stage.do(*step)  # type: ignore[arg-type]
        stage.link.run(pause)
    stage.house.media.slow = 0.0
    stage.link.run(10)
    check_parties(stage)
    stage.link.run(100)
    check_parties(stage)
    for name in NAMES:
        stage.house.station.apply(stage.house.node.command(HangUpEndpoint(name, "endpoint_deleted")))
    stage.house.assert_nothing_left(seconds=400)
    index = stage.house.node.switchboard._index
    assert len(index.dialogs) == 0
    assert index.rooms == {}
    assert index.usages == {}
    assert index.media == {}
