"""Kinds of values that several settings have, each with words for what is none."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator

HOST = r"(?i:[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[?[0-9a-f:.]+\]?)"
"""A host of DNS, or an address (RFC 3261 section 25.1 `host`)."""
_HOST = re.compile(HOST)
_BELOW = re.compile(rf"\.?{HOST}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,250}|null")
_SERVER = re.compile(r"([^:\[\]\s]+|\[[^\]\s]+\])(:(\d{1,5}))?")
_SHOWN = 40
"""Characters of a wrong value that are said again: longer ones tell nobody more."""


def _kind(right: str, fits: Callable[[str], object]) -> AfterValidator:
    """Refuses what `fits` finds false, or raises ValueError about, by saying what is right."""

    def judged(value: str) -> str:
        try:
            good = bool(fits(value))
        except ValueError:
            good = False
        if not good:
            given = f"{value!r} is not right, " if len(value) < _SHOWN else ""
            raise ValueError(f"{given}give {right}")
        return value

    return AfterValidator(judged)


def _dns_server(text: str) -> object:
    if text.count(":") > 1 and not text.startswith("["):
        return ip_address(text)
    parts = _SERVER.fullmatch(text)
    return parts and int(parts[3] or 53) <= 65_535 and ip_address(parts[1].strip("[]"))


Host = Annotated[str, _kind("a name like pbx.example.com, or an address", _HOST.fullmatch)]
HostOrBelow = Annotated[str, _kind("a name, or .example.com for all below", _BELOW.fullmatch)]
Network = Annotated[str, _kind("a network like 10.0.0.0/8, or an address", ip_network)]
Address = Annotated[str, _kind("an IP address like 203.0.113.9", ip_address)]
Origin = Annotated[str, _kind("an origin like https://www.example.com, without a path", _ORIGIN.fullmatch)]
DnsServer = Annotated[str, _kind("an address, or address:port", _dns_server)]
Digits = Annotated[str, _kind("the digits that people dial", re.compile(r"\d{2,15}").fullmatch)]
