"""CPU time and memory of process trees, read from /proc."""

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


class ServerDied(RuntimeError):
    """A process of the server ended under load (Kamailio 5.6 does so at times with thousands of TLS connections)."""


def tree(root: int) -> list[int]:
    """The process and everything it started."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def _run_time(pid: int) -> int:
    """Nanoseconds that all threads of a process have run (schedstat); those that ended are not counted."""
    total = 0
    try:
        tasks = list((PROC / str(pid) / "task").iterdir())
    except OSError:
        raise ServerDied(f"process {pid} of the server is gone") from None
    for task in tasks:
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total


def memory(pids: list[int]) -> int:
    """PSS of the processes in KiB: shared pages are divided among those who share them."""
    total = 0
    for pid in pids:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


@dataclass
class Meter:
    """`parts` names process ids; `taken()` tells the CPU microseconds each has used since `start()`."""

    parts: dict[str, list[int]]

    def start(self) -> None:
        """Begins anew."""
        self._before = self._read()

    def taken(self) -> dict[str, float]:
        """Microseconds by part."""
        return {name: (ns - self._before[name]) / 1_000 for name, ns in self._read().items()}

    def _read(self) -> dict[str, int]:
        return {name: sum(_run_time(pid) for pid in pids) for name, pids in self.parts.items()}

    def pss(self) -> int:
        """KiB of all parts."""
        return memory([pid for pids in self.parts.values() for pid in pids])
