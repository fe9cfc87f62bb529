"""`/metrics`: what Prometheus reads (API.md 12.6). METRICS is the one list of names, also for docs/reference/metrics.md."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from offhook.media.engine import shard_of
from offhook.server.tally import Spread
from offhook.server.views import direction_of

if TYPE_CHECKING:
    from offhook.server.app import App

PREFIX = "offhook_"


@dataclass(frozen=True, slots=True)
class Described:
    """One metric. `kind` is gauge, counter or histogram; a counter's name ends in `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS = (
    Described("registrations", "gauge", ("transport",), "Devices that are registered now"),
    Described("flows", "gauge", ("transport",), "Connections of devices and pages that are open now"),
    Described("calls", "gauge", ("direction",), "Live calls: inbound and outbound by a trunk, internal"),
    Described("calls_ended_total", "counter", ("code",), "Calls that ended, by the end code of the caller's leg"),
    Described("call_setup_seconds", "histogram", (), "From the INVITE to the answer, of calls that were answered"),
    Described("sip_messages_total", "counter", ("method", "status", "direction"),
        "SIP messages; status is empty for requests; methods that nobody knows are other"),
    Described("sip_refused_total", "counter", ("code",), "SIP requests that we refused, by the code in Warning"),
    Described("media_packets_total", "counter", ("direction",), "Media packets of legs that ended, from and to devices"),
    Described("media_lost_total", "counter", (), "Packets from devices that never came, of legs that ended"),
    Described("media_unread_total", "counter", (),
        "Media datagrams that this machine dropped before they were read, because it was too busy"),
    Described("media_mos", "histogram", (), "Mean opinion score of legs that ended"),
    Described("findings_total", "counter", ("code",), "Findings raised about silence and quality"),
    Described("trunk_up", "gauge", ("trunk",), "1 while the trunk is up or degraded, else 0"),
    Described("trunk_channels", "gauge", ("trunk",), "Channels of the trunk in use"),
    Described("api_requests_total", "counter", ("family", "status"), "REST requests, by family and status"),
    Described("api_seconds", "histogram", (), "Time to answer a REST request"),
    Described("webhook_pending", "gauge", (), "Webhooks that wait for delivery"),
    Described("webhook_failed_total", "counter", (), "Webhooks given up since the start"),
    Described("shard_legs", "gauge", ("shard",), "Legs of live calls on a media shard"),
    Described("shard_busy_ratio", "gauge", ("shard",), "Processor time of a media shard since the last look, 1 is a core"),
    Described("memory_bytes", "gauge", ("process",), "Memory that a process has of the machine: signalling, media"),
    Described("python_blocks", "gauge", (),
        "Pieces of memory that signalling's objects take; where memory grows and they do not, it is only scattered"),
    Described("event_loop_lag_seconds", "gauge", (), "How late the signalling process was when it last looked"),
)  # fmt: skip

Values = Mapping[tuple[str, ...], float]


