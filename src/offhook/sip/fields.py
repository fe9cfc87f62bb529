"""Header field values: typed readers, and writers that let no control character through.

Every reader raises errors.MalformedMessage naming the place.
"""

import re
from dataclasses import dataclass, field

from offhook.sip.errors import MalformedMessage, TooLarge
from offhook.sip.grammar import CONTROL, DEFAULT_LIMITS, TOKEN
from offhook.sip.uri import Uri, parse_host_port, parse_uri

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_DISPLAY = re.compile(rf'\s*(?:({_QUOTED})|((?:[^\s<"]+(?:\s+[^\s<"]+)*)?))\s*<', re.DOTALL)
_PIECE = re.compile(rf"(?:{_QUOTED}|<[^>]*>|[^,\"<])+", re.DOTALL)
_PARAM = re.compile(rf"\s*;\s*([^\s=;,\"]+)(?:\s*=\s*({_QUOTED}|[^\s;,\"]*))?\s*", re.DOTALL)
_VIA = re.compile(r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+([^;\s]+(?:\s*:\s*\d+)?)\s*", re.IGNORECASE)
_AUTH_PARAM = re.compile(rf"\s*([A-Za-z0-9\-_]+)\s*=\s*({_QUOTED}|[^\s,\"]*)\s*(?:,|$)", re.DOTALL)

Params = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class NameAddr:
    """name-addr or addr-spec with the header's parameters. `display` is unquoted."""

    uri: Uri
    display: str = ""
    params: Params = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The tag, "" if absent."""
        return self.params.get("tag") or ""


@dataclass(frozen=True, slots=True)
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


def split_list(value: str) -> list[str]:
    """The elements of a comma list, commas inside quotes and angle brackets left alone."""
    if "," not in value:
        return [value.strip()] if value.strip() else []
    pieces: list[str] = []
    at = 0
    while at < len(value):
        found = _PIECE.match(value, at)
        if found:
            pieces.append(found.group().strip())
            at = found.end()
        elif value[at] != ",":
            raise MalformedMessage(f"unbalanced quote or bracket: {value[at : at + 40]!r}")
        if at < len(value):
            if value[at] != ",":
                raise MalformedMessage(f"unbalanced quote or bracket: {value[at : at + 40]!r}")
            at += 1
    return [piece for piece in pieces if piece]


def unquote(text: str) -> str:
    """A quoted-string without its quotes and escapes; other text as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def quote(text: str) -> str:
    """A quoted-string; control characters become spaces."""
    safe = CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{safe}"'


def parse_params(text: str) -> Params:
    """`;name=value;flag` -> names in lower case, values unquoted."""
    params: Params = {}
    at = 0
    while at < len(text):
        found = _PARAM.match(text, at)
        if not found or found.end() == at:
            raise MalformedMessage(f"bad parameter: {text[at : at + 40]!r}")
        name, value = found.group(1).lower(), found.group(2)
        if len(params) >= DEFAULT_LIMITS.max_field_params:
            raise TooLarge("max_field_params", DEFAULT_LIMITS.max_field_params)
        params.setdefault(name, None if value is None else unquote(value))
        at = found.end()
    return params


def parse_name_addr(text: str) -> NameAddr:
    """From, To, Contact, Route, …: one value. Without brackets, parameters belong to the header (RFC 3261 20.10)."""
    if "<" in text:
        display = _DISPLAY.match(text)
        if not display:
            raise MalformedMessage(f"bad display name: {text[:40]!r}")
        end = text.find(">", display.end())
        if end < 0:
            raise MalformedMessage(f"'<' without '>': {text[:40]!r}")
        name = unquote(display.group(1)) if display.group(1) else (display.group(2) or "")
        if "," in (display.group(2) or ""):
            raise MalformedMessage(f"a display name with a comma must be quoted: {text[:40]!r}")
        uri = parse_uri(text[display.end() : end].strip())
        return _checked(NameAddr(uri, name, parse_params(text[end + 1 :].strip())))
    if '"' in text.split(";")[0]:
        raise MalformedMessage(f"unbalanced quote or bracket: {text[:40]!r}")
    address, semicolon, params = text.strip().partition(";")
    if "?" in address:
        raise MalformedMessage(f"a URI with '?' needs angle brackets: {text[:40]!r}")
    return _checked(NameAddr(parse_uri(address.strip()), "", parse_params(semicolon + params)))


def _checked(value: NameAddr) -> NameAddr:
    if len(value.tag) > DEFAULT_LIMITS.max_tag:
        raise TooLarge("max_tag", DEFAULT_LIMITS.max_tag)
    return value


def parse_via(text: str) -> Via:
    """One Via value (RFC 3261 section 20.42); `received` may come without brackets (RFC 5118 section 4.5)."""
    found = _VIA.match(text)
    if not found:
        raise MalformedMessage(f"bad Via: {text[:60]!r}")
    host, port = parse_host_port(re.sub(r"\s", "", found.group(2)))
    params = parse_params(text[found.end() :])
    if len(params.get("branch") or "") > DEFAULT_LIMITS.max_tag:
        raise TooLarge("max_tag", DEFAULT_LIMITS.max_tag)
    return Via(found.group(1).upper(), host, port, params)


def parse_cseq(text: str) -> tuple[int, str]:
    """(number, method) (RFC 3261 section 20.16); the number is below 2^32."""
    pieces = text.split()
    if len(pieces) != 2 or not TOKEN.fullmatch(pieces[1]):
        raise MalformedMessage(f"bad CSeq: {text[:40]!r}")
    return parse_number(pieces[0], "CSeq", 2**32 - 1), pieces[1]


def parse_number(text: str, name: str, highest: int) -> int:
    """A decimal number of a field. Raises MalformedMessage naming the field."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or len(digits.lstrip("0")) > 20 or int(digits) > highest:
        raise MalformedMessage(f"bad {name}: {text[:40]!r}")
    return int(digits)


def parse_auth(text: str) -> tuple[str, dict[str, str]]:
    """(scheme in lower case, parameters with lower-case names, unquoted) of a challenge or of credentials."""
    scheme, _, rest = text.strip().partition(" ")
    params: dict[str, str] = {}
    at = 0
    rest = rest.strip()
    while at < len(rest):
        found = _AUTH_PARAM.match(rest, at)
        if not found or found.end() == at:
            return scheme.lower(), params or {"token68": rest}
        params.setdefault(found.group(1).lower(), unquote(found.group(2)))
        at = found.end()
    return scheme.lower(), params


def printable(text: str) -> str:
    """Text without control characters, for a reason phrase or a quoted part."""
    return CONTROL.sub(" ", text)


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
