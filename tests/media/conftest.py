"""The real engine for the tests of the media room."""

import asyncio
import os
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from offhook.media.messages import Event
from offhook.media.process import MediaOptions, MediaProcess

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

    async def until(self, what: Callable[[], object], seconds: float = 5.0) -> None:
        """Waits until `what()` is true; looked at after everything that is told."""
        async with asyncio.timeout(seconds), self._told:
            await self._told.wait_for(what)

    def of(self, kind: type) -> list:
        """Events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


Hosts = Callable[..., Awaitable[Host]]


@pytest.fixture
async def hosts(binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hosts]:
    """Starts media processes on one control socket; ends them all."""
    monkeypatch.setenv("OFFHOOK_MEDIA_BINARY", str(binary))
    started: list[Host] = []

    async def start(**changes) -> Host:
        fields = {"webrtc_port": 0, "rtp_ports": (46_000, 46_099), "shards": 1, "grace": 5} | changes
        host = Host(MediaOptions(tmp_path / "media.sock", **fields))
        started.append(host)
        await host.process.start()
        return host

    yield start
    for host in reversed(started):
        await host.process.stop()


@pytest.fixture
async def host(hosts: Hosts) -> Host:
    """One engine, one shard."""
    return await hosts()
