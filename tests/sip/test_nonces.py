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


LIFE = 600.0


def make(
    secret: bytes = b"secret", realm: str = "example.com", epoch: float = 1e9, remembered: int = 100, life: float = LIFE
) -> Nonces:
    return Nonces(realm, secret, SeededIds(1), epoch, remembered, life)


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
    assert not nonces.count(nonce, "00000002", "auth", 11.0)
    assert len(nonces) == 0
    assert nonces.count(nonce, "00000001", "auth", 11.0)
    assert not nonces.count(nonce, "00000001", "auth", 11.0)
    assert not nonces.count(nonce, "00000000", "auth", 11.0)
    # Requests overtake one another, inside the window.
    assert nonces.count(nonce, "00000022", "auth", 11.0)
    assert not nonces.count(nonce, "00000002", "auth", 11.0)
    assert nonces.count(nonce, "00000003", "auth", 11.0)
    assert not nonces.count(nonce, "00000003", "auth", 11.0)
    assert nonces.count(nonce, "ffffffff", "auth", 11.0)
    assert not nonces.count(nonce, "00000023", "auth", 11.0)
    assert len(nonces) == 1


@pytest.mark.parametrize("nc", ["", "-1", "+1", "0x1", "1_0", "000000001", "g", "\u0661"])
def test_bad_counts(nc: str) -> None:
    nonces = make()
    assert not nonces.count(nonces.issue(HERE, 10.0), nc, "auth", 11.0)


def test_without_qop_a_nonce_serves_once() -> None:
    nonces = make()
    nonce = nonces.issue(HERE, 10.0)
    assert nonces.count(nonce, "", "", 11.0)
    assert not nonces.count(nonce, "", "", 11.0)
    assert not nonces.count(nonce, "00000001", "auth", 11.0)


def test_the_longest_unused_is_forgotten() -> None:
    nonces = make(remembered=2)
    first, second, third = (nonces.issue(HERE, 10.0) for _ in range(3))
    assert nonces.count(first, "1", "auth", 11.0)
    assert nonces.count(second, "1", "auth", 11.0)
    assert nonces.count(first, "2", "auth", 11.0)
    assert nonces.count(third, "1", "auth", 11.0)
    assert len(nonces) == 2
    assert nonces.count(first, "3", "auth", 11.0)
    assert not nonces.count(second, "2", "auth", 11.0)


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_counts_against_the_rule_in_words(numbers: list[int]) -> None:
    nonces = make()
    nonce = nonces.issue(HERE, 10.0)
    used: set[int] = set()
    for number in [1, *numbers]:
        highest = max(used, default=1)
        new = number >= 1 and number not in used and number > highest - WINDOW
        assert nonces.count(nonce, f"{number:08x}", "auth", 11.0) is new
        if new:
            used.add(number)


# ---- what is forgotten, and when


def test_uses_are_forgotten_once_the_nonce_is_too_old() -> None:
    nonces = make(remembered=100_000, life=20)
    most = 0
    for second in range(1, 500):
        nonce = nonces.issue(HERE, float(second))
        assert nonces.count(nonce, "1", "auth", float(second))
        most = max(most, len(nonces))
    # 1. one a second, never more than two generations of them
    assert most <= 2 * 22
    # 2. in a quiet hour nothing stays but what the next one brings
    assert nonces.count(nonces.issue(HERE, 4000.0), "1", "auth", 4000.0)
    assert len(nonces) == 1


@pytest.mark.parametrize("steps", range(1, 130))
def test_a_use_is_remembered_as_long_as_its_nonce_is_taken(steps: int) -> None:
    """Wherever in a generation it was used, and whatever is used meanwhile: two a second, for three generations."""
    nonces = make(remembered=100_000, life=20)
    used: list[tuple[float, str]] = []
    for step in range(steps):
        now = 5.0 + step / 2
        nonce = nonces.issue(HERE, now)
        assert nonces.count(nonce, "1", "auth", now)
        used.append((now, nonce))
    young = [one for at, one in used if now - at <= 20]
    assert len(young) == min(steps, 41)
    assert not any(nonces.count(one, "1", "auth", now) for one in young)


def test_what_was_used_before_the_start_is_not_taken_as_new() -> None:
    before = make()
    nonce = before.issue(HERE, 10.0)
    assert before.count(nonce, "1", "auth", 11.0)
    after = make()
    assert after.age(nonce, HERE, 12.0) is not None
    assert not after.count(nonce, "1", "auth", 12.0)
    # Whoever is told so comes back with a nonce of now.
    assert after.count(after.issue(HERE, 12.0), "1", "auth", 12.0)


def test_what_had_to_be_forgotten_early_is_not_taken_as_new() -> None:
    nonces = make(remembered=4)
    first = nonces.issue(HERE, 10.0)
    assert nonces.count(first, "1", "auth", 10.0)
    for second in (11.0, 12.0, 13.0, 14.0):
        assert nonces.count(nonces.issue(HERE, second), "1", "auth", second)
    assert len(nonces) <= 4
    # 1. nobody knows any more that it was used, and it is young
    assert not nonces.count(first, "1", "auth", 15.0)
    # 2. one that was issued later and waits for its first use is taken
    assert nonces.count(nonces.issue(HERE, 14.0), "1", "auth", 15.0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 25)),
        st.tuples(st.just("issue"), st.just(0)),
        st.tuples(st.just("use"), st.integers(0, 11)),
        st.tuples(st.just("replay"), st.integers(0, 11)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS, st.sampled_from([2, 4, 8, 1000]))
def test_no_replay_is_ever_taken_whatever_was_forgotten(steps: list[tuple[str, float]], remembered: int) -> None:
    """AUTH-4. As the authenticator does it: too old is refused, then the use is counted. While nothing had to be forgotten
    early, whoever counts on is always understood."""
    now, life, nonces = 5.0, 20.0, make(remembered=remembered, life=20.0)
    issued: list[str] = [nonces.issue(HERE, now)]
    next_count: dict[str, int] = {}
    roomy, restarted = remembered == 1000, set[str]()

    def takes(nonce: str, number: int) -> bool:
        age = nonces.age(nonce, HERE, now)
        return age is not None and age <= life and nonces.count(nonce, f"{number:x}", "auth", now)

    for what, value in steps:
        nonce = issued[int(value) % len(issued)]
        match what:
            case "pass":
                now += value
            case "issue":
                issued.append(nonces.issue(HERE, now))
            case "use":
                young = (nonces.age(nonce, HERE, now) or 0.0) <= life
                taken = takes(nonce, next_count.get(nonce, 1))
                if taken:
                    next_count[nonce] = next_count.get(nonce, 1) + 1
                assert taken or not young or not roomy or nonce in restarted
            case "replay":
                for number in range(1, next_count.get(nonce, 1)):
                    assert not takes(nonce, number), (nonce, number)
            case _:
                # More than the second in which the last one was issued.
                now, restarted = now + 1.0, set(issued)
                nonces = make(remembered=remembered, life=20.0)
    assert len(nonces) <= remembered
