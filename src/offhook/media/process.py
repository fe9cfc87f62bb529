"""The engine's process: connects to one that still runs, else starts one; watches it and starts it again."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offhook.media.client import MediaClient, MediaError
from offhook.media.engine import MediaEngine, OverTcp
from offhook.media.messages import PROTOCOL_VERSION, Event, LogLine

BINARY = "offhook-media"
START_TIME = 10.0
"""Seconds an engine may take from its start to its Hello."""
PAUSES = (0.0, 0.2, 1.0, 3.0, 10.0)
"""Seconds before the next start after so many deaths in a row."""
SETTLED = 30.0
"""Seconds after which an engine's death is the first of a new row."""
POLL = 0.02
"""Seconds between looks at a process that starts or ends."""
STOP_TIME = 2.0
"""Seconds an engine has to end before it is told more firmly."""
_REMEDY = "run `make setup`, or name it in OFFHOOK_MEDIA_BINARY"


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """The engine's command line. `grace` in seconds; port 0 takes any. `sounds` are the directories in which names of sound
    files are looked up, `recordings` the one below which recordings are written: the engine opens nothing else."""

    control: Path
    webrtc_port: int = 40_000
    rtp_ports: tuple[int, int] = (41_000, 44_999)
    public_addresses: tuple[str, ...] = ()
    offer_loopback: bool = True
    sha_1_fingerprints: bool = False
    shards: int = 0
    single_port: bool = False
    pin: bool = False
    grace: int = 60
    sounds: tuple[Path, ...] = ()
    recordings: Path | None = None

    def arguments(self) -> list[str]:
        """What the program is started with."""
        arguments = [
            "--control", str(self.control),
            "--webrtc-port", str(self.webrtc_port),
            "--rtp-ports", f"{self.rtp_ports[0]}-{self.rtp_ports[1]}",
            "--shards", str(self.shards),
            "--grace", str(self.grace),
        ]  # fmt: skip
        for address in self.public_addresses:
            arguments += ["--public-address", address]
        for directory in self.sounds:
            arguments += ["--sounds", str(directory)]
        if self.recordings is not None:
            arguments += ["--recordings", str(self.recordings)]
        if self.offer_loopback:
            arguments.append("--offer-loopback")
        if self.single_port:
            arguments.append("--single-port")
        if self.pin:
            arguments.append("--pin")
        if self.sha_1_fingerprints:
            arguments.append("--sha-1-fingerprints")
        return arguments


def find_binary() -> Path:
    """OFFHOOK_MEDIA_BINARY, the environment's scripts, beside the interpreter, PATH. Raises FileNotFoundError or
    PermissionError with a sentence."""
    given = os.environ.get("OFFHOOK_MEDIA_BINARY")
    places = [Path(given)] if given else [
        Path(sysconfig.get_path("scripts"), BINARY), Path(sys.executable).with_name(BINARY), Path(shutil.which(BINARY) or "")
    ]  # fmt: skip
    for place in places:
        if place.is_file():
            if not os.access(place, os.X_OK):
                raise PermissionError(
                    f"{place} is no program: `chmod +x {place}`, or name another in OFFHOOK_MEDIA_BINARY"
                )
            return place
    if given:
        fault = "is no file" if Path(given).exists() else "is not there"
        raise FileNotFoundError(f"{given}, which OFFHOOK_MEDIA_BINARY names, {fault}")
    raise FileNotFoundError(f"{BINARY} is not installed beside offhook; {_REMEDY}")


