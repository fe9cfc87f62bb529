"""Text to a description (RFC 8866), as liberal as phones and browsers need: unknown lines and attributes are skipped."""

import ipaddress
from dataclasses import replace
from functools import lru_cache
from typing import Any

from offhook.sdp.crypto import CryptoLine
from offhook.sdp.crypto import read as read_crypto
from offhook.sdp.description import SDP_LIMITS, Format, Media, SdpError, Session

STATIC = {
    0: Format("PCMU", 0, 8000),
    3: Format("GSM", 3, 8000),
    8: Format("PCMA", 8, 8000),
    9: Format("G722", 9, 8000),
    13: Format("CN", 13, 8000),
    18: Format("G729", 18, 8000),
}
"""Payload types that need no rtpmap (RFC 3551 section 6)."""

_STATIC_TEXTS = {str(number): one for number, one in STATIC.items()}

MAX_CLOCK = 1_000_000
"""Hz; video has 90,000, no codec more than 192,000."""

BUNDLED = 9
"""The port of a line that candidates decide about (RFC 8839 section 4.3.1)."""

LONGEST_ADDRESS = 64
"""Characters; an IPv6 address has 45, and a few more with its interface."""

Section = list[tuple[str, str]]
Fields = dict[str, Any]
"""What lines say of a `Media`, by the names of its fields."""


def parse(body: bytes) -> Session:
    """Raises SdpError naming the line."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise SdpError("the description is not UTF-8") from None
    sections = _sections(text)
    head, *rest = sections
    origin = next((value.split() for kind, value in head if kind == "o"), [])
    if len(origin) != 6:
        raise SdpError("an o= line with six parts is needed")
    bundle = next((value.split()[1:] for kind, value in head if kind == "a" and value.startswith("group:BUNDLE")), [])
    base = _common(head, {"bundle": tuple(bundle)})
    media = tuple(_media(section, base) for section in rest)
    return Session(origin[5], origin[1], origin[2], media, tuple(bundle))


def _sections(text: str) -> list[Section]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    if len(lines) > SDP_LIMITS.max_sdp_lines:
        raise SdpError(f"more than limits.max_sdp_lines ({SDP_LIMITS.max_sdp_lines})")
    sections: list[Section] = [[]]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(line) < 2 or line[1] != "=":
            raise SdpError(f"line {number}: {line[:40]!r} is not type=value")
        if line[0] == "m":
            sections.append([])
        sections[-1].append((line[0], line[2:].strip()))
    if not sections[0] or sections[0][0] != ("v", "0"):
        raise SdpError("line 1: v=0 is needed")
    if len(sections) - 1 > SDP_LIMITS.max_media:
        raise SdpError(f"more than limits.max_media ({SDP_LIMITS.max_media})")
    return sections


def _media(section: Section, base: Fields) -> Media:
    pieces = section[0][1].split()
    if len(pieces) < 4:
        raise SdpError(f"m={section[0][1][:40]}: kind, port, protocol and formats are needed")
    port = _number(pieces[1].split("/")[0], 65_535)
    if port is None:
        raise SdpError(f"m={section[0][1][:40]}: bad port")
    kind, protocol = pieces[0], pieces[2].upper()
    fields = _common(section[1:], base)
    if not port and ("a", "bundle-only") in section and fields.get("mid") in base.get("bundle", ()):
        # RFC 9143 section 6: it has no port of its own, and is none the less offered.
        port = BUNDLED
    fields.pop("bundle", None)
    line: Fields = {"kind": kind, "port": port, "protocol": protocol, "raw_formats": tuple(pieces[3:])}
    if kind not in ("audio", "video") or "RTP" not in protocol:
        return Media(**line, **fields)
    address = fields.get("address", "")
    if port and not address:
        raise SdpError(f"m={section[0][1][:40]}: no c= line")
    if address == "0.0.0.0" and fields.get("direction", "sendrecv") == "sendrecv" and not fields.get("ufrag"):
        # RFC 3264 section 8.4: the old way to put a peer on hold. With ICE it only means that candidates decide.
        fields["direction"] = "sendonly"
    fields.setdefault("rtcp_port", min(port + 1, 65_535))
    return Media(**line, formats=_formats(section, pieces[3:]), **fields)


def _formats(section: Section, numbers: list[str]) -> tuple[Format, ...]:
    known = dict(_STATIC_TEXTS)
    parameters: dict[str, str] = {}
    for kind, value in section:
        if kind != "a":
            continue
        name, _, rest = value.partition(":")
        number, _, text = rest.partition(" ")
        if name == "rtpmap":
            known[number] = _rtpmap(number, text)
        elif name == "fmtp":
            parameters[number] = text.strip()
    for number, text in parameters.items():
        if text and number in known:
            known[number] = replace(known[number], fmtp=text)
    return tuple([known[one] for one in numbers if one in known])


def _rtpmap(number: str, text: str) -> Format:
    pieces = text.strip().split("/")
    payload_type = _number(number, 127)
    clock = _number(pieces[1], MAX_CLOCK) if len(pieces) > 1 else None
    channels = _number(pieces[2], 255) if len(pieces) > 2 else 1
    if payload_type is None or not clock or channels is None:
        raise SdpError(f"a=rtpmap:{number[:8]} {text[:40]}: name/clock is needed")
    return Format(pieces[0].upper(), payload_type, clock, channels)


def _number(text: str, most: int) -> int | None:
    """ASCII digits only, and few: int() takes other scripts' digits and gives up on very long ones."""
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        return None
    return int(text)


