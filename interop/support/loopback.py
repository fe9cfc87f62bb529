"""Addresses of this machine alone."""

import socket


def loopbacks() -> tuple[str, ...]:
    """Loopback of both IP versions, or of the one that a machine without IPv6 has."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return ("127.0.0.1",)
    return ("127.0.0.1", "::1")
