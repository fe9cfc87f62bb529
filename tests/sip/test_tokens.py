"""AUTH-10, AUTH-11 and AUTH-12: tokens and passwords that end, as the core judges them."""

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest

from offhook.sip import digest
from offhook.sip.credentials import NOBODY, Authenticator, AuthSettings, Challenged, Verified
from offhook.sip.flow import Flow, Transport
from offhook.sip.message import Request
from offhook.sip.tokens import Claims
from tests.sip.test_credentials import SETTINGS, Client
from tests.support.ids import SeededIds
from tests.support.messages import make_flow, make_request
from tests.support.nodes import DOMAIN, make_account

BOB = make_account("bob")
EPOCH = 1_000_000.0
NOW = 100.0
UNIX = NOW + EPOCH
OURS = replace(SETTINGS, epoch=EPOCH)
GOOD = Claims("bob", (DOMAIN,), UNIX + 600)


class Book:
    """A reader for whom the token is the name of its claims; `genuine` are those with a valid signature."""

    def __init__(self, **genuine: Claims) -> None:
        self.genuine = genuine

    def read(self, token: str) -> Claims | None:
        return self.genuine.get(token)


def make(settings: AuthSettings = OURS, **genuine: Claims) -> Authenticator:
    return Authenticator(settings, b"secret", SeededIds(1), Book(**{"good": GOOD, **genuine}))


def bearing(token: str, method: str = "REGISTER", field: str = "Authorization") -> Request:
    request = make_request(method)
    return replace(request, headers=request.headers.with_field(field, f"Bearer {token}"))


WSS = make_flow("page", Transport.WSS)


def said(claims: Claims, flow: Flow = WSS) -> tuple[int, str]:
    """Status that follows and the slug of the Warning; 0 for a token that is good."""
    judged = make(one=claims).verify(bearing("one"), flow, BOB, NOW)
    if isinstance(judged, Verified):
        return 0, ""
    words = judged.headers.get("Warning") or ""
    assert words.startswith(f'399 {DOMAIN} "')
    assert judged.fault is not None
    return judged.fault.status, words.split('"')[1].split()[0]


@pytest.mark.parametrize("field", ["Authorization", "Proxy-Authorization"])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "MESSAGE"])
def test_auth_10_a_good_token_proves_its_endpoint_in_either_field(field: str, method: str) -> None:
    authenticator, request = make(), bearing("good", method, field)
    assert authenticator.claimed(request, WSS, method != "REGISTER") == "bob"
    verdict = authenticator.verify(request, WSS, BOB, NOW, method != "REGISTER")
    assert verdict == Verified(BOB, NOW + 600 + 60)


def test_auth_10_no_token_over_a_clear_transport() -> None:
    authenticator = make()
    for transport in (Transport.UDP, Transport.TCP, Transport.WS):
        flow = make_flow("clear", transport)
        assert authenticator.claimed(bearing("good"), flow) is None
        assert isinstance(authenticator.verify(bearing("good"), flow, BOB, NOW), Challenged)
        loopback = replace(flow, loopback=True)
        assert authenticator.verify(bearing("good"), loopback, BOB, NOW) == Verified(BOB, NOW + 660)


def test_auth_10_without_a_reader_a_token_is_no_credential() -> None:
    authenticator = Authenticator(SETTINGS, b"secret", SeededIds(1))
    assert authenticator.claimed(bearing("good"), WSS) is None
    assert isinstance(authenticator.verify(bearing("good"), WSS, BOB, NOW), Challenged)


