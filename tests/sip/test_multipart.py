"""RFC 5621, RFC 2046: of a body with several parts the description is used; CALL-22 for those we cannot read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.config import SipConfig
from offhook.sip.errors import MalformedMessage, TooLarge
from offhook.sip.inspection import Refusal, described, initial, with_description
from offhook.sip.message import Request
from offhook.sip.multipart import Part, parts_of
from tests.support.messages import SDP, make_request, make_response

CONFIG = SipConfig("example.com")
LOCATION = b"Content-Type: application/pidf+xml\r\n\r\n<presence/>"
DESCRIPTION = b"Content-Type: application/sdp\r\n\r\n" + SDP


def multipart(*parts: bytes, kind: str = "mixed", method: str = "INVITE") -> Request:
    body = b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts) + b"--cut--\r\n"
    request = make_request(method, body=body)
    headers = request.headers.replaced("Content-Type", f'multipart/{kind};boundary="cut"')
    return Request(method, request.uri, headers, body)


def read(request: Request) -> Request:
    found = described(request, CONFIG)
    assert isinstance(found, Request), found
    return found


def test_the_description_among_others_is_used() -> None:
    for order in ((DESCRIPTION, LOCATION), (LOCATION, DESCRIPTION)):
        found = read(multipart(*order))
        assert found.body == SDP
        assert found.headers.get("Content-Type") == "application/sdp"


def test_the_last_alternative_that_we_know_counts() -> None:
    other = DESCRIPTION.replace(b"4000", b"4100")
    assert read(multipart(DESCRIPTION, other, kind="alternative")).body == SDP.replace(b"4000", b"4100")


def test_one_inside_another() -> None:
    inner = b"Content-Type: multipart/alternative;boundary=in\r\n\r\n--in\r\n" + DESCRIPTION + b"\r\n--in--\r\n"
    assert read(multipart(LOCATION, inner)).body == SDP
    deep = b"Content-Type: multipart/mixed;boundary=cut2\r\n\r\n--cut2\r\n" + inner + b"\r\n--cut2--"
    refused = described(multipart(deep), CONFIG)
    assert isinstance(refused, Refusal)
    assert refused.status == 400


def test_a_part_that_must_be_understood_and_is_not_is_415() -> None:
    must = b"Content-Disposition: by-reference;handling=required\r\n" + LOCATION
    refused = described(multipart(DESCRIPTION, must), CONFIG)
    assert refused == Refusal(415, ("Accept", "application/sdp"))
    may = b"Content-Disposition: render;handling=optional\r\n" + LOCATION
    assert read(multipart(DESCRIPTION, may)).body == SDP


def test_without_a_description_it_is_an_invite_without_offer() -> None:
    found = read(multipart(LOCATION))
    assert (found.body, found.headers.get("Content-Type")) == (b"", None)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/mixed", b"--x\r\n\r\nhello\r\n--x--"),
        ("multipart/mixed;boundary=x", b"nothing of the kind"),
        ("multipart/mixed;boundary=x", b"--x\r\nno empty line\r\n--x--"),
        (f"multipart/mixed;boundary={'x' * 71}", b""),
    ],
)
def test_broken_bodies_say_what_is_wrong(content_type: str, body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parts_of(content_type, body)


def test_more_parts_than_are_read_are_refused_with_the_limits_name_and_never_in_a_response() -> None:
    request = multipart(LOCATION)
    headers = request.headers.replaced("Content-Type", "multipart/mixed;boundary=x")
    body = b"--x\r\n\r\na\r\n" * 9 + b"--x--"
    refused = described(Request("INVITE", request.uri, headers, body), CONFIG)
    assert isinstance(refused, Refusal)
    assert (refused.status, "limits.max_parts (8)" in str(refused)) == (400, True)
    response = make_response(make_request("INVITE"), 200, "a", body)
    whole = type(response)(200, "OK", response.headers.replaced("Content-Type", "multipart/mixed;boundary=x"), body)
    assert with_description(whole, CONFIG) is whole


def test_a_whole_body_that_need_not_be_understood_is_left_out() -> None:
    request = make_request("INVITE", body=b"<xml/>", Content_Disposition="render;handling=optional")
    headers = request.headers.replaced("Content-Type", "application/xml")
    found = read(Request("INVITE", request.uri, headers, request.body))
    assert (found.body, found.headers.get("Content-Type")) == (b"", None)
    plain = Request("INVITE", request.uri, headers.without("Content-Disposition"), request.body)
    assert described(plain, CONFIG) == Refusal(415, ("Accept", "application/sdp"))


@pytest.mark.parametrize("field", ["Content_Disposition", "Content_Type"])
def test_more_parameters_than_are_read_are_none(field: str) -> None:
    request = make_request("INVITE", body=SDP, Content_Disposition="session")
    value = ("application/sdp" if field == "Content_Type" else "session") + ";a=b" * 40
    headers = request.headers.replaced(field.replace("_", "-"), value)
    assert read(Request("INVITE", request.uri, headers, request.body)).body == SDP
    packed = Request("INVITE", request.uri, headers.replaced("Content-Type", "multipart/mixed" + ";a=b" * 40), b"x")
    assert isinstance(described(packed, CONFIG), Refusal)
    other = Request("INVITE", request.uri, headers.replaced("Content-Type", "text/plain"), b"x")
    assert described(other, CONFIG) == Refusal(415, ("Accept", "application/sdp"))


def test_only_methods_that_describe_are_inspected() -> None:
    request = multipart(LOCATION, method="INFO")
    assert described(request, CONFIG) is request


def test_a_response_and_an_ack_are_unpacked_too_and_never_refused() -> None:
    packed = multipart(LOCATION, DESCRIPTION)
    response = make_response(make_request("INVITE"), 200, "a", packed.body)
    headers = response.headers.replaced("Content-Type", packed.headers.get("Content-Type") or "")
    whole = type(response)(200, "OK", headers, packed.body)
    assert with_description(whole, CONFIG).body == SDP
    broken = type(response)(200, "OK", headers, b"broken")
    assert with_description(broken, CONFIG) is broken


def test_the_whole_of_an_initial_invite() -> None:
    assert isinstance(initial(make_request("INVITE", body=SDP, Accept="text/*"), CONFIG), Refusal)
    assert isinstance(initial(make_request("INVITE", body=SDP, Accept="application/*"), CONFIG), Request)


@given(st.binary(max_size=300), st.sampled_from(["x", "cut", ""]))
def test_no_octets_raise_anything_else(body: bytes, boundary: str) -> None:
    """Invariant: any octets are parts, or a MalformedMessage, or too many."""
    try:
        found = parts_of(f"multipart/mixed;boundary={boundary}", body)
    except (MalformedMessage, TooLarge):
        return
    assert all(isinstance(one, Part) for one in found)
