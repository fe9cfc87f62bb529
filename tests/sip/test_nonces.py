"""Nonces: AUTH-3 and AUTH-4."""

import base64
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.sip.nonces import DAY, WINDOW, Nonces, _octets
from tests.support.ids import SeededIds
from tests.support.messages import make_flow

HERE = make_flow("here")


def make(secret: bytes = b"secret", realm: str = "example.com", epoch: float = 1e9, remembered: int = 100) -> Nonces:
    return Nonces(realm, secret, SeededIds(1), epoch, remembered)


def test_age_is_told_without_memory() -> None:
    nonce = make().issue(HERE, 1000.5)
    assert make().age(nonce, HERE, 1600.0) == pytest.approx(600, abs=1)
    assert len(nonce) == 44
    assert "=" not in nonce


@settings(deadline=None)
@given(st.binary(max_size=50))
def test_the_text_is_base64url(data: bytes) -> None:
    assert _octets(base64.urlsafe_b64encode(data).decode()) == data
    nonce = make().issue(HERE, float(len(data)))
    assert base64.urlsafe_b64encode(_octets(nonce)).decode() == nonce


def test_each_is_new() -> None:
    nonces = make()
    assert len({nonces.issue(HERE, 1.0) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "other",
    [make(secret=b"other"), make(realm="example.org"), make(epoch=2e9), make(epoch=1e9 - 1000)],
    ids=["secret", "realm", "after a reboot", "from the future"],
)
def test_not_ours(other: Nonces) -> None:
    assert other.age(make().issue(HERE, 10.0), HERE, 11.0) is None


@pytest.mark.parametrize("nonce", ["A" * 43 + "!", "A" * 41 + "===", "=" * 44, "!" * 44, "A" * 43 + "\u00e9"])
def test_what_is_no_base64_is_not_ours(nonce: str) -> None:
    assert make().age(nonce, HERE, 11.0) is None


def test_another_flow() -> None:
    nonce = make().issue(HERE, 10.0)
    assert make().age(nonce, HERE, 11.0) is not None
    assert make().age(nonce, make_flow("there"), 11.0) is None


@pytest.mark.parametrize("day", [0, 1, 20000])
def test_the_seal_is_made_with_the_key_of_the_day(day: int) -> None:
    nonces = make(epoch=float(day * DAY))
    nonce = nonces.issue(HERE, DAY - 1.0)
    raw = base64.urlsafe_b64decode(nonce)
    key = hmac.digest(b"secret", b"nonce" + day.to_bytes(8, "big"), "sha256")
    assert raw[17:] == hmac.digest(key, raw[:17] + b"example.com\0here", "sha256")[:16]
    # The key of yesterday is still good, that of the day before is not.
    assert nonces.age(nonce, HERE, DAY + 1.0) == pytest.approx(2)
    assert nonces.age(nonce, HERE, 3.0 * DAY) is None


@given(
    st.text(max_size=60) | st.binary(min_size=33, max_size=33).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
)
def test_anything_else_is_not_ours(text: str) -> None:
    assert make().age(text, HERE, 10.0) is None


def test_one_octet_changed() -> None:
    nonce = make().issue(HERE, 10.0)
    for index in range(len(nonce)):
        other = "A" if nonce[index] != "A" else "B"
        assert make().age(nonce[:index] + other + nonce[index + 1 :], HERE, 11.0) is None


def test_counts() -> None:
    nonces = make()
    nonce = nonces.issue(HERE, 10.0)
    # Unknown state and nc other than 1: the client is told that the nonce is stale.
    assert not nonces.count(nonce, "00000002", "auth")
    assert len(nonces) == 0
    assert nonces.count(nonce, "00000001", "auth")
    assert not nonces.count(nonce, "00000001", "auth")
    assert not nonces.count(nonce, "00000000", "auth")
    # Requests overtake one another, inside the window.
    assert nonces.count(nonce, "00000022", "auth")
    assert not nonces.count(nonce, "00000002", "auth")
    assert nonces.count(nonce, "00000003", "auth")
    assert not nonces.count(nonce, "00000003", "auth")
    assert nonces.count(nonce, "ffffffff", "auth")
    assert not nonces.count(nonce, "00000023", "auth")
    assert len(nonces) == 1


@pytest.mark.parametrize("nc", ["", "-1", "+1", "0x1", "1_0", "000000001", "g", "\u0661"])
def test_bad_counts(nc: str) -> None:
    nonces = make()
    assert not nonces.count(nonces.issue(HERE, 10.0), nc, "auth")


def test_without_qop_a_nonce_serves_once() -> None:
    nonces = make()
    nonce = nonces.issue(HERE, 10.0)
    assert nonces.count(nonce, "", "")
    assert not nonces.count(nonce, "", "")
    assert not nonces.count(nonce, "00000001", "auth")


def test_the_longest_unused_is_forgotten() -> None:
    nonces = make(remembered=2)
    first, second, third = (nonces.issue(HERE, 10.0) for _ in range(3))
    assert nonces.count(first, "1", "auth")
    assert nonces.count(second, "1", "auth")
    assert nonces.count(first, "2", "auth")
    assert nonces.count(third, "1", "auth")
    assert len(nonces) == 2
    assert nonces.count(first, "3", "auth")
    assert not nonces.count(second, "2", "auth")


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_counts_against_the_rule_in_words(numbers: list[int]) -> None:
    nonces = make()
    nonce = nonces.issue(HERE, 10.0)
    used: set[int] = set()
    for number in [1, *numbers]:
        highest = max(used, default=1)
        new = number >= 1 and number not in used and number > highest - WINDOW
        assert nonces.count(nonce, f"{number:08x}", "auth") is new
        if new:
            used.add(number)