def test_auth_12_a_valid_signature_earns_a_precise_word_and_anything_else_the_same_one() -> None:
    assert said(GOOD) == (0, "")
    assert said(replace(GOOD, expires_at=UNIX - 59)) == (0, "")
    assert said(replace(GOOD, expires_at=UNIX - 60)) == (401, "token-expired")
    assert said(replace(GOOD, not_before=UNIX + 60)) == (0, "")
    assert said(replace(GOOD, not_before=UNIX + 61)) == (401, "token-early")
    assert said(replace(GOOD, audience=("elsewhere.example",))) == (403, "token-other-space")
    assert said(replace(GOOD, audience=("elsewhere.example", DOMAIN))) == (0, "")
    # A guest's token speaks for a guest, whose name says what he may call, and for no endpoint.
    assert said(replace(GOOD, tier="guest")) == (403, "token-tier-not-allowed")
    authenticator = make()
    for token in ("forged", "", "a b c", "=" * 20_000):
        assert authenticator.claimed(bearing(token), WSS) == NOBODY
        verdict = authenticator.verify(bearing(token), WSS, None, NOW)
        assert isinstance(verdict, Challenged)
        assert "token-wrong-key" in (verdict.headers.get("Warning") or "")


def test_auth_12_the_end_is_not_looked_at_during_a_call() -> None:
    authenticator = make(old=replace(GOOD, expires_at=UNIX - 600), foreign=replace(GOOD, audience=("x",)))
    verdict = authenticator.verify(bearing("old", "BYE"), WSS, BOB, NOW, True, in_dialog=True)
    assert isinstance(verdict, Verified)
    assert isinstance(authenticator.verify(bearing("foreign", "BYE"), WSS, BOB, NOW, True, in_dialog=True), Challenged)
    # It makes nothing trusted.
    authenticator.trust(WSS, BOB, NOW, verdict.ends)
    assert not authenticator.still_trusts(WSS.id, BOB, NOW)


def test_auth_10_another_endpoint_or_none() -> None:
    for account in (None, make_account("alice")):
        verdict = make().verify(bearing("good"), WSS, account, NOW)
        assert isinstance(verdict, Challenged)
        assert verdict.fault is not None
        assert verdict.fault.status == 403


def test_ws_2_a_token_minted_for_an_origin_is_good_only_there() -> None:
    bound = replace(GOOD, origin="https://app.example")
    assert said(bound, replace(WSS, origin="https://app.example")) == (0, "")
    assert said(bound, replace(WSS, origin="https://evil.example")) == (403, "token-other-space")
    assert said(bound, WSS) == (403, "token-other-space")
    assert said(GOOD, replace(WSS, origin="https://evil.example")) == (0, "")


def test_auth_2_a_bearer_challenge_comes_last_and_only_with_an_authorization_server() -> None:
    told = make(replace(SETTINGS, authz_server="https://id.example/token")).challenge(
        make_request("REGISTER"), WSS, NOW
    )
    schemes = [value.split()[0] for _, value in told]
    assert schemes == ["Digest", "Digest", "Bearer"]
    assert told.all("WWW-Authenticate")[-1] == f'Bearer realm="{DOMAIN}", authz_server="https://id.example/token"'
    assert len(make().challenge(make_request("REGISTER"), WSS, NOW)) == 2
    clear = make(replace(SETTINGS, authz_server="https://id.example")).challenge(
        make_request("REGISTER"), make_flow("udp"), NOW
    )
    assert len(clear) == 2


def test_auth_9_trust_ends_with_the_token() -> None:
    authenticator = make()
    authenticator.trust(WSS, BOB, NOW, NOW + 600)
    assert authenticator.proven(WSS.id, BOB, NOW + 599) == Verified(BOB, NOW + 600)
    assert authenticator.proven(WSS.id, BOB, NOW + 600) is None
    authenticator.trust(WSS, BOB, NOW, NOW + 90_000)
    assert authenticator.proven(WSS.id, BOB, NOW + 43_201) is None


# ---- AUTH-11


class Pair(Client):
    """A client with an ephemeral pair, which it was given and knows nothing of."""