class Metrics(Collector):
    """Reads the running parts when it is asked. `pending` is counted beforehand, because that waits for the database."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._busy = _Busy()
        self._memory: Values = {}
        self._pending = 0.0

    async def text(self) -> bytes:
        """The whole page."""
        app = self._app
        self._pending = float(await app.telling.delivery_rows.pending())
        await asyncio.to_thread(self._busy.look, app.media.engine.pid)
        self._memory = await asyncio.to_thread(_memory, {"signalling": os.getpid(), "media": app.media.engine.pid})
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Nothing: the names are checked by a test."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every metric of METRICS, in its order."""
        values = self._values()
        spreads = self._spreads()
        for one in METRICS:
            name = PREFIX + one.name
            if one.kind == "histogram":
                spread = spreads[one.name]
                yield HistogramMetricFamily(name, one.help, buckets=spread.buckets(), sum_value=spread.sum)
                continue
            family: GaugeMetricFamily | CounterMetricFamily = (
                GaugeMetricFamily(name, one.help, labels=one.labels)
                if one.kind == "gauge"
                else CounterMetricFamily(name, one.help, labels=one.labels)
            )
            for labels, value in values[one.name]().items():
                family.add_metric(labels, value)
            yield family

    def _spreads(self) -> dict[str, Spread]:
        tally = self._app.driver.tally
        return {"call_setup_seconds": tally.setup, "media_mos": tally.scores, "api_seconds": tally.answers}

    def _values(self) -> dict[str, Callable[[], Values]]:
        app, tally = self._app, self._app.driver.tally
        return {
            "registrations": lambda: _counted(one.flow.transport.value.lower() for one in app.store.bindings),
            "flows": lambda: _counted(path.flow.transport.value.lower() for path in app.flows),
            "calls": lambda: _counted(direction_of(one) for one in app.driver.switchboard.calls()),
            "calls_ended_total": lambda: _by_one(tally.ended),
            "sip_messages_total": lambda: {labels: float(count) for labels, count in tally.messages.items()},
            "sip_refused_total": lambda: _by_one(tally.refused),
            "media_packets_total": lambda: _by_one(tally.packets),
            "media_lost_total": lambda: {(): float(tally.lost)},
            "media_unread_total": lambda: {(): float(tally.unread)},
            "findings_total": lambda: _by_one(tally.findings),
            "trunk_up": self._trunk_up,
            "trunk_channels": self._trunk_channels,
            "api_requests_total": lambda: {labels: float(count) for labels, count in tally.requests.items()},
            "webhook_pending": lambda: {(): self._pending},
            "webhook_failed_total": lambda: {(): float(tally.webhooks_failed)},
            "shard_legs": lambda: _counted(
                str(shard_of(leg.media.leg))
                for call in app.driver.switchboard.calls()
                for leg in call.live
                if leg.media is not None
            ),
            "shard_busy_ratio": lambda: self._busy.ratios,
            "memory_bytes": lambda: self._memory,
            "python_blocks": lambda: {(): float(sys.getallocatedblocks())},
            "event_loop_lag_seconds": lambda: {(): app.loop_lag},
        }

    def _trunk_up(self) -> Values:
        states = {row.name: self._app.platform.trunk_status(row.id)["state"] for row in self._app.store.trunks}
        return {(name,): float(state in ("up", "degraded")) for name, state in states.items()}

    def _trunk_channels(self) -> Values:
        app = self._app
        # Of this node alone: each is asked for its own.
        return {
            (row.name,): float(
                sum(app.platform.trunk_status(row.id)["channels"].values()) - sum(app.shares.elsewhere(row.id))
            )
            for row in app.store.trunks
        }


class _Busy:
    """Processor time of the engine's shard threads between two looks."""

    def __init__(self) -> None:
        self.ratios: Values = {}
        self._before: dict[str, float] = {}
        self._at = time.monotonic()

    def look(self, pid: int) -> None:
        """Reads the times now."""
        now, spent = time.monotonic(), _shard_seconds(pid)
        passed = max(now - self._at, 1e-3)
        self.ratios = {
            (shard,): max(0.0, seconds - self._before.get(shard, seconds)) / passed for shard, seconds in spent.items()
        }
        self._before, self._at = spent, now


def _shard_seconds(pid: int) -> dict[str, float]:
    """Seconds of processor time by shard; threads are named `shard N`."""
    spent: dict[str, float] = {}
    try:
        threads = psutil.Process(pid).threads()
    except psutil.Error:
        return spent
    for one in threads:
        try:
            name = Path(f"/proc/{pid}/task/{one.id}/comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if name.startswith("shard "):
            spent[name.removeprefix("shard ")] = one.user_time + one.system_time
    return spent


def _memory(pids: Mapping[str, int]) -> Values:
    """Resident memory in bytes, of those that run."""
    held: dict[tuple[str, ...], float] = {}
    for name, pid in pids.items():
        with suppress(psutil.Error):
            held[(name,)] = float(psutil.Process(pid).memory_info().rss)
    return held


def _counted(labels: Iterator[str]) -> Values:
    counts: dict[tuple[str, ...], float] = {}
    for one in labels:
        counts[(one,)] = counts.get((one,), 0.0) + 1
    return counts


def _by_one(counts: Mapping[str, int]) -> Values:
    return {(label,): float(count) for label, count in counts.items()}
