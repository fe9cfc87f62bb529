"""What an INVITE usage is made of: its states, the clock of its timers, requests that wait for an answer or an ACK.

Lives here: shapes. Never here: what is done with them (invite_usage.py).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from offhook.record import record
from offhook.sip.dialog import Dialog
from offhook.sip.events import UsageId
from offhook.sip.message import Headers, Request, Response
from offhook.sip.response import NO_FIELDS

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


class Phase(StrEnum):
    """The states of RFC 5407 section 2, under its names."""

    PREPARATIVE = "preparative"
    EARLY = "early"
    MORATORIUM = "moratorium"
    ESTABLISHED = "established"
    MORTAL = "mortal"
    MORGUE = "morgue"


class UsageClock(NamedTuple):
    """Owner of a usage's timers: one INVITE of it, by CSeq number."""

    usage: UsageId
    cseq: int


@dataclass(slots=True)
class Unacknowledged:
    """A 2xx of ours that is repeated until its ACK. `offered` tells that the 2xx carries the offer, the ACK the answer."""

    response: Response
    interval: float
    offered: bool


@record
class Asked:
    """A request of the peer that waits for our final answer, and the dialog it came in."""

    request: Request
    dialog: Dialog


def reason_field(reason: str | None) -> Headers:
    """Reason as a header field, nothing for None or ""."""
    return Headers([("Reason", reason)]) if reason else NO_FIELDS
