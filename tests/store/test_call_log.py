"""The call log in the database (API.md section 9), each of them: filters, pages, whose rows they are, details beside it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from offhook.calls.effects import CallRecord
from offhook.server.log_rows import row_of, shown
from offhook.store.call_log import CallLog
from offhook.store.database import migrate
from offhook.store.statements import Upsert
from offhook.store.tables import call_log
from offhook.store.writer import Writer
from tests.support.databases import Database

ROOT, OTHER, EPOCH = "root", "other", 1_790_000_000.0
WRITE = Upsert(call_log)


class Log:
    """A log of ten legs of five calls, an hour apart; the last call is another project's."""

    def __init__(self, database: Database) -> None:
        self.engine = database.open()
        self.writer = Writer(self.engine)
        self.log = CallLog(self.engine, self.writer, ROOT)

    async def fill(self) -> None:
        for at in range(5):
            began = at * 3600.0
            legs = tuple((f"leg-{at}-{side}", facts(at, side, began)) for side in ("a", "b"))
            record = CallRecord(f"leg-{at}-a", began, began + 70, legs)
            for ref, told in legs:
                self.writer.put(WRITE, row_of(ref, record, told, EPOCH, OTHER if at == 4 else ROOT))
        await self.writer.drained()

    async def found(self, project: str = ROOT, **filters: Any) -> list[str]:
        return [str(row["leg_ref"]) for row in await self.log.page(project, filters, "", "", 100)]


def facts(at: int, side: str, began: float) -> dict[str, Any]:
    """Leg a is an API's, b a document's; the calls end in different ways."""
    answered = at != 1
    return {
        "role": "caller", "from": "+15125550100", "to": f"sip:Person{at}{side}@example.com", "endpoint_id": f"e{at}",
        "trunk_id": "t1" if side == "b" else None, "user_agent": "", "transport": "udp", "answered": answered,
        "end_code": "hangup" if answered else "callee_busy", "ended_by": "callee", "codec": "PCMU", "encryption": None,
        "mos": 4.0 - at * 0.5 if answered else None, "packets_in": 1, "packets_out": 1, "findings": [], "quality": {},
        "direction": "outbound-api" if side == "a" else "outbound-dial", "began_at": began, "rang_at": began + 1,
        "answered_at": began + 10 if answered else None, "left_at": began + 70, "sip_code": 200 if answered else 486,
        "sip_reason": None, "sip_call_id": "x", "text": "", "end_reason": None,
    }  # fmt: skip


@pytest.fixture
async def log(database: Database) -> AsyncIterator[Log]:
    one = Log(database)
    await migrate(one.engine)
    one.writer.start()
    await one.fill()
    yield one
    await one.writer.stop()
    await one.engine.dispose()


async def test_every_filter_and_whose_rows_they_are(log: Log) -> None:
    every = [f"leg-{at}-{side}" for at in (3, 2, 1, 0) for side in ("b", "a")]
    assert await log.found() == every
    assert await log.found(OTHER) == ["leg-4-b", "leg-4-a"]
    assert await log.found(to="person2A") == ["leg-2-a"]
    assert await log.found(to="%") == []
    assert await log.found(status="busy") == ["leg-1-b", "leg-1-a"]
    assert await log.found(end_code="callee_busy", direction="outbound-api") == ["leg-1-a"]
    assert await log.found(trunk_id="t1", endpoint_id="e3") == ["leg-3-b"]
    assert await log.found(min_mos=3.0, max_mos=3.5) == ["leg-2-b", "leg-2-a"]
    third = datetime.fromtimestamp(EPOCH + 2 * 3600, UTC)
    assert await log.found(created_after=third) == ["leg-3-b", "leg-3-a", "leg-2-b", "leg-2-a"]
    assert await log.found(created_before=third) == ["leg-1-b", "leg-1-a", "leg-0-b", "leg-0-a"]


async def test_pages_go_both_ways(log: Log) -> None:
    first = await log.log.page(ROOT, {}, "", "", 3)
    assert [row["leg_ref"] for row in first] == ["leg-3-b", "leg-3-a", "leg-2-b"]
    after = await log.log.page(ROOT, {}, "leg-2-b", "", 3)
    assert [row["leg_ref"] for row in after] == ["leg-2-a", "leg-1-b", "leg-1-a"]
    before = await log.log.page(ROOT, {}, "", "leg-1-b", 2)
    assert [row["leg_ref"] for row in before] == ["leg-2-b", "leg-2-a"]


async def test_a_row_as_the_api_shows_it(log: Log) -> None:
    row = await log.log.get(ROOT, "leg-0-b")
    assert row is not None
    told = shown(row)
    assert (told["duration_ms"], told["status"], told["type"], told["parent_id"]) == (
        60_000, "completed", "relay_pstn_call", "leg-0-a",
    )  # fmt: skip
    assert (told["offhook"]["setup_ms"], told["offhook"]["end_reason"]) == (10_000, "hangup")
    assert told["created_at"].endswith("Z")
    assert told["offhook"]["answered_at"].endswith("Z")
    assert await log.log.get(OTHER, "leg-0-b") is None, "another project's row is not there"
    assert await log.log.get(ROOT, "\0") is None


async def test_details_are_found_by_any_leg(log: Log) -> None:
    log.log.keep("leg-2-a", ROOT, {"call": {"call_ref": "leg-2-a"}, "samples": []})
    await log.writer.drained()
    for ref in ("leg-2-a", "leg-2-b"):
        found = await log.log.details(ref)
        assert found is not None
        assert (found["call"]["call_ref"], found["project_id"]) == ("leg-2-a", ROOT)
    assert await log.log.details("leg-3-a") is None
