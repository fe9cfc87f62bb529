"""Invariant: no sequence of messages, commands, failures and pauses makes the endpoint raise, or leaves a transaction,
usage, dialog or timer behind once call control has hung up and time has passed."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.sip.commands import CancelInvite, HangUp, Respond, RespondInvite, SendInDialog, SendInvite
from offhook.sip.events import InviteReceived, RequestInDialog, RequestReceived, UsageId
from offhook.sip.flow import Transport
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.link import Link
from tests.support.messages import SDP, make_flow, make_request, make_response
from tests.support.nodes import authorized, make_account, make_endpoint
from tests.support.pair import WITH_SDP

METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "PRACK", "OPTIONS", "INFO", "UPDATE", "REGISTER", "NOTIFY", "DANCE"]
EXTRAS: list[dict[str, str]] = [
    {},
    {"Require": "100rel"},
    {"Supported": "100rel, timer", "Session-Expires": "90;refresher=uac", "Allow": "UPDATE, PRACK"},
    {"Supported": "timer", "Session-Expires": "100", "Min-SE": "95"},
]
"""What a request may say of reliable answers and timers."""
STATUSES = [100, 180, 183, 199, 200, 302, 401, 408, 422, 481, 486, 487, 491, 500, 603]

KINDS = [
    *["request"] * 3,
    *["inside"] * 2,
    *["response"] * 2,
    *["command"] * 2,
    *["answer", "invite", "register", "pause", "lose", "repeat"],
]
"""Steps of a sequence, in the proportion they are drawn."""

small = st.integers(0, 3)


@dataclass(frozen=True)
class Step:
    kind: str
    a: int
    b: int
    c: int
    word: str
    status: int


steps = st.builds(
    Step,
    st.sampled_from(KINDS),
    small,
    small,
    small,
    st.sampled_from(METHODS),
    st.sampled_from(STATUSES),
)


class World:
    """One node with a lossless void round it: what it sends goes nowhere, what it hears the steps make up."""

    def __init__(self, transport: Transport) -> None:
        self.link = Link()
        self.node = self.link.station("node", make_endpoint())
        self.node.accounts["alice"] = make_account("alice")
        peer = self.link.station("void", _Void())
        self.flows = [self.link.connect(self.node, peer, transport)[0] for _ in range(2)]
        self.usages: list[UsageId] = []
        self.count = 0

    def take(self, step: Step) -> None:
        getattr(self, step.kind)(step)
        for event in self.node.events:
            if isinstance(event, InviteReceived) and event.usage not in self.usages:
                self.usages.append(event.usage)

    def request(self, step: Step) -> None:
        """A request outside any dialog; few branches and Call-IDs, so that they meet."""
        body = SDP if step.word == "INVITE" and step.c else b""
        branch = ("z9hG4bK" if step.a else "old") + str(step.b)
        extra = EXTRAS[step.status % len(EXTRAS)]
        request = make_request(step.word, branch=branch, call_id=f"c{step.b}", cseq=1 + step.c, body=body, **extra)
        self._feed(request, step)

    def inside(self, step: Step) -> None:
        """A request that fits a dialog the node has answered in, in either role."""
        tagged = [m for m in self.node.sent if "tag=" in (m.headers.get("To") or "")]
        if not tagged:
            return
        of = tagged[-1 - step.a % len(tagged)]
        ours, theirs = ("To", "From") if isinstance(of, Response) else ("From", "To")
        self.count += step.c
        request = make_request(
            step.word, branch=f"z9hG4bKin{self.count}", cseq=step.b + self.count, body=SDP if step.c else b""
        )
        if step.word == "PRACK" and step.a:
            cseq = (of.headers.get("CSeq") or "1 INVITE").split()[0]
            rack = ("RAck", f"{of.headers.get('RSeq') or step.b} {cseq} INVITE")
            request = Request("PRACK", request.uri, Headers([*request.headers, rack]), request.body)
        headers = request.headers.replaced("From", of.headers.get(theirs) or "")
        headers = headers.replaced("To", of.headers.get(ours) or "").replaced(
            "Call-ID", of.headers.get("Call-ID") or ""
        )
        self._feed(Request(request.method, request.uri, headers, request.body), step)

    def response(self, step: Step) -> None:
        requests = [m for m in self.node.sent if isinstance(m, Request) and m.method != "ACK"]
        if requests:
            tag = f"fork{step.b}" if step.b else ""
            extra = {"Require": "100rel", "RSeq": str(1 + step.c)} if step.c and 100 < step.status < 200 else {}
            if step.status == 422:
                extra = {"Min-SE": str(1000 * (1 + step.c))}
            of = requests[-1 - step.a % len(requests)]
            body = SDP if step.c > 1 else b""
            self._feed(make_response(of, step.status, tag, body, Contact="<sip:x@y>", Allow="UPDATE", **extra), step)

    def command(self, step: Step) -> None:
        if not self.usages:
            return
        usage = self.usages[-1 - step.a % len(self.usages)]
        commands = [
            RespondInvite(usage, step.status, WITH_SDP, SDP),
            HangUp(usage, "Q.850;cause=16"),
            CancelInvite(usage),
            SendInDialog(usage, ["INFO", "UPDATE", "INVITE"][step.c % 3], WITH_SDP, SDP),
        ]
        self.node.perform(commands[step.b])

    def answer(self, step: Step) -> None:
        asked = [event for event in self.node.events if isinstance(event, RequestInDialog | RequestReceived)]
        if asked:
            self.node.perform(Respond(asked[-1 - step.a % len(asked)].transaction, step.status))

    def invite(self, step: Step) -> None:
        usage = UsageId(f"out{len(self.usages)}")
        self.usages.append(usage)
        flow = self.flows[step.a % 2].id
        to = "<sip:bob@example.com>"
        self.node.perform(SendInvite(usage, flow, parse_uri("sip:bob@x.invalid"), to, to, headers=WITH_SDP, body=SDP))

    def register(self, step: Step) -> None:
        flow = self.flows[step.a % 2]
        address = "<sip:alice@example.com>"
        self.count += 1
        plain = make_request("REGISTER", "sip:example.com", branch=f"z9hG4bKr{self.count}", to=address, cseq=self.count)
        plain = Request(plain.method, plain.uri, Headers([*plain.headers, ("Contact", f"<sip:a{step.b}@x.invalid>")]))
        self.node.feed(plain, flow)
        challenge = self.node.sent[-1] if self.node.sent else None
        if isinstance(challenge, Response) and challenge.status == 401:
            self.node.feed(authorized(plain, challenge, "alice"), flow)

    def pause(self, step: Step) -> None:
        self.link.run([0.01, 0.6, 5.0, 33.0][step.a])

    def lose(self, step: Step) -> None:
        flow = self.flows[step.a % 2].id
        self.node.apply(self.node.node.flow_lost(flow, self.link.now))

    def repeat(self, step: Step) -> None:
        if self.node.received:
            self._feed(self.node.received[-1 - step.a % len(self.node.received)], step)

    def _feed(self, message: Request | Response, step: Step) -> None:
        self.node.feed(message, self.flows[step.status % 2])

    def settle(self) -> None:
        """Call control gives everything up."""
        for usage in self.usages:
            self.node.perform(HangUp(usage))
        self.link.run(4000)


class _Void:
    """Hears everything and says nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: []


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([Transport.UDP, Transport.WSS]), st.lists(steps, max_size=40))
def test_nothing_raises_and_nothing_is_left(transport: Transport, sequence: list[Step]) -> None:
    world = World(transport)
    for step in sequence:
        world.take(step)
    world.settle()
    node = world.node.node
    assert (node.transactions, node.usages, node.dialogs, node.timers) == (0, 0, 0, 0)
    assert world.node.timers == {}


def test_flow_that_was_never_opened_is_no_trouble() -> None:
    world = World(Transport.TCP)
    node = world.node.node
    assert node.flow_lost(make_flow("never").id, 0.0) == []
