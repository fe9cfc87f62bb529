"""Header field values: readers and writers."""

import pytest

from offhook.sip.errors import MalformedMessage, PeerError
from offhook.sip.fields import (
    parse_auth,
    parse_contacts,
    parse_cseq,
    parse_name_addr,
    parse_number,
    parse_params,
    parse_via,
    presentable,
    q850_reason,
    quote,
    sip_reason,
    split_list,
    unquote,
    warning,
)


@pytest.mark.parametrize(
    ("value", "pieces"),
    [
        ("", []),
        (" ", []),
        ("one", ["one"]),
        ("a, b ,c", ["a", "b", "c"]),
        (",a,,b,", ["a", "b"]),
        ('"x, y" <sip:a@b>, <sip:c,d@e>;p="1,2"', ['"x, y" <sip:a@b>', '<sip:c,d@e>;p="1,2"']),
        (r'"a\", b" <sip:a@b>', [r'"a\", b" <sip:a@b>']),
    ],
)
def test_split_list(value: str, pieces: list[str]) -> None:
    assert split_list(value) == pieces


@pytest.mark.parametrize("value", ['"open, <sip:a@b>', "<sip:a@b, c", 'a, "b'])
def test_split_list_unbalanced(value: str) -> None:
    with pytest.raises(MalformedMessage, match="unbalanced"):
        split_list(value)


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("<sip:a@b>", "", "sip:a@b", {}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        (" sip:a@b ;tag=1", "", "sip:a@b", {"tag": "1"}),
        ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", {"tag": "1"}),
        ('"A. \\"B\\" \\\\ C" <sip:a@b>', 'A. "B" \\ C', "sip:a@b", {}),
        ("Alice  Smith <sip:a@b>", "Alice  Smith", "sip:a@b", {}),
        ("Alice<sip:a@b>", "Alice", "sip:a@b", {}),
        ('""<sip:a@b>', "", "sip:a@b", {}),
        ("Zo\udce9 <sip:a@b>", "Zo\ufffd", "sip:a@b", {}),
        ('<sip:a@b> ; TAG = 1 ; x ; y="a;b"', "", "sip:a@b", {"tag": "1", "x": None, "y": "a;b"}),
        ("<sip:a@b>;tag=1;tag=2", "", "sip:a@b", {"tag": "1"}),
        ("<sip:a@b?Replaces=x%3By>", "", "sip:a@b?Replaces=x%3By", {}),
        ("<tel:+15551234>", "", "tel:+15551234", {}),
    ],
)
def test_name_addr(text: str, display: str, uri: str, params: dict[str, str | None]) -> None:
    found = parse_name_addr(text)
    assert (found.display, str(found.uri), found.params) == (display, uri, params)
    assert found.tag == (params.get("tag") or "")


@pytest.mark.parametrize(
    "text",
    ["", "<>", "<sip:a@b", '"open <sip:a@b>', '"a" b <sip:a@b>', "a, b <sip:a@b>", "sip:a@b?x=y", "<sip:a@b>x",
     "<sip:a@b>;;", "<sip:a@b>;=1", '<sip:a@b>;t="open', "Bob", "<sip:a@b>;a b"],
)  # fmt: skip
def test_bad_name_addr(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_name_addr(text)


def test_long_values_are_read_like_short_ones() -> None:
    text = f'"{"x" * 600}" <sip:a@b>;tag=1'
    assert parse_name_addr(text) == parse_name_addr(text)
    assert parse_name_addr(text).display == "x" * 600


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "branch"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "UDP", "192.0.2.1", None, "z9hG4bK1"),
        ("sip/2.0/wss Df7.Invalid;branch=1;rport", "WSS", "df7.invalid", None, "1"),
        ("SIP  / 2.0 / TCP  host.example : 5061 ; branch = 2", "TCP", "host.example", 5061, "2"),
        ("SIP/2.0/TCP host.example: 5061", "TCP", "host.example", 5061, ""),
        ("SIP/2.0/UDP [2001:DB8::1]:5060;received=2001:db8::2", "UDP", "[2001:db8::1]", 5060, ""),
        ("SIP/2.0/UDP [2001:db8::1] : 5060", "UDP", "[2001:db8::1]", 5060, ""),
    ],
)
def test_via(text: str, transport: str, host: str, port: int | None, branch: str) -> None:
    via = parse_via(text)
    assert (via.transport, via.host, via.port, via.branch) == (transport, host, port, branch)


