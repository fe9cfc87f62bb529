"""Connections to PostgreSQL that never wait for ever: a server that is stopped or cut off fails within `PATIENCE`.

One driver (psycopg 3) serves the API's tasks and the writer's thread. Both kinds of connection wait in one place, psycopg's
`wait`, where a deadline is set around every exchange with the server.
"""

import time
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg.pq.abc import PGconn

PATIENCE = 5.0
"""Seconds one exchange with the server may take, and one attempt to connect: a statement of ours takes milliseconds."""

OPTIONS: dict[str, Any] = {
    "connect_timeout": int(PATIENCE),
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Times without a zone are UTC wherever the server stands, as SQLite has them.
    "options": "-c timezone=UTC",
}


class PatientConnection(psycopg.Connection[Any]):
    """For a thread."""

    def wait(self, gen: Any, *rest: Any, **more: Any) -> Any:
        """See psycopg. Raises psycopg.OperationalError after `PATIENCE`."""
        return super().wait(_bounded(gen, self.pgconn), *rest, **more)


class PatientAsyncConnection(psycopg.AsyncConnection[Any]):
    """For tasks."""

    async def wait(self, gen: Any, *rest: Any, **more: Any) -> Any:
        """See psycopg. Raises psycopg.OperationalError after `PATIENCE`."""
        return await super().wait(_bounded(gen, self.pgconn), *rest, **more)


def _bounded(exchange: Generator[Any, Any, Any], connection: PGconn) -> Generator[Any, Any, Any]:
    """The exchange, cut off with its connection when it takes too long. psycopg wakes it several times a second."""
    deadline = time.monotonic() + PATIENCE
    try:
        wanted = next(exchange)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                # Nothing on this connection can be understood any more: the answer may still come.
                connection.finish()
                raise psycopg.OperationalError(f"the database did not answer within {PATIENCE:g} seconds")
            wanted = exchange.send(ready)
    except StopIteration as end:
        return end.value


def is_postgres(url: str) -> bool:
    """True for the URLs that libpq takes, and SQLAlchemy's form of them."""
    return url.partition("://")[0] in ("postgresql", "postgres", "postgresql+psycopg")


def libpq_url(url: str) -> str:
    """The URL as libpq reads it."""
    return "postgresql://" + url.partition("://")[2]
