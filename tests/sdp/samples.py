"""Descriptions as clients send them: Chromium, Firefox, JsSIP, SIP.js, baresip, and a desk phone that holds the old way."""

from pathlib import Path

FOLDER = Path(__file__).parent / "offers"
HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
NAMES = ("chromium", "firefox", "jssip", "sipjs_hold", "baresip", "desk_phone_hold_2543")


def offer_of(name: str) -> bytes:
    """The text with the line ends of the wire."""
    return (FOLDER / f"{name}.sdp").read_bytes().replace(b"\n", b"\r\n")
