"""Header field values: typed readers, and writers that let no control character through.

Every reader raises errors.MalformedMessage naming the place. What a reader returns may be shared with other callers: the
addresses of a dialog come again with every message, so they are remembered.
"""

import re
from dataclasses import field
from functools import lru_cache

from offhook.record import record
from offhook.sip.errors import MalformedMessage, TooLarge
from offhook.sip.grammar import CONTROL, FIELD_LIMITS, TOKEN
from offhook.sip.uri import Uri, parse_host_port, parse_uri

# An optional group that holds something possessive is not possessive itself: Python 3.11.0 to 3.11.4, and so Debian 12,
# mistakes where such a group ends (gh-106052).
_QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_DISPLAY = re.compile(rf'\s*+(?:({_QUOTED})\s*+|([^<"]*+))<', re.DOTALL)
_PIECE = re.compile(rf"(?:{_QUOTED}|<[^>]*+>|[^,\"<]++)++", re.DOTALL)
_PARAM = re.compile(rf"\s*+;\s*+([^\s=;,\"]++)(?:\s*+=\s*+({_QUOTED}|[^\s;,\"]*+))?\s*+", re.DOTALL)
_VIA = re.compile(
    r"SIP\s*+/\s*+2\.0\s*+/\s*+([A-Za-z0-9\-.!%*_+`'~]++)\s++([^;\s]++(?:(?:\s*+:|(?<=:))\s*+\d++)?)\s*+",
    re.IGNORECASE,
)
_PLAIN_PARTY = re.compile(
    r"<sips?:[A-Za-z0-9\-_.!~*'()&=+$,]++@(?=[A-Za-z0-9])[A-Za-z0-9\-.]++(?<!-)>(?:;tag=([A-Za-z0-9\-.!%*_+`'~]++))?"
)
"""What nearly every From and To looks like; no more than what a full reading accepts."""
_AUTH_PARAM = re.compile(
    rf'\s*+([A-Za-z0-9\-_]++)\s*+=\s*+(?:"([^"\\]*+)"|({_QUOTED}|[^\s,"]*+))\s*+(?:,|$)', re.DOTALL
)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ODD = re.compile(r"[\s\",]")
_SPACE = re.compile(r"\s")

_SHORT = 32
"""Octets above which a CSeq is read anew each time."""
_REMEMBERED = 512
"""Octets above which a value is read anew each time: no peer may fill the memory with long ones."""

Params = dict[str, str | None]


@record
class NameAddr:
    """name-addr or addr-spec with the header's parameters. `display` is unquoted and fit to be shown and stored."""

    uri: Uri
    display: str = ""
    params: Params = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The tag, "" if absent."""
        return self.params.get("tag") or ""


@record
class Via:
    """One Via value. `transport` in capitals; `host` in lower case, IPv6 in brackets."""

    transport: str
    host: str
    port: int | None
    params: Params = field(default_factory=dict)

    @property
    def branch(self) -> str:
        """The branch, "" if absent."""
        return self.params.get("branch") or ""


# ---- lists, quotes, parameters


def readable_list(value: str) -> list[str]:
    """The same for a field that is only looked at: nothing of one that cannot be taken apart."""
    try:
        return split_list(value)
    except MalformedMessage:
        return []


def split_list(value: str) -> list[str]:
    """The elements of a comma list, commas inside quotes and angle brackets left alone; empty elements are dropped."""
    if "," not in value:
        return [value.strip()] if value.strip() else []
    pieces: list[str] = []
    at = 0
    while at < len(value):
        found = _PIECE.match(value, at)
        if found:
            pieces.append(found.group().strip())
            at = found.end()
        if at < len(value):
            if value[at] != ",":
                raise MalformedMessage(f"unbalanced quote or bracket: {value[at : at + 40]!r}")
            at += 1
    return [piece for piece in pieces if piece]


def unquote(text: str) -> str:
    """A quoted-string without its quotes and escapes; other text as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
        return _PAIR.sub(r"\1", text) if "\\" in text else text
    return text


def quote(text: str) -> str:
    """A quoted-string; control characters become spaces."""
    safe = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{safe}"'


