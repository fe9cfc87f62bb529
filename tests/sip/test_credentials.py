"""The authenticator: AUTH-1, AUTH-2 and AUTH-4 to AUTH-9."""

from dataclasses import dataclass, field, replace

import pytest

from offhook.sip.credentials import Authenticator, AuthSettings, Challenged, Verdict, Verified
from offhook.sip.digest import Credentials, ha1, response_of
from offhook.sip.fields import parse_auth
from offhook.sip.flow import Flow, Transport
from offhook.sip.location import Account
from offhook.sip.message import Headers, Request
from offhook.sip.uri import parse_uri
from tests.support.ids import SeededIds
from tests.support.messages import make_flow, make_request
from tests.support.nodes import DOMAIN, make_account

BOB = make_account("bob")
SETTINGS = AuthSettings(DOMAIN, frozenset({DOMAIN, "192.0.2.1"}), digest_order=("MD5", "SHA-256"))


def make(settings: AuthSettings = SETTINGS) -> Authenticator:
    return Authenticator(settings, b"secret", SeededIds(1))


@dataclass
class Client:
    """Answers challenges like a client; the fields are what a test may bend."""

    authenticator: Authenticator = field(default_factory=make)
    flow: Flow = field(default_factory=lambda: make_flow("here"))
    now: float = 100.0
    account: Account | None = BOB
    username: str = "bob"
    password: str = "zanzibar"
    algorithm: str = "MD5"
    qop: str = "auth"
    uri: str = f"sip:{DOMAIN}"
    nonce: str = ""
    nc: int = 0

    def challenged(self) -> None:
        params = parse_auth(
            self.authenticator.challenge(make_request("REGISTER"), self.flow, self.now).get("WWW-Authenticate") or ""
        )[1]
        self.nonce, self.nc = params["nonce"], 0

    def request(self, method: str = "REGISTER") -> Request:
        self.nc += 1
        credentials = Credentials(
            self.username, DOMAIN, self.nonce, self.uri, "", self.algorithm, self.qop,
            f"{self.nc:08x}" if self.qop else "", "c0ffee" if self.qop else "",
        )  # fmt: skip
        secret = ha1(self.algorithm.removesuffix("-SESS"), self.username, DOMAIN, self.password)
        proof = response_of(credentials, secret, method)
        rest = f', qop={self.qop}, nc={credentials.nc}, cnonce="c0ffee"' if self.qop else ""
        value = (
            f'Digest username="{self.username}", realm="{DOMAIN}", nonce="{self.nonce}", uri="{self.uri}", '
            f'response="{proof}", algorithm={self.algorithm}{rest}'
        )
        name = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        return replace(make_request(method), headers=make_request(method).headers.with_field(name, value))

    def answer(self, request: Request | None = None) -> Verdict:
        request = request or self.request()
        return self.authenticator.verify(request, self.flow, self.account, self.now, request.method != "REGISTER")

    def tell(self) -> str:
        """`ok`, or the challenge's reason, with `stale` where it says so."""
        verdict = self.answer()
        if isinstance(verdict, Verified):
            return "ok"
        stale = "stale=true" in (verdict.headers.get("WWW-Authenticate") or "")
        return f"{verdict.reason}{' stale' if stale else ''}"


@pytest.fixture
def client() -> Client:
    one = Client()
    one.challenged()
    return one


# ---- AUTH-1, AUTH-2


def test_challenges() -> None:
    headers = make().challenge(make_request("REGISTER"), make_flow(), 1.0)
    assert [name for name, _ in headers] == ["WWW-Authenticate"] * 2
    (_, first), (_, second) = [parse_auth(value) for _, value in headers]
    assert list(first) == ["realm", "nonce", "algorithm", "qop"]
    assert (first["realm"], first["algorithm"], first["qop"]) == (DOMAIN, "MD5", "auth")
    assert second == {**first, "algorithm": "SHA-256"}
    proxy = make().challenge(make_request("REGISTER"), make_flow(), 1.0, proxy=True, stale=True)
    assert [name for name, _ in proxy] == ["Proxy-Authenticate"] * 2
    assert all(value.endswith(', qop="auth", stale=true') for _, value in proxy)


