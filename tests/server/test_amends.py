"""What a killed process did not live to tell of its calls is told by the next one, once and in order."""

from typing import Any

from offhook.calls.effects import CallRecord
from offhook.calls.kept import KeptCall, KeptLeg
from offhook.server.amends import make_amends
from offhook.server.book import VERSION, Ended, Row
from offhook.sip.events import UsageId
from offhook.sip.flow import Flow, FlowId, Transport
from tests.support.databases import Database
from tests.support.outbox import post

FLOW = Flow(FlowId("f"), Transport.UDP, ("127.0.0.1", 5060), ("127.0.0.1", 5060), "127.0.0.1:5060", False, True)


def leg(answered: bool, code: str | None) -> dict[str, Any]:
    return {"role": "caller", "from": "alice", "to": "bob", "endpoint_id": "e1", "answered": answered, "end_code": code}


def ended(ref: str, answered: bool) -> Row:
    record = CallRecord(ref, 1.0, 2.0, ((ref, leg(answered, "hangup" if answered else "callee_busy")),))
    return Row(VERSION, ended=Ended(record, 0.0))


def live(ref: str, talking: bool) -> Row:
    party = KeptLeg(ref, "caller", UsageId("u"), FLOW, 1, 1, "answered", "sendrecv")
    history = ((ref, leg(talking, None)),)
    call = KeptCall(
        ref, "talking", ref, "alice", "bob", "bob", 1.0, 2.0, parties=(party,) if talking else (), history=history
    )
    return Row(VERSION, live=call)


async def test_what_is_missing_of_each_call(database: Database) -> None:
    async with post(database) as one:
        rows = {
            "all-lost": ended("all-lost", True),
            "end-lost": ended("end-lost", True),
            "nothing-lost": ended("nothing-lost", False),
            "talks": live("talks", True),
            "rang": live("rang", False),
        }
        for type_, ref in (
            ("call.created", "end-lost"),
            ("call.answered", "end-lost"),
            ("call.created", "nothing-lost"),
            ("call.ended", "nothing-lost"),
            ("call.created", "talks"),
            ("call.ringing", "talks"),
        ):
            one.events.publish(type_, one.project, ref)
        told: list[Any] = []
        one.events.listen(told.append)
        known = await _known(one, rows)
        count = make_amends(rows, known, one.events, lambda endpoint: f"project of {endpoint}")
        # 1. in the order in which it happened, numbered on, and nothing twice
        shown = [(event.call_ref, event.type, event.sequence) for event in told]
        assert shown == [
            ("all-lost", "call.created", 1),
            ("all-lost", "call.answered", 2),
            ("all-lost", "call.ended", 3),
            ("end-lost", "call.ended", 3),
            ("talks", "call.answered", 3),
            ("rang", "call.created", 1),
            ("rang", "call.ended", 2),
        ]
        assert count == len(told)
        # 2. with what the journal knows
        assert (told[2].project_id, told[2].endpoints, told[2].data["end_code"]) == ("project of e1", ("e1",), "hangup")
        assert (told[-1].data["end_code"], told[-1].data["ended_by"]) == ("server_restarted", "server")
        # 3. a second time there is nothing to tell
        assert make_amends(rows, await _known(one, rows), one.events, str) == 0


async def _known(one: Any, rows: dict[str, Row]) -> dict[str, set[str]]:
    await one.writer.drained()
    found: dict[str, set[str]] = await one.event_rows.types(rows)
    return found
