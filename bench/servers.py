"""The relays under measurement. Each starts one process on one core and gives the ports its legs listen on."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.machine import on_core
from bench.ng import WEBRTC, NgClient, new_credentials, new_key
from offhook.calls.ports import Codec, Crypto, KeyKind, LegLocal, LegOffer, LegRemote, PathKind
from offhook.media.client import MediaClient, MediaError
from offhook.media.engine import MediaEngine

PEER_PORT = 20_000
"""First port of the generator's legs: leg i of all calls is at this port plus i, legs 2n and 2n+1 are one call."""
RELAY_PORT = 22_500
ENGINE_PORTS = "25000-28999"
"""Every one of them is needed for 2,000 legs: below those that the kernel gives to whoever asks for any."""
RTPENGINE_PORTS = (30_000, 34_999)
NG_PORT = 22_499
GATHER_US = 1_000
"""The engine's own wait between two wake-ups under load; the second bare relay has it too."""
START_TIME = 10.0
"""Seconds that a server may take to answer."""
PCMU = Codec("PCMU", 0, 8_000)


@dataclass(frozen=True, slots=True)
class Running:
    """A server with its calls set up. `ways[i]` is where leg i sends to: a port, and suite and keys if it is secured."""

    pid: int
    ways: list[str]


@dataclass(frozen=True, slots=True)
class Setting:
    """What each server is started with. With a `suite` (its name in SDP) the second leg of each call is SRTP; with `WEBRTC`
    it is a browser, whose certificate lies in the folder and has this fingerprint."""

    folder: Path
    binaries: Path
    core: int
    generator_core: int
    calls: int
    suite: str = ""
    fingerprint: str = ""
    shards: tuple[str, ...] = ("--shards", "1")
    """How our engine is divided: its words of the command line."""

    @property
    def certificate(self) -> Path:
        """The generator's certificate and key."""
        return self.folder / "certificate"


Start = Callable[[Setting], AbstractAsyncContextManager[Running]]