def printable(text: str) -> str:
    """Text without control characters, for a reason phrase or a quoted part."""
    return text if text.isprintable() else CONTROL.sub(" ", text)


def presentable(text: str) -> str:
    """Text fit to be shown and stored: octets that were not UTF-8 become U+FFFD."""
    return text if text.isprintable() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def parse_params(text: str) -> Params:
    """`;name=value;flag` -> names in lower case, values unquoted; the first of a name counts."""
    params: Params = {}
    if not text:
        return params
    if text[0] != ";" or _ODD.search(text):
        return _parse_odd_params(text)
    pieces = text[1:].split(";")
    if len(pieces) > FIELD_LIMITS.max_field_params:
        raise TooLarge("max_field_params", FIELD_LIMITS.max_field_params)
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not name:
            raise MalformedMessage(f"bad parameter: {text[:40]!r}")
        params.setdefault(name.lower(), value if equals else None)
    return params


def _parse_odd_params(text: str) -> Params:
    params: Params = {}
    at = count = 0
    while at < len(text):
        found = _PARAM.match(text, at)
        if not found:
            raise MalformedMessage(f"bad parameter: {text[at : at + 40]!r}")
        count += 1
        if count > FIELD_LIMITS.max_field_params:
            raise TooLarge("max_field_params", FIELD_LIMITS.max_field_params)
        name, value = found.group(1).lower(), found.group(2)
        params.setdefault(name, None if value is None else unquote(value))
        at = found.end()
    return params


# ---- single fields


def parse_name_addr(text: str) -> NameAddr:
    """From, To, Contact, Route, …: one value. Without brackets, parameters belong to the header (RFC 3261 20.10)."""
    return _remembered_name_addr(text) if len(text) <= _REMEMBERED else _read_name_addr(text)


def parse_tag(text: str) -> str:
    """The tag of a From or To, "" without one; checked as `parse_name_addr` does, without its work if plain."""
    plain = _PLAIN_PARTY.fullmatch(text) if len(text) <= FIELD_LIMITS.max_tag else None
    return parse_name_addr(text).tag if plain is None else plain.group(1) or ""


def _read_name_addr(text: str) -> NameAddr:
    start = text.find("<")
    if start > 0:
        return _read_display(text)
    if start == 0:
        return _read_bracketed(text, 1, "")
    if '"' in text.partition(";")[0]:
        raise MalformedMessage(f"unbalanced quote or bracket: {text[:40]!r}")
    address, semicolon, params = text.strip().partition(";")
    if "?" in address:
        raise MalformedMessage(f"a URI with '?' needs angle brackets: {text[:40]!r}")
    return _checked(NameAddr(parse_uri(address.strip()), "", parse_params(semicolon + params)))


def _read_display(text: str) -> NameAddr:
    found = _DISPLAY.match(text)
    if not found:
        raise MalformedMessage(f"bad display name: {text[:40]!r}")
    quoted, words = found.group(1), (found.group(2) or "").strip()
    if words and "," in words:
        raise MalformedMessage(f"a display name with a comma must be quoted: {text[:40]!r}")
    return _read_bracketed(text, found.end(), presentable(unquote(quoted) if quoted else words))


def _read_bracketed(text: str, start: int, display: str) -> NameAddr:
    end = text.find(">", start)
    if end < 0:
        raise MalformedMessage(f"'<' without '>': {text[:40]!r}")
    return _checked(NameAddr(parse_uri(text[start:end].strip()), display, parse_params(text[end + 1 :].strip())))


def _checked(value: NameAddr) -> NameAddr:
    if len(value.tag) > FIELD_LIMITS.max_tag:
        raise TooLarge("max_tag", FIELD_LIMITS.max_tag)
    return value


# Enough for the messages of the calls that are being set up; those of ten thousand registrations it could not hold anyway.
_remembered_name_addr = lru_cache(maxsize=1024)(_read_name_addr)


def parse_contacts(values: tuple[str, ...]) -> list[NameAddr] | None:
    """Every Contact value of these fields; None for a lone `*` (RFC 3261 section 10.2.2)."""
    pieces = [piece for value in values for piece in split_list(value)]
    if pieces == ["*"]:
        return None
    return [parse_name_addr(piece) for piece in pieces]


