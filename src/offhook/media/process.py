"""The engine's process: connects to one that still runs, else starts one; watches it and starts it again."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offhook.media.client import MediaClient, MediaError
from offhook.media.engine import MediaEngine
from offhook.media.messages import PROTOCOL_VERSION, Event, LogLine

BINARY = "offhook-media"
START_TIME = 10.0
"""Seconds an engine may take from its start to its Hello."""
PAUSES = (0.0, 0.2, 1.0, 3.0, 10.0)
"""Seconds before the next start after so many deaths in a row."""
SETTLED = 30.0
"""Seconds after which an engine's death is the first of a new row."""
POLL = 0.02
"""Seconds between looks for the control socket of an engine that starts."""


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """The engine's command line. `grace` in seconds; port 0 takes any."""

    control: Path
    webrtc_port: int = 40_000
    rtp_ports: tuple[int, int] = (41_000, 44_999)
    public_addresses: tuple[str, ...] = ()
    offer_loopback: bool = True
    shards: int = 0
    grace: int = 60


def find_binary() -> Path:
    """OFFHOOK_MEDIA_BINARY, the environment's scripts, beside the interpreter, PATH. Raises FileNotFoundError."""
    given = os.environ.get("OFFHOOK_MEDIA_BINARY")
    places = [Path(given)] if given else [
        Path(sysconfig.get_path("scripts"), BINARY), Path(sys.executable).with_name(BINARY), Path(shutil.which(BINARY) or "")
    ]  # fmt: skip
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"{BINARY} is not installed beside offhook; run `make setup`, or name it in OFFHOOK_MEDIA_BINARY"
    )


class MediaProcess:
    """`deliver` gets events, `lost` is called once per death, `ready` once per engine that has come up after one."""

    engine: MediaEngine

    def __init__(
        self,
        options: MediaOptions,
        deliver: Callable[[Event], None],
        lost: Callable[[], None],
        ready: Callable[[], None],
    ) -> None:
        self._options, self._deliver = options, deliver
        self._tell_lost, self._tell_ready = lost, ready
        self._process: asyncio.subprocess.Process | None = None
        self._gone = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Takes over a running engine or starts one. Raises OSError or RuntimeError with a sentence."""
        if not await self._connect():
            await self._launch()
        self._watching = asyncio.create_task(self._watch(), name="watch of the media engine")

    async def stop(self) -> None:
        """Ends the engine: asked, then SIGTERM, then SIGKILL, by its process id."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
        with contextlib.suppress(MediaError, TimeoutError, AttributeError):
            await asyncio.wait_for(self.engine.exit(), 2)
        if self._process is None:
            return
        for end in (None, signal.SIGTERM, signal.SIGKILL):
            if end is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(end)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 2)
                return

    async def _connect(self) -> bool:
        """True if an engine answered on the control socket."""
        self._gone.clear()
        try:
            _, client = await asyncio.get_running_loop().create_unix_connection(
                lambda: MediaClient(self._deliver, self._gone.set), str(self._options.control)
            )
        except OSError:
            return False
        try:
            hello = await asyncio.wait_for(asyncio.shield(client.hello), START_TIME)
        except (TimeoutError, MediaError):
            client.close()
            return False
        if hello.version != PROTOCOL_VERSION:
            client.close()
            raise RuntimeError(f"the running engine speaks protocol {hello.version}, this program {PROTOCOL_VERSION}")
        self.engine = MediaEngine(client, hello)
        return True

    async def _launch(self) -> None:
        options = self._options
        options.control.unlink(missing_ok=True)
        arguments = [
            "--control", str(options.control),
            "--webrtc-port", str(options.webrtc_port),
            "--rtp-ports", f"{options.rtp_ports[0]}-{options.rtp_ports[1]}",
            "--shards", str(options.shards),
            "--grace", str(options.grace),
        ]  # fmt: skip
        for address in options.public_addresses:
            arguments += ["--public-address", address]
        if options.offer_loopback:
            arguments.append("--offer-loopback")
        # A session of its own: Ctrl-C and the end of this process must cost no audio.
        self._process = await asyncio.create_subprocess_exec(
            find_binary(), *arguments, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        async with asyncio.timeout(START_TIME):
            while not (options.control.exists() and await self._connect()):
                if self._process.returncode is not None:
                    raise RuntimeError(await self._last_words())
                await asyncio.sleep(POLL)

    async def _last_words(self) -> str:
        assert self._process is not None
        text = b""
        if self._process.stderr is not None:
            text = await self._process.stderr.read(4096)
        words = text.decode(errors="replace").strip()
        return words or f"{BINARY} ended with code {self._process.returncode}"

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        deaths, since = 0, loop.time()
        while True:
            await self._gone.wait()
            if self._stopping:
                return
            self._tell_lost()
            deaths = 1 if loop.time() - since > SETTLED else deaths + 1
            await self._revive(deaths)
            since = loop.time()
            self._tell_ready()

    async def _revive(self, deaths: int) -> None:
        while True:
            await asyncio.sleep(PAUSES[min(deaths, len(PAUSES)) - 1])
            try:
                if self._process is not None and self._process.returncode is None:
                    # The connection went, the process did not: it may be taken over.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._process.wait(), 0.1)
                if not await self._connect():
                    await self._launch()
                return
            except (OSError, RuntimeError, TimeoutError) as error:
                deaths += 1
                self._deliver(LogLine("error", f"the media engine does not start again: {error}"))
