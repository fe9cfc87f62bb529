"""What makes a message part of a transaction: RFC 3261 sections 17.1.3 and 17.2.3, RFC 2543 branches included."""

from dataclasses import dataclass
from typing import NamedTuple

from offhook.sip.envelope import Envelope
from offhook.sip.message import Request

COOKIE = "z9hG4bK"


class ClientKey(NamedTuple):
    """17.1.3: our branch and the method of CSeq."""

    branch: str
    method: str

    def __repr__(self) -> str:
        return f"{self.method} of ours {self.branch}"


class ServerKey(NamedTuple):
    """17.2.3: the peer's branch and sent-by, and the method, where ACK belongs to INVITE."""

    branch: str
    sent_by: str
    method: str

    def __repr__(self) -> str:
        return f"{self.method} of {self.sent_by} {self.branch}"


@dataclass(frozen=True, slots=True)
class LegacyKey:
    """17.2.3 for a branch without the magic cookie, or with nothing after it (RFC 4475 section 3.2.1).

    To's tag is left out: an ACK carries the one of our response, which its INVITE could not know, and within one
    Call-ID and From tag the CSeq number already tells requests apart.
    """

    uri: str
    from_tag: str
    call_id: str
    cseq: int
    via: str
    method: str

    def __repr__(self) -> str:
        return f"{self.method} {self.cseq} of {self.call_id}"


AnyServerKey = ServerKey | LegacyKey


class MergeKey(NamedTuple):
    """8.2.2.2: one request that reached us on two ways has these in common and differs in its branch."""

    from_tag: str
    call_id: str
    cseq: int
    method: str


def client_key(envelope: Envelope) -> ClientKey:
    """The key of the request of ours that a response answers."""
    return ClientKey(envelope.branch, envelope.method)


def server_key(request: Request, envelope: Envelope, method: str = "") -> AnyServerKey:
    """The key of a peer's request; `method` names another one with the same branch (the INVITE of a CANCEL)."""
    method = method or request.method
    if method == "ACK":
        method = "INVITE"
    via, branch = envelope.via, envelope.branch
    if branch.startswith(COOKIE) and len(branch) > len(COOKIE):
        port = "" if via.port is None else f":{via.port}"
        return ServerKey(branch, f"{via.host.lower()}{port}", method)
    return LegacyKey(str(request.uri), envelope.from_tag, envelope.call_id, envelope.cseq, envelope.via_text, method)


def merge_key(envelope: Envelope) -> MergeKey | None:
    """The key under which a second copy of an initial request is found out; None inside a dialog."""
    if envelope.to_tag:
        return None
    return MergeKey(envelope.from_tag, envelope.call_id, envelope.cseq, envelope.method)
