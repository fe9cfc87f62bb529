"""Invariant: any text given to the reader of a header field gives a value or a PeerError, and nothing else."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given

from fuzz.support import fuzzed, texts
from offhook.sip.encode import encode
from offhook.sip.errors import PeerError
from offhook.sip.fields import (
    parse_auth,
    parse_contacts,
    parse_cseq,
    parse_name_addr,
    parse_params,
    parse_via,
    presentable,
    printable,
    split_list,
    unquote,
    warning,
)
from offhook.sip.message import Headers, Response
from offhook.sip.subscriptions import read_event

NAME_ADDR = (
    '"A \\" B" <sip:a@b;x=y?z=w>;tag=1;q=0.5',
    "sip:a@b;tag=1",
    "<sips:[::1]:5061;lr>",
    "*",
    '"<sip:x@y>" <sip:a@b>',
)
VIA = ("SIP/2.0/UDP a.example:5060;branch=z9hG4bK1;rport;received=1.2.3.4", "SIP / 2.0 / WSS [2001:db8::1];branch=x")
AUTH = (
    'Digest username="a",realm="b c",nonce="n",uri="sip:x",response="0a",qop=auth,nc=00000001,cnonce="c"',
    "Bearer abc",
)
READERS: list[tuple[Callable[[str], Any], tuple[str, ...]]] = [
    (parse_name_addr, NAME_ADDR),
    (lambda text: parse_contacts((text,)), NAME_ADDR),
    (parse_via, VIA),
    (parse_cseq, ("1 INVITE", "4294967295 OPTIONS")),
    (parse_auth, AUTH),
    (parse_params, (';a=b;c;d="e;f"', ";lr;x=%20")),
    (split_list, ("a, b", '"a,b", <c,d>', ",,")),
    (unquote, ('"a\\"b"', '"', "a")),
    (lambda text: read_event(Headers([("Event", text)])), ("refer;id=93809824", "dialog")),
]


@pytest.mark.parametrize(("read", "seeds"), READERS, ids=range(len(READERS)))
def test_field(read: Callable[[str], Any], seeds: tuple[str, ...]) -> None:
    @fuzzed
    @given(texts(*seeds))
    def reads(text: str) -> None:
        with suppress(PeerError):
            read(text)

    reads()


@fuzzed
@given(texts(*NAME_ADDR))
def test_what_we_say_of_it_can_be_said(text: str) -> None:
    """Whatever a peer's text is put into, it can be written on the wire."""
    for made in (warning("d.example", "slug", printable(text)), f'"{printable(presentable(text))}"'):
        encode(Response(200, "OK", Headers([("Warning", made)])))
