"""Token buckets of the registrar."""

from offhook.sip.rate import Rates


def test_burst_then_the_rate() -> None:
    rates = Rates(per_second=2.0, burst=3.0, parties=10)
    assert [rates.allow("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert rates.wait("a") == 1.0
    assert [rates.allow("a", 1.0) for _ in range(3)] == [True, True, False]
    assert rates.allow("b", 1.0)


def test_parties_are_bounded_and_the_longest_unheard_is_forgotten() -> None:
    rates = Rates(per_second=1.0, burst=1.0, parties=2)
    for party in ("a", "b", "c"):
        assert rates.allow(party, 0.0)
    assert len(rates) == 2
    assert not rates.allow("c", 0.0)
    assert rates.allow("a", 0.0)
