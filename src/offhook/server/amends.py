"""Events that a process did not live to commit: what the journal knows of its calls is told by the next one.

The journal is on disk at once, events a tenth of a second later. A process that is killed in between leaves calls whose
stations nobody was told of; and calls that had not been answered end with it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from offhook.calls.catalogue import CATALOGUE
from offhook.server.book import Row
from offhook.server.events import Events

RESTARTED = "server_restarted"
Legs = tuple[tuple[str, dict[str, Any]], ...]


def make_amends(
    rows: Mapping[str, Row], told: Mapping[str, set[str]], events: Events, project: Callable[[str], str]
) -> int:
    """Publishes what is missing of each call of the journal, in order; how many events. `told` are the types that are
    known of each call, `project` finds the project of an endpoint by its id ("": the root's)."""
    count = 0
    for ref, row in rows.items():
        known = told.get(ref, set())
        for type_, legs, answered in _stations(row):
            if type_ not in known:
                _publish(events, project, ref, type_, legs, answered)
                count += 1
    return count


def _stations(row: Row) -> list[tuple[str, Legs, bool]]:
    """What a call has been through: types, the records of its legs, whether it was answered."""
    if row.ended is not None:
        legs = row.ended.record.legs
        answered = any(facts.get("answered") for _, facts in legs)
        between = ["call.answered"] if answered else []
        return [(type_, legs, answered) for type_ in ("call.created", *between, "call.ended")]
    if row.live is None:
        return []
    if row.live.parties:
        return [(type_, row.live.history, True) for type_ in ("call.created", "call.answered")]
    return [(type_, row.live.history, False) for type_ in ("call.created", "call.ended")]


def _publish(events: Events, project: Callable[[str], str], ref: str, type_: str, legs: Legs, answered: bool) -> None:
    endpoints = tuple(dict.fromkeys(str(facts["endpoint_id"]) for _, facts in legs if facts.get("endpoint_id")))
    first = legs[0][1] if legs else {}
    data: dict[str, Any] = {"from": first.get("from"), "to": first.get("to"), "told_late": True}
    if type_ == "call.ended":
        code = first.get("end_code") or RESTARTED
        reason = CATALOGUE[code].end or None if code in CATALOGUE else "error"
        data |= {"code": code, "end_code": code, "end_reason": reason, "answered": answered}
        data["ended_by"] = first.get("ended_by") or "server"
    events.publish(type_, project(endpoints[0] if endpoints else ""), ref, data=data, endpoints=endpoints)
