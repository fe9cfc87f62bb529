"""FLOWS: the limit of open files is raised, or the log says that it could not be."""

import resource
import subprocess
import sys

SCRIPT = """
import resource
from offhook.server.descriptors import OTHERS, raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
print(raise_limit({flows}), OTHERS)
"""


def limit(flows: int, hard: int) -> tuple[int, str]:
    """The limit in force afterwards, and everything the process wrote; in a process of its own."""
    script = SCRIPT.format(flows=flows, hard=hard)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0]), done.stdout + done.stderr


def test_it_is_raised_as_far_as_needed() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert limit(100, 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096))[0] == 600


def test_a_system_that_allows_fewer_is_named() -> None:
    soft, said = limit(100_000, 1024)
    assert soft == 1024
    assert "limits.flows" in said
