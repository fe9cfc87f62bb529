"""How INFO tells a digit (DTMF-3): application/dtmf-relay and application/dtmf read, the former written."""

import re
from dataclasses import dataclass

DIGITS = "0123456789*#ABCD"
FLASH = "flash"
"""The hook pressed for a moment: told as a press, and neither a digit nor a sound (event 16 of RFC 4733)."""
CONTENT_TYPES = ("application/dtmf-relay", "application/dtmf")
MEDIA_CONTROL = "application/media_control+xml"
"""RFC 5168: asks for a key frame."""
SHORTEST, LONGEST, USUAL = 40, 6000, 100
"""Milliseconds of a press (DTMF-3)."""
SAME_PRESS = 0.25
"""Seconds within which the same digit by a second method is the same press (DTMF-1)."""

_NUMBERS = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D", "16": FLASH}
_SIGNAL = re.compile(r"^\s*signal\s*=\s*(\S{1,2})\s*$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^\s*duration\s*=\s*(\d{1,6})\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Press:
    """One digit, or the hook, and how long it was held."""

    digit: str
    milliseconds: int


def read_info(content_type: str, body: bytes) -> Press | None:
    """The press that an INFO body tells of; None if it tells of none."""
    text = body.decode("ascii", "replace").replace("\r\n", "\n")
    if content_type == "application/dtmf":
        signal, milliseconds = text.strip(), USUAL
    else:
        found = _SIGNAL.search(text)
        signal = found.group(1) if found else ""
        duration = _DURATION.search(text)
        milliseconds = int(duration.group(1)) if duration else USUAL
    digit = _NUMBERS.get(signal, signal.upper())
    if digit != FLASH and (len(digit) != 1 or digit not in DIGITS):
        return None
    return Press(digit, min(max(milliseconds, SHORTEST), LONGEST))


def write_info(digit: str, milliseconds: int) -> bytes:
    """The body that tells a press (DTMF-3): no space, because there are readers that trip over one."""
    return (
        f"Signal={16 if digit == FLASH else digit}\r\nDuration={min(max(milliseconds, SHORTEST), LONGEST)}\r\n".encode()
    )