class MediaProcess:
    """`deliver` gets events, `lost` is called once per death, `ready` once per engine that has come up after one.

    `engine` is the present engine; after a death it is the dead one until `ready`, and refuses with `engine_lost`.
    """

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
        self._over_tcp = OverTcp()
        self._child: subprocess.Popen[bytes] | None = None
        self._gone = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes over a running engine or starts one. Raises OSError or RuntimeError with a sentence."""
        if not await self._connect():
            await self._launch()
        self._watching = asyncio.create_task(self._watch(), name="watch of the media engine")

    def announce_tcp(self, over_tcp: OverTcp) -> None:
        """Browsers are told from now on that media may come to our own port too."""
        self._over_tcp = self.engine.over_tcp = over_tcp

    def hand_over(self, descriptor: int, read: bytes) -> bool:
        """Gives the engine a TCP connection for ICE, with what was read of it; False if it does not take it."""
        way = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        way.setblocking(False)
        try:
            way.connect(f"{self._options.control}.tcp")
            socket.send_fds(way, [read], [descriptor])
        except OSError:
            return False
        finally:
            way.close()
        return True

    async def leave(self) -> None:
        """Goes without ending the engine, which keeps its legs for its grace time for whoever comes next."""
        if self._watching is not None:
            self._watching.cancel()
        if hasattr(self, "engine"):
            self.engine.disconnect()

    async def stop(self) -> None:
        """Ends the engine: asked, then SIGTERM, then SIGKILL, by its process id."""
        if self._watching is not None:
            self._watching.cancel()
        if hasattr(self, "engine") and self.engine.connected:
            with contextlib.suppress(MediaError, TimeoutError):
                async with asyncio.timeout(STOP_TIME):
                    await self.engine.exit()
            await self._end(self.engine.pid, asked=True)
        await self._bury()

    async def _end(self, pid: int, asked: bool = False) -> None:
        for order in (None, signal.SIGTERM, signal.SIGKILL):
            if order is None and not asked:
                continue
            if order is not None and self._runs(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, order)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIME):
                    while self._runs(pid):  # noqa: ASYNC110 - nothing tells of a child's end without a handler for SIGCHLD
                        await asyncio.sleep(POLL)
                return

    def _runs(self, pid: int) -> bool:
        if self._child is not None and pid == self._child.pid:
            return self._child.poll() is None
        # An adopted engine is nobody's child here; its end of the connection closes with it, and a zombie has none.
        return not self._gone.is_set()

    async def _connect(self) -> bool:
        """True if an engine answered on the control socket. Raises RuntimeError if it cannot be commanded."""
        gone = asyncio.Event()
        try:
            _, client = await asyncio.get_running_loop().create_unix_connection(
                lambda: MediaClient(self._deliver, gone.set), str(self._options.control)
            )
        except OSError:
            return False
        try:
            async with asyncio.timeout(START_TIME):
                hello = await asyncio.shield(client.hello)
        except (TimeoutError, MediaError) as error:
            client.close()
            if isinstance(error, MediaError) and error.code != "engine_lost":
                raise RuntimeError(f"the engine at {self._options.control} refuses: {error.text}") from error
            return False
        if hello.version != PROTOCOL_VERSION:
            client.close()
            raise RuntimeError(
                f"the running engine (process {hello.pid}) speaks protocol {hello.version}, this program "
                f"{PROTOCOL_VERSION}; end that process"
            )
        self.engine, self._gone = MediaEngine(client, hello), gone
        self.engine.over_tcp = self._over_tcp
        return True

    async def _launch(self) -> None:
        child = self._spawn()
        try:
            async with asyncio.timeout(START_TIME):
                while not (self._options.control.exists() and await self._connect()):
                    if child.poll() is not None:
                        raise RuntimeError(_last_words(child))
                    await asyncio.sleep(POLL)
        except TimeoutError as error:
            await self._end(child.pid)
            raise RuntimeError(f"{BINARY} did not answer within {START_TIME:.0f} s") from error

    def _spawn(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C and the end of this process must cost no audio. Not asyncio's subprocess: its
        # transport kills the child when the loop goes.
        binary = find_binary()
        try:
            self._child = subprocess.Popen(
                [binary, *self._options.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise RuntimeError(f"{binary} cannot be run ({error.strerror}); {_REMEDY}") from error
        return self._child

    async def _bury(self) -> None:
        """Makes sure that an engine which does not answer is gone, and reaps it."""
        if self._child is not None:
            await self._end(self._child.pid)
            if self._child.stderr is not None:
                self._child.stderr.close()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        deaths, since = 0, loop.time()
        while True:
            await self._gone.wait()
            self._tell_lost()
            deaths = 1 if loop.time() - since > SETTLED else deaths + 1
            await self._revive(deaths)
            since = loop.time()
            self._tell_ready()

    async def _revive(self, deaths: int) -> None:
        while True:
            pause = PAUSES[min(deaths, len(PAUSES)) - 1]
            if pause >= 1:
                text = f"the media engine ended {deaths} times in a row; the next start is in {pause:.0f} s"
                self._deliver(LogLine("error", text))
            await asyncio.sleep(pause)
            try:
                # The connection may have gone without the process: then it is taken over again.
                if not await self._connect():
                    await self._bury()
                    await self._launch()
                return
            except (OSError, RuntimeError) as error:
                deaths += 1
                self._deliver(LogLine("error", f"the media engine does not start again: {error}"))


def _last_words(child: subprocess.Popen[bytes]) -> str:
    """What a dead engine wrote."""
    text = child.stderr.read(4096) if child.stderr is not None else b""
    command: list[Path | str] = list(child.args)  # type: ignore[arg-type]
    silent = (
        f"{command[0]} ended with code {child.returncode} and said nothing: is it the media engine? If not, {_REMEDY}"
    )
    return text.decode(errors="replace").strip() or silent
