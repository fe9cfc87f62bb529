"""Open files: as many connections as `limits.flows` allows need as many descriptors."""

import contextlib
import resource

from offhook.server.observe import log

OTHERS = 500
"""Descriptors for listeners, database, logs and the engine's socket."""


def raise_limit(flows: int) -> int:
    """Raises the soft limit of open files to what `flows` connections need; says so when the system allows fewer.

    Returns the limit that is in force.
    """
    wanted = flows + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        log.warning(
            "fewer open files than limits.flows",
            open_files=soft,
            wanted=wanted,
            remedy="raise the hard limit (ulimit -n, LimitNOFILE=), or lower limits.flows",
        )
    return soft
