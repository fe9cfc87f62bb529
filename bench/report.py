"""Medians, spreads and ratios of the runs, the machine they were made on, and the table for people."""

import argparse
import statistics
from collections.abc import Iterable, Sequence
from typing import Protocol

from bench.machine import machine, rtpengine_version

NOTES = """\
CPU is the run time (schedstat) of the server's whole process tree in the measured window, divided by the packets that
the sink received. The generator shares
caches and softirq work with the server, and loopback's send includes the receiver's half: compare ratios, not
microseconds. rtpengine runs in user space (--table=-1) with one worker thread; offhook-media has one shard, epoll, and
gathers packets for up to 1 ms under load. "bare relay, 1 ms" is the bare relay with that wake-up rule; "bare relay"
wakes for every packet. Their sockets are connected; those of "open" hear everybody, as the engine's and rtpengine's must,
and the kernel looks up a route for each of their packets."""


class Result(Protocol):
    """What a run shows here."""

    @property
    def server(self) -> str: ...
    @property
    def rate(self) -> int: ...
    @property
    def cpu_us(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def counts(self) -> bool: ...
    @property
    def measured(self) -> dict[str, float]: ...


def measured_on() -> dict[str, str]:
    """The machine and rtpengine's version. Raises RuntimeError when rtpengine is not there."""
    return machine() | {"rtpengine": rtpengine_version()}


def line(run: Result) -> str:
    """One run as it ends."""
    verdict = "" if run.counts else "  DISCARDED (loss, or the generator fell behind)"
    return (
        f"{run.rate:>7} pps  {run.server:<17} {run.cpu_us:6.2f} µs  loss {100 * run.loss:.3f} %  "
        f"p99 {run.measured['latency_us_p99']:.0f} µs{verdict}"
    )


def summary(runs: Iterable[Result]) -> list[dict[str, object]]:
    """For each rate and server that was run: medians over the runs that count, and ratios. None where nothing counts."""
    groups: dict[tuple[int, str], list[Result]] = {}
    for run in runs:
        groups.setdefault((run.rate, run.server), []).append(run)
    medians = {key: _median(run.cpu_us for run in group if run.counts) for key, group in groups.items()}
    rows: list[dict[str, object]] = []
    for (rate, server), group in groups.items():
        good = [run for run in group if run.counts]
        own = medians[rate, server]
        row: dict[str, object] = {"rate": rate, "server": server, "cpu_us": own}
        row["runs"], row["discarded"] = len(good), len(group) - len(good)
        row["cpu_us_range"] = [min(run.cpu_us for run in good), max(run.cpu_us for run in good)] if good else None
        row["thread_us"] = _median(r.measured["busiest_thread_ns"] / r.measured["received"] / 1_000 for r in good)
        row["p50_us"] = _median(run.measured["latency_us_p50"] for run in good)
        row["p99_us"] = _median(run.measured["latency_us_p99"] for run in good)
        for other in ("rtpengine", "bare relay", "bare relay, 1 ms", "bare relay, 1 ms, open", "offhook, plain"):
            base = medians.get((rate, other))
            row[f"of {other}"] = own / base if own and base else None
        rows.append(row)
    return rows


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


COLUMNS = (
    ("rate", "pps", "{}"), ("server", "server", "{}"), ("cpu_us", "CPU µs/packet", "{:.2f}"),
    ("thread_us", "worker thread", "{:.2f}"), ("of rtpengine", "÷ rtpengine", "{:.2f}"),
    ("of bare relay", "÷ bare", "{:.2f}"), ("of bare relay, 1 ms", "÷ bare 1 ms", "{:.2f}"),
    ("of bare relay, 1 ms, open", "÷ bare 1 ms, open", "{:.2f}"), ("of offhook, plain", "÷ plain", "{:.2f}"),
    ("p50_us", "p50 µs", "{:.0f}"), ("p99_us", "p99 µs", "{:.0f}"), ("runs", "runs", "{}"), ("discarded", "discarded", "{}"),
)  # fmt: skip


def table(runs: Sequence[Result], facts: dict[str, str], arguments: argparse.Namespace) -> str:
    """Facts, a Markdown table, and what the figures mean."""
    lines = [", ".join(f"{name} {value}" for name, value in facts.items())]
    lines.append(
        f"{arguments.legs} legs, 172-byte packets, {arguments.rounds} rounds of {arguments.seconds:g} s after "
        f"{arguments.warm:g} s, server on core {arguments.server_core}, generator on core {arguments.generator_core}\n"
    )
    lines.append("| " + " | ".join([*(title for _, title, _ in COLUMNS), "spread µs"]) + " |")
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for row in summary(runs):
        cells = [shape.format(row[key]) if row[key] is not None else "-" for key, _, shape in COLUMNS]
        spread = row["cpu_us_range"]
        cells.append(f"{spread[0]:.2f} to {spread[1]:.2f}" if isinstance(spread, list) else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", NOTES])
