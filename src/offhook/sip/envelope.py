"""The fields by which a message is placed, parsed once: top Via, Call-ID, tags, CSeq."""

from dataclasses import dataclass

from offhook.sip.fields import Via, parse_cseq, parse_name_addr, parse_via, split_list
from offhook.sip.message import Message


@dataclass(frozen=True, slots=True)
class Envelope:
    """`method` is that of CSeq; tags are "" where absent; `via_text` is the topmost Via value as received."""

    via: Via
    via_text: str
    call_id: str
    from_tag: str
    to_tag: str
    cseq: int
    method: str

    @property
    def branch(self) -> str:
        """The top Via's branch, "" where absent."""
        return self.via.params.get("branch") or ""


def envelope(message: Message) -> Envelope:
    """Reads the envelope. Raises errors.MalformedMessage; a message from the parser has passed these checks."""
    headers = message.headers
    text = split_list(headers.get("Via") or "")[0]
    number, method = parse_cseq(headers.get("CSeq") or "")
    return Envelope(
        via=parse_via(text),
        via_text=text,
        call_id=headers.get("Call-ID") or "",
        from_tag=parse_name_addr(headers.get("From") or "").params.get("tag") or "",
        to_tag=parse_name_addr(headers.get("To") or "").params.get("tag") or "",
        cseq=number,
        method=method,
    )
