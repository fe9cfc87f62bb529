"""API.md 1.6: calls of the API are placed at the pace of the settings, in order, per project; beyond the backlog none is."""

import asyncio

from offhook.calls.commands import Place
from offhook.server.dialler import Dialler
from tests.support.patience import PATIENCE


def place(ref: str, project: str = "p") -> Place:
    return Place(ref, "bob", "alice", project=project)


async def test_calls_wait_in_order_and_no_project_waits_for_another() -> None:
    placed: list[str] = []
    dialler = Dialler(lambda one: placed.append(one.call_ref), rate=50.0, backlog=3)
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
    async with asyncio.timeout(PATIENCE):
        while dialler.waiting("p"):
            await asyncio.sleep(0.005)
    assert placed[-2:] == ["late0", "late2"]
    dialler.stop()


async def test_a_dialler_that_stops_places_nothing_more() -> None:
    placed: list[str] = []
    dialler = Dialler(lambda one: placed.append(one.call_ref), rate=20.0, backlog=9)
    for at in range(22):
        dialler.dial(place(str(at)))
    dialler.stop()
    await asyncio.sleep(0.2)
    assert len(placed) == 20
