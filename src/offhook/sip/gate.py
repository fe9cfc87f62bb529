"""Who is let in at all, before a word is said: judged by call control, applied by the UAS core (TRK-10, CALL-24)."""

from dataclasses import dataclass
from typing import Protocol

from offhook.sip.flow import Flow
from offhook.sip.message import Request


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Not let in. Over UDP there is no answer at all, because the source may be forged and a scanner is to learn nothing;
    a stream gets `status` with the slug and the text. Both are in the log."""

    status: int
    slug: str
    text: str


class Gate(Protocol):
    """Asked about each INVITE outside a dialog."""

    def expects(self, request: Request, flow: Flow) -> bool:
        """True for an INVITE that comes from a trunk, known by its address, certificate or line: no stranger."""
        ...

    def turn_away(self, request: Request, flow: Flow, known: bool) -> TurnedAway | None:
        """None lets the request in. `known`: its flow has proved an endpoint, or it carries credentials for our realm."""
        ...
