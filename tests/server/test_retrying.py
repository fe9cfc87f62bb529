"""The schedule of webhooks (API.md 10.3), on a clock of the test's own."""

import random
from itertools import pairwise

import pytest

from offhook.server.retrying import TRIES, verdict, wait


def run(answers: list[int | None], uniform: object = None) -> tuple[str, list[float]]:
    """Where a delivery ends whose tries are answered so, and when each try was."""
    now, tried, middle = 0.0, [], lambda low, high: (low + high) / 2
    for tries, status in enumerate(answers, 1):
        tried.append(now)
        state = verdict(status, tries)
        if state != "pending":
            return state, tried
        now += wait(tries, 1.0, uniform or middle)  # type: ignore[arg-type]
    return "pending", tried


def test_ten_waits_each_twice_the_one_before_then_failed() -> None:
    state, tried = run([500] * 20)
    assert state == "failed"
    waits = [round(later - earlier) for earlier, later in pairwise(tried)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert len(tried) == TRIES


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_2xx_is_success_whenever_it_comes(status: int) -> None:
    assert run([None, 503, status])[0] == "delivered"


@pytest.mark.parametrize("status", [None, 100, 303, 400, 401, 404, 429, 500, 503])
def test_all_else_is_tried_again(status: int | None) -> None:
    assert verdict(status, 1) == "pending"


def test_410_stops() -> None:
    assert run([500, 410]) == ("failed", [0.0, 1.0])


def test_waits_are_spread_by_a_fifth() -> None:
    draw = random.Random(1)
    waits = [wait(5, 1.0, draw.uniform) for _ in range(1000)]
    assert 12.8 <= min(waits) < 13.2
    assert 18.8 < max(waits) <= 19.2
