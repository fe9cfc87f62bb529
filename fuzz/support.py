"""What the fuzz targets share: seeds from the vectors, mutations of them, how many examples, and doors to knock at.

Each target is a file whose first line states its invariant. A short form runs with every test, the long one by
`make test LONG=1`.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from offhook.sip.effects import CloseFlow, FindRegistration, Send, SipEffect
from offhook.sip.encode import encode
from offhook.sip.errors import PeerError
from offhook.sip.flow import Flow
from offhook.sip.message import Message, Response
from tests.support.messages import SDP, make_flow, make_request
from tests.support.nodes import make_endpoint
from tests.support.torture import torture

LONG = bool(os.environ.get("LONG"))

fuzzed = settings(
    max_examples=5_000 if LONG else 150,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)
"""How a target is run: the short form always the same examples, the long one new ones each time."""

BODIES = [b"", SDP]
REQUESTS = [
    encode(make_request(method, branch=f"z9hG4bK{method}", body=body))
    for method in ("INVITE", "OPTIONS", "REGISTER", "BYE", "ACK", "CANCEL", "SUBSCRIBE", "MESSAGE", "REFER", "UPDATE")
    for body in BODIES
]
MESSAGES = [*(one.data for one in torture()), *REQUESTS]

_ODD = [
    b"\0",
    b"\xff",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b",",
    b";",
    b'"',
    b"\\",
    b"<",
    b">",
    b"%00",
    b":",
    b"[",
    b"]",
    b"=",
]
_NUMBERS = [b"0", b"-1", b"65536", b"4294967296", b"9" * 40]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of the seeds, some of whose pieces are gone, doubled, replaced or taken from another; now and then plain noise."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=400))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 24)))
        match draw(st.integers(0, 5)):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end]
            case 2:
                data[at:end] = draw(st.binary(max_size=8))
            case 3:
                data[at:end] = draw(st.sampled_from(_ODD))
            case 4:
                data[at:end] = draw(st.sampled_from(_NUMBERS))
            case _:
                other = draw(st.sampled_from(seeds))
                start = draw(st.integers(0, len(other)))
                data[at:end] = other[start : start + draw(st.integers(0, 80))]
    return bytes(data)


def texts(*seeds: str) -> st.SearchStrategy[str]:
    """Mutated header values, as the parser of a message hands them on."""
    octets = mutated([one.encode() for one in seeds])
    return octets.map(lambda data: data.decode("utf-8", "surrogateescape").replace("\r", "").replace("\n", ""))


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The octets in pieces, as a network delivers them."""
    marks = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True)]


class Door:
    """A receiver with the whole SIP layer behind it; look-ups find nothing. `parse` is that of its transport."""

    def __init__(self, parse: Callable[[bytes], Message]) -> None:
        self.endpoint = make_endpoint()
        self.send: Callable[[Flow, bytes], Any] = lambda flow, data: None
        self.close: Callable[[int, str], Any] = lambda code, slug: None
        self.statuses: list[int] = []
        self.heard = 0
        self.lost: list[str] = []
        self._parse = parse

    def flow_opened(self, flow: Flow) -> None:
        self._do(flow, self.endpoint.flow_opened(flow, 0.0))

    def received(self, data: bytes, flow: Flow) -> None:
        self.heard += 1
        try:
            message = self._parse(data)
        except PeerError as error:
            self._do(flow, self.endpoint.receive_malformed(error, flow, 0.0))
            return
        self._do(flow, self.endpoint.receive(message, flow, 0.0))

    def _do(self, flow: Flow, effects: list[SipEffect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    if isinstance(effect.message, Response):
                        self.statuses.append(effect.message.status)
                    self.send(flow, encode(effect.message))
                case FindRegistration():
                    self._do(flow, self.endpoint.registration_found(effect.token, None, (), 0.0))
                case CloseFlow():
                    self.close(effect.code, effect.slug)
                case _:
                    pass

    def flow_lost(self, flow: Flow, reason: str) -> None:
        self.lost.append(reason)
        self._do(flow, self.endpoint.flow_lost(flow.id, 0.0))

    def refused(self, reason: str, data: bytes, flow: Flow) -> None: ...
    def flow_suspected(self, flow: Flow, suspected: bool) -> None: ...
    def presented(self, token: str, flow: Flow) -> str | None: ...
    def in_use(self, flow: Flow) -> bool:
        return False

    proven = knows = in_use

    @property
    def answers(self) -> bool:
        """True if an ordinary request is still answered."""
        request = make_request("OPTIONS", branch="z9hG4bKafterwards", call_id="afterwards")
        effects = self.endpoint.receive(request, make_flow("far-away"), 0.0)
        return any(isinstance(one, Send) for one in effects)
