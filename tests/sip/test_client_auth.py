"""Digest as a client (TRK-3): which challenge is answered, how, and when we give up."""

import pytest

from offhook.sip.client_auth import Attempt, ClientAuth, challenges
from offhook.sip.commands import (
    CancelInvite,
    FromCarrier,
    HangUp,
    Respond,
    RespondInvite,
    SendInDialog,
    SendInvite,
    SendRequest,
)
from offhook.sip.digest import ha1, parse_credentials, proves
from offhook.sip.events import (
    HungUp,
    InviteAccepted,
    InviteReceived,
    InviteRejected,
    RequestAnswered,
    RequestInDialog,
    RequestSettled,
    SipEvent,
    UsageId,
)
from offhook.sip.fields import parse_auth
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Headers, Request, Response
from offhook.sip.secret import Secret
from offhook.sip.uri import parse_uri
from tests.support.challenger import Challenger, Gate
from tests.support.ids import SeededIds
from tests.support.link import Link, Station
from tests.support.messages import SDP
from tests.support.nodes import make_endpoint

MINE = ClientCredentials("line1", Secret("zanzibar"))
URI = parse_uri("sip:+15125550100@carrier.example")
WITH_SDP = Headers([("Content-Type", "application/sdp")])


def refused(*values: str, status: int = 407) -> Response:
    name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
    return Response(status, "No", Headers([(name, value) for value in values]))


def answer(challenge: str, method: str = "INVITE", body: bytes = b"", mine: ClientCredentials = MINE) -> dict[str, str]:
    auth = ClientAuth(mine, SeededIds(1))
    assert Attempt(auth).challenged(refused(challenge))
    (name, value) = auth.fields(method, URI, body)[0]
    assert name == "Proxy-Authorization"
    proof = parse_credentials(value)
    assert proof is not None
    secret = ha1(proof.algorithm.partition("-SESS")[0], mine.username, proof.realm, mine.password.reveal())
    assert proves(proof, secret, method, body)
    return parse_auth(value)[1]


@pytest.mark.parametrize("broken", ['Digest realm="a, nonce=b', 'Digest realm="a", nonce="b, qop=auth', '"', ',"'])
def test_a_challenge_with_an_open_quote_is_none(broken: str) -> None:
    assert challenges(refused(broken)) == []
    assert [one.realm for one in challenges(refused(broken, 'Digest realm="c", nonce="n"'))] == ["c"]


# what is answered


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess", "md5"])
def test_every_known_algorithm_is_answered(algorithm: str) -> None:
    said = answer(f'Digest realm="c", nonce="n", algorithm={algorithm}, qop="auth"')
    assert said["algorithm"].upper() == algorithm.upper()
    assert (said["nc"], said["qop"], said["uri"]) == ("00000001", "auth", str(URI))


def test_a_peer_that_names_no_algorithm_hears_none_and_no_qop_means_no_nc() -> None:
    said = answer('Digest realm="c", nonce="n"')
    assert not {"algorithm", "nc", "qop", "cnonce"} & said.keys()


def test_auth_int_only_where_it_is_alone_and_opaque_is_given_back() -> None:
    assert answer('Digest realm="c", nonce="n", qop="auth-int,auth"', body=SDP)["qop"] == "auth"
    said = answer('Digest realm="c", nonce="n", qop="auth-int", opaque="o\\"p"', body=SDP)
    assert (said["qop"], said["opaque"]) == ("auth-int", 'o"p')


def test_the_strongest_known_algorithm_of_a_realm_is_taken() -> None:
    offered = [f'Digest realm="c", nonce="n", algorithm={name}' for name in ("MD5", "TOKEN-9", "SHA-256")]
    (one,) = challenges(refused(*offered))
    assert one.algorithm == "SHA-256"
    (two,) = challenges(refused(", ".join(offered)))
    assert two.algorithm == "SHA-256", "also when all stand in one field"


@pytest.mark.parametrize(
    "useless",
    [
        'Digest realm="c", nonce="n", qop="confuse"',
        'Digest realm="c", nonce="n", algorithm=AKAv1-MD5',
        'Digest nonce="n"',
        'Digest realm="c"',
        'Basic realm="c"',
        "Digest",
        'Digest realm="unbalanced',
    ],
)
def test_what_we_cannot_answer_is_final(useless: str) -> None:
    assert challenges(refused(useless)) == []
    assert not Attempt(ClientAuth(MINE, SeededIds(1))).challenged(refused(useless))


def test_several_realms_are_answered_in_one_request_each_in_its_field() -> None:
    auth = ClientAuth(MINE, SeededIds(1))
    attempt = Attempt(auth)
    assert attempt.challenged(refused('Digest realm="a", nonce="1"', 'Digest realm="b", nonce="2"'))
    assert attempt.challenged(refused('Digest realm="c", nonce="3"', status=401))
    names = [name for name, _ in auth.fields("INVITE", URI, b"")]
    assert names == ["Proxy-Authorization", "Proxy-Authorization", "Authorization"]


