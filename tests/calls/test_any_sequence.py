"""Whatever callers, devices, the network and the engine do, in whatever order: nothing raises, every call ends and is logged
once, and no leg, dialog, transaction or timer is left behind."""

from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.calls import events as did
from offhook.calls.commands import HangUpEndpoint
from offhook.sip.commands import HangUp, MoveUsage, Respond, RespondInvite, SendInDialog
from offhook.sip.events import DeviceReturned, RequestInDialog, SipEvent
from offhook.sip.flow import Transport
from offhook.sip.location import Binding
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.restart import restart

BODIES = {
    "speech": SDP,
    "held": SDP + b"a=sendonly\r\n",
    "none": b"",
    "foreign": SDP.replace(b"AVP 0", b"AVP 18"),
    "nonsense": b"nonsense",
}
PAUSES = (0.0, 0.005, 0.02, 0.3, 5.0, 30.0, 70.0, 950.0)
"""The last one lets session timers come due."""
bodies = st.sampled_from(sorted(BODIES))
devices = st.sampled_from(["desk", "cell"])
steps = st.one_of(
    st.tuples(st.just("respond"), devices, st.sampled_from([180, 183, 200, 200, 302, 480, 486, 500, 603]), bodies),
    st.tuples(
        st.just("ask"), st.sampled_from(["alice", "desk"]), st.sampled_from(["INVITE", "UPDATE", "INFO"]), bodies
    ),
    st.tuples(st.just("hang up"), st.sampled_from(["alice", "desk", "cell"])),
    st.tuples(st.sampled_from(["cancel", "engine lost", "engine ready", "api", "restart", "both die"])),
    st.tuples(st.sampled_from(["lose", "back"]), st.sampled_from(["alice", "desk"])),
    st.tuples(
        st.just("drop"),
        st.sampled_from(["offhook", "desk", "alice"]),
        st.sampled_from(["ACK", "BYE", "PRACK", "UPDATE", "INVITE", "183 INVITE", "200 INVITE", "200 PRACK"]),
    ),
    st.tuples(st.just("slow"), st.sampled_from([0.0, 0.01, 3.0])),
    st.tuples(
        st.just("app"), st.sampled_from(["alice", "desk", "cell"]), st.sampled_from([200, 488, 491, 481]), bodies
    ),
)


class Stage:
    """Alice calls Bob, who has a desk phone on a connection and a cell phone over UDP."""

    def __init__(self, transport: Transport = Transport.TLS, hold: str = "local") -> None:
        self.link = Link()
        self.house = House(self.link, hold=hold)  # type: ignore[arg-type]
        self.alice = self.house.caller(transport=transport)
        self.desk = self.house.callee(name="desk", transport=Transport.TLS)
        self.phones = {"alice": self.alice, "desk": self.desk, "cell": self.house.callee(name="cell")}

    def usage(self, phone: Phone) -> str:
        return phone.call if phone is self.alice else phone.ringing

    def do(self, what: str, *details: object) -> None:
        """One step; what a phone cannot do now is passed over."""
        named: dict[str, Callable[..., None]] = {
            "respond": self.respond, "ask": self.ask, "hang up": self.hang_up, "lose": self.lose, "back": self.back,
            "cancel": self.alice.cancel, "engine lost": self.engine_lost, "engine ready": self.engine_ready,
            "restart": self.restart, "both die": lambda: self.restart(False), "api": self.api,
            "drop": lambda sender, text: self.link.drop(sender, text), "slow": self.slow,
            "app": self.app,
        }  # fmt: skip
        named[what](*details)

    def respond(self, device: str, status: int, body: str) -> None:
        phone = self.phones[device]
        if phone.got("INVITE"):
            content = BODIES[body] if status in (183, 200) else b""
            phone.station.perform(RespondInvite(phone.ringing, status, WITH_SDP if content else Headers(), content))

    def ask(self, device: str, method: str, body: str) -> None:
        phone = self.phones[device]
        if phone is self.alice or phone.got("INVITE"):
            content = BODIES[body]
            headers = WITH_SDP if content else Headers()
            phone.station.perform(SendInDialog(self.usage(phone), method, headers, content))  # type: ignore[arg-type]

    def hang_up(self, device: str) -> None:
        phone = self.phones[device]
        if phone is self.alice or phone.got("ACK"):
            phone.station.perform(HangUp(self.usage(phone)))  # type: ignore[arg-type]

    def lose(self, device: str) -> None:
        with suppress(KeyError):
            self.link.disconnect(self.phones[device].there.id)

    def engine_lost(self) -> None:
        self.house.media.open.clear()
        self.house.media.calls.clear()
        self.house.station.apply(self.house.node.tell(did.EngineLost()))

    def engine_ready(self) -> None:
        self.house.station.apply(self.house.node.tell(did.EngineReady()))

    def back(self, device: str) -> None:
        """The device is on another connection and has registered there."""
        phone = self.phones[device]
        phone.there, phone.back = self.link.connect(phone.station, self.house.station, Transport.TLS)
        if phone is self.alice or phone.got("INVITE"):
            phone.station.perform(MoveUsage(self.usage(phone), phone.there.id))  # type: ignore[arg-type]
        aor = f"sip:{phone.username}@{DOMAIN}"
        binding = Binding(aor, parse_uri(phone.contact), phone.back, "reg", 1, 1e9)
        self.house.station.apply(self.house.node.tell(DeviceReturned(aor, phone.username, binding)))

    def restart(self, engine_lives: bool = True) -> None:
        restart(self.house, engine_lives)

    def api(self) -> None:
        self.house.station.apply(self.house.node.command(HangUpEndpoint("alice", "endpoint_deleted")))

    def app(self, device: str, status: int, body: str) -> None:
        """From now on the device answers what it is asked inside its dialogs."""
        station = self.phones[device].station

        def told(event: SipEvent) -> None:
            if isinstance(event, RequestInDialog):
                content = BODIES[body] if status == 200 and event.request.method in ("INVITE", "UPDATE") else b""
                station.perform(Respond(event.transaction, status, WITH_SDP if content else Headers(), content))

        station.on_event = told

    def slow(self, seconds: float) -> None:
        self.house.media.slow = seconds


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    bodies,
    st.sampled_from([Transport.TLS, Transport.WSS]),
    st.sampled_from(["local", "pass"]),
    st.lists(st.tuples(steps, st.sampled_from(PAUSES)), max_size=9),
)
def test_nothing_raises_and_nothing_is_left(
    offer: str, transport: Transport, hold: str, sequence: list[tuple[tuple[object, ...], float]]
) -> None:
    stage = Stage(transport, hold)
    stage.alice.device.late_answer = b"" if BODIES[offer] else SDP
    stage.alice.dial("bob", BODIES[offer])
    for step, pause in sequence:
        stage.do(*step)  # type: ignore[arg-type]
        stage.link.run(pause)
    stage.house.media.slow = 0.0
    stage.link.run(100)
    stage.api()
    for device in ("alice", "desk", "cell"):
        stage.hang_up(device)
    # Of the house alone: what a device keeps that nobody operates is its own affair.
    stage.house.assert_nothing_left(seconds=300)
    assert len(stage.house.node.log) == 1
