"""Calls from PCMU to Opus beside rtpengine, and rooms: CPU per call and per member, judged by what was heard.

`python -m bench.transcode --help`. Each server has one worker on one core, the generator the other.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import report, speech
from bench.ng import NgClient
from bench.relay import ROOT, build
from bench.servers import NG_PORT, PCMU, PEER_PORT, Setting, engine_process, generate, plain_offer, rtpengine_process
from offhook.calls.ports import Codec, LegRemote
from offhook.media.client import MediaError
from offhook.media.engine import MediaEngine

OPUS = Codec("OPUS", 111, 48_000, 2)
HEARD = 2
"""Legs whose audio is judged: both sides of the first call."""


@dataclass(frozen=True, slots=True)
class Leg:
    """Where a leg of the generator sends to, and as what."""

    port: int
    codec: str
    payload_type: int


@dataclass(frozen=True, slots=True)
class Run:
    """One server with so many calls, or members, in one round. `percent` is of a core for each of them."""

    server: str
    count: int
    round: int
    percent: float
    loss: float
    wrong: str
    measured: dict[str, float]


Served = tuple[int, list[Leg]]
Start = Callable[[Setting], AbstractAsyncContextManager[Served]]


async def _complete(media: MediaEngine, leg: int, codec: Codec, port: int) -> None:
    await media.complete(leg, LegRemote((codec,), "127.0.0.1", port, rtcp_port=port))


@asynccontextmanager
async def offhook(setting: Setting) -> AsyncIterator[Served]:
    """Calls of a PCMU leg and an Opus leg in the engine."""
    async with engine_process(setting) as (process, media):
        legs: list[Leg] = []
        for call in range(setting.calls):
            opened = await media.open_call((plain_offer(PCMU), plain_offer(OPUS)))
            for index, (leg, codec) in enumerate(zip(opened.legs, (PCMU, OPUS), strict=True)):
                await _complete(media, leg.leg, codec, PEER_PORT + 2 * call + index)
                legs.append(Leg(leg.candidates[0][1], codec.name.lower(), codec.payload_type))
            await media.bridge(opened.legs[0].leg, opened.legs[1].leg)
        yield process.pid, legs


@asynccontextmanager
async def rtpengine(setting: Setting) -> AsyncIterator[Served]:
    """The same calls in rtpengine."""
    async with rtpengine_process(setting) as process:
        with closing(NgClient(NG_PORT)) as control:
            legs: list[Leg] = []
            for call in range(setting.calls):
                peer = PEER_PORT + 2 * call
                near, far, payload_type = control.open_transcoded(f"bench-{call}", (peer, peer + 1))
                legs += [Leg(near, "pcmu", 0), Leg(far, "opus", payload_type)]
            yield process.pid, legs


@asynccontextmanager
async def room(setting: Setting) -> AsyncIterator[Served]:
    """One room; `calls` is the number of members, all with Opus."""
    async with engine_process(setting) as (process, media):
        legs, first = [], 0
        for member in range(setting.calls):
            opened = await media.open_call((plain_offer(OPUS),))
            first = first or opened.call
            leg = opened.legs[0]
            await _complete(media, leg.leg, OPUS, PEER_PORT + member)
            await media.join(leg.leg, first)
            legs.append(Leg(leg.candidates[0][1], "opus", OPUS.payload_type))
        yield process.pid, legs


SERVERS: dict[str, Start] = {"offhook": offhook, "rtpengine": rtpengine}


def _arguments(line: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.transcode", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="measured time of each run")
    parser.add_argument("--warm", type=float, default=4.0)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--servers", default=",".join(SERVERS), help="who transcodes, separated by commas")
    parser.add_argument("--members", default="", help="sizes of rooms, separated by commas, instead of calls")
    parser.add_argument("--talking", type=int, default=4, help="members who speak; the others send silence")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "artefacts" / "bench-transcode.json")
    return parser.parse_args(line)


def _setting(arguments: argparse.Namespace, binaries: Path, folder: Path, count: int) -> Setting:
    return Setting(folder, binaries, arguments.server_core, arguments.generator_core, count)


def write_plan(folder: Path, legs: list[Leg], files: list[Path]) -> Path:
    """What each leg of the generator says, as it reads it."""
    steps = {"pcmu": 160, "opus": 960}
    plan = folder / "plan"
    plan.write_text("".join(
        f"{PEER_PORT + index} {leg.port} {leg.payload_type} {steps[leg.codec]} {file}\n"
        for index, (leg, file) in enumerate(zip(legs, files, strict=True))
    ))  # fmt: skip
    return plan


async def _load(
    setting: Setting, legs: list[Leg], files: list[Path], pid: int, arguments: argparse.Namespace
) -> dict[str, float]:
    plan = write_plan(setting.folder, legs, files)
    return await generate(
        setting, arguments.seconds + arguments.warm, "frames", "--plan", str(plan), "--server", str(pid),
        "--seconds", str(arguments.seconds), "--warm", str(arguments.warm), "--keep", str(HEARD), "--folder",
        str(setting.folder),
    )  # fmt: skip


def _run_of(name: str, count: int, number: int, measured: dict[str, float], wrong: str) -> Run:
    percent = 100 * measured["server_cpu_ns"] / 1e9 / measured["seconds"] / count
    loss = max(0.0, 1 - measured["received"] / measured["sent"])
    if measured["silent_legs"]:
        wrong = f"{measured['silent_legs']:.0f} legs heard nothing"
    return Run(name, count, number, percent, loss, wrong, measured)


async def _calls(arguments: argparse.Namespace, binaries: Path, folder: Path) -> list[Run]:
    spoken = speech.speech(folder)
    pcmu, opus = speech.write_frames(folder, spoken)
    setting, runs, names = _setting(arguments, binaries, folder, arguments.calls), [], arguments.servers.split(",")
    for number in range(arguments.rounds):
        for name in names if number % 2 == 0 else names[::-1]:
            async with SERVERS[name](setting) as (pid, legs):
                measured = await _load(setting, legs, [pcmu, opus] * arguments.calls, pid, arguments)
            heard = [speech.judge(folder / f"heard-{index}", legs[index].codec, spoken) for index in range(HEARD)]
            runs.append(_run_of(name, arguments.calls, number, measured, "; ".join(filter(None, heard))))
            print(_line(runs[-1]), file=sys.stderr, flush=True)
    return runs


async def _rooms(arguments: argparse.Namespace, binaries: Path, folder: Path) -> list[Run]:
    _, opus = speech.write_frames(folder, speech.speech(folder))
    quiet, runs = speech.silence(folder), []
    for members in map(int, arguments.members.split(",")):
        setting = _setting(arguments, binaries, folder, members)
        files = [opus] * arguments.talking + [quiet] * (members - arguments.talking)
        for number in range(arguments.rounds):
            async with room(setting) as (pid, legs):
                measured = await _load(setting, legs, files, pid, arguments)
            runs.append(_run_of("room", members, number, measured, ""))
            print(_line(runs[-1]), file=sys.stderr, flush=True)
    return runs


def _line(run: Run) -> str:
    verdict = f"  WRONG: {run.wrong}" if run.wrong else ""
    of = 1e9 * run.measured["seconds"] / max(run.measured["server_cpu_ns"], 1) * run.count
    return (
        f"{run.count:>4}  {run.server:<10} {run.percent:6.3f} % of a core each, {of:6.0f} per core, "
        f"loss {100 * run.loss:.2f} %, late {run.measured['late_max_us'] / 1000:.1f} ms{verdict}"
    )


def _summary(runs: list[Run]) -> list[str]:
    groups: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        if not run.wrong and run.loss < 0.01:
            groups.setdefault((run.server, run.count), []).append(run.percent)
    lines = ["| server | legs or calls | % of a core each | per core | spread |", "|---|---|---|---|---|"]
    for (name, count), percents in groups.items():
        middle = statistics.median(percents)
        spread = f"{min(percents):.3f} to {max(percents):.3f}"
        lines.append(f"| {name} | {count} | {middle:.3f} | {100 / middle:.0f} | {spread} |")
    return lines


def main(line: list[str]) -> int:
    """Builds, measures, prints the table and writes the file. Returns the exit code."""
    arguments = _arguments(line)
    try:
        machine = report.measured_on()
        binaries = build()
        os.sched_setaffinity(0, {arguments.generator_core})
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            work = _rooms if arguments.members else _calls
            runs = asyncio.run(work(arguments, binaries, Path(folder)))
    except (OSError, RuntimeError, MediaError, subprocess.CalledProcessError) as error:
        print(f"bench.transcode: {error!r}", file=sys.stderr)
        return 1
    print("\n".join(_summary(runs)))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        arguments.output.write_text(
            json.dumps({"machine": machine, "runs": [asdict(run) for run in runs]}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
