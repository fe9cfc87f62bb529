"""PostgreSQL goes away while calls run: they go on, new ones come about, and each stands in the log once."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from interop.conftest import DOMAIN, check_log
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.databases import Cluster
from tests.support.patience import PATIENCE

PATH = "/api/relay/rest/endpoints/sip"
CALLS = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as one:
        yield one


async def call(server: Offhook, username: str = "alice") -> PlainPhone:
    """A call to `echo` that is up."""
    phone = PlainPhone(username, server.passwords[username], DOMAIN, server.sip)
    await phone.call("echo")
    return phone


async def calls(server: Offhook) -> None:
    """Calls that come about and end."""
    for _ in range(CALLS):
        phone = await call(server)
        await phone.hang_up()
        phone.close()


def logged(url: str) -> tuple[int, int]:
    """Calls and legs in the log."""
    with psycopg.connect(url) as raw:
        row = raw.execute("select count(distinct call_ref), count(*) from call_log").fetchone()
    assert row is not None
    return row[0], row[1]


async def until_logged(url: str, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while logged(url)[0] < count:
            await asyncio.sleep(0.1)
    assert logged(url) == (count, count), "each call once"


async def waiting(server: Offhook) -> str:
    """The warning about records that wait."""
    warnings = (await server.http.get("/api/offhook/status")).json()["warnings"]
    return next((one for one in warnings if "wait in the data directory" in str(one)), "")


async def test_a_database_that_goes_away_is_not_heard(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.create()
    settings = {"OFFHOOK_DOMAIN": DOMAIN, "OFFHOOK_STORE_URL": url}
    async with Offhook(tmp_path, settings) as server:
        lasting = await call(server, "bob")
        await calls(server)
        await until_logged(url, CALLS)

        cluster.signal(signal.SIGSTOP)
        await calls(server)
        refused = await server.http.post(PATH, json={"username": "carol", "password": "a long enough secret"})
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable"), (
            "1. a write is refused in words"
        )
        assert refused.headers["retry-after"] == "5"
        assert (await server.http.get("/readyz")).status_code == 200, "2. calls can be made"
        async with asyncio.timeout(PATIENCE):
            while not await waiting(server):
                await asyncio.sleep(0.1)
        cluster.signal(signal.SIGCONT)
        await until_logged(url, 2 * CALLS)

        for pid in cluster.pids:
            os.kill(pid, signal.SIGKILL)
        await calls(server)
        async with asyncio.timeout(PATIENCE):
            while not await waiting(server):
                await asyncio.sleep(0.1)
        # The server dies in the outage, and comes back before the database does.
        await server.kill()
        starting = asyncio.create_task(server.start(**server.same_ports()))
        async with asyncio.timeout(PATIENCE):
            while "the database cannot be reached yet" not in server.log():
                await asyncio.sleep(0.1)  # a file; nothing can be awaited for it
        assert not starting.done(), "3. a start waits for the database"
        await asyncio.to_thread(cluster.stop)
        await asyncio.to_thread(cluster.start)
        await starting
        await until_logged(url, 3 * CALLS)
        async with asyncio.timeout(PATIENCE):
            while await waiting(server):
                await asyncio.sleep(0.1)
        (live,) = (await server.http.get("/api/offhook/calls")).json()["data"]
        assert live["state"] == "talking", "4. a call that ran through all of it is up"
        await lasting.hang_up()
        lasting.close()
        await until_logged(url, 3 * CALLS + 1)
    check_log(server)
