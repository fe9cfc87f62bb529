"""Every limit of the table is a setting (SIGNALLING.md section 13): a text never names one that cannot be set."""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from offhook.sdp.description import SDP_LIMITS, SdpError
from offhook.sdp.parse import parse as parse_sdp
from offhook.server.config import Limits, Settings
from offhook.server.listeners import settle_parsers
from offhook.server.setting_sources import load
from offhook.sip.errors import TooLarge
from offhook.sip.fields import parse_contacts, parse_name_addr, parse_via
from offhook.sip.grammar import FIELD_LIMITS
from offhook.sip.message import Headers
from offhook.sip.multipart import parts_of
from offhook.sip.replaces import read_replaces
from offhook.sip.uri import parse_uri

SOURCE = Path(__file__).parent.parent.parent / "src" / "offhook"
HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
AUDIO = b"m=audio 4000 RTP/AVP 0\r\n"
CANDIDATE = b"a=candidate:1 1 udp 1 192.0.2.9 4000 typ host\r\n"
PART = b"--x\r\nContent-Type: text/plain\r\n\r\na\r\n"


@pytest.fixture(autouse=True)
def as_they_come() -> Iterator[None]:
    """What a test has settled is for itself."""
    yield
    settle_parsers(load({}, {}, None))


def set_to(name: str, number: int) -> Settings:
    return load({f"OFFHOOK_LIMITS_{name.upper()}": str(number)}, {}, None)


@pytest.mark.parametrize(
    ("name", "number", "value", "usual"),
    [
        ("max_uri", 300, lambda n: parse_uri(f"sip:{'a' * (n - 11)}@x.test"), 2_048),
        ("max_field_params", 12, lambda n: parse_contacts((f"<sip:a@b>{';c=d' * n}",)), 32),
        ("max_field_params", 12, lambda n: parse_uri(f"sip:a@b{';c=d' * n}"), 32),
        ("max_tag", 80, lambda n: parse_name_addr(f"<sip:a@b>;tag={'t' * n}").tag, 256),
        ("max_branch", 80, lambda n: parse_via(f"SIP/2.0/UDP a;branch={'b' * n}"), 256),
        (
            "max_call_id",
            80,
            lambda n: read_replaces(Headers([("Replaces", f"{'c' * n};to-tag=a;from-tag=b")])),
            256,
        ),
        ("max_parts", 3, lambda n: parts_of("multipart/mixed;boundary=x", PART * n + b"--x--"), 8),
        ("max_sdp_lines", 100, lambda n: parse_sdp(HEAD + AUDIO + b"a=x\r\n" * (n - 6)), 1_000),
        ("max_media", 2, lambda n: parse_sdp(HEAD + AUDIO * n), 16),
        ("max_candidates", 8, lambda n: parse_sdp(HEAD + AUDIO + CANDIDATE * n), 64),
    ],
)
def test_a_limit_is_where_it_is_set(name: str, number: int, value: Callable[[int], object], usual: int) -> None:
    # 1. as it comes
    assert getattr(Limits(), name) == usual
    value(usual)
    with pytest.raises((TooLarge, SdpError), match=rf"limits.{name} \({usual}\)"):
        value(usual + 1)
    # 2. lower
    settle_parsers(set_to(name, number))
    value(number)
    with pytest.raises((TooLarge, SdpError), match=rf"limits.{name} \({number}\)"):
        value(number + 1)
    # 3. higher
    settle_parsers(set_to(name, 2 * usual))
    value(usual + 1)


def test_every_limit_that_a_text_names_is_a_setting() -> None:
    named: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        named |= set(re.findall(r'TooLarge\(\s*"(\w+)"', text))
        for literal in re.findall(r'"[^"\n]*\blimits\.[a-z_]+[^"\n]*"', text):
            named |= set(re.findall(r"(?<!self\.)\blimits\.([a-z_]+)\b(?!\()", re.sub(r"\{[^}]*\}", "", literal)))
    assert len(named) > 20
    assert named <= set(Limits.model_fields), named - set(Limits.model_fields)


def test_every_setting_of_the_table_is_read() -> None:
    server = "".join(
        file.read_text(encoding="utf-8")
        for folder in ("server", "api", "store")
        for file in (SOURCE / folder).rglob("*.py")
        if file.name != "config.py"
    )
    settled = {one.name for table in (FIELD_LIMITS, SDP_LIMITS) for one in fields(table)}
    assert "settle_parsers(settings)" in (SOURCE / "server" / "app.py").read_text(encoding="utf-8")
    unread = [
        name for name in Limits.model_fields if name not in settled and not re.search(rf"limits\.{name}\b", server)
    ]
    assert unread == []
