"""API.md 1.6: calls of the API are placed at the pace of the settings, in order, per project; beyond the backlog none is."""

from collections.abc import Callable
from typing import Any

from offhook.calls.commands import Place
from offhook.server.dialler import Dialler


class Clock:
    """A loop of which only the clock and the timers are asked: no call is late because the machine is busy."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> "Clock":
        self.due.append((self.now + seconds, lambda: call(*arguments)))
        return self

    def cancel(self) -> None:
        self.due.clear()

    def run_next(self) -> None:
        self.now, call = self.due.pop(0)
        call()


def clocked(placed: list[str], rate: float, backlog: int) -> tuple[Dialler, Clock]:
    dialler, clock = Dialler(lambda one: placed.append(one.call_ref), rate, backlog), Clock()
    dialler._loop = clock  # type: ignore[assignment]
    return dialler, clock


def place(ref: str, project: str = "p") -> Place:
    return Place(ref, "bob", "alice", project=project)


async def test_calls_wait_in_order_and_no_project_waits_for_another() -> None:
    placed: list[str] = []
    dialler, clock = clocked(placed, rate=50.0, backlog=3)
    for at in range(50):
        assert dialler.dial(place(f"burst{at}"))
    assert len(placed) == 50
    for at in range(3):
        assert dialler.dial(place(f"late{at}"))
    # 1. what is over the rate waits and can be found
    assert [one.call_ref for one in dialler.waiting("p")] == ["late0", "late1", "late2"]
    assert dialler.find("late1") is not None
    # 2. beyond the backlog it is refused
    assert not dialler.dial(place("one too many"))
    # 3. another project is not in that line
    assert dialler.dial(place("other", "q"))
    assert placed[-1] == "other"
    # 4. one that waits can be taken out
    assert dialler.drop("late1")
    assert not dialler.drop("late1")
    # 5. the others follow, each when the pace lets it
    begun = clock.now
    while dialler.waiting("p"):
        clock.run_next()
    assert placed[-2:] == ["late0", "late2"]
    assert 2 / 50 <= clock.now - begun < 3 / 50


async def test_a_dialler_that_stops_places_nothing_more() -> None:
    placed: list[str] = []
    dialler, clock = clocked(placed, rate=20.0, backlog=9)
    for at in range(22):
        dialler.dial(place(str(at)))
    dialler.stop()
    assert (len(placed), dialler.waiting("p"), clock.due) == (20, [], [])
