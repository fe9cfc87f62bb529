"""Phones: SIPp over UDP, one scenario at one rate against one server."""

import asyncio
import csv
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from bench.signalling.servers import CALLEE, DOMAIN, password, user

HERE = Path(__file__).parent
ADDRESS = "127.0.0.1"
CALLER_PORT, CALLEE_PORT = 15_072, 15_070
HOLD_MS = 200
"""Milliseconds a call stands before the caller hangs up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the calls of one run. Set-up times are in milliseconds, from INVITE with credentials to 180."""

    good: int
    failed: int
    retransmissions: int
    setup_p50: float | None = None
    setup_p99: float | None = None


def write_users(folder: Path, first: int, count: int) -> Path:
    """SIPp's table: the users in turn, with credentials."""
    path = folder / f"users-{first}-{count}.csv"
    lines = ["SEQUENTIAL"]
    for number in range(first, first + count):
        name = user(number)
        lines.append(f"{name};[authentication username={name} password={password(name)}]")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_callee(folder: Path) -> Path:
    """SIPp's table for the one who is called."""
    path = folder / "callee.csv"
    path.write_text(f"SEQUENTIAL\n{CALLEE};[authentication username={CALLEE} password={password(CALLEE)}]\n")
    return path


def _command(core: int, target: str, scenario: str, port: int) -> list[str]:
    return [
        "taskset", "-c", str(core), "sipp", target, "-sf", str(HERE / f"{scenario}.xml"), "-i", ADDRESS, "-p", str(port),
        "-mi", ADDRESS, "-nostdin", "-buff_size", "4000000", "-key", "domain", DOMAIN, "-auth_uri", DOMAIN,
        "-timer_resol", "1",
    ]  # fmt: skip


async def run(
    folder: Path, core: int, target: str, scenario: str, table: Path, rate: float, count: int, port: int = CALLER_PORT
) -> Outcome:
    """`count` units of a scenario at `rate` a second; bounded in time."""
    _forget_last(folder)
    limit = int(count / rate + 40)
    command = [
        *_command(core, target, scenario, port), "-inf", str(table), "-m", str(count), "-r", str(rate), "-l", "20000",
        "-s", CALLEE, "-d", str(HOLD_MS), "-trace_stat", "-stf", str(folder / "counts.csv"), "-fd", "1",
        "-timeout", str(limit), "-recv_timeout", "8000", "-trace_rtt", "-rtt_freq", "20",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await asyncio.wait_for(process.wait(), limit + 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _read(folder)


def _forget_last(folder: Path) -> None:
    for old in (*folder.glob("*_rtt.csv"), folder / "counts.csv"):
        old.unlink(missing_ok=True)


def _read(folder: Path) -> Outcome:
    with (folder / "counts.csv").open() as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    last = rows[-1]
    numbers = [int(last[name]) for name in ("SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)")]
    times: list[float] = []
    for path in folder.glob("*_rtt.csv"):
        with path.open() as file:
            times += [float(row["response_time_ms"]) for row in csv.DictReader(file, delimiter=";")]
    if len(times) < 100:
        return Outcome(*numbers)
    cuts = quantiles(times, n=100)
    return Outcome(*numbers, setup_p50=cuts[49], setup_p99=cuts[98])


@asynccontextmanager
async def callee(folder: Path, core: int, target: str) -> AsyncIterator[None]:
    """The phone that is called: registered at the server, answering until the end of the block."""
    registered = await run(folder, core, target, "register", write_callee(folder), 1, 1, CALLEE_PORT)
    if registered.good != 1:
        raise RuntimeError(f"the callee could not register at {target}")
    command = [*_command(core, target, "callee", CALLEE_PORT), "-mp", "31000", "-timeout", "600"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    await asyncio.sleep(1)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