def pair(ends: float = UNIX + 300, settings: AuthSettings = OURS) -> Pair:
    authenticator = Authenticator(settings, b"secret", SeededIds(1))
    one = Pair(authenticator, WSS, NOW, username=f"{int(ends)}:bob")
    one.password = authenticator.ephemeral_password(one.username).reveal()
    one.challenged()
    return one


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_auth_11_the_pair_proves_its_endpoint(algorithm: str, method: str) -> None:
    one = pair()
    one.algorithm = algorithm
    request = one.request(method)
    assert one.authenticator.claimed(request, WSS, method != "REGISTER") == "bob"
    assert one.answer(request) == Verified(BOB, NOW + 300)


@pytest.mark.parametrize("name", ["sha256", "sha1"])
def test_auth_11_the_password_is_base64_of_an_hmac_over_the_user_name(name: str) -> None:
    one = pair(settings=replace(SETTINGS, epoch=EPOCH, ephemeral_hash=name))
    key = one.authenticator.key("ephemeral-password")
    wanted = base64.b64encode(hmac.new(key, one.username.encode(), getattr(hashlib, name)).digest()).decode()
    assert one.password == wanted
    assert one.tell() == "ok"


def test_auth_11_wrong_altered_or_of_another_endpoint() -> None:
    one = pair()
    one.username = f"{int(UNIX + 301)}:bob"
    assert one.tell() == "credentials-wrong"
    two = pair()
    two.password += "x"
    assert two.tell() == "credentials-wrong"
    three = pair()
    three.account = make_account("alice")
    assert three.tell() == "credentials-wrong"
    four = pair()
    four.account = None
    assert four.tell() == "credentials-wrong"


def test_auth_12_an_ended_pair_is_told_so_only_by_who_knows_it() -> None:
    one = pair(UNIX)
    verdict = one.answer()
    assert isinstance(verdict, Challenged)
    assert verdict.reason == "token-expired"
    assert '"token-expired ' in (verdict.headers.get("Warning") or "")
    guess = pair(UNIX)
    guess.password = "guess"
    refused = guess.answer()
    assert isinstance(refused, Challenged)
    assert refused.headers.get("Warning") is None
    # It is no wrong password: nobody is locked for it.
    for _ in range(20):
        one.challenged()
        assert one.tell() == "token-expired"


def test_auth_12_an_ended_pair_still_speaks_for_its_call() -> None:
    one = pair(UNIX - 1000)
    request = one.request("BYE")
    verdict = one.authenticator.verify(request, WSS, BOB, NOW, proxy=True, in_dialog=True)
    assert verdict == Verified(BOB, NOW - 1000)


# ---- AUTH-7: the same work for everybody


class Counted:
    """Counts the hashes that one verification takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name, function in list(digest.HASHES.items()):
            monkeypatch.setitem(digest.HASHES, name, self._counting(function))
        real_new, real_digest = hmac.new, hmac.digest
        monkeypatch.setattr(hmac, "new", self._counting(real_new))
        monkeypatch.setattr(hmac, "digest", self._counting(real_digest))

    def _counting(self, function):  # type: ignore[no-untyped-def]
        def counted(*args, **named):  # type: ignore[no-untyped-def]
            self.count += 1
            return function(*args, **named)

        return counted

    def of(self, client: Client) -> int:
        client.challenged()
        request = client.request()
        self.count = 0
        client.answer(request)
        return self.count


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_auth_7_known_and_unknown_users_cost_the_same_hashes(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)

    def cost(**bent: object) -> int:
        client = Client(algorithm=algorithm, password="guess", **bent)  # type: ignore[arg-type]
        counted.of(client)
        return counted.of(client)

    plain = cost()
    assert plain > 3
    assert plain == cost(account=None, username="nobody")
    assert plain == cost(account=replace(BOB, enabled=False))
    assert plain == cost(account=make_account("alice"))
    short = cost(username="2000000000:bob")
    assert short == cost(username="2000000000:nobody", account=None)
    assert short == cost(username="2000000000:alice", account=make_account("alice"))
