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
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)}: {done.stderr.strip()}\nTests of networks make network namespaces: run them as root, in a "
            "container with CAP_NET_ADMIN and CAP_SYS_ADMIN (docker run --privileged)."
        )


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


PUBLIC, PRIVATE, STRANGER = "11.77.0.9", "10.77.0.2", "11.77.0.50"
"""A router's outer address, the address of the server behind it, and that of a client on the other side. The outer ones
have to be of the public network (networks for documentation are not); nobody is met there, for nothing leads out."""


@contextmanager
def _router(forwarded: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Three networks: a client's, in which the tests run; a router's; and, behind it, a server's (`offhook-PID-server`)."""
    client, router, server = (f"offhook-{os.getpid()}-{name}" for name in ("client", "router", "server"))
    at_router = ("ip", "netns", "exec", router)
    for name in (client, router, server):
        _run("ip", "netns", "add", name)
    try:
        for name, link, address in ((client, "out", f"{STRANGER}/24"), (server, "in", f"{PRIVATE}/24")):
            _run(*at_router, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth", "netns", name)
            for command in (f"address add {address} dev eth", "link set eth up", "link set lo up"):
                _run("ip", "-n", name, *command.split())
        for command in (
            f"address add {PUBLIC}/24 dev out", "address add 10.77.0.1/24 dev in", "link set out up", "link set in up",
        ):  # fmt: skip
            _run("ip", "-n", router, *command.split())
        _run("ip", "-n", server, "route", "add", "default", "via", "10.77.0.1")
        _run(*at_router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for ports in forwarded:
            protocol, _, numbers = ports.partition(":")
            rule = (
                f"-t nat -A PREROUTING -d {PUBLIC} -p {protocol} --dport {numbers} -j DNAT --to-destination {PRIVATE}"
            )
            _run(*at_router, "iptables", *rule.split())
        _run(
            *at_router,
            *["iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "10.77.0.0/24", "-o", "out", "-j", "MASQUERADE"],
        )
        yield ("ip", "netns", "exec", client)
    finally:
        for name in (client, router, server):
            _run("ip", "netns", "del", name)


def server_side() -> tuple[str, ...]:
    """The command that runs a server behind the router, for tests that run inside."""
    return ("ip", "netns", "exec", os.environ[INSIDE_ROUTER])


INSIDE_ROUTER = "OFFHOOK_TEST_ROUTER"


def passes_outside_a_router(file: str, keyword: str, forwarded: tuple[str, ...]) -> None:
    """Runs the tests of a file that the keyword chooses, on the outer side of a router that forwards these ports, like
    `udp:5060` or `udp:41000:44999`; all must pass."""
    with _router(forwarded) as inside:
        _passes(inside, file, keyword, {INSIDE_ROUTER: f"offhook-{os.getpid()}-server"})


def passes_inside(file: str, keyword: str, rules: tuple[str, ...]) -> None:
    """Runs the tests of a file that the keyword chooses, in a namespace behind these iptables rules; all must pass."""
    with _namespace(rules) as inside:
        _passes(inside, file, keyword, {})


def _passes(inside: tuple[str, ...], file: str, keyword: str, more: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", file, "-k", keyword]
    environment = {**os.environ, INSIDE: keyword, **more}
    done = subprocess.run(
        [*inside, *command], env=environment, capture_output=True, text=True, timeout=LONGEST, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    # pytest says 5 when it ran no test.
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
