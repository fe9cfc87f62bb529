"""Budgets for wrong answers: AUTH-8."""

import pytest

from offhook.sip.attempts import WINDOW, Attempts, source_of


def test_a_pair_is_locked_for_ten_minutes_from_the_last_straw() -> None:
    attempts = Attempts(3, 100, 1000)
    for at in (0.0, 500.0, 590.0):
        assert not attempts.locked("here", "bob", at)
        attempts.failed("here", "bob", at)
    assert attempts.locked("here", "bob", 590.0 + WINDOW - 1)
    assert not attempts.locked("here", "bob", 590.0 + WINDOW + 1)
    # A user name alone is never locked.
    assert not attempts.locked("there", "bob", 591.0)
    assert not attempts.locked("here", "alice", 591.0)


def test_slow_typing_is_not_guessing() -> None:
    attempts = Attempts(3, 100, 1000)
    for n in range(20):
        attempts.failed("here", "bob", n * 301.0)
        assert not attempts.locked("here", "bob", n * 301.0)


def test_a_right_answer_clears_the_pair() -> None:
    attempts = Attempts(3, 100, 1000)
    for _ in range(5):
        attempts.failed("here", "bob", 0.0)
        attempts.failed("here", "bob", 0.0)
        attempts.succeeded("here", "bob")
    assert not attempts.locked("here", "bob", 0.0)


def test_a_source_is_locked_for_everybody() -> None:
    attempts = Attempts(10, 60, 1000)
    for n in range(60):
        assert not attempts.locked("here", "new", 0.0)
        attempts.failed("here", f"user{n}", 0.0)
    assert attempts.locked("here", "new", 0.0)
    assert not attempts.locked("there", "new", 0.0)


def test_memory_is_bounded() -> None:
    attempts = Attempts(10, 60, 50)
    for n in range(1000):
        attempts.failed(f"source{n}", "bob", 0.0)
    assert len(attempts) == 50


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("host.example", "host.example"),
    ],
)
def test_source(host: str, source: str) -> None:
    assert source_of(host) == source
