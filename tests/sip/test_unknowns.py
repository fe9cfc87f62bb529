"""CALL-22: what nobody knows, in a dialog and outside, gets the status and the field that say what would be right."""

import pytest

from offhook.sip.config import SipConfig
from offhook.sip.errors import PeerError
from offhook.sip.message import Headers, Request, Response
from offhook.sip.parse import parse_datagram
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.nodes import DOMAIN
from tests.support.pair import Pair

ALLOW = ", ".join(SipConfig(DOMAIN).allow)


class Talking(Pair):
    """Bob talks with a script."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.bob.feed(make_request("INVITE", body=SDP), self.back)
        self.respond(200, SDP)
        self.tag = (self.bob.sent[-1].headers.get("To") or "").rpartition("=")[2]
        self.say(make_request("ACK", to_tag=self.tag, branch="z9hG4bKack"))

    def say(self, request: Request) -> Response | None:
        count = len(self.bob.sent)
        self.bob.feed(request, self.back)
        answers = [one for one in self.bob.sent[count:] if isinstance(one, Response)]
        return answers[-1] if answers else None

    def asks(self, method: str, cseq: int = 2, body: bytes = b"", **extra: str) -> Response:
        answer = self.say(make_request(method, branch="z9hG4bKq", cseq=cseq, to_tag=self.tag, body=body, **extra))
        assert answer is not None
        return answer


@pytest.mark.parametrize(
    ("method", "extra", "status", "field", "value"),
    [
        ("DANCE", {}, 501, "Allow", ALLOW),
        ("PUBLISH", {}, 405, "Allow", ALLOW),
        ("UPDATE", {"Require": "precondition"}, 420, "Unsupported", "precondition"),
        ("INFO", {"Info-Package": "x"}, 469, "Recv-Info", ""),
        ("PRACK", {"RAck": "1 1 INVITE"}, 481, None, None),
    ],
)
def test_in_a_dialog(
    link: Link, method: str, extra: dict[str, str], status: int, field: str | None, value: str | None
) -> None:
    answer = Talking(link).asks(method, **extra)
    assert answer.status == status
    assert field is None or answer.headers.get(field) == value


def test_a_body_nobody_reads_in_a_re_invite(link: Link) -> None:
    talking = Talking(link)
    request = make_request("INVITE", branch="z9hG4bKq", cseq=2, to_tag=talking.tag, body=b"x")
    odd = Request("INVITE", request.uri, request.headers.replaced("Content-Type", "application/x"), b"x")
    answer = talking.say(odd)
    assert answer is not None
    assert (answer.status, answer.headers.get("Accept")) == (415, "application/sdp")


def test_a_lower_number_is_500_and_an_unknown_dialog_481(link: Link) -> None:
    talking = Talking(link)
    assert talking.say(make_request("INFO", branch="z9hG4bKi", cseq=5, to_tag=talking.tag)) is None
    assert talking.asks("INFO", 4).status == 500
    stranger = talking.say(make_request("INFO", branch="z9hG4bKs", cseq=9, to_tag="nobody"))
    assert stranger is not None
    assert stranger.status == 481


def test_an_unknown_scheme_is_416(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", "mailto:bob@example.com", body=SDP), pair.back)
    assert pair.bob.sent[-1].status == 416  # type: ignore[union-attr]


def test_another_version_is_505(link: Link) -> None:
    with pytest.raises(PeerError) as raised:
        parse_datagram(b"OPTIONS sip:bob@example.com SIP/7.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\r\n")
    assert raised.value.status == 505


def test_what_is_advertised(link: Link) -> None:
    pair = Pair(link)
    pair.invite()
    headers: Headers = pair.request(pair.alice, "INVITE").headers
    assert {"PRACK", "UPDATE"} <= {one.strip() for one in (headers.get("Allow") or "").split(",")}
    assert {"timer", "100rel"} <= {one.strip() for one in (headers.get("Supported") or "").split(",")}
    assert headers.get("Recv-Info") == ""
