"""A request of ours that is too large for a datagram: held until it is known whether its peer takes TCP (CALL-21).

RFC 3261 section 18.1.1. Lives here: the waiting. Never here: the connection; what becomes of the request is the table's.
"""

from collections.abc import Hashable
from itertools import chain

from offhook.sip.effects import OpenStream
from offhook.sip.events import Failure
from offhook.sip.flow import Flow
from offhook.sip.message import Message, Request
from offhook.sip.timers import Timers
from offhook.sip.transaction.machine import Effect, Event, Machine, Owner, RequestFailed, SendFailed

MARGIN = 200
"""Octets by which the quick estimate may be wrong before a message is really written to be measured."""


class LargeRequest(Machine):
    """Stands in for the client transaction until `OpenStream` is answered. Nothing has been sent yet."""

    def __init__(self, key: Hashable, request: Request, flow: Flow, owner: Owner, timers: Timers) -> None:
        super().__init__(key, flow, timers)
        self.request = request
        self.owner = owner

    def start(self) -> list[Effect]:
        """Asks for the connection; its own limit of time is the shell's."""
        return [OpenStream(self.key, self.flow)]

    def handle(self, event: Event) -> list[Effect]:
        """Only the loss of the flow can happen to it."""
        if isinstance(event, SendFailed):
            return [RequestFailed(self.key, self.owner, Failure.FLOW_FAILED), *self.terminate()]
        return []


def estimate(message: Message) -> int:
    """Octets of the encoded message, more or less: characters that are several octets in UTF-8 count once."""
    fields = message.headers
    return 40 + len(message.body) + 4 * len(fields) + sum(map(len, chain.from_iterable(fields)))


def over_tcp(request: Request, flow: Flow, branch: str) -> Request:
    """The same request with the Via of another connection; a stream needs no rport."""
    via = f"SIP/2.0/{flow.transport} {flow.advertised};branch={branch}"
    return Request(request.method, request.uri, request.headers.replaced("Via", via), request.body)
