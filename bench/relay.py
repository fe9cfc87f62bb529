"""The relay beside rtpengine and a bare relay: microseconds of CPU per forwarded packet, in one run on one machine.

Each server runs on one core, the generator on another. A round measures every server once; every second round goes the
other way round, so that a drift of the machine hits all alike. `make bench`, or `python -m bench.relay --help`.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import report
from bench.ng import KEY_OCTETS, WEBRTC
from bench.servers import PEER_PORT, SERVERS, SHARED, Running, Setting, generate, with_certificate
from offhook.media.client import MediaError

ROOT = Path(__file__).parent.parent
MAX_LOSS = 0.001
"""Share of packets above which a run does not count."""
FIRST_CLIMB, CLIMB, HIGHEST = 100_000, 1.2, 600_000
"""Packets a second at which the search for the most begins, the factor of each step, and where it ends."""


@dataclass(frozen=True, slots=True)
class Run:
    """One server at one rate in one round. `cpu_us` is per packet that the sink received."""

    server: str
    rate: int
    round: int
    cpu_us: float
    loss: float
    counts: bool
    measured: dict[str, float]


def _arguments(line: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="measured time of each run")
    parser.add_argument("--warm", type=float, default=3.5, help="time before it; servers learn addresses for 3 s")
    parser.add_argument("--rates", default="20000,80000", help="packets a second over all legs, separated by commas")
    parser.add_argument("--legs", type=int, default=500, help="an even number")
    parser.add_argument(
        "--suite",
        choices=["", *KEY_OCTETS, WEBRTC],
        default="",
        help="second leg of each call: SRTP (SDES), or a browser",
    )
    parser.add_argument(
        "--single-port", action="store_true", help="two shards with a port each, and with one, of browsers"
    )
    parser.add_argument("--most", action="store_true", help="also climb to the highest rate without loss")
    parser.add_argument("--quick", action="store_true", help="one round of 2 s with 50 legs: does it work at all?")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "artefacts" / "bench-relay.json")
    arguments = parser.parse_args(line)
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.warm, arguments.legs = 1, 2.0, 0.5, 50
    if arguments.legs < 2 or arguments.legs % 2 or arguments.legs > 1_000 or arguments.rounds < 1:
        parser.error("an even number of legs from 2 to 1000 is needed, and at least one round")
    return arguments


def build() -> Path:
    """The release build of engine and generator: a benchmark of anything else says nothing."""
    command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "offhook-engine", "-p", "offhook-loadgen"]
    subprocess.run(command, cwd=ROOT, check=True)
    return target_folder() / "release"


def target_folder() -> Path:
    """Where cargo builds."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


async def _load(setting: Setting, running: Running, rate: int, arguments: argparse.Namespace) -> dict[str, float]:
    """One run of the generator against a server whose calls are set up."""
    plan = setting.folder / "plan"
    plan.write_text("".join(f"{PEER_PORT + index} {way}\n" for index, way in enumerate(running.ways)))
    return await generate(
        setting, arguments.seconds + arguments.warm, "rtp", "--plan", str(plan), "--rate", str(rate),
        "--seconds", str(arguments.seconds), "--warm", str(arguments.warm), "--server", str(running.pid),
        "--certificate", str(setting.certificate),
    )  # fmt: skip


async def _run(name: str, rate: int, number: int, setting: Setting, arguments: argparse.Namespace) -> Run:
    async with (SERVERS | SHARED)[name](setting) as running:
        measured = await _load(setting, running, rate, arguments)
    received, sent = measured["received"], measured["sent"]
    if measured["astray"] or (not received and rate < FIRST_CLIMB):
        raise RuntimeError(f"{name} does not relay as it should: {measured}")
    loss = measured["lost"] / sent
    # A generator that falls behind measures another rate than it says.
    counts = loss <= MAX_LOSS and sent >= 0.99 * rate * arguments.seconds
    return Run(name, rate, number, measured["server_cpu_ns"] / max(received, 1) / 1_000, loss, counts, measured)


def _names(arguments: argparse.Namespace) -> list[str]:
    """Who is measured: a bare relay knows nothing of SRTP, and what security adds is seen beside plain legs."""
    if arguments.single_port:
        return list(SHARED)
    without = "bare" if arguments.suite else "offhook, plain"
    return [name for name in SERVERS if not name.startswith(without)]


def _setting(arguments: argparse.Namespace, binaries: Path, folder: Path) -> Setting:
    cores = arguments.server_core, arguments.generator_core
    setting = Setting(folder, binaries, *cores, arguments.legs // 2, arguments.suite)
    return with_certificate(setting) if arguments.suite == WEBRTC else setting


async def _measure(arguments: argparse.Namespace, binaries: Path, folder: Path) -> list[Run]:
    setting = _setting(arguments, binaries, folder)
    runs, names = [], _names(arguments)
    for rate in map(int, arguments.rates.split(",")):
        for number in range(arguments.rounds):
            order = names if number % 2 == 0 else names[::-1]
            for name in order:
                run = await _run(name, rate, number, setting, arguments)
                runs.append(run)
                print(report.line(run), file=sys.stderr, flush=True)
    return runs


async def _most(arguments: argparse.Namespace, binaries: Path, folder: Path) -> list[Run]:
    """For each server its last run that counts while the rate climbs; one that fails is tried once more."""
    setting = _setting(arguments, binaries, folder)
    best: list[Run] = []
    for name in _names(arguments):
        rate, good = FIRST_CLIMB, None
        while rate <= HIGHEST:
            runs = [await _run(name, rate, 0, setting, arguments)]
            if not runs[-1].counts:
                runs.append(await _run(name, rate, 1, setting, arguments))
            for run in runs:
                print(report.line(run), file=sys.stderr, flush=True)
            if not runs[-1].counts:
                break
            good, rate = runs[-1], int(rate * CLIMB)
        best += [good] if good else []
    return best


def main(line: list[str]) -> int:
    """Builds, measures, prints the table and writes the file. Returns the exit code."""
    arguments = _arguments(line)
    cores = os.sched_getaffinity(0)
    if not {arguments.server_core, arguments.generator_core} <= cores:
        print(f"two cores are needed, --server-core and --generator-core; this process has {sorted(cores)}")
        return 1
    try:
        machine = report.measured_on()
        binaries = build()
        # Driving a server must not cost time on its core.
        os.sched_setaffinity(0, {arguments.generator_core})
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            runs = asyncio.run(_measure(arguments, binaries, Path(folder)))
            best = asyncio.run(_most(arguments, binaries, Path(folder))) if arguments.most else []
    except (OSError, RuntimeError, MediaError, subprocess.CalledProcessError) as error:
        print(f"bench.relay: {error!r}", file=sys.stderr)
        return 1
    print(report.table(runs, machine, arguments))
    for run in best:
        print(f"most without loss: {run.server:<17} {run.rate / 1000:.0f} kpps at {run.cpu_us:.2f} µs a packet")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "machine": machine,
        "runs": [asdict(run) for run in runs],
        "summary": report.summary(runs),
        "most": [asdict(run) for run in best],
    }
    arguments.output.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"\nall figures: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
