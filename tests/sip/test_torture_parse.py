"""RFC 4475 and RFC 5118 at the parser: which messages it takes, which it refuses with what, and what it reads in them."""

from itertools import islice

import pytest

from offhook.sip.errors import MalformedMessage, PeerError, Silence, UnsupportedVersion
from offhook.sip.fields import NameAddr, parse_name_addr, parse_via, split_list
from offhook.sip.framing import StreamFramer
from offhook.sip.message import Message, Request, Response
from offhook.sip.parse import parse_datagram, parse_stream_message
from offhook.sip.uri import equivalent, parse_uri
from tests.support.torture import Torture, as_published, message, torture

TAKEN_THOUGH_INVALID = {
    "baddate": "nobody reads Date",
    "badaspec": "the spaces inside the brackets are cut off and nothing forwards the address",
}
REFUSED_THOUGH_WELL_FORMED = {
    "insuf": "no answer can be placed",
    "multi01": "acting on one of two values would be guessing",
    "mcl01": "acting on one of two values would be guessing",
    "bcast": "a response that is ours has one Via",
}


def expected(case: Torture) -> type[Message] | type[PeerError]:
    if case.name == "badvers":
        return UnsupportedVersion
    is_response = case.data.startswith(b"SIP/")
    refused = case.kind == "invalid" and case.name not in TAKEN_THOUGH_INVALID
    if refused or case.name in REFUSED_THOUGH_WELL_FORMED:
        return Silence if is_response else MalformedMessage
    return Response if is_response else Request


@pytest.mark.parametrize("case", torture(), ids=lambda case: case.name)
def test_verdict(case: Torture) -> None:
    want = expected(case)
    if not issubclass(want, PeerError):
        assert type(parse_datagram(case.data)) is want
        return
    with pytest.raises(PeerError) as caught:
        parse_datagram(case.data)
    assert type(caught.value) is want
    if want is Silence:
        assert caught.value.partial is None
        assert "drop" in case.outcomes
    else:
        assert str(caught.value.status) in case.outcomes
        assert caught.value.partial is not None
        assert caught.value.partial.headers.get("Via")


def test_all_are_here() -> None:
    assert len(torture()) == 49 + 12
    assert len(as_published()) == 3
    for data in as_published():
        # Content-Length was counted without CR: the body is cut, nothing else happens.
        assert isinstance(parse_datagram(data), Request)


def request(name: str) -> Request:
    found = parse_datagram(message(name))
    assert isinstance(found, Request)
    return found


def address(found: Request, name: str) -> NameAddr:
    return parse_name_addr(found.headers.get(name) or "")


