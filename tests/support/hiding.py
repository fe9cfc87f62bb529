"""What of one party's signalling nobody else may see (CALL-19), sought in what everybody else gets."""

import re

from offhook.sip.encode import encode
from offhook.sip.fields import parse_name_addr, parse_via, split_list
from offhook.sip.message import Message, Request
from tests.support.house import House, Phone

SHORTEST = 4
"""Values shorter than this are in every message by chance."""
_SDP = re.compile(rb"^(?:o=\S+ (\d{4,}) |c=IN IP4 (\S+)|m=audio (\d{4,5}) )", re.MULTILINE)


def described_by(number: int) -> bytes:
    """A description that only one device makes: its session id, address and port are its own."""
    return (
        f"v=0\r\no=device{number}x {9_000_000 + number} 1 IN IP4 198.51.100.{number}\r\ns=session-of-{number}\r\n"
        f"c=IN IP4 198.51.100.{number}\r\nt=0 0\r\nm=audio {50_000 + number} RTP/AVP 0\r\n"
    ).encode()


def secrets_of(message: Message) -> set[str]:
    """Via hosts and branches, Contact, Call-ID, tags, User-Agent, Server and the description's own values."""
    headers = message.headers
    found = {headers.get("Call-ID") or "", headers.get("User-Agent") or "", headers.get("Server") or ""}
    for line in headers.all("Via"):
        found |= {parse_via(value).branch for value in split_list(line)}
    for name in ("From", "To"):
        found.add(parse_name_addr(headers.get(name) or "").tag)
    for line in headers.all("Contact"):
        found |= {parse_name_addr(value).uri.user or "" for value in split_list(line)}
    for match in _SDP.finditer(message.body):
        found |= {value.decode() for value in match.groups() if value}
    return {value for value in found if len(value) >= SHORTEST}


def assert_hidden(house: House, *phones: Phone) -> int:
    """Nothing of any phone's own appears in what another one gets. How many values were sought, so that none is no proof."""
    common = {"Offhook", *(phone.username for phone in phones), *(phone.name for phone in phones)}
    own = {phone.name: {one for message in phone.station.sent for one in secrets_of(message)} for phone in phones}
    legs = {phone.name: {one for message in phone.station.received for one in secrets_of(message)} for phone in phones}
    sought = 0
    for phone in phones:
        got = [(message, encode(message).decode("utf-8", "replace")) for message in phone.station.received]
        for other in phones:
            if other is phone:
                continue
            # Also what the house itself uses towards the other: its tags and addresses there are that leg's too.
            values = (own[other.name] | legs[other.name]) - common - _shared(legs[phone.name], own[other.name])
            for value in values:
                sought += 1
                for message, text in got:
                    assert value not in text, (
                        f"{value} of {other.name} shows in {_name(message)} to {phone.name}\n{text}"
                    )
    return sought


def _shared(here: set[str], there: set[str]) -> set[str]:
    """Our own addresses and ports in descriptions: the engine's are the same towards everybody, one after the other."""
    return {value for value in here if value.startswith("192.0.2.") or value[:2] == "41"} - there


def _name(message: Message) -> str:
    return message.method if isinstance(message, Request) else str(message.status)