def test_credentials_for_one_realm_go_to_no_other() -> None:
    auth = ClientAuth(ClientCredentials("line1", Secret("zanzibar"), "carrier.example"), SeededIds(1))
    assert not Attempt(auth).challenged(refused('Digest realm="thief.example", nonce="1"'))
    assert auth.fields("INVITE", URI, b"") == []


# when we give up


def test_stale_is_no_failure_and_the_second_plain_challenge_is() -> None:
    attempt = Attempt(ClientAuth(MINE, SeededIds(1)))
    assert attempt.challenged(refused('Digest realm="c", nonce="1"'))
    assert attempt.challenged(refused('Digest realm="c", nonce="2", stale=true'))
    assert attempt.challenged(refused('Digest realm="c", nonce="3", stale=TRUE'))
    assert not attempt.challenged(refused('Digest realm="c", nonce="4"'))


def test_a_peer_that_calls_every_nonce_stale_is_left() -> None:
    attempt = Attempt(ClientAuth(MINE, SeededIds(1)))
    rounds = 0
    while attempt.challenged(refused(f'Digest realm="c", nonce="{rounds}", stale=true')):
        rounds += 1
    assert rounds == 6


def test_without_credentials_every_challenge_is_final() -> None:
    assert not Attempt(None).challenged(refused('Digest realm="c", nonce="1"'))


def test_the_password_is_in_no_field() -> None:
    auth = ClientAuth(MINE, SeededIds(1))
    Attempt(auth).challenged(refused('Digest realm="c", nonce="1", qop="auth"'))
    assert "zanzibar" not in repr(auth.fields("INVITE", URI, b"")) + repr(MINE)


# on the wire


class Line:
    """We call a carrier behind a gate."""

    def __init__(self, link: Link, *gates: Gate, mine: ClientCredentials | None = MINE) -> None:
        self.link, self.mine = link, mine
        self.us: Station = link.station("us", make_endpoint("us", 1))
        self.gate = Challenger(make_endpoint("carrier", 2), list(gates) or [Gate()])
        self.carrier: Station = link.station("carrier", self.gate)
        self.there, self.back = link.connect(self.us, self.carrier)
        self.call = UsageId("call")
        self.carrier.on_event = self._content

    def _content(self, event: SipEvent) -> None:
        if isinstance(event, RequestInDialog):
            body = SDP if event.request.body else b""
            self.carrier.perform(Respond(event.transaction, 200, WITH_SDP if body else Headers(), body))

    def invite(self) -> None:
        self.us.perform(
            SendInvite(
                self.call,
                self.there.id,
                URI,
                "<sip:us@x.example>",
                f"<{URI}>",
                70,
                WITH_SDP,
                SDP,
                credentials=self.mine,
            )
        )
        self.link.run(0.2)

    def answer(self, status: int = 200) -> None:
        event = self.carrier.of(InviteReceived)[-1]
        assert isinstance(event, InviteReceived)
        body = SDP if status < 300 else b""
        self.carrier.perform(RespondInvite(event.usage, status, WITH_SDP if body else Headers(), body))
        self.link.run(0.2)

    def sent(self, method: str) -> list[Request]:
        return [one for one in self.us.sent if isinstance(one, Request) and one.method == method]


def number(request: Request) -> int:
    return int((request.headers.get("CSeq") or "0").split()[0])


def tag(request: Request) -> str:
    return (request.headers.get("From") or "").rpartition("tag=")[2]


def test_407_on_the_invite_same_call_id_and_tag_next_cseq(link: Link) -> None:
    line = Line(link)
    line.invite()
    line.answer()
    first, second = line.sent("INVITE")
    assert first.headers.get("Proxy-Authorization") is None
    assert (number(first), number(second)) == (1, 2)
    assert (first.headers.get("Call-ID"), tag(first)) == (second.headers.get("Call-ID"), tag(second))
    assert first.headers.get("Via") != second.headers.get("Via")
    assert first.body == second.body
    assert line.us.of(InviteAccepted)


def test_acks_and_cancel_repeat_the_credentials_of_their_invite(link: Link) -> None:
    line = Line(link)
    line.invite()
    line.answer(180)
    line.us.perform(CancelInvite(line.call))
    link.run(0.2)
    invite, (cancel,) = line.sent("INVITE")[-1], line.sent("CANCEL")
    assert cancel.headers.get("Proxy-Authorization") == invite.headers.get("Proxy-Authorization") is not None
    assert number(cancel) == number(invite) == 2
    assert line.carrier.saw().count("CANCEL") == 1
    assert [(one.headers.get("Proxy-Authorization") or "")[:6] for one in line.sent("ACK")] == ["", "Digest"]


def test_ack_to_the_200_carries_cseq_and_credentials_of_the_second_invite(link: Link) -> None:
    line = Line(link)
    line.invite()
    line.answer()
    ack, invite = line.sent("ACK")[-1], line.sent("INVITE")[-1]
    assert number(ack) == 2
    assert ack.headers.get("Proxy-Authorization") == invite.headers.get("Proxy-Authorization")


