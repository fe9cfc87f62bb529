"""Many clients write the same objects by REST while phones register, on real servers: no answer is a failure of ours, and
what a server knows then is what it knows after its next start."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.databases import Cluster
from tests.support.storm import GOOD, NAMES, UUIDS, Storm

REQUESTS, AT_ONCE, REGISTRATIONS = 200, 30, 12
LISTS = (
    "/api/relay/rest/endpoints/sip", "/api/fabric/resources", "/api/fabric/addresses", "/api/relay/rest/phone_numbers",
    "/api/relay/rest/verified_caller_ids", "/api/relay/rest/domain_applications", "/api/fabric/sip_addresses",
    "/api/offhook/trunks", "/api/offhook/widgets", "/api/offhook/webhooks", "/api/projects", "/api/project/tokens",
)  # fmt: skip
LIVING = ("registered", "reachable", "status", "updated_at")
"""What a restart may change."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as one:
        yield one


async def registers(servers: Sequence[Offhook], at: int) -> None:
    """One phone, whose endpoint may be there or not, with the right password or another's."""
    server = servers[at % len(servers)]
    username, instance = NAMES[at % len(NAMES)], UUIDS[at % len(UUIDS)]
    for password in GOOD:
        phone = PlainPhone(username, password, server.domain, server.sip, instance)
        try:
            await phone.register()
        except AssertionError:
            continue  # it is refused, as it may be
        finally:
            phone.close()


async def blown(servers: Sequence[Offhook], seed: int) -> Storm:
    document = (await servers[0].http.get("/openapi.json")).json()
    storm = Storm(document, seed)
    clients = [server.http for server in servers]
    for client in clients:
        client.timeout = 60  # whoever shares the processor
    phones = [registers(servers, at) for at in range(REGISTRATIONS)]
    await asyncio.gather(storm.blow(clients, REQUESTS, AT_ONCE), *phones)
    return storm


def _still(value: Any) -> Any:
    if isinstance(value, list):
        return [_still(one) for one in value]
    if isinstance(value, dict):
        return {name: _still(one) for name, one in value.items() if name not in LIVING}
    return value


async def known(server: Offhook) -> dict[str, Any]:
    """What the lists of a server show."""
    answers = {path: await server.http.get(path, params={"page_size": 1000}) for path in LISTS}
    return {path: _still(answer.json()["data"]) for path, answer in answers.items()}


def fine(server: Offhook) -> None:
    assert "request failed" not in server.log()


async def test_nothing_fails_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    async with Offhook(tmp_path) as server:
        storm = await blown([server], seed=1)
        assert storm.failed == [], "1. whoever comes too late is told so"
        assert len(storm.done()) > 20, "2. most of what was asked for was done by somebody"
        before = await known(server)
        await server.stop()
        await server.start()
        assert await known(server) == before, "3. it has what was committed"
        fine(server)


@pytest.mark.long
async def test_two_servers_of_one_database(cluster: Cluster, tmp_path: Path) -> None:
    settings = {"OFFHOOK_STORE_URL": cluster.create()}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with Offhook(tmp_path / "one", settings) as one:
        two = Offhook(tmp_path / "two", settings)
        two.data.mkdir(parents=True)
        # The API token was shown by the first start alone.
        shutil.copy(one.data / "first-run.json", two.data)
        async with two:
            storm = await blown([one, two], seed=2)
            assert storm.failed == [], "4. nor by way of two servers"
            assert len(storm.done()) > 20
            for server in (one, two):
                fine(server)