def test_one_algorithm_alone() -> None:
    headers = make(replace(SETTINGS, digest_order=("SHA-256",))).challenge(make_request("REGISTER"), make_flow(), 1.0)
    assert [parse_auth(value)[1]["algorithm"] for _, value in headers] == ["SHA-256"]


def test_no_credentials() -> None:
    client = Client()
    assert client.answer(make_request("REGISTER")) == Challenged(
        make().challenge(make_request("REGISTER"), client.flow, client.now), "no-credentials"
    )


# ---- right answers


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ["auth", ""])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_right(client: Client, algorithm: str, qop: str, method: str) -> None:
    client.algorithm, client.qop = algorithm, qop
    assert client.answer(client.request(method)) == Verified(BOB)


def test_any_password(client: Client) -> None:
    client.password = 's3cr3t pa:ss"w\u00f6rd'
    client.account = make_account("bob", client.password)
    assert client.tell() == "ok"


def test_credentials_for_another_realm_are_passed_over(client: Client) -> None:
    request = client.request()
    other = ("Authorization", 'Digest username="x", realm="other", nonce="n", uri="sip:x", response="y"')
    request = replace(request, headers=Headers([other, *request.headers]))
    assert client.authenticator.username(request) == "bob"
    assert client.answer(request) == Verified(BOB)
    assert client.authenticator.username(make_request("REGISTER")) is None
    assert client.authenticator.username(request, proxy=True) is None


@pytest.mark.parametrize("bend", [{"algorithm": "MD5-SESS"}, {"algorithm": "SHA-512-256"}, {"qop": "auth-int"}])
def test_what_was_not_offered_is_not_served(client: Client, bend: dict[str, str]) -> None:
    for name, value in bend.items():
        setattr(client, name, value)
    assert client.tell() == "credentials-wrong"


# ---- AUTH-4, AUTH-5


def test_an_answer_serves_once(client: Client) -> None:
    request = client.request()
    assert client.answer(request) == Verified(BOB)
    again = client.answer(request)
    assert isinstance(again, Challenged)
    assert again.reason == "stale-nonce"
    assert "stale=true" in (again.headers.get("WWW-Authenticate") or "")
    assert client.tell() == "ok"


def test_without_qop_a_nonce_serves_once(client: Client) -> None:
    client.qop = ""
    assert [client.tell(), client.tell()] == ["ok", "stale-nonce stale"]


def test_unknown_state_and_not_the_first_use(client: Client) -> None:
    client.nc = 1
    assert client.tell() == "stale-nonce stale"


def test_a_wrong_answer_uses_up_nothing(client: Client) -> None:
    client.password = "guess"
    assert client.tell() == "credentials-wrong"
    client.password, client.nc = "zanzibar", 0
    assert client.tell() == "ok"


def test_old_nonce(client: Client) -> None:
    client.now += SETTINGS.nonce_life + 2
    assert client.tell() == "stale-nonce stale"
    client.password = "guess"
    assert client.tell() == "credentials-wrong"


def test_nonce_of_another_flow(client: Client) -> None:
    client.flow = make_flow("there")
    assert client.tell() == "stale-nonce stale"
    client.password = "guess"
    assert client.tell() == "credentials-wrong"


# ---- AUTH-6


@pytest.mark.parametrize(
    ("uri", "right"),
    [
        ("sip:example.com", True),
        ("sip:EXAMPLE.com:5060;transport=ws", True),
        ("sip:anybody@192.0.2.1", True),
        ("sip:example.org", False),
        ("/index.html", False),
        ("sip:", False),
    ],
)
def test_digest_uri_names_us(client: Client, uri: str, right: bool) -> None:
    client.uri = uri
    assert (client.tell() == "ok") is right


@pytest.mark.parametrize("uri", ["tel:+15550100", "sip:carol@elsewhere.example"])
def test_digest_uri_is_that_of_the_request(client: Client, uri: str) -> None:
    """A number that is dialled as tel:, and a URI of elsewhere, name no host of ours (RFC 3261 section 22.4)."""
    client.uri = uri
    request = client.request("INVITE")
    assert isinstance(client.answer(request), Challenged), "1. in a request for something else it counts for nothing"
    client.challenged()
    assert client.answer(replace(client.request("INVITE"), uri=parse_uri(uri))) == Verified(BOB), "2."


