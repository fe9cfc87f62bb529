"""Whatever commands, documents, phones and the engine do to a call that the API placed, in whatever order: nothing
raises, it ends and is logged once, every leg is told to have ended once, and nothing is left behind."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.calls import events as did
from offhook.calls.commands import ConnectLeg, EndLeg, HangUpCall, HoldLeg, PartLegs, Place, PressDigits, ReferLeg
from offhook.calls.document import Answer, Connect, DialTarget, Document, Hangup, Pause, Proceed, StatusWish
from offhook.calls.document import Link as AtUrl
from offhook.sip.commands import HangUp, RespondInvite
from offhook.sip.message import Headers
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.restart import restart

EVERY = ("queued", "initiated", "created", "ringing", "answered", "ending", "ended")
REF = "018f0000-0000-7000-8000-00000000000c"
WISH = StatusWish("http://w/", EVERY)


def dials(*names: str, answers: bool = False) -> Connect:
    return Connect((tuple(DialTarget(one, wish=WISH) for one in names),), 20.0, answers)


DOCUMENTS = {
    "connect": Document((dials("carol"),)),
    "both": Document((Answer(), dials("carol", "alice"), dials("alice"))),
    "pause": Document((Pause(3.0), dials("carol", answers=True))),
    "music": Document((dials("music"),)),
    "end": Document((Hangup("busy"),)),
    "on": Document((Proceed(AtUrl("http://both/")),)),
    "nothing": Document(()),
}
phones = st.sampled_from(["bob", "carol", "alice"])
which = st.integers(0, 3)
names = st.sampled_from(sorted(DOCUMENTS))
steps = st.one_of(
    st.tuples(st.just("respond"), phones, st.sampled_from([180, 200, 200, 200, 486, 603])),
    st.tuples(st.just("hang up"), phones),
    st.tuples(st.just("end"), which, st.sampled_from(["hangup", "busy", "cancel"])),
    st.tuples(st.just("part"), which),
    st.tuples(
        st.just("transfer"), which, st.sampled_from(["carol", "alice", "music", "nobody", "http://both/", "http://no/"])
    ),
    st.tuples(st.just("document"), which, names),
    st.tuples(st.just("hold"), which, st.booleans()),
    st.tuples(st.just("mute"), which, st.booleans()),
    st.tuples(st.just("press"), which),
    st.tuples(st.just("refer"), which),
    st.tuples(st.sampled_from(["engine lost", "engine ready", "hang up all", "restart"])),
    st.tuples(st.just("slow"), st.sampled_from([0.0, 0.01, 3.0])),
)


class Stage:
    """The API has placed a call to Bob; Carol and Alice have phones too."""

    def __init__(self, document: str) -> None:
        self.link = Link()
        self.house = House(self.link)
        self.phones = {name: self.house.callee(name) for name in ("bob", "carol", "alice")}
        self.house.node.documents["http://both/"] = DOCUMENTS["both"]
        placed = Place(REF, "bob", "+15125550100", document=DOCUMENTS[document], wish=WISH)
        self.house.apply(lambda: self.house.node.command(placed))

    def leg(self, number: int) -> str:
        """The ref of one of the legs there are."""
        calls = self.house.node.switchboard.calls()
        legs = [leg for call in calls for leg in call.legs if not leg.behind]
        return legs[number % len(legs)].ref if legs else "nobody"

    def do(self, what: str, *given_: object) -> None:
        command = self.command(what, *given_)
        if command is not None:
            self.house.station.apply(self.house.node.command(command))
            return
        match what, given_:
            case "respond", (str(name), int(status)):
                phone = self.phones[name]
                if phone.got("INVITE"):
                    body = SDP if status == 200 else b""
                    answer = RespondInvite(phone.ringing, status, WITH_SDP if body else Headers(), body)
                    phone.station.perform(answer)
            case "hang up", (str(name),):
                phone = self.phones[name]
                if phone.got("ACK"):
                    phone.station.perform(HangUp(phone.ringing))
            case "engine lost", ():
                self.house.media.open.clear()
                self.house.media.calls.clear()
                self.house.station.apply(self.house.node.tell(did.EngineLost()))
            case "engine ready", ():
                self.house.station.apply(self.house.node.tell(did.EngineReady()))
            case "restart", ():
                restart(self.house, registrations=True)
            case "slow", (float(seconds),):
                self.house.media.slow = seconds

    def command(self, what: str, *given_: object):  # type: ignore[no-untyped-def]
        """The command of a step, None for any other."""
        match what, given_:
            case "end", (int(at), str(reason)):
                return EndLeg(self.leg(at), reason)
            case "part", (int(at),):
                return PartLegs(self.leg(at))
            case "transfer", (int(at), str(to)) if to.startswith("http"):
                return ConnectLeg(self.leg(at), link=AtUrl(to))
            case "transfer", (int(at), str(to)):
                return ConnectLeg(self.leg(at), to=to)
            case "document", (int(at), str(name)):
                return ConnectLeg(self.leg(at), document=DOCUMENTS[name])
            case "hold", (int(at), bool(held)):
                return HoldLeg(self.leg(at), held=held)
            case "mute", (int(at), bool(muted)):
                return HoldLeg(self.leg(at), muted=muted)
            case "press", (int(at),):
                return PressDigits(self.leg(at), "1w2")
            case "refer", (int(at),):
                return ReferLeg(self.leg(at), "sip:dave@elsewhere.example")
            case "hang up all", ():
                return HangUpCall(REF, "api_hangup")
        return None


def phones_of(stage: Stage) -> list[Phone]:
    return list(stage.phones.values())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(names, st.lists(st.tuples(steps, st.sampled_from([0.0, 0.02, 0.3, 5.0, 40.0])), max_size=16))
def test_any_command(document: str, script: list[tuple[tuple[object, ...], float]]) -> None:
    stage = Stage(document)
    for (what, *details), pause in script:
        stage.do(str(what), *details)
        stage.link.run(pause)
    house = stage.house
    house.apply(lambda: house.node.command(HangUpCall(REF, "api_hangup")))
    # What rang at a restart rings on at the phone, which nobody operates.
    died = any(what == "restart" for (what, *_), _ in script)
    house.assert_nothing_left(*([] if died else phones_of(stage)), seconds=400.0)
    # Each leg that somebody heard of was told to have ended, once and last.
    told: dict[str, list[str]] = {}
    for one in house.node.told:
        if one.kind == "state":
            told.setdefault(one.leg.leg_ref, []).append(one.leg.state)
    for ref, states in told.items():
        assert states == [one for one in EVERY if one in states], f"{ref}: {states}"
        assert states[-1] == "ended", f"{ref}: {states}"
    logged = [ref for record in house.node.log for ref, _ in record.legs]
    assert len(logged) == len(set(logged))
    assert set(told) <= set(logged) | {REF}