def _process(setting: Setting, *command: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """The command on the server's core; what it prints can be read."""
    log = setting.folder / f"{Path(command[0]).name}.log"
    return on_core(setting.core, log, *command, stdout=subprocess.PIPE)


@asynccontextmanager
async def engine_process(setting: Setting) -> AsyncIterator[tuple[asyncio.subprocess.Process, MediaEngine]]:
    """Offhook's media engine, driven as the server drives it."""
    control = setting.folder / "engine.sock"
    command = (
        str(setting.binaries / "offhook-media"), "--control", str(control), "--webrtc-port", "0", "--rtp-ports",
        ENGINE_PORTS, *setting.shards, "--offer-loopback",
    )  # fmt: skip
    async with _process(setting, *command) as process:
        client = await _connect(control)
        media = MediaEngine(client, await asyncio.wait_for(client.hello, START_TIME))
        yield process, media
        with suppress(MediaError):
            await media.exit()


@asynccontextmanager
async def engine(setting: Setting) -> AsyncIterator[Running]:
    """Calls that pass through the engine."""
    async with engine_process(setting) as (process, media):
        ways: list[str] = []
        for call in range(setting.calls):
            ways += await _engine_call(media, PEER_PORT + 2 * call, setting)
        yield Running(process.pid, ways)


@asynccontextmanager
async def plain_engine(setting: Setting) -> AsyncIterator[Running]:
    """The same, both legs plain: what security adds is the difference."""
    async with engine(replace(setting, suite="")) as running:
        yield running


def divided(*words: str) -> Start:
    """Two shards, on the core that one has else."""

    def start(setting: Setting) -> AbstractAsyncContextManager[Running]:
        return engine(replace(setting, shards=("--shards", "2", *words)))

    return start


async def _connect(control: Path) -> MediaClient:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(START_TIME):
        while True:
            with suppress(OSError):
                make = lambda: MediaClient(lambda event: None, lambda: None)  # noqa: E731
                return (await loop.create_unix_connection(make, str(control)))[1]
            await asyncio.sleep(0.02)


def plain_offer(codec: Codec) -> LegOffer:
    """A leg of plain RTP at a port of its own."""
    return LegOffer(PathKind.PORT, KeyKind.PLAIN, (codec,), "127.0.0.1", rtcp_mux=False)


async def _engine_call(media: MediaEngine, peer: int, setting: Setting) -> list[str]:
    plain = plain_offer(PCMU)
    suite, secured = setting.suite, plain
    if suite == WEBRTC:
        secured = LegOffer(PathKind.WEBRTC, KeyKind.DTLS, (PCMU,))
    elif suite:
        secured = LegOffer(PathKind.PORT, KeyKind.SDES, (PCMU,), "127.0.0.1", rtcp_mux=False, suites=(suite,))
    opened = await media.open_call((plain, secured))
    ways: list[str] = []
    for index, leg in enumerate(opened.legs):
        remote, way = answer(leg, peer + index, setting)
        await media.complete(leg.leg, remote)
        ways.append(way)
    await media.bridge(opened.legs[0].leg, opened.legs[1].leg)
    return ways


def answer(leg: LegLocal, port: int, setting: Setting) -> tuple[LegRemote, str]:
    """What the generator's leg says, and its way to the engine."""
    # The peer's RTCP goes to its RTP port: the generator has no other, and would answer with ICMP errors.
    remote, way = LegRemote((PCMU,), "127.0.0.1", port, rtcp_port=port), str(leg.candidates[0][1])
    if leg.crypto:
        key = new_key(setting.suite)
        remote = replace(remote, crypto=(Crypto(setting.suite, key),))
        way += f" {setting.suite} {key} {leg.crypto[0].key}"
    elif leg.ufrag:
        ufrag, password = new_credentials()
        hashes = (("sha-256", setting.fingerprint),)
        remote = LegRemote((PCMU,), ufrag=ufrag, password=password, fingerprints=hashes)
        way += f" {WEBRTC} {ufrag} {password} {leg.ufrag} {leg.password}"
    return remote, way


@asynccontextmanager
async def rtpengine_process(setting: Setting) -> AsyncIterator[asyncio.subprocess.Process]:
    """rtpengine in user space with one worker thread."""
    low, high = RTPENGINE_PORTS
    command = (
        "rtpengine", "--config-file=none", "--table=-1", "--num-threads=1", "--foreground", "--interface=127.0.0.1",
        f"--listen-ng=127.0.0.1:{NG_PORT}", f"--port-min={low}", f"--port-max={high}", "--log-level=3", "--log-stderr",
        "--delete-delay=0", "--timeout=60",
    )  # fmt: skip
    async with _process(setting, *command) as process:
        with closing(NgClient(NG_PORT)) as control:
            await _ping(control)
        yield process


@asynccontextmanager
async def rtpengine(setting: Setting) -> AsyncIterator[Running]:
    """Calls that pass through rtpengine."""
    async with rtpengine_process(setting) as process:
        with closing(NgClient(NG_PORT)) as control:
            ways: list[str] = []
            for call in range(setting.calls):
                peer = PEER_PORT + 2 * call
                ports = peer, peer + 1
                if setting.suite == WEBRTC:
                    ways += control.open_webrtc(f"bench-{call}", ports, setting.fingerprint)
                else:
                    ways += control.open_call(f"bench-{call}", ports, setting.suite)
            yield Running(process.pid, ways)


async def _ping(control: NgClient) -> None:
    async with asyncio.timeout(START_TIME):
        while True:
            with suppress(OSError):
                control.request("ping")
                return
            await asyncio.sleep(0.05)


def bare(gather_us: int, connected: bool = True) -> Start:
    """The bare relay: `recv` and `send` and nothing else; `gather_us` is its shortest time between two wake-ups. Sockets
    that are not `connected` hear everybody, as those of a media server must."""

    @asynccontextmanager
    async def start(setting: Setting) -> AsyncIterator[Running]:
        command = (
            str(setting.binaries / "offhook-loadgen"), "relay", "--base", str(RELAY_PORT), "--peer-base",
            str(PEER_PORT), "--pairs", str(setting.calls), "--gather-us", str(gather_us),
            "--connected", str(connected).lower(),
        )  # fmt: skip
        async with _process(setting, *command) as process:
            if process.stdout is None or await asyncio.wait_for(process.stdout.readline(), START_TIME) != b"ready\n":
                raise RuntimeError("the bare relay did not start; its ports may be in use")
            yield Running(process.pid, [str(RELAY_PORT + index) for index in range(2 * setting.calls)])

    return start


SERVERS: dict[str, Start] = {
    "offhook": engine,
    "rtpengine": rtpengine,
    "offhook, plain": plain_engine,
    "bare relay": bare(0),
    "bare relay, 1 ms": bare(GATHER_US),
    "bare relay, 1 ms, open": bare(GATHER_US, connected=False),
}

SHARED: dict[str, Start] = {"offhook, a port each": divided(), "offhook, one port": divided("--single-port")}
"""What `media.single_port` costs: of the packets of browsers on two shards half are handed on."""


async def generate(setting: Setting, seconds: float, *words: str) -> dict[str, float]:
    """One run of the load generator on its core, which should take `seconds`; what it measured. Raises RuntimeError."""
    process = await asyncio.create_subprocess_exec(
        "taskset", "-c", str(setting.generator_core), str(setting.binaries / "offhook-loadgen"), *words,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError("the load generator failed; its words are above")
    measured: dict[str, float] = json.loads(said)
    return measured


def with_certificate(setting: Setting) -> Setting:
    """The setting with a certificate for browsers. Raises OSError, subprocess.CalledProcessError."""
    command = (str(setting.binaries / "offhook-loadgen"), "certificate", "--file", str(setting.certificate))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return replace(setting, fingerprint=json.loads(done.stdout)["fingerprint"])
