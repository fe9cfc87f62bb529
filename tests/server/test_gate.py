"""AUTH-10: a token at the upgrade makes the flow trusted, or the words say why not."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from offhook.server.gate import TokenGate
from offhook.server.tokens import Tokens
from offhook.sip.credentials import Authenticator, AuthSettings
from offhook.sip.flow import Transport
from offhook.sip.location import Account, Binding
from tests.support.ids import SeededIds
from tests.support.messages import make_flow
from tests.support.nodes import DOMAIN, make_account

NOW = 50.0
PAGE = make_flow("page", Transport.WSS)


@dataclass
class Book:
    accounts: dict[str, Account] = field(default_factory=lambda: {"bob": make_account("bob")})

    def aor(self, username: str) -> str:
        return f"sip:{username}@{DOMAIN}"

    def account(self, username: str) -> Account | None:
        return self.accounts.get(username.casefold())

    def bindings(self, aor: str) -> tuple[Binding, ...]:
        return ()

    def kept_bindings(self, aor: str) -> tuple[Binding, ...]:
        return ()

    def replace_bindings(self, aor: str, bindings: tuple[Binding, ...], now: float) -> None: ...


@pytest.fixture
def gate() -> TokenGate:
    epoch = time.time() - NOW
    tokens = Tokens(DOMAIN, b"k" * 32)
    settings = AuthSettings(DOMAIN, frozenset({DOMAIN}), epoch=epoch)
    return TokenGate(Authenticator(settings, b"secret", SeededIds(1), tokens), Book(), epoch)


def minted(subject: str, seconds: int = 600) -> str:
    return Tokens(DOMAIN, b"k" * 32).mint(subject, seconds)[0]


def test_a_good_token_makes_the_flow_trusted_until_it_ends(gate: TokenGate) -> None:
    assert gate.admit(minted("bob"), PAGE, NOW) is None
    bob = make_account("bob")
    assert gate.authenticator.still_trusts(PAGE.id, bob, NOW + 650)
    assert not gate.authenticator.still_trusts(PAGE.id, bob, NOW + 662)


@pytest.mark.parametrize(
    ("token", "slug"),
    [
        (lambda: "forged", "token-wrong-key"),
        (lambda: minted("bob", -120), "token-expired"),
        (lambda: minted("nobody"), "credentials-wrong"),
        (lambda: minted("BOB"), "credentials-wrong"),
    ],
)
def test_words_of_a_refusal(gate: TokenGate, token: Callable[[], str], slug: str) -> None:
    assert (gate.admit(token(), PAGE, NOW) or "").split()[0] == slug
    assert gate.authenticator.trusted(PAGE.id, NOW) is None


def test_a_switched_off_endpoint_and_a_clear_transport(gate: TokenGate) -> None:
    assert "tls-required" in (gate.admit(minted("bob"), make_flow("clear", Transport.WS), NOW) or "")
    assert isinstance(gate.directory, Book)
    gate.directory.accounts["bob"] = replace(make_account("bob"), enabled=False)
    assert "endpoint-disabled" in (gate.admit(minted("bob"), PAGE, NOW) or "")
