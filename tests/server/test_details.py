"""Reports of pages: how many are kept."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from offhook.calls.call import Call
from offhook.server import details
from offhook.server.details import Details
from offhook.store.call_log import CallLog


def with_calls(count: int) -> Details:
    """Calls of alice's, `c0` and so on, none of which ends."""
    leg = SimpleNamespace(account=SimpleNamespace(id="a", username="alice"), behind="", ref="leg")
    calls = {f"c{number}": SimpleNamespace(ref=f"c{number}", legs=[leg]) for number in range(count)}
    return Details(
        cast(CallLog, None), lambda ref: cast(Call, calls.get(ref)), lambda _: "project", 1.0, lambda: 0.0, lambda _: None,
        lambda _: None, lambda _ref, _said: None,
    )  # fmt: skip


def stats(kept: list[dict[str, Any]]) -> list[int]:
    return [one["stats"]["number"] for one in kept]


def test_of_each_call_the_last_reports_are_kept_and_of_all_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "ALL", 250)
    one = with_calls(3)
    for number in range(120):
        for ref in ("c0", "c1"):
            assert one.client_report("project", ref, "alice", {"kind": "sample", "stats": {"number": number}})
    # 1. The last hundred of a call.
    assert stats(one.reports("c0")) == stats(one.reports("c1")) == list(range(20, 120))
    for number in range(50):
        one.client_report("project", "c2", "alice", {"kind": "sample", "stats": {"number": number}})
    # 2. As many as there is room for.
    assert len(one.reports("c0")) == len(one.reports("c1")) == 100
    one.client_report("project", "c2", "alice", {"kind": "sample", "stats": {"number": 50}})
    # 3. Those of the call that has been silent the longest make room.
    assert one.reports("c0") == []
    assert (len(one.reports("c1")), stats(one.reports("c2"))) == (100, list(range(51)))
