"""The last twenty-four hours of a trunk."""

from offhook.calls.trunk_day import HOUR, Day


def test_sums_and_what_falls_off() -> None:
    day = Day()
    assert day.sums(0.0)["answer_seizure_percent"] is None
    day.tried(0.0)
    day.rang(0.0, 2.0)
    day.tried(HOUR)
    day.answered(HOUR)
    day.ended(HOUR, 100.0)
    day.sounded(HOUR, 4.2)
    day.ended(HOUR, 50.0)
    assert day.sums(2 * HOUR) == {
        "attempts": 2,
        "answered": 1,
        "answer_seizure_percent": 50.0,
        "average_seconds": 75,
        "post_dial_ms": 2000,
        "mos": 4.2,
    }
    assert day.sums(24 * HOUR)["attempts"] == 1
    assert day.sums(26 * HOUR)["attempts"] == 0
