"""Fields that name another dialog: Replaces (RFC 3891), Target-Dialog (RFC 4538), and Refer-To (RFC 3515) with one inside.

Lives here: reading them. Never here: what the dialog is and who may take it over.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

from offhook.sip.envelope import DialogKey
from offhook.sip.errors import MalformedMessage, TooLarge
from offhook.sip.fields import parse_name_addr, parse_params
from offhook.sip.grammar import FIELD_LIMITS
from offhook.sip.message import Headers
from offhook.sip.uri import Uri


@dataclass(frozen=True, slots=True)
class Named:
    """The dialog that a field names. `early_only`: only while it is not confirmed (RFC 3891 section 3)."""

    call_id: str
    one_tag: str
    other_tag: str
    early_only: bool = False

    def is_dialog(self, key: DialogKey) -> bool:
        """True for that dialog, whichever side the tags were written from: devices write both orders (XFER-4)."""
        return self.call_id == key.call_id and {self.one_tag, self.other_tag} == {key.local_tag, key.remote_tag}

    def __str__(self) -> str:
        """As a Replaces value, tags in the order in which they came."""
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.one_tag};from-tag={self.other_tag}{early}"


_WORD = re.compile(r"[^\s,;\x00-\x1f\x7f]+")
"""What a Call-ID or tag can be made of, a little wider than RFC 3261 section 25.1: it goes on to others."""


def parse_named(text: str) -> Named:
    """A Replaces or Target-Dialog value. Raises MalformedMessage when a tag or the Call-ID is missing."""
    call_id, semicolon, rest = text.strip().partition(";")
    params = parse_params(semicolon + rest.strip())
    tags = [params.get(name) for name in ("to-tag", "from-tag", "local-tag", "remote-tag") if name in params]
    words = (call_id.strip(), *(tag or "" for tag in tags))
    if len(words) != 3 or not all(map(_WORD.fullmatch, words)):
        raise MalformedMessage(f"a dialog is named by Call-ID and two tags: {text[:60]!r}")
    if len(call_id) > FIELD_LIMITS.max_call_id:
        raise TooLarge("max_call_id", FIELD_LIMITS.max_call_id)
    return Named(*words, early_only="early-only" in params)


def read_replaces(headers: Headers) -> Named | None:
    """The Replaces field; None if there is none. Two of them are malformed (RFC 3891 section 3)."""
    return _read(headers, "Replaces")


def read_target_dialog(headers: Headers) -> Named | None:
    """The Target-Dialog field; None if there is none."""
    return _read(headers, "Target-Dialog")


def _read(headers: Headers, name: str) -> Named | None:
    values = headers.all(name)
    if not values:
        return None
    if len(values) > 1 or "," in values[0]:
        raise MalformedMessage(f"{name} may name one dialog only")
    return parse_named(values[0])


@dataclass(frozen=True, slots=True)
class ReferTo:
    """Where a REFER sends the other party: the URI without its headers and method, and the dialog to replace there."""

    uri: Uri
    method: str = "INVITE"
    replaces: Named | None = None


def read_refer_to(headers: Headers) -> ReferTo:
    """The Refer-To field. Raises MalformedMessage if there is none, more than one, or it cannot be read."""
    values = headers.all("Refer-To")
    if len(values) != 1:
        raise MalformedMessage("a REFER has exactly one Refer-To")
    text = values[0]
    if "<" not in text:
        # Some devices leave the brackets out even where RFC 3261 section 20 wants them.
        text = f"<{text}>"
    uri = parse_name_addr(text).uri
    replaces = None
    for name, _, value in (one.partition("=") for one in uri.headers.split("&")):
        if name.lower() == "replaces":
            replaces = parse_named(_unescaped(value))
    params = {name: value for name, value in uri.params.items() if name != "method"}
    method = (uri.params.get("method") or "INVITE").upper()
    return ReferTo(replace(uri, headers="", params=params), method, replaces)


def _unescaped(value: str) -> str:
    """URI-escaped or not: an escape that decodes to what a Replaces value cannot hold is refused by its parser."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise MalformedMessage(f"bad escape: {value[:60]!r}") from None
