"""Offhook beside Kamailio and rtpengine: CPU microseconds of the server for each unit of signalling, in one run.

Every server runs on one core, the load on another, all on loopback. A round measures every server once; every second round
goes the other way round. Offhook's limits that are raised for this are named in servers.RAISED.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop

from bench.signalling import table
from bench.signalling.measures import MEASURES, Bench, Row
from bench.signalling.meter import ServerDied
from bench.signalling.servers import SERVERS, USUAL, Setting, prepare

ROOT = Path(__file__).parent.parent.parent


def _arguments(line: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.signalling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measures", default=",".join(MEASURES), help=f"of {', '.join(MEASURES)}, separated by commas")
    parser.add_argument("--servers", default=USUAL, help=f"of {', '.join(SERVERS)}, separated by commas")
    parser.add_argument("--clients", type=int, default=5_000, help="WebSocket clients")
    parser.add_argument("--refreshes", type=int, default=4, help="refreshes of each client")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--registration-rates", default="2000,4000,8000", help="registrations a second over UDP")
    parser.add_argument("--call-rates", default="250,500", help="calls a second")
    parser.add_argument("--seconds", type=float, default=6.0, help="time in which calls and registrations are offered")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    parser.add_argument("--engine", type=Path, help="offhook-media to measure; built if not given")
    parser.add_argument(
        "--core", type=Path, help="package with the compiled core, of the server `compiled`; built if not given"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "artefacts" / "bench-signalling.json")
    arguments = parser.parse_args(line)
    for name, known in (("measures", MEASURES), ("servers", SERVERS)):
        chosen = getattr(arguments, name).split(",")
        if not set(chosen) <= set(known):
            parser.error(f"--{name} are {', '.join(known)}")
        setattr(arguments, name, chosen)
    arguments.call_rates = [int(rate) for rate in arguments.call_rates.split(",")]
    arguments.registration_rates = [int(rate) for rate in arguments.registration_rates.split(",")]
    return arguments


def _engine(given: Path | None) -> Path:
    """The release build: a benchmark of anything else says nothing."""
    if given is not None:
        return given.resolve()
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "-p", "offhook-engine"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "offhook-media"


def _core(given: Path | None, wanted: bool) -> Path:
    """The compiled core of the sources as they are now."""
    if given is not None or not wanted:
        return (given or ROOT).resolve()
    subprocess.run([sys.executable, "build_core.py", "target/core"], cwd=ROOT, check=True)
    return ROOT / "target" / "core" / "package"


async def _measure(arguments: argparse.Namespace, folder: Path, engine: Path, package: Path) -> list[Row]:
    setting = Setting(folder, engine, arguments.users, arguments.server_core, package)
    await prepare(setting)
    bench = Bench(setting, arguments.generator_core, arguments)
    rows: list[Row] = []
    for name in arguments.measures:
        for number in range(arguments.rounds):
            order = arguments.servers if number % 2 == 0 else arguments.servers[::-1]
            for server in order:
                try:
                    measured = await MEASURES[name](bench, server)
                except ServerDied as died:
                    print(f"{name} of {server} does not count: {died}", file=sys.stderr, flush=True)
                    continue
                for row in measured:
                    rows.append(row)
                    print(table.line(row), file=sys.stderr, flush=True)
    return rows


def main(line: list[str]) -> int:
    """Measures, prints the table and writes the file. Returns the exit code."""
    arguments = _arguments(line)
    cores = os.sched_getaffinity(0)
    if not {arguments.server_core, arguments.generator_core} <= cores:
        print(f"two cores are needed, --server-core and --generator-core; this process has {sorted(cores)}")
        return 1
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        facts = table.measured_on()
        engine = _engine(arguments.engine)
        package = _core(arguments.core, "compiled" in arguments.servers)
        os.sched_setaffinity(0, {arguments.generator_core})
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            rows = uvloop.run(_measure(arguments, Path(folder), engine, package))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"bench.signalling: {error}", file=sys.stderr)
        return 1
    print(table.table(rows, facts, arguments))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    whole = {"machine": facts, "rows": [asdict(row) for row in rows], "summary": table.summary(rows)}
    arguments.output.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"\nall figures: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
