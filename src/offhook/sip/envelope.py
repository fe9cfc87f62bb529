"""The fields by which a message is placed, parsed once: top Via, Call-ID, tags, CSeq."""

from dataclasses import field
from typing import NamedTuple

from offhook.record import record
from offhook.sip.fields import Via, parse_cseq, parse_tag, parse_via, split_list
from offhook.sip.message import Message


class DialogKey(NamedTuple):
    """RFC 3261 section 12: what identifies a dialog, seen from our side."""

    call_id: str
    local_tag: str
    remote_tag: str


@record
class Envelope:
    """`method` is that of CSeq; tags are "" where absent; `via_text` is the topmost of `vias` values, as received."""

    via: Via
    via_text: str
    vias: int
    call_id: str
    from_tag: str
    to_tag: str
    cseq: int
    method: str
    text: bytes = field(default=b"", compare=False)
    """The octets of a REGISTER that came by a connection (refresh.py); of all else none are kept."""

    @property
    def branch(self) -> str:
        """The top Via's branch, "" where absent."""
        return self.via.branch

    @property
    def dialog(self) -> DialogKey:
        """The dialog that a request of the peer belongs to."""
        return DialogKey(self.call_id, self.to_tag, self.from_tag)


def envelope(message: Message) -> Envelope:
    """The envelope, read once for each message. Raises errors.MalformedMessage; a parsed one has passed the checks."""
    headers = message.headers
    known = headers.envelope
    if known is None:
        vias = [value for line in headers.all("Via") for value in split_list(line)]
        known = headers.envelope = read(
            vias, headers.get("Call-ID") or "", headers.get("From") or "", headers.get("To") or "",
            parse_cseq(headers.get("CSeq") or ""),
        )  # fmt: skip
    return known


def read(vias: list[str], call_id: str, from_: str, to: str, cseq: tuple[int, str]) -> Envelope:
    """The envelope of these values."""
    return Envelope(
        via=parse_via(vias[0]),
        via_text=vias[0],
        vias=len(vias),
        call_id=call_id,
        from_tag=parse_tag(from_),
        to_tag=parse_tag(to),
        cseq=cseq[0],
        method=cseq[1],
    )
