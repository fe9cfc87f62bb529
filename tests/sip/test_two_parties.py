"""Invariant: whatever two sides do at once on a bad network, in the end they believe the same about the call, no answer was
given twice, and once it is over nothing is left on either side."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.sip.commands import CancelInvite, HangUp, Respond, RespondInvite, SendInDialog
from offhook.sip.events import InviteAccepted, InviteReceived, RequestInDialog, SipEvent
from offhook.sip.flow import Transport
from offhook.sip.message import Headers, Response
from tests.support.link import Link, Station
from tests.support.messages import SDP
from tests.support.pair import WITH_SDP, Pair

WORDS = [
    "180",
    "183",
    "200",
    "486",
    "cancel",
    "hang up",
    "INVITE",
    "UPDATE",
    "refresh",
    "INFO",
    "drop",
    "double",
    "delay",
]
MESSAGES = [
    ("alice", "INVITE"), ("alice", "ACK"), ("alice", "PRACK"), ("alice", "BYE"), ("alice", "UPDATE"), ("alice", "CANCEL"),
    ("bob", "180 INVITE"), ("bob", "183 INVITE"), ("bob", "200 INVITE"), ("bob", "200 PRACK"), ("bob", "487 INVITE"),
    ("bob", "INVITE"), ("bob", "UPDATE"), ("bob", "BYE"), ("bob", "200 BYE"), ("alice", "200 INVITE"), ("bob", "200 UPDATE"),
]  # fmt: skip


@dataclass(frozen=True)
class Step:
    who: str
    word: str
    pause: float
    which: int


steps = st.builds(
    Step,
    st.sampled_from(["alice", "bob"]),
    st.sampled_from(WORDS),
    st.sampled_from([0.0, 0.005, 0.012, 0.3, 1.0, 6.0, 40.0]),
    st.integers(0, len(MESSAGES) - 1),
)


class Stage(Pair):
    """Two call controls that answer whatever they are asked inside the dialog."""

    def __init__(self, link: Link, transport: Transport) -> None:
        super().__init__(link, transport)
        for station in (self.alice, self.bob):
            station.on_event = lambda event, station=station: self.told(station, event)  # type: ignore[misc]

    def told(self, station: Station, event: SipEvent) -> None:
        if isinstance(event, RequestInDialog):
            body = event.request.body
            station.perform(Respond(event.transaction, 200, WITH_SDP if body else Headers(), body))

    def usage(self, who: str) -> str:
        return self.call if who == "alice" else self.ringing

    def do(self, step: Step) -> None:
        station = self.alice if step.who == "alice" else self.bob
        if step.word in ("drop", "double", "delay"):
            sender, text = MESSAGES[step.which]
            if step.word == "delay":
                self.link.delay(sender, text, 0.7)
            else:
                getattr(self.link, step.word)(sender, text)
            return
        if step.who == "bob" and not self.bob.of(InviteReceived):
            return
        usage = self.usage(step.who)
        match step.word:
            case "180" | "183" | "200" | "486":
                if step.who == "bob":
                    body = SDP if step.word in ("183", "200") else b""
                    command = RespondInvite(usage, int(step.word), WITH_SDP if body else Headers(), body)  # type: ignore[arg-type]
                    station.perform(command)
            case "cancel":
                if step.who == "alice":
                    station.perform(CancelInvite(self.call))
            case "hang up":
                station.perform(HangUp(usage))  # type: ignore[arg-type]
            case "refresh":
                station.perform(SendInDialog(usage, "UPDATE"))  # type: ignore[arg-type]
            case method:
                body = b"" if method == "INFO" else SDP
                station.perform(SendInDialog(usage, method, WITH_SDP if body else Headers(), body))  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([Transport.UDP, Transport.TLS, Transport.WSS]), st.lists(steps, max_size=14))
def test_both_sides_believe_the_same(transport: Transport, sequence: list[Step]) -> None:
    link = Link()
    stage = Stage(link, transport)
    stage.invite()
    for step in sequence:
        stage.do(step)
        link.run(step.pause)
    # Long enough for every repetition, refresh and expiry.
    link.run(2500)
    alive = [station.node.usages for station in (stage.alice, stage.bob)]  # type: ignore[attr-defined]
    answered = bool(stage.alice.of(InviteAccepted))
    # 1. confirmed on both sides or on none; an INVITE that merely rings is as call control left it
    assert alive[0] == alive[1] or not answered, link.ladder()
    assert len(stage.alice.of(InviteAccepted)) <= 1
    # 2. one final answer to the INVITE, repeated at most
    finals = {
        (one.status, one.headers.get("CSeq"))
        for one in stage.bob.sent
        if isinstance(one, Response) and one.status >= 200 and (one.headers.get("CSeq") or "").endswith(" INVITE")
    }
    assert len({cseq for _, cseq in finals}) == len(finals), link.ladder()
    # 3. nothing is left once it is over
    if stage.bob.of(InviteReceived):
        stage.bob.perform(HangUp(stage.ringing))
    stage.alice.perform(HangUp(stage.call))
    stage.assert_nothing_left(4000)
