"""Two servers on one PostgreSQL: what is written by the one is obeyed by the other with the next message (API.md 1.1)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interop.conftest import DOMAIN, check_log
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.databases import Cluster

PASSWORD = "a long enough secret"
UUID = "0199aa11-0000-7000-8000-00000000000"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as one:
        yield one


@asynccontextmanager
async def pair(cluster: Cluster, folder: Path) -> AsyncIterator[tuple[Offhook, Offhook]]:
    """Two servers on a fresh database; the second one starts on what the first has made."""
    settings = {"OFFHOOK_DOMAIN": DOMAIN, "OFFHOOK_STORE_URL": cluster.create()}
    async with Offhook(folder / "one", settings) as one:
        two = Offhook(folder / "two", settings)
        two.data.mkdir(parents=True)
        # The API token was shown by the first start alone.
        shutil.copy(one.data / "first-run.json", two.data)
        async with two:
            yield one, two
    for server in (one, two):
        check_log(server)


async def registers(server: Offhook, username: str, password: str) -> bool:
    phone = PlainPhone(username, password, DOMAIN, server.sip)
    try:
        await phone.register()
    except AssertionError:
        return False
    finally:
        phone.close()
    return True


async def test_two_servers_share_what_is_written(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with pair(cluster, tmp_path) as (one, two):
        row = await one.add_endpoint("carol", PASSWORD)
        # The answer is the promise: no waiting between it and the first message at the other server.
        assert await registers(two, "carol", PASSWORD), "1. an endpoint made on the one registers on the other"
        path = f"/api/relay/rest/endpoints/sip/{row['id']}"
        assert (await two.http.get(path)).json()["offhook"]["registered"]
        assert not (await one.http.get(path)).json()["offhook"]["registered"], "2. devices are known where they are"
        changed = await one.http.patch(path, json={"password": "another good secret"})
        assert changed.status_code == 200
        assert not await registers(two, "carol", PASSWORD), "3. an old password is worth nothing anywhere"
        assert await registers(two, "carol", "another good secret")
        assert (await two.http.delete(path)).status_code == 204
        assert (await one.http.get(path)).status_code == 404, "4. what one has deleted is gone on both"
        # A start beside a running one changes nothing for it.
        await two.stop()
        await two.start()
        assert await registers(one, "bob", one.passwords["bob"])
        assert await registers(two, "bob", one.passwords["bob"])
        await blocked_by_one(one, two)


async def blocked_by_one(one: Offhook, two: Offhook) -> None:
    """A device that registers at the other server is kept away there too, by the time of the answer."""
    phones = [PlainPhone("bob", one.passwords["bob"], DOMAIN, two.sip, f"{UUID}{at}") for at in (1, 1, 1)]
    try:
        await phones[0].register()
        async with asyncio.timeout(10):
            # Registrations are written behind.
            while not (rows := (await one.http.get("/api/offhook/devices")).json()["data"]):
                await asyncio.sleep(0.05)
        path = f"/api/offhook/devices/{rows[0]['id']}"
        assert (await one.http.patch(path, json={"blocked": True})).json()["blocked"]
        seen = (await two.http.get(path)).json()
        assert (seen["blocked"], seen["registered"]) == (True, False), (
            "5. blocked by the one, it is gone from the other"
        )
        assert "device-blocked" in await phones[0].refused("echo")
        assert "device-blocked" in await phones[1].registration()
        assert (await two.http.delete(path)).status_code == 204
        assert (await one.http.get(path)).status_code == 404
        await phones[2].register()
    finally:
        for phone in phones:
            phone.close()