@pytest.mark.parametrize(
    ("setting", "uri", "right"),
    [
        ("exact", "sip:bob@example.com", True),
        ("exact", "sip:example.com", False),
        ("exact", "sip:bob@192.0.2.1", False),
        ("off", "sip:example.org", True),
        ("off", "/index.html", True),
    ],
)
def test_digest_uri_by_setting(setting: str, uri: str, right: bool) -> None:
    client = Client(make(replace(SETTINGS, digest_uri=setting)), uri=uri)
    client.challenged()
    assert (client.tell() == "ok") is right


# ---- AUTH-7


def test_no_answer_tells_whether_a_user_exists(client: Client) -> None:
    def answers(bent: Client) -> list[tuple[str, set[str]]]:
        bent.challenged()
        verdict = bent.answer()
        assert isinstance(verdict, Challenged)
        return [(name, set(parse_auth(value)[1])) for name, value in verdict.headers]

    wrong = answers(Client(password="guess"))
    assert wrong == answers(Client(account=None))
    assert wrong == answers(Client(account=None, username="nobody"))
    assert wrong == answers(Client(account=replace(BOB, enabled=False), password="guess"))
    assert wrong == answers(Client(account=make_account("alice")))


# ---- AUTH-8


def wrong(client: Client, times: int) -> list[str]:
    told = []
    for _ in range(times):
        client.challenged()
        told.append(client.tell())
    return told


def test_ten_wrong_answers_lock_the_pair(client: Client) -> None:
    client.password = "guess"
    assert wrong(client, 11) == ["credentials-wrong"] * 10 + ["login-locked"]
    client.password = "zanzibar"
    assert wrong(client, 1) == ["login-locked"]
    # From elsewhere the user is not locked.
    other = replace(client, flow=replace(client.flow, remote=("127.0.0.9", 5070)))
    other.challenged()
    assert other.tell() == "ok"
    client.now += 601
    client.challenged()
    assert client.tell() == "ok"


def test_a_right_answer_is_a_fresh_start(client: Client) -> None:
    for _ in range(3):
        client.password = "guess"
        wrong(client, 9)
        client.password = "zanzibar"
        client.challenged()
        assert client.tell() == "ok"


def test_sixty_wrong_answers_lock_the_source(client: Client) -> None:
    client.account, client.password = None, "guess"
    for number in range(60):
        client.username = f"user{number}"
        assert wrong(client, 1) == ["credentials-wrong"]
    client.account, client.username, client.password = BOB, "bob", "zanzibar"
    assert wrong(client, 1) == ["login-locked"]


def test_ipv6_neighbours_share_a_budget(client: Client) -> None:
    client.password = "guess"
    for number in range(10):
        client.flow = replace(client.flow, remote=(f"2001:db8::{number + 1}", 5070))
        assert wrong(client, 1) == ["credentials-wrong"]
    client.flow = replace(client.flow, remote=("2001:db8::ff", 5070))
    assert wrong(client, 1) == ["login-locked"]


def test_guesses_with_made_up_nonces_are_limited_and_lock_nobody_out(client: Client) -> None:
    client.password, client.nonce = "guess", "made-up"
    assert [client.tell() for _ in range(11)] == ["credentials-wrong"] * 10 + ["login-locked"]
    client.password = "zanzibar"
    # No stale=true now, which would say that the password is right.
    assert client.tell() == "login-locked"
    client.challenged()
    assert client.tell() == "ok"


def test_a_user_under_attack_from_everywhere_raises_an_alarm_and_is_never_locked() -> None:
    client = Client(make(replace(SETTINGS, fails_per_user=12)), password="guess")
    for number in range(12):
        client.flow = replace(client.flow, remote=(f"198.51.100.{number}", 5070))
        assert wrong(client, 1) == ["credentials-wrong"]
    notes = [note for note in client.authenticator.notes if note.slug != "credentials-wrong"]
    assert [(note.slug, note.details["user"]) for note in notes] == [("login-attacked", "bob")]
    client.password = "zanzibar"
    client.flow = replace(client.flow, remote=("127.0.0.9", 5070))
    assert wrong(client, 1) == ["ok"]


def test_a_lock_is_noted_once_with_who_and_from_where(client: Client) -> None:
    client.password = "guess"
    wrong(client, 15)
    *wrongs, note = client.authenticator.notes
    assert [one.slug for one in wrongs] == ["credentials-wrong"] * 10
    assert (note.slug, note.details) == ("login-locked", {"source": "127.0.0.2", "user": "bob", "locked": "pair"})


