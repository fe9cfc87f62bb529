"""A foreign program that was started: until it listens, and its end by its own process id."""

import asyncio
import contextlib
from pathlib import Path

from tests.support.patience import PATIENCE


async def listening(process: asyncio.subprocess.Process, address: str, port: int, log: Path) -> None:
    """Until somebody can connect. Raises AssertionError with the end of its log when that does not come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(address, port)
                    writer.close()
                    return
                await asyncio.sleep(0.1)  # the port is the signal
    raise AssertionError(f"{log.parent.name} did not start:\n{log.read_text()[-3000:]}")


async def end(process: asyncio.subprocess.Process) -> None:
    """Asks it to end, and makes it after five seconds."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 5)
    if process.returncode is None:
        process.kill()
        await process.wait()