def test_wsinv_short_tortuous_invite() -> None:
    found = request("wsinv")
    assert str(found.uri) == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert address(found, "To").uri.user == "vivekg"
    assert address(found, "To").tag == "1918181833n"
    assert address(found, "From").display == r"J Rosenberg \""
    assert found.headers.get("Max-Forwards") == "0068"
    assert found.headers.get("Call-ID") == "wsinv.ndaksdj@192.0.2.1"
    assert found.headers.get("CSeq") == "0009 INVITE"
    assert found.headers.get("Subject") == ""
    vias = [parse_via(value) for line in found.headers.all("Via") for value in split_list(line)]
    assert [(via.transport, via.host, via.branch) for via in vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert found.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert found.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    contact = address(found, "Contact")
    assert (contact.display, contact.params) == (
        'Quoted string ""',
        {"newparam": "newvalue", "secondparam": None, "q": "0.33"},
    )
    assert found.body.startswith(b"v=0\r\n")
    assert len(found.body) == 150


def test_intmeth_wide_range_of_characters() -> None:
    found = request("intmeth")
    assert found.method == "!interesting-Method0123456789_*+`.%indeed'~"
    to = address(found, "To")
    assert to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert to.uri.unescaped_user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    sender = address(found, "From")
    assert sender.display == "token1~` token2'+_ token3*%!.-"
    assert sender.params["fromparam''~+*_!.-%"] == "работающий"
    assert sender.tag == "_token~1'+`*%!-."
    assert found.headers.get("Call-ID") == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert parse_via(found.headers.get("Via") or "").branch == "z9hG4bK-.!%66*_+`'~"
    assert found.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff\u5927\u505c\u96fb"


def test_escapes_are_decoded_once() -> None:
    found = request("esc01")
    assert found.uri.unescaped_user == "sips:user@example.com"
    assert found.uri.host == "example.net"
    assert address(found, "To").uri.unescaped_user == "user"
    contact = address(found, "Contact").uri
    assert contact.unescaped_user == "caller"
    assert contact.params == {"lr": None, "name": "v%61lue%25%34%31"}
    assert equivalent(contact, parse_uri("sip:caller@host5.example.net;lr;name=value%2541"))
    assert not equivalent(contact, parse_uri("sip:caller@host5.example.net;lr;name=valueA"))


def test_escaped_nulls_end_no_name_and_merge_no_contacts() -> None:
    found = request("escnull")
    assert address(found, "To").uri.unescaped_user == "null-\0-null"
    first, second = (parse_name_addr(value).uri for value in found.headers.all("Contact"))
    assert (first.unescaped_user, second.unescaped_user) == ("\0", "\0\0")
    assert not equivalent(first, second)


def test_percent_is_no_escape_in_a_token() -> None:
    found = request("esc02")
    assert found.method == "RE%47IST%45R"
    assert len(found.headers.all("Contact")) == 2
    assert found.headers.get("C%6Fntact") == "<sip:alias2@host2.example.com>"


def test_display_name_without_space() -> None:
    assert address(request("lwsdisp"), "From").display == "caller"


def test_long_values_whole() -> None:
    found = request("longreq")
    assert len([value for line in found.headers.all("Via") for value in split_list(line)]) == 34
    assert len(address(found, "To").display) == 103
    assert len(found.uri.params) == 0
    assert len(address(found, "To").uri.params) == 3
    assert len(found.headers.get("Call-ID") or "") == 141


def test_trailing_octets_of_a_datagram_are_dropped_and_are_a_message_on_a_stream() -> None:
    found = request("dblreq")
    assert (found.method, found.body) == ("REGISTER", b"")
    both = [one for one in islice(StreamFramer().feed(message("dblreq")), 2) if isinstance(one, bytes)]
    methods = [one.method for one in map(parse_stream_message, both) if isinstance(one, Request)]
    assert methods == ["REGISTER", "INVITE"]


def test_semicolon_in_the_user_part() -> None:
    uri = request("semiuri").uri
    assert (uri.unescaped_user, uri.host, uri.params) == ("user;par=u@example.net", "example.com", {})


def test_unknown_transports() -> None:
    values = [parse_via(value).transport for value in request("transports").headers.all("Via")]
    assert values == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_binary_body() -> None:
    found = request("mpart01")
    assert len(found.body) == int(found.headers.get("Content-Length") or "")
    assert found.body.count(b"\0") > 0


def test_reason_phrases() -> None:
    unusual, empty = parse_datagram(message("unreason")), parse_datagram(message("noreason"))
    assert isinstance(unusual, Response)
    assert isinstance(empty, Response)
    assert unusual.reason.startswith("= 2**3 * 5**2 но сто девяносто девять")
    assert (empty.status, empty.reason) == (100, "")


def test_where_a_contact_parameter_belongs() -> None:
    header, inside = address(request("cparam01"), "Contact"), address(request("cparam02"), "Contact")
    assert (header.params, header.uri.params) == ({"unknownparam": None}, {})
    assert (inside.params, inside.uri.params) == ({}, {"unknownparam": None})
    assert address(request("regescrt"), "Contact").uri.headers == "Route=%3Csip:sip.example.com%3E"


def test_ipv6() -> None:
    assert request("ipv6-good").uri.host == "[2001:db8::10]"
    ambiguous, clear = request("port-ambiguous").uri, request("port-unambiguous").uri
    assert (ambiguous.host, ambiguous.port) == ("[2001:db8::10:5070]", None)
    assert (clear.host, clear.port) == ("[2001:db8::10]", 5070)
    for name in ("via-received-param-with-delim", "via-received-param-no-delim"):
        via = parse_via(request(name).headers.get("Via") or "")
        assert (via.params["received"] or "").strip("[]") == "2001:db8::9:255"
    hosts = [parse_via(value).host for value in request("mult-ip-in-header").headers.all("Via")]
    assert any(host.startswith("[") for host in hosts)
    assert any(host[0].isdigit() for host in hosts)
