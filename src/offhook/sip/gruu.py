"""GRUU: a URI that reaches one instance of an address of record and no other (RFC 5627, REG-13).

A public one names its instance. A temporary one is a sealed text: it tells nothing of its owner, nothing is stored for it,
and any number of them are good at the same time, until the instance registers under another Call-ID.
"""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from offhook.sip.domains import Domains, parted
from offhook.sip.ids import Ids
from offhook.sip.location import Binding
from offhook.sip.seal import Sealer
from offhook.sip.uri import Uri

_MARK = 6
"""Octets of the hash that tells one Call-ID from the next."""
_UUID = "urn:uuid:"
_NAMEABLE = re.compile(r"[A-Za-z0-9\-_.!~*'()\[\]/:&+$]{1,200}")
"""What a URI parameter may hold without escapes (RFC 3261 section 25.1); the length keeps a temporary GRUU short."""
_USER = "-_.!~*'()&=+$,;?/"
"""What a user part may hold without escapes (RFC 3261 section 25.1)."""


@dataclass(frozen=True, slots=True)
class Gruu:
    """The instance a URI means, and the name of its endpoint. `mark` is empty in a public one; a temporary one is good under
    one Call-ID only."""

    user: str
    instance: str
    mark: bytes = b""

    def means(self, binding: Binding) -> bool:
        """True for the bindings of that instance, over each of its flows."""
        if binding.instance is None or bare(binding.instance).casefold() != self.instance.casefold():
            return False
        return not self.mark or self.mark == _mark(binding.call_id)


class Gruus:
    """`key` is shared by all nodes; `domain` stands behind the @ of what is made here, unless a name has its own."""

    def __init__(self, key: bytes, domain: str, domains: Domains | None = None) -> None:
        self._sealer = Sealer(key)
        self._domain = domain
        self.domains = domains if domains is not None else Domains()

    def public(self, name: str, instance: str) -> str:
        """`sip:USER@DOMAIN;gr=INSTANCE`; a name without escapes (offhook.sip.domains), a `nameable` instance."""
        user, domain = parted(name)
        plain = user if user.isalnum() and user.isascii() else quote(user, safe=_USER)
        return f"sip:{plain}@{domain or self._domain};gr={bare(instance)}"

    def temporary(self, name: str, instance: str, call_id: str, ids: Ids) -> str:
        """`sip:SEALED@DOMAIN;gr`, another one each time."""
        data = _mark(call_id) + _packed(bare(instance)) + name.encode()
        return f"sip:{self._sealer.seal(data, ids.octets(8))}@{parted(name)[1] or self._domain};gr"

    def read(self, uri: Uri) -> Gruu | None:
        """What a URI of a host of ours means; None for one that is no GRUU, or none that we made."""
        if "gr" not in uri.params:
            return None
        instance = unquote(uri.params["gr"] or "")
        if instance:
            return Gruu(self.domains.name(uri), instance)
        data = self._sealer.open(uri.user or "")
        return None if data is None else _unpacked(data)


def nameable(instance: str | None) -> bool:
    """True for an instance id that a URI can carry as it is: URNs are."""
    return instance is not None and _NAMEABLE.fullmatch(bare(instance)) is not None


def bare(instance: str) -> str:
    """An instance id without the angle brackets of its Contact parameter (RFC 5626 section 4.1)."""
    return instance.removeprefix("<").removesuffix(">")


def _mark(call_id: str) -> bytes:
    return hashlib.sha256(call_id.encode("utf-8", "surrogateescape")).digest()[:_MARK]


def _packed(instance: str) -> bytes:
    """The instance with its length before it; a UUID, which nearly every one is, in 16 octets."""
    digits = instance.lower().removeprefix(_UUID).replace("-", "")
    if len(digits) == 32 and instance.lower() == _unfolded(digits):
        return b"\0" + bytes.fromhex(digits)
    return bytes([len(instance)]) + instance.encode("ascii")


def _unpacked(data: bytes) -> Gruu:
    mark, size, rest = data[:_MARK], data[_MARK], data[_MARK + 1 :]
    if size == 0:
        return Gruu(rest[16:].decode(), _unfolded(rest[:16].hex()), mark)
    return Gruu(rest[size:].decode(), rest[:size].decode("ascii"), mark)


def _unfolded(digits: str) -> str:
    return f"{_UUID}{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
