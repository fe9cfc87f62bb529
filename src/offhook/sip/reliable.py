"""Reliable provisional responses: RFC 3262, as both roles keep them. State and rules only; the usages send.

Lives here: which 1xx is sent reliably, the order of RSeq on either side, what a PRACK acknowledges. Never here: timers and
transactions (incoming_invite.py, outgoing_invite.py).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from offhook.sip.errors import MalformedMessage
from offhook.sip.fields import parse_number
from offhook.sip.flow import Flow
from offhook.sip.ids import Ids
from offhook.sip.message import Headers, Request, Response

OPTION = "100rel"
COPIES = 7
"""Copies of one reliable 1xx that are acknowledged again: as many as RFC 3262 has. A peer that answers each PRACK
with another copy would be answered for ever."""
HIGHEST_RSEQ = 2**31 - 1
"""RFC 3262 section 3: the first RSeq is drawn below it."""


class Reliability(StrEnum):
    """Which 1xx above 100 to one INVITE go out reliably."""

    NEVER = "never"
    DESCRIBING = "describing"
    """Those that carry a session description: the others are not worth a round trip."""
    ALWAYS = "always"


def option_listed(headers: Headers, name: str, option: str) -> bool:
    """True if a comma list of option tags names this one, in any case."""
    if headers.get(name) is None:
        return False
    return any(tag.strip().lower() == option for line in headers.all(name) for tag in line.split(","))


def reliability(invite: Request, flow: Flow) -> Reliability:
    """RFC 3262 section 3: a peer that requires it gets it for every 1xx; one that supports it where it helps, a WebSocket
    peer never, because no browser library keeps the order of RSeq."""
    if option_listed(invite.headers, "Require", OPTION):
        return Reliability.ALWAYS
    if option_listed(invite.headers, "Supported", OPTION) and not flow.transport.websocket:
        return Reliability.DESCRIBING
    return Reliability.NEVER


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that call control asked for and that is still to be sent."""

    status: int
    headers: Headers
    body: bytes


@dataclass(slots=True)
class Pending:
    """A reliable 1xx that waits for its PRACK, and the time until it is sent again."""

    rseq: int
    response: Response
    interval: float


@dataclass(slots=True)
class ReliableAnswers:
    """UAS side: one unacknowledged reliable 1xx at a time (section 3), what has to wait behind it, and what was said.

    `described` tells that a session description of ours has been acknowledged: the offer or answer of the INVITE is done.
    """

    mode: Reliability
    next_rseq: int
    pending: Pending | None = None
    queue: list[Answer] = field(default_factory=list)
    final: Answer | None = None
    described: bool = False

    @classmethod
    def of(cls, invite: Request, flow: Flow, ids: Ids) -> "ReliableAnswers":
        """For one INVITE of a peer."""
        return cls(reliability(invite, flow), int(ids.uniform(1, HIGHEST_RSEQ)))

    def reliable(self, answer: Answer) -> bool:
        """True if this 1xx is to be acknowledged."""
        if self.mode is Reliability.DESCRIBING:
            # What was described once is not said again reliably; a repetition only serves copies that got lost.
            return bool(answer.body) and not self.described
        return self.mode is Reliability.ALWAYS

    def holds_back(self) -> bool:
        """Section 3: a 2xx waits only for the PRACK of a 1xx that carried the offer or the answer."""
        return self.pending is not None and bool(self.pending.response.body)

    def acknowledged(self, rack: str, cseq: int) -> Pending | None:
        """The 1xx that this RAck value acknowledges, now no longer pending; None for nothing we wait for."""
        pending = self.pending
        if pending is None or parse_rack(rack) != (pending.rseq, cseq, "INVITE"):
            return None
        self.pending = None
        self.described = self.described or bool(pending.response.body)
        return pending


@dataclass(slots=True)
class Heard:
    """UAC side, for one early dialog: the last RSeq that came in order, and the PRACK we sent for it.

    `described` tells that a reliable 1xx brought the answer to our INVITE.
    """

    rseq: int | None = None
    prack: Request | None = None
    copies: int = 0
    described: bool = False

    def order(self, rseq: int) -> int:
        """Section 4: 0 for a copy of the last one, 1 for the next in order, -1 for one that must not be acknowledged yet."""
        if self.rseq is None or rseq == self.rseq + 1:
            return 1
        return 0 if rseq == self.rseq else -1


def rseq_of(response: Response) -> int | None:
    """The RSeq of a reliable 1xx; None for any other response."""
    if not 100 < response.status < 200 or not option_listed(response.headers, "Require", OPTION):
        return None
    try:
        return parse_number(response.headers.get("RSeq") or "", "RSeq", 2**32 - 1)
    except MalformedMessage:
        return None


def parse_rack(value: str) -> tuple[int, int, str] | None:
    """RAck as (response number, CSeq number, method); None if it cannot be read."""
    pieces = value.split()
    if len(pieces) != 3:
        return None
    try:
        return parse_number(pieces[0], "RAck", 2**32 - 1), parse_number(pieces[1], "RAck", 2**32 - 1), pieces[2]
    except MalformedMessage:
        return None
