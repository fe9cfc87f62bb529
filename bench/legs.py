"""What a leg costs apart from its packets: CPU of its set-up, memory while it stands.

`python -m bench.legs --help`. Memory is what the engine's resident set grew by, so long after set-up that handshakes are
forgotten, divided by the legs; sockets' memory is the kernel's and not in it.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import report, speech
from bench.ng import WEBRTC
from bench.relay import ROOT, build
from bench.servers import PCMU, PEER_PORT, Setting, answer, engine_process, generate, plain_offer, with_certificate
from bench.transcode import OPUS, write_plan
from bench.transcode import Leg as Speaking
from offhook.calls.ports import KeyKind, LegOffer, PathKind
from offhook.media.client import MediaError
from offhook.media.engine import MediaEngine

END = 5.0
"""Seconds at the end of a run in which the generator counts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Legs of one kind, all set up and settled. Times are of the engine's processor, for each leg."""

    kind: str
    legs: int
    setup_us: float
    connect_us: float
    kilobytes: float
    loss: float


@dataclass(slots=True)
class Engine:
    """The engine under measurement and the calls set up in it."""

    setting: Setting
    pid: int
    media: MediaEngine
    arguments: argparse.Namespace


def _cpu_ns(pid: int) -> int:
    times = (task / "schedstat" for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int(time.read_text().split()[0]) for time in times)


def _resident(pid: int) -> int:
    """Octets."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _open(engine: Engine, offers: tuple[LegOffer, LegOffer], count: int) -> list[str]:
    ways: list[str] = []
    for call in range(count // 2):
        opened = await engine.media.open_call(offers)
        for index, leg in enumerate(opened.legs):
            remote, way = answer(leg, PEER_PORT + 2 * call + index, engine.setting)
            await engine.media.complete(leg.leg, remote)
            ways.append(way)
        await engine.media.bridge(opened.legs[0].leg, opened.legs[1].leg)
    return ways


async def _passing(engine: Engine, offer: LegOffer, count: int) -> tuple[int, dict[str, float]]:
    ways = await _open(engine, (offer, offer), count)
    opened = _cpu_ns(engine.pid)
    plan = engine.setting.folder / "plan"
    plan.write_text("".join(f"{PEER_PORT + index} {way}\n" for index, way in enumerate(ways)))
    settle = engine.arguments.settle
    # A packet a second from each leg: all state is there, and nothing is measured but that.
    measured = await generate(
        engine.setting, settle + 60, "rtp", "--plan", str(plan), "--rate", str(count), "--seconds", str(END),
        "--warm", str(settle - END), "--server", str(engine.pid), "--certificate", str(engine.setting.certificate),
    )  # fmt: skip
    return opened, measured


async def _plain(engine: Engine, count: int) -> tuple[int, dict[str, float]]:
    return await _passing(engine, plain_offer(PCMU), count)


async def _webrtc(engine: Engine, count: int) -> tuple[int, dict[str, float]]:
    return await _passing(engine, LegOffer(PathKind.WEBRTC, KeyKind.DTLS, (PCMU,)), count)


async def _transcoding(engine: Engine, count: int) -> tuple[int, dict[str, float]]:
    pcmu, opus = speech.write_frames(engine.setting.folder, speech.speech(engine.setting.folder))
    legs: list[Speaking] = []
    for call in range(count // 2):
        opened = await engine.media.open_call((plain_offer(PCMU), plain_offer(OPUS)))
        for index, (leg, codec) in enumerate(zip(opened.legs, (PCMU, OPUS), strict=True)):
            remote, way = answer(leg, PEER_PORT + 2 * call + index, engine.setting)
            await engine.media.complete(leg.leg, replace(remote, audio=(codec,)))
            legs.append(Speaking(int(way), codec.name.lower(), codec.payload_type))
        await engine.media.bridge(opened.legs[0].leg, opened.legs[1].leg)
    at = _cpu_ns(engine.pid)
    plan = write_plan(engine.setting.folder, legs, [pcmu, opus] * (count // 2))
    settle = engine.arguments.settle
    measured = await generate(
        engine.setting, settle, "frames", "--plan", str(plan), "--seconds", str(END), "--warm", str(settle - END),
        "--server", str(engine.pid),
    )  # fmt: skip
    return at, measured


Kind = Callable[[Engine, int], Awaitable[tuple[int, dict[str, float]]]]
KINDS: dict[str, Kind] = {"plain": _plain, WEBRTC: _webrtc, "transcoding": _transcoding}


def _arguments(line: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.legs", description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS), help="separated by commas")
    parser.add_argument("--legs", type=int, default=2_000, help="legs that pass on, an even number up to 2000")
    parser.add_argument("--transcoding-legs", type=int, default=200, help="these speak in real time")
    parser.add_argument("--settle", type=float, default=90.0, help="seconds from set-up to the look at the memory")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "artefacts" / "bench-legs.json")
    return parser.parse_args(line)


async def _stand(kind: str, setting: Setting, arguments: argparse.Namespace) -> Standing:
    count: int = arguments.transcoding_legs if kind == "transcoding" else arguments.legs
    async with engine_process(setting) as (process, media):
        engine = Engine(setting, process.pid, media, arguments)
        before, grown = _cpu_ns(process.pid), _resident(process.pid)
        opened, measured = await KINDS[kind](engine, count)
        grown = _resident(process.pid) - grown
    connect_us = measured.get("connect_cpu_ns", 0) / count / 1_000
    loss = 1 - measured["received"] / measured["sent"]
    return Standing(kind, count, (opened - before) / count / 1_000, connect_us, grown / count / 1_024, loss)


async def _measure(arguments: argparse.Namespace, binaries: Path, folder: Path) -> list[Standing]:
    cores = arguments.server_core, arguments.generator_core
    setting = with_certificate(Setting(folder, binaries, *cores, 0))
    return [await _stand(kind, setting, arguments) for kind in arguments.kinds.split(",")]


def _table(found: list[Standing]) -> list[str]:
    lines = [
        "| kind | legs | set-up by commands, µs | ICE and DTLS, µs | KiB a leg | loss % |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        cells = f"{one.setup_us:.0f} | {one.connect_us:.0f} | {one.kilobytes:.1f} | {100 * one.loss:.2f}"
        lines.append(f"| {one.kind} | {one.legs} | {cells} |")
    return lines


def main(line: list[str]) -> int:
    """Builds, measures, prints the table and writes the file. Returns the exit code."""
    arguments = _arguments(line)
    # Every leg has a socket or two, in the engine and in the generator.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        machine = report.measured_on()
        binaries = build()
        os.sched_setaffinity(0, {arguments.generator_core})
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            found = asyncio.run(_measure(arguments, binaries, Path(folder)))
    except (OSError, RuntimeError, MediaError, subprocess.CalledProcessError) as error:
        print(f"bench.legs: {error!r}", file=sys.stderr)
        return 1
    print("\n".join(_table(found)))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        arguments.output.write_text(
            json.dumps({"machine": machine, "legs": [asdict(one) for one in found]}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
