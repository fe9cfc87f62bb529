"""Two servers on one PostgreSQL: what is written by the one is obeyed by the other with the next message (API.md 1.1), and
together they carry no more calls of a trunk than it has channels (12.1)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interop.conftest import DOMAIN, check_log
from interop.support.kamailio import ADDRESS, Carrier
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_trunks import NUMBER, OURS, make_number, make_trunk, until
from tests.support.databases import Cluster
from tests.support.patience import PATIENCE

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


async def missing(server: Offhook, path: str) -> bool:
    return (await server.http.get(path)).status_code == 404


async def comes(holds: Callable[[], Awaitable[bool]]) -> None:
    """It holds with the writer's answer (tests/store/test_changes.py), unless the other server was too busy to say within a
    second that it knows: then a moment later."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.1)


async def test_two_servers_share_what_is_written(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with pair(cluster, tmp_path) as (one, two):
        row = await one.add_endpoint("carol", PASSWORD)
        await comes(lambda: registers(two, "carol", PASSWORD))  # 1. an endpoint made on the one registers on the other
        path = f"/api/relay/rest/endpoints/sip/{row['id']}"
        assert (await two.http.get(path)).json()["offhook"]["registered"]
        assert not (await one.http.get(path)).json()["offhook"]["registered"], "2. devices are known where they are"
        changed = await one.http.patch(path, json={"password": "another good secret"})
        assert changed.status_code == 200
        await comes(lambda: registers(two, "carol", "another good secret"))
        assert not await registers(two, "carol", PASSWORD), "3. an old password is worth nothing anywhere"
        assert (await two.http.delete(path)).status_code == 204
        await comes(lambda: missing(one, path))  # 4. what one has deleted is gone on both
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
        async with asyncio.timeout(PATIENCE):
            # Registrations are written behind.
            while not (rows := (await one.http.get("/api/offhook/devices")).json()["data"]):
                await asyncio.sleep(0.05)
        path = f"/api/offhook/devices/{rows[0]['id']}"
        assert (await one.http.patch(path, json={"blocked": True})).json()["blocked"]

        async def gone() -> bool:
            seen = (await two.http.get(path)).json()
            return (seen["blocked"], seen["registered"]) == (True, False)

        await comes(gone)  # 5. blocked by the one, it is gone from the other
        assert "device-blocked" in await phones[0].refused("echo")
        assert "device-blocked" in await phones[1].registration()
        assert (await two.http.delete(path)).status_code == 204
        await comes(lambda: missing(one, path))
        await comes(lambda: registers(two, "bob", one.passwords["bob"]))
        await phones[2].register()
    finally:
        for phone in phones:
            phone.close()


async def talking(server: Offhook) -> list[str]:
    """Calls that were answered at the other side."""
    return [call["call_ref"] for call in await server.calls() if call["state"] == "talking"]


async def settled(*servers: Offhook) -> None:
    """Waits until every call that was dialled talks or is over."""
    async with asyncio.timeout(PATIENCE):
        while {call["state"] for server in servers for call in await server.calls()} != {"talking"}:
            await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks


async def line(server: Offhook, trunk: str) -> str:
    """How a server's registration at a trunk is."""
    status = (await server.http.get(f"/api/offhook/trunks/{trunk}")).json()["status"]
    return str(status["registration"]["state"])


async def dials(server: Offhook, count: int) -> None:
    """So many calls to the telephone network at once; each that has no place is refused."""
    swml = {"sections": {"main": ["answer", {"connect": {"to": "music"}}]}}
    params = {"to": NUMBER, "from": OURS, "swml": swml}
    answers = await asyncio.gather(
        *[server.http.post("/api/calling/calls", json={"command": "dial", "params": params}) for _ in range(count)]
    )
    assert {one.status_code for one in answers} == {200}


async def test_two_servers_share_a_trunk(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with pair(cluster, tmp_path) as (one, two), Carrier(tmp_path, "127.0.0.1:9") as carrier:
        telephone = await carrier.telephone("callee", "-m", "40", "-timeout", "600")
        target = [{"uri": f"sip:{ADDRESS}:{carrier.port}"}]
        caps = {"max_channels": 4, "max_calls_per_second": 50}
        trunk = await make_trunk(one, targets=target, register=True, from_domain="carrier.test", **caps)
        await make_number(one, OURS, "alice")
        async with asyncio.timeout(PATIENCE):
            while "registered" not in (lines := [await line(server, trunk["id"]) for server in (one, two)]):
                await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
        assert "off" in lines, "1. one of them registers"
        first, second = (one, two) if lines[0] == "registered" else (two, one)
        async with asyncio.timeout(PATIENCE):
            while len(up := [*await talking(one), *await talking(two)]) < 4:
                await asyncio.gather(dials(one, 10), dials(two, 10))
                await asyncio.sleep(0.5)  # who was refused dials again
        await asyncio.gather(dials(one, 10), dials(two, 10))
        await settled(one, two)
        up = [*await talking(one), *await talking(two)]
        assert len(up) == 4, "2. four channels, four calls, wherever they came about"
        assert (await until(one, trunk["id"], lambda now: now["channels"]["out"] == 4))["channels"]["in"] == 0
        for ref in await talking(second):
            assert (await second.http.delete(f"/api/offhook/calls/{ref}")).status_code == 204
        async with asyncio.timeout(PATIENCE):
            while len(await talking(first)) < 4:
                await dials(first, 1)
                await asyncio.sleep(0.5)
        assert not await talking(second), "3. what the one does not use, the other may"
        await first.stop()
        status = await until(second, trunk["id"], lambda now: now["registration"]["state"] == "registered")
        assert status["channels"]["out"] == 0, "4. who goes leaves registration and channels to the other at once"
        del telephone
        await first.start()