@pytest.mark.parametrize(
    "text",
    ["", "SIP/2.0/UDP", "SIP/1.0/UDP a", "SIP/2.0 a", "SIP/2.0/UDP a:0x1", "SIP/2.0/UDP a:65536", "SIP/2.0/UDP a b",
     "SIP/2.0/UDP a;;", "SIP/2.0/UDP [::1", "SIP/2.0/UDP -a", "SIP/2.0/UDP a-"],
)  # fmt: skip
def test_bad_via(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_via(text)


def test_cseq_and_numbers() -> None:
    assert parse_cseq(" 0009   INVITE") == (9, "INVITE")
    assert parse_cseq(f"{2**32 - 1} BYE") == (2**32 - 1, "BYE")
    assert parse_number("0" * 8000 + "7", "Expires", 9) == 7
    for bad in ("", "1", "INVITE 1", "1 INVITE x", "-1 INVITE", "1 IN<VITE", f"{2**32} BYE"):
        with pytest.raises(MalformedMessage, match="bad CSeq"):
            parse_cseq(bad)
    for bad in ("", "1.0", "+1", "1_0", "\u0661", "9" * 8000, "10"):
        with pytest.raises(MalformedMessage, match="bad Expires"):
            parse_number(bad, "Expires", 9)


def test_contacts() -> None:
    assert parse_contacts(("*",)) is None
    assert parse_contacts(()) == []
    found = parse_contacts(("<sip:a@b>;expires=1, sip:c@d;q=0.5", "<sip:e@f>"))
    assert found is not None
    assert [(str(one.uri), one.params) for one in found] == [
        ("sip:a@b", {"expires": "1"}),
        ("sip:c@d", {"q": "0.5"}),
        ("sip:e@f", {}),
    ]
    for bad in (("*", "*"), ("*, <sip:a@b>",)):
        with pytest.raises(PeerError):
            parse_contacts(bad)


def test_params() -> None:
    assert parse_params("") == {}
    assert parse_params(";A=b;c;d=") == {"a": "b", "c": None, "d": ""}
    assert parse_params(';+sip.instance="<urn:uuid:1>";ob') == {"+sip.instance": "<urn:uuid:1>", "ob": None}


def test_auth() -> None:
    text = 'Digest  Username = "a\\"b", REALM="x, y",algorithm="MD5" ,nc=00000001, qop=auth,realm=second'
    assert parse_auth(text) == (
        "digest",
        {"username": 'a"b', "realm": "x, y", "algorithm": "MD5", "nc": "00000001", "qop": "auth"},
    )
    assert parse_auth("Bearer abc.def==") == ("bearer", {"token68": "abc.def=="})
    assert parse_auth("NoOneKnowsThisScheme opaque-data=here") == ("nooneknowsthisscheme", {"opaque-data": "here"})
    assert parse_auth("") == ("", {})


def test_quotes() -> None:
    assert quote('a "b" \\ c\r\nd') == '"a \\"b\\" \\\\ c  d"'
    assert unquote(quote('a "b" \\ c')) == 'a "b" \\ c'
    assert unquote('"') == '"'
    assert presentable("M\udcfcller") == "M\ufffdller"


def test_writers_let_no_control_character_through() -> None:
    evil = 'a"b\\c\r\nX: y\x00'
    assert warning("example.com", "bad-contact", evil) == """399 example.com "bad-contact a'bc  X: y " """.strip()
    assert sip_reason(200, "Call completed elsewhere") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert q850_reason(16, evil) == 'Q.850;cause=16;text="a\\"b\\\\c  X: y "'
    for text in (warning("d", "s", evil), sip_reason(1, evil), q850_reason(1, evil), quote(evil)):
        assert text.isprintable()
