"""A confirmed dialog as plain data that can be kept (LIVE-15)."""

from msgspec import Struct

from offhook.sip.envelope import DialogKey
from offhook.sip.events import UsageId


class DialogRecord(Struct, frozen=True, array_like=True):
    """`interval` 0 means that no session timer runs; `allow` None that the peer never said what it takes.

    What a dialog repeats byte for byte is kept in octets: phones write names in Latin-1, which cannot be stored as text.
    """

    usage: UsageId
    peer: str | None
    call_id: bytes
    local_tag: bytes
    remote_tag: bytes
    local: bytes
    remote: bytes
    contact_user: str
    remote_target: bytes
    route_set: tuple[bytes, ...]
    local_cseq: int
    remote_cseq: int | None
    owns_call_id: bool
    allow: tuple[str, ...] | None = None
    interval: int = 0
    refresh_is_ours: bool = True
    peer_has_timer: bool = False

    @property
    def key(self) -> DialogKey:
        """What identifies the dialog."""
        return DialogKey(text(self.call_id), text(self.local_tag), text(self.remote_tag))


def octets(text: str) -> bytes:
    """Text of the wire as it is kept."""
    return text.encode("utf-8", "surrogateescape")


def text(kept: bytes) -> str:
    """Text of the wire as it came."""
    return kept.decode("utf-8", "surrogateescape")