def _common(lines: Section, base: Fields) -> Fields:
    """c= and the attributes that may stand at both levels; the media level wins."""
    fields = dict(base)
    fingerprints: list[tuple[str, str]] = []
    crypto: list[CryptoLine | None] = []
    for kind, value in lines:
        if kind == "c":
            fields["address"] = _connection(value)
        elif kind == "a":
            name, _, rest = value.partition(":")
            if name == "fingerprint":
                algorithm, _, digest = rest.partition(" ")
                fingerprints.append((algorithm.lower(), digest.strip().upper()))
            elif name == "crypto":
                crypto.append(read_crypto(rest))
            else:
                _attribute(name, rest.strip(), fields)
    lines_of_keys = tuple(line for line in crypto if line is not None)
    if lines_of_keys:
        fields["crypto"] = lines_of_keys
    if fingerprints:
        fields["fingerprints"] = tuple(fingerprints)
    return fields


def _connection(value: str) -> str:
    pieces = value.split()
    if len(pieces) != 3 or pieces[0] != "IN" or pieces[1] not in ("IP4", "IP6"):
        raise SdpError(f"c={value[:40]}: IN, IP4 or IP6, and an address are needed")
    address = pieces[2].split("/")[0]
    if len(address) > LONGEST_ADDRESS or not _is_address(address):
        raise SdpError(f"c={value[:40]}: names are not resolved, an IP address is needed")
    return address


@lru_cache(maxsize=1024)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_TEXTS = {"mid": "mid", "setup": "setup", "ice-ufrag": "ufrag", "ice-pwd": "password"}
"""Attributes whose value is taken as it stands, and where it goes."""


def _attribute(name: str, value: str, fields: Fields) -> None:
    match name:
        case "sendrecv" | "sendonly" | "recvonly" | "inactive":
            fields["direction"] = name
        case "rtcp-mux":
            fields["rtcp_mux"] = True
        case "rtcp-rsize":
            fields["rtcp_rsize"] = True
        case "candidate":
            fields["candidates"] = fields.get("candidates", 0) + 1
            if fields["candidates"] > SDP_LIMITS.max_candidates:
                raise SdpError(f"more than limits.max_candidates ({SDP_LIMITS.max_candidates})")
        case "rtcp-fb":
            number, _, what = value.partition(" ")
            fields["feedback"] = (*fields.get("feedback", ()), (number, " ".join(what.split())))
        case "rtcp" | "ptime" | "extmap" | "ssrc":
            _numbered(name, value, fields)
        case _ if name in _TEXTS:
            fields[_TEXTS[name]] = value


def _numbered(name: str, value: str, fields: Fields) -> None:
    first, _, rest = value.partition(" ")
    number = _number(first.split("/")[0].split(".")[0], 2**32 - 1)
    if number is None:
        return
    if name == "rtcp" and 0 < number < 65536:
        fields["rtcp_port"] = number
    elif name == "ptime" and 5 <= number <= 120:
        fields["ptime"] = number
    elif name == "ssrc" and not fields.get("ssrc"):
        fields["ssrc"] = number
    elif name == "extmap" and 1 <= number <= 14:
        fields["extensions"] = {**fields.get("extensions", {}), rest.split(" ")[0]: number}