@pytest.mark.parametrize("qop", ["auth", "auth-int", None])
def test_later_requests_carry_credentials_unasked_with_nc_one_higher(link: Link, qop: str | None) -> None:
    line = Line(link, Gate(qop=qop))
    line.invite()
    line.answer()
    line.us.perform(SendInDialog(line.call, "INFO"))
    line.us.perform(SendInDialog(line.call, "UPDATE"))
    link.run(0.2)
    line.us.perform(HangUp(line.call))
    link.run(0.2)
    assert len(line.gate.challenged) == 1, "only the first request had to be asked"
    assert [method for method, _ in line.gate.proofs] == ["INVITE", "INFO", "UPDATE", "BYE"]
    if qop:
        assert [proof.nc for _, proof in line.gate.proofs] == [f"{count:08x}" for count in (1, 2, 3, 4)]
    assert line.carrier.of(HungUp)


def test_a_stale_nonce_inside_the_dialog_costs_one_more_round(link: Link) -> None:
    line = Line(link)
    line.gate.life = 1
    line.invite()
    line.answer()
    line.us.perform(SendInDialog(line.call, "INFO"))
    link.run(0.2)
    line.us.perform(HangUp(line.call))
    link.run(0.2)
    assert [number(one) for one in line.sent("BYE")] == [5, 6]
    assert len(line.us.of(RequestAnswered)) == 1
    assert line.carrier.of(HungUp)


def test_a_reinvite_of_ours_is_challenged_answered_and_acknowledged(link: Link) -> None:
    line = Line(link)
    line.gate.life = 1
    line.invite()
    line.answer()
    line.us.perform(SendInDialog(line.call, "INVITE", WITH_SDP, SDP))
    link.run(0.2)
    first, second = line.sent("INVITE")[-2:]
    assert (number(first), number(second)) == (3, 4)
    assert len(line.gate.admitted) == 2


def test_two_realms_and_two_kinds(link: Link) -> None:
    line = Line(link, Gate("edge.example"), Gate("core.example", 401, ("MD5", "SHA-256")))
    line.invite()
    line.answer()
    assert [number(one) for one in line.sent("INVITE")] == [1, 2, 3]
    assert [proof.algorithm for method, proof in line.gate.proofs if method == "INVITE"][-1] == "SHA-256"
    assert line.us.of(InviteAccepted)


def test_a_wrong_password_is_told_after_the_second_challenge(link: Link) -> None:
    line = Line(link, mine=ClientCredentials("line1", Secret("wrong")))
    line.invite()
    (event,) = line.us.of(InviteRejected)
    assert isinstance(event, InviteRejected)
    assert event.response is not None
    assert event.response.status == 407
    assert len(line.sent("INVITE")) == 2


def test_a_cancelled_invite_is_not_sent_again(link: Link) -> None:
    line = Line(link)
    link.delay("carrier", "407 INVITE", 0.3)
    line.invite()
    line.us.perform(CancelInvite(line.call))
    link.run(1)
    assert len(line.sent("INVITE")) <= 2
    assert line.us.of(InviteRejected)
    assert not line.carrier.of(InviteReceived)


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "MESSAGE"])
def test_requests_outside_a_dialog(link: Link, method: str) -> None:
    line = Line(link, Gate(status=401))
    for cseq in (10, 20):
        line.us.perform(
            SendRequest(
                "line",
                method,
                line.there.id,
                URI,
                "<sip:us@x.example>",
                f"<{URI}>",
                credentials=MINE,
                call_id="one",
                cseq=cseq,
            )
        )
        link.run(0.2)
    numbers = [number(one) for one in line.sent(method)]
    assert numbers == [10, 11, 20], "the second goes out with credentials at once"
    settled = line.us.of(RequestSettled)
    assert [one.cseq for one in settled if isinstance(one, RequestSettled)] == [11, 20]
    assert len({tag(one) for one in line.sent(method)[:2]}) == 1


def test_a_dialog_that_the_carrier_began(link: Link) -> None:
    line = Line(link)
    line.carrier.apply(line.carrier.node.flow_opened(line.back, link.now))
    line.carrier.perform(
        SendInvite(UsageId("in"), line.back.id, URI, "<sip:them@x.example>", f"<{URI}>", 70, WITH_SDP, SDP)
    )
    link.run(0.2)
    (event,) = line.us.of(InviteReceived)
    assert isinstance(event, InviteReceived)
    line.us.perform(FromCarrier(event.usage, MINE))
    line.us.perform(RespondInvite(event.usage, 200, WITH_SDP, SDP))
    link.run(0.2)
    line.us.perform(HangUp(event.usage))
    link.run(0.2)
    assert [number(one) for one in line.sent("BYE")] == [1, 2]
    assert line.carrier.of(HungUp)


def test_nothing_is_left_after_challenged_calls(link: Link) -> None:
    line = Line(link)
    line.invite()
    line.answer()
    line.us.perform(HangUp(line.call))
    link.run(100)
    node = line.us.node
    assert (node.transactions, node.usages, node.dialogs, node.timers) == (0, 0, 0, 0)  # type: ignore[attr-defined]
