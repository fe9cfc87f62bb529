"""A trace document as a ladder: one column for Offhook, one for each device, one arrow for each message."""

from datetime import datetime
from typing import Any

WIDTH = 50
"""Characters between two columns: room for the longest usual reason phrase."""
MARGIN = 12


def ladder(document: dict[str, Any]) -> str:
    """The text `offhook trace` prints."""
    legs = document["legs"]
    columns = {leg["leg_ref"]: at if at == 0 else at + 1 for at, leg in enumerate(legs)}
    start = datetime.fromisoformat(document["data"][0]["at"]) if document["data"] else None
    lines = _head(document)
    lines.append(_names(legs))
    for row in document["data"]:
        assert start is not None
        passed = (datetime.fromisoformat(row["at"]) - start).total_seconds()
        lines.append(f"{passed:{MARGIN - 3}.3f}   {_line(row, columns, len(legs))}".rstrip())
    if document["dropped"]:
        lines.append(f"{document['dropped']} things in the middle were not kept (trace.messages_per_dialog)")
    return "\n".join(lines) + "\n"


def _head(document: dict[str, Any]) -> list[str]:
    end = f", {document['end_code']}" if document["end_code"] else ""
    lines = [f"{document['from']} -> {document['to']}: {document['state']}{end}  ({document['call_ref']})"]
    if document["explanation"]:
        lines.append(document["explanation"])
    return [*lines, ""]


def _names(legs: list[dict[str, Any]]) -> str:
    names = [f"{leg['name'] or leg['role']} {leg['transport']} {leg['source']}" for leg in legs]
    names[1:1] = ["Offhook"]
    return " " * MARGIN + "".join(name[: WIDTH - 2].ljust(WIDTH) for name in names).rstrip()


def _line(row: dict[str, Any], columns: dict[str, int], legs: int) -> str:
    cells = [" "] * (WIDTH * max(legs, 1) + 1)
    for column in range(max(legs, 1) + 1):
        cells[column * WIDTH] = "|"
    if row["kind"] != "sip":
        return _noted(cells, columns.get(row["leg_ref"], 1), f"{row['kind']}: {row['summary']}")
    there = columns.get(row["leg_ref"], 0)
    left, right = sorted((there, 1))
    to_right = (row["direction"] == "in") == (there < 1)
    span = (right - left) * WIDTH - 1
    text = f" {row['summary']} "
    text = text if len(text) <= span - 2 else f"{text[: span - 4]}… "
    arrow = f"{text.center(span - 1, '-')}>" if to_right else f"<{text.center(span - 1, '-')}"
    cells[left * WIDTH + 1 : right * WIDTH] = list(arrow)
    return "".join(cells)


def _noted(cells: list[str], column: int, text: str) -> str:
    """A remark stands beside Offhook's column, where decisions are made, or beside the device it is about."""
    at = (WIDTH if column == 0 else column * WIDTH) + 2
    return "".join(cells[: at - 1]).rstrip() + " * " + text
