"""Medians and ratios of the rows, the machine they were made on, and the table for people."""

import argparse
import platform
import statistics
from collections.abc import Iterable, Sequence

from bench.machine import machine, rtpengine_version, version
from bench.signalling.measures import Row
from bench.signalling.servers import RAISED

NOTES = """\
CPU is the run time (schedstat) of all processes and threads of the server in the time of the load, divided by the units that
went well. "media" is offhook-media or rtpengine. Kamailio relays a call as a proxy, which is less work than Offhook's two
dialogs. Calls carry no RTP. A loopback send includes the receiver's half; it is the same for every server here."""


def measured_on() -> dict[str, str]:
    """The machine and the versions of what runs. Raises RuntimeError when a peer is not there."""
    return machine() | {
        "python": platform.python_version(),
        "kamailio": version("kamailio", "-v").removeprefix("version: "),
        "rtpengine": rtpengine_version(),
        "sipp": version("sipp", "-v"),
    }


def line(row: Row) -> str:
    """One row as it is measured."""
    parts = " + ".join(f"{name} {taken:.0f}" for name, taken in row.parts.items())
    facts = " ".join(f"{name}={value:.1f}" for name, value in row.facts.items())
    return (
        f"{row.measure:<28} {row.load:<14} {row.server:<9} {row.cpu_us:8.1f} µs ({parts})  faults {row.faults}  {facts}"
    )


def summary(rows: Iterable[Row]) -> list[dict[str, object]]:
    """For each measure, load and server: medians, the spread, and the ratio to Kamailio under the same load."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.measure, row.load, row.server), []).append(row)
    medians = {key: statistics.median(row.cpu_us for row in group) for key, group in groups.items()}
    found: list[dict[str, object]] = []
    for (measure, load, server), group in groups.items():
        costs = [row.cpu_us for row in group]
        base = medians.get((measure, load, "kamailio"))
        found.append({
            "measure": measure, "load": load, "server": server, "runs": len(group),
            "cpu_us": medians[measure, load, server], "cpu_us_range": [min(costs), max(costs)],
            "parts": {name: statistics.median(row.parts[name] for row in group) for name in group[0].parts},
            "of kamailio": medians[measure, load, server] / base if base else None,
            "faults": sum(row.faults for row in group),
            "facts": {name: statistics.median(row.facts.get(name, 0.0) for row in group) for name in group[0].facts},
        })  # fmt: skip
    return found


def table(rows: Sequence[Row], facts: dict[str, str], arguments: argparse.Namespace) -> str:
    """Facts, a Markdown table, and what the figures mean."""
    raised = ", ".join(f"{name.removeprefix('OFFHOOK_').lower()} {value}" for name, value in RAISED.items())
    lines = [", ".join(f"{name} {value}" for name, value in facts.items())]
    lines.append(
        f"{arguments.rounds} rounds, server on core {arguments.server_core}, load on core {arguments.generator_core}; "
        f"raised in Offhook: {raised}\n"
    )
    lines += ["| measure | load | server | CPU µs | spread | parts | ÷ Kamailio | faults | further |", "|---" * 9 + "|"]
    for row in summary(rows):
        spread, parts, further = row["cpu_us_range"], row["parts"], row["facts"]
        assert isinstance(spread, list)
        assert isinstance(parts, dict)
        assert isinstance(further, dict)
        ratio = row["of kamailio"]
        cells = [
            row["measure"], row["load"], row["server"], f"{row['cpu_us']:.1f}", f"{spread[0]:.0f} to {spread[1]:.0f}",
            ", ".join(f"{name} {taken:.0f}" for name, taken in parts.items()),
            "-" if ratio is None else f"{ratio:.2f}", row["faults"],
            ", ".join(f"{name} {value:.1f}" for name, value in further.items()),
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join([*lines, "", NOTES])
