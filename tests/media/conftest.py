"""The real engine for the tests of the media room."""

import asyncio
import contextlib
import os
import subprocess
import sysconfig
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from interop.support.ports import free_port
from offhook.media.messages import Event
from offhook.media.process import MediaOptions, MediaProcess
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def binary() -> Path:
    """OFFHOOK_MEDIA_BINARY, the environment's script, or a fresh build."""
    given = os.environ.get("OFFHOOK_MEDIA_BINARY")
    path = Path(given) if given else Path(sysconfig.get_path("scripts"), "offhook-media")
    if path.is_file():
        return path
    build = ["cargo", "build", "--package", "offhook-engine", "--locked", "--profile", "ci"]
    subprocess.run(build, cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "ci", "offhook-media")


TRIES, LATE = 5, 0.025
"""How often sound is measured anew, and seconds that we or an engine may be late before a measurement counts for nothing."""


class Watch(threading.Thread):
    """`late`: seconds by which the machine let this process wait at the most, or the engines that it started in all."""

    last: "Watch | None" = None

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.late = self.engines = 0.0
        Watch.last = self
        self._ended = threading.Event()

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(0.005):
            now = time.monotonic()
            self.late, before = max(self.late, now - before - 0.005), now


def waited(pid: int) -> float:
    """Seconds for which threads of a process could have run and did not, in all; 0.0 of one that is gone."""
    seconds = 0.0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            seconds += int(thread.read_text().split()[1]) / 1e9
    return seconds


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """`real_time`: a test that sends sound in time and measures it says nothing where it could not send in time."""
    if item.get_closest_marker("real_time") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for left in range(TRIES - 1, -1, -1):
        with Watch() as watch:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if not left or watch.late + watch.engines < LATE or not any(one.failed for one in reports):
            break
    for one in reports:
        item.ihook.pytest_runtest_logreport(report=one)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


class Host:
    """A media process with what it told; `until` waits for something it tells."""

    def __init__(self, options: MediaOptions) -> None:
        self.options = options
        self.events: list[Event] = []
        self.losses: list[float] = []
        self.readies: list[float] = []
        self._told = asyncio.Condition()
        self._clock = asyncio.get_running_loop().time
        self.process = MediaProcess(options, self._deliver, self._lost, self._ready)

    @property
    def engine(self):
        return self.process.engine

    def _deliver(self, event: Event) -> None:
        self.events.append(event)
        self._notify()

    def _lost(self) -> None:
        self.losses.append(self._clock())
        self._notify()

    def _ready(self) -> None:
        self.readies.append(self._clock())
        self._notify()

    def _notify(self) -> None:
        async def tell() -> None:
            async with self._told:
                self._told.notify_all()

        self._task = asyncio.ensure_future(tell())

    def late_ms(self) -> float:
        """How late anything of this test may have been: what its process had to wait, and the engine's threads."""
        assert Watch.last is not None, "of tests in real time"
        return 1_000 * (Watch.last.late + waited(self.engine.pid))

    async def until(self, what: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Waits until `what()` is true; looked at after everything that is told."""
        async with asyncio.timeout(seconds), self._told:
            await self._told.wait_for(what)

    def of(self, kind: type) -> list:
        """Events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def range_of(count: int) -> tuple[int, int]:
    """So many ports in a row that nobody else has."""
    first = free_port(count=count)
    return first, first + count - 1


Hosts = Callable[..., Awaitable[Host]]


@pytest.fixture
async def hosts(binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hosts]:
    """Starts media processes on one control socket; ends them all."""
    monkeypatch.setenv("OFFHOOK_MEDIA_BINARY", str(binary))
    started: list[Host] = []

    async def start(**changes) -> Host:
        fields = {"webrtc_port": 0, "rtp_ports": range_of(100), "shards": 1, "grace": 5} | changes
        host = Host(MediaOptions(tmp_path / "media.sock", **fields))
        started.append(host)
        await host.process.start()
        return host

    yield start
    for host in reversed(started):
        # One that was refused a start has no engine.
        if Watch.last is not None and hasattr(host.process, "engine"):
            Watch.last.engines += waited(host.engine.pid)
        await host.process.stop()


@pytest.fixture
async def host(hosts: Hosts) -> Host:
    """One engine, one shard."""
    return await hosts()