def test_guesses_from_made_up_sources_write_no_lines(client: Client) -> None:
    client.password, client.nonce = "guess", "made-up"
    for number in range(50):
        client.flow = replace(client.flow, remote=(f"198.51.100.{number}", 5070))
        client.tell()
    assert [note.slug for note in client.authenticator.notes] == []


def test_expired_passwords_and_stale_nonces_lock_nobody(client: Client) -> None:
    client.now += SETTINGS.nonce_life + 2
    assert [client.tell() for _ in range(30)] == ["stale-nonce stale"] * 30
    client.challenged()
    assert client.tell() == "ok"


# ---- AUTH-9


@pytest.mark.parametrize(
    ("transport", "loopback", "trusted"),
    [
        (Transport.UDP, True, False),
        (Transport.TCP, False, False),
        (Transport.TCP, True, True),
        (Transport.WS, False, False),
        (Transport.WS, True, True),
        (Transport.TLS, False, True),
        (Transport.WSS, False, True),
    ],
)
def test_which_flows_are_trusted(transport: Transport, loopback: bool, trusted: bool) -> None:
    authenticator, flow = make(), replace(make_flow("one", transport), loopback=loopback)
    authenticator.trust(flow, BOB, 0.0)
    assert authenticator.trusted(flow.id, 1.0) == ("bob" if trusted else None)
    assert authenticator.still_trusts(flow.id, BOB, 1.0) is trusted


def test_trust_ends() -> None:
    authenticator, flow = make(), make_flow("one", Transport.WSS)
    authenticator.trust(flow, BOB, 0.0)
    assert not authenticator.still_trusts(flow.id, replace(BOB, credential_version=2), 1.0)
    assert not authenticator.still_trusts(flow.id, replace(BOB, enabled=False), 1.0)
    assert not authenticator.still_trusts(flow.id, make_account("alice"), 1.0)
    assert not authenticator.still_trusts(flow.id, None, 1.0)
    assert authenticator.still_trusts(flow.id, BOB, 12 * 3600 - 1)
    assert not authenticator.still_trusts(flow.id, BOB, 12 * 3600 + 1)
    assert authenticator.trusted(flow.id, 12 * 3600 + 1) is None
    authenticator.forget_flow(flow.id)
    assert authenticator.trusted(flow.id, 1.0) is None


def test_one_connection_may_speak_for_several_accounts() -> None:
    authenticator, flow, alice = (
        make(replace(SETTINGS, trusted_per_flow=2)),
        make_flow("pbx", Transport.TLS),
        make_account("alice"),
    )
    authenticator.trust(flow, BOB, 0.0)
    authenticator.trust(flow, alice, 0.0)
    assert authenticator.still_trusts(flow.id, BOB, 1.0)
    assert authenticator.still_trusts(flow.id, alice, 1.0)
    said = {
        name: authenticator.speaker(make_request("INVITE", from_=f"<sip:{name}@example.com>"), flow, 1.0, proxy=True)
        for name in ("bob", "alice", "carol")
    }
    assert said == {"bob": "bob", "alice": "alice", "carol": "alice"}
    authenticator.trust(flow, make_account("carol"), 0.0)
    assert not authenticator.still_trusts(flow.id, BOB, 1.0)
    authenticator.forget_account("alice")
    assert authenticator.trusted(flow.id, 1.0) == "carol"


def test_forgetting_an_account_leaves_others() -> None:
    authenticator = make()
    one, two = make_flow("one", Transport.WSS), make_flow("two", Transport.WSS)
    authenticator.trust(one, BOB, 0.0)
    authenticator.trust(two, make_account("alice"), 0.0)
    authenticator.forget_account("bob")
    assert (authenticator.trusted(one.id, 1.0), authenticator.trusted(two.id, 1.0)) == (None, "alice")


def test_trusted_flows_are_bounded() -> None:
    authenticator = make(replace(SETTINGS, trusted_flows=2))
    flows = [make_flow(name, Transport.WSS) for name in ("one", "two", "three")]
    for flow in flows:
        authenticator.trust(flow, BOB, 0.0)
    assert [authenticator.trusted(flow.id, 1.0) for flow in flows] == [None, "bob", "bob"]
