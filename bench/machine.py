"""What is measured beside and on: versions of the peers, the machine, and a process on one core."""

import asyncio
import os
import platform
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from offhook import __version__

END_TIME = 30.0
"""Seconds that a process has to end by itself."""


def machine() -> dict[str, str]:
    """Date, processor, kernel, load and Offhook's version."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    done = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "load_before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "offhook": f"{__version__} ({done.stdout.strip() or 'no git'})",
    }


def version(program: str, *flags: str) -> str:
    """The first line of what a program says about itself. Raises RuntimeError when it is not installed."""
    if shutil.which(program) is None:
        raise RuntimeError(f"{program} is not installed; interop/peers.sh installs what is measured beside")
    done = subprocess.run([program, *flags], capture_output=True, text=True, check=False)
    return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "")


def rtpengine_version() -> str:
    """Its version. Raises RuntimeError when it is not installed."""
    return version("rtpengine", "--version").removeprefix("Version: ")


@asynccontextmanager
async def on_core(
    core: int,
    log: Path,
    *command: str,
    stdout: int | IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command on that core; its words go to the log, and it is ended by its own process id."""
    with log.open("ab") as words:
        process = await asyncio.create_subprocess_exec(
            "taskset", "-c", str(core), *command, stdin=subprocess.DEVNULL, stdout=words if stdout is None else stdout,
            stderr=words, env=environment,
        )  # fmt: skip
    try:
        yield process
    finally:
        for end in (process.terminate, process.kill):
            with suppress(ProcessLookupError):
                end()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_TIME)
                break
