"""The data directory: made, proved writable, and held by one process at a time.

Lives here: whose it is. Never here: what stands in it. Nothing heavy may be imported here: it comes before the sockets.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from offhook.server.errors import StartError

LOCK = "server.lock"
"""Locked by whoever works in the directory, with its process id as text. The kernel unlocks it however that process ends."""
RUNNING = "running.json"
"""There from the end of a server's start to the beginning of its end."""
ENDING = 30.0
"""Seconds in which a server that stops has written what it knows; the next one waits that long for it."""
LOOK = 0.05
"""Seconds between looks at a lock that another process has."""


@contextlib.contextmanager
def held(data: Path, patience: float = ENDING) -> Iterator[None]:
    """Makes the directory and keeps every other server, and `offhook restore`, out of it. A process that is just starting or
    ending in it is waited for. Raises StartError."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(data, error) from None
    try:
        _lock(descriptor, data, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, data: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            return
        except BlockingIOError:
            if (data / RUNNING).exists() or time.monotonic() > deadline:
                raise _taken(descriptor, data) from None
        except OSError as error:
            raise _unusable(data, error) from None
        time.sleep(LOOK)


def _taken(descriptor: int, data: Path) -> StartError:
    pid = os.pread(descriptor, 20, 0).decode(errors="replace")
    return StartError(f"a server runs in {data} (pid {pid}): stop it first, or choose another data directory by --data")


def _unusable(data: Path, error: OSError) -> StartError:
    return StartError(f"the data directory {data} cannot be written ({error.strerror}); choose one by --data")
