"""Tests inside a network namespace of their own, behind firewall rules; needs root, as namespaces do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSIDE = "OFFHOOK_TEST_NAMESPACE"
"""Names the rules that the tests of a file run behind, while they run inside."""
LONGEST = 600
"""Seconds that the tests inside may take."""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=60)


@contextmanager
def _namespace(rules: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    name = f"offhook-{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    _run("ip", "netns", "add", name)
    try:
        _run(*inside, "ip", "link", "set", "lo", "up")
        # An interface beside loopback: browsers look for one, and what is sent to it stays here.
        _run(*inside, "ip", "link", "add", "outside", "type", "veth", "peer", "name", "beyond")
        _run(*inside, "ip", "address", "add", "192.0.2.1/24", "dev", "outside")
        for link in ("outside", "beyond"):
            _run(*inside, "ip", "link", "set", link, "up")
        for rule in rules:
            _run(*inside, "iptables", *rule.split())
        yield inside
    finally:
        _run("ip", "netns", "del", name)


def passes_inside(file: str, keyword: str, rules: tuple[str, ...]) -> None:
    """Runs the tests of a file that the keyword chooses, in a namespace behind these iptables rules; all must pass."""
    with _namespace(rules) as inside:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", file, "-k", keyword]
        environment = {**os.environ, INSIDE: keyword}
        done = subprocess.run(
            [*inside, *command], env=environment, capture_output=True, text=True, timeout=LONGEST, check=False,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        # pytest says 5 when it ran no test.
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
