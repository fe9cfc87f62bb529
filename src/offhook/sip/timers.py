"""The numbers of RFC 3261 section 17 and RFC 6026, and the names timers run under.

Lives here: T1, T2, T4 and what follows from them. Never here: a clock; whoever runs the endpoint owns it.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Timer(StrEnum):
    """Timers of the transactions, under the names of RFC 3261 table 4 and RFC 6026, and those of the INVITE usage."""

    __hash__ = str.__hash__  # that of Enum is a call of Python, and timers are looked up all the time

    A = "A"
    B = "B"
    D = "D"
    E = "E"
    F = "F"
    G = "G"
    H = "H"
    I = "I"  # noqa: E741 - the RFC's own name
    J = "J"
    K = "K"
    L = "L"
    M = "M"
    TRYING = "trying"
    """When a non-INVITE server may say 100 (RFC 4320 section 4.1)."""
    REPEAT_2XX = "repeat-2xx"
    """Our 2xx to INVITE is sent again (RFC 3261 section 13.3.1.4)."""
    AWAIT_ACK = "await-ack"
    """The ACK to our 2xx is given up."""
    AWAIT_FINAL = "await-final"
    """The final response to a cancelled INVITE is given up (RFC 3261 section 9.1)."""
    REPEAT_1XX = "repeat-1xx"
    """Our reliable 1xx is sent again (RFC 3262 section 3)."""
    AWAIT_PRACK = "await-prack"
    """The PRACK to our reliable 1xx is given up."""
    REFRESH = "refresh"
    """We refresh the session (RFC 4028 section 10)."""
    SESSION = "session"
    """Nobody has refreshed the session."""

    TOMBSTONE = "tombstone"
    """A device that is gone has not come for its BYE (`TOMBSTONE`)."""

    EXPIRES = "expires"
    """The first binding of an address of record runs out."""
    PROBE = "probe"
    """UDP phones are asked whether they are there."""


class TimerKey(NamedTuple):
    """The key of `StartTimer`: one timer of one transaction or usage."""

    owner: Hashable
    timer: Timer

    def __repr__(self) -> str:
        return f"<timer {self.timer} of {self.owner}>"


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds. The defaults are RFC 3261's; only tests change them."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def give_up(self) -> float:
        """64*T1: Timers B, F, H, J, L, M and the wait for an ACK."""
        return 64 * self.t1

    @property
    def absorb_finals(self) -> float:
        """Timer D on UDP: at least 32 s (RFC 3261 section 17.1.1.2), as long as the server's Timer H may be."""
        return 64 * self.t1

    @property
    def trying(self) -> float:
        """The time at which the peer's Timer E reaches T2, summed from its first request (RFC 4320 section 4.1)."""
        interval, total = self.t1, 0.0
        while interval < self.t2:
            total += interval
            interval *= 2
        return total

    def next(self, interval: float) -> float:
        """The interval after `interval` where it doubles up to T2 (Timers E and G, repeated 2xx)."""
        return min(2 * interval, self.t2)