def parse_via(text: str) -> Via:
    """One Via value (RFC 3261 section 20.42); `received` may come without brackets (RFC 5118 section 4.5)."""
    return _remembered_via(text) if len(text) <= _REMEMBERED else _read_via(text)


def _read_via(text: str) -> Via:
    sent_by, semicolon, rest = text.partition(";")
    read = _remembered_sent_by if len(sent_by) <= _REMEMBERED else _read_sent_by
    transport, host, port = read(sent_by)
    params = parse_params(semicolon + rest)
    if len(params.get("branch") or "") > FIELD_LIMITS.max_branch:
        raise TooLarge("max_branch", FIELD_LIMITS.max_branch)
    return Via(transport, host, port, params)


def _read_sent_by(text: str) -> tuple[str, str, int | None]:
    """Transport, host and port: all of a Via that the next message of the same peer has too."""
    found = _VIA.fullmatch(text)
    if not found:
        raise MalformedMessage(f"bad Via: {text[:60]!r}")
    transport, sent_by = found.groups()
    return transport.upper(), *parse_host_port(_SPACE.sub("", sent_by))


_remembered_sent_by = lru_cache(maxsize=1024)(_read_sent_by)


# A branch comes once or twice and again in repetitions, so few need to be remembered.
_remembered_via = lru_cache(maxsize=256)(_read_via)


def parse_cseq(text: str) -> tuple[int, str]:
    """(number, method) (RFC 3261 section 20.16); the number is below 2^32."""
    return _remembered_cseq(text) if len(text) <= _SHORT else _read_cseq(text)


def _read_cseq(text: str) -> tuple[int, str]:
    pieces = text.split()
    if len(pieces) != 2 or not TOKEN.fullmatch(pieces[1]):
        raise MalformedMessage(f"bad CSeq: {text[:40]!r}")
    return parse_number(pieces[0], "CSeq", 2**32 - 1), pieces[1]


# Dialogs begin with the same few numbers.
_remembered_cseq = lru_cache(maxsize=1024)(_read_cseq)


def parse_number(text: str, name: str, highest: int) -> int:
    """A decimal number of a field. Raises MalformedMessage naming the field."""
    return _remembered_number(text, name, highest) if len(text) <= _SHORT else _read_number(text, name, highest)


def _read_number(text: str, name: str, highest: int) -> int:
    digits = text.strip()
    # Leading zeros are legal and may be many; int() of very long texts is not linear.
    if not digits.isascii() or not digits.isdigit() or len(digits.lstrip("0")) > 20:
        raise MalformedMessage(f"bad {name}: {text[:40]!r}")
    number = int(digits.lstrip("0") or "0")
    if number > highest:
        raise MalformedMessage(f"bad {name}: {text[:40]!r}")
    return number


# Lengths and hops are the same few.
_remembered_number = lru_cache(maxsize=1024)(_read_number)


def parse_auth(text: str) -> tuple[str, dict[str, str]]:
    """(scheme in lower case, parameters with lower-case names, unquoted) of a challenge or of credentials.

    Credentials that are no parameter list (Bearer, Basic) come as the one parameter `token68`.
    """
    scheme, _, rest = text.strip().partition(" ")
    params: dict[str, str] = {}
    at = 0
    rest = rest.strip()
    while at < len(rest):
        found = _AUTH_PARAM.match(rest, at)
        if not found:
            return scheme.lower(), params or {"token68": rest}
        name, plain, other = found.groups()
        params.setdefault(name.lower(), unquote(other) if plain is None else plain)
        at = found.end()
    return scheme.lower(), params


# ---- writers


def warning(domain: str, slug: str, text: str) -> str:
    """Warning 399 with a slug of the error catalogue and a sentence for people."""
    sentence = printable(text).replace("\\", "").replace('"', "'")
    return f'399 {domain} "{slug} {sentence}"'


def sip_reason(cause: int, text: str) -> str:
    """Reason with a SIP status (RFC 3326)."""
    return f"SIP;cause={cause};text={quote(text)}"


def q850_reason(cause: int, text: str) -> str:
    """Reason with a Q.850 cause (RFC 6432)."""
    return f"Q.850;cause={cause};text={quote(text)}"
