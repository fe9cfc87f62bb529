"""What a trunk carries at most (TRK-11)."""

from offhook.calls.caps import DAY, Usage
from offhook.calls.trunk import Caps


def test_channels_in_and_out_and_together() -> None:
    usage, caps = Usage(), Caps(channels=2, channels_in=1)
    usage.took("a", True)
    assert usage.over(caps, 0.0, inbound=True) == "trunk_full"
    assert usage.over(caps, 0.0) is None
    usage.took("b", False)
    assert usage.over(caps, 0.0) == "trunk_full"
    usage.gave("a")
    usage.gave("a")
    assert usage.over(caps, 0.0, inbound=True) is None


def test_new_calls_a_second_and_an_hour() -> None:
    usage, caps = Usage(), Caps(per_second=2, per_hour=3)
    usage.began(0.0)
    usage.began(0.5)
    assert usage.over(caps, 0.6) == "trunk_rate_exceeded"
    assert usage.over(caps, 1.1) is None
    usage.began(1.1)
    assert usage.over(caps, 3.0) == "trunk_rate_exceeded"
    assert usage.over(caps, 3600.1) is None


def test_minutes_of_a_day_begin_anew_at_midnight() -> None:
    usage, caps = Usage(), Caps(daily_minutes=1)
    assert usage.over(caps, 0.0, day_ends=100.0) is None
    usage.talked(60.0)
    assert usage.over(caps, 50.0) == "trunk_quota_used"
    assert usage.over(caps, 100.0) is None
    usage.talked(61.0)
    assert usage.over(caps, 100.0 + DAY - 1) == "trunk_quota_used"
    assert usage.over(caps, 100.0 + DAY) is None


def test_the_load_counts_by_weight() -> None:
    heavy, light = Usage({"a", "b"}), Usage({"c"})
    assert heavy.load(20) < light.load(5)
