"""This machine's addresses, as peers may name it."""

import socket

import psutil


def host_addresses() -> list[str]:
    """Every address of an interface that is up, loopback and link-local included, IPv6 in brackets."""
    stats = psutil.net_if_stats()
    found: list[str] = []
    for name, addresses in psutil.net_if_addrs().items():
        if name in stats and not stats[name].isup:
            continue
        for one in addresses:
            if one.family == socket.AF_INET:
                found.append(one.address)
            elif one.family == socket.AF_INET6:
                found.append(f"[{one.address.partition('%')[0]}]")
    return found
