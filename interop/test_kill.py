"""`kill -9` at random moments under writes: what was acknowledged is there once after the next start."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from interop.conftest import DOMAIN, check_log
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.databases import Cluster, Database
from tests.support.patience import PATIENCE

PATH = "/api/relay/rest/endpoints/sip"
LONGEST_LIFE = 0.8
"""Seconds from ready to the kill."""
WRITERS, CALLERS = 3, 2
SEED = 20260101


class Witness:
    """What the server has acknowledged, and what it may have done besides."""

    def __init__(self) -> None:
        self.numbers = iter(range(1_000_000))
        self.made: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.tried: set[str] = set()
        self.ended: set[str] = set()

    async def write(self, server: Offhook) -> None:
        """Creates, and deletes every third, as fast as the answers come."""
        while True:
            name = f"user{next(self.numbers)}"
            self.tried.add(name)
            answer = await server.http.post(PATH, json={"username": name, "password": "a long enough secret"})
            assert answer.status_code == 201, answer.text
            self.made[name] = answer.json()["id"]
            if len(self.made) % 3 == 0:
                self.tried.add(self.made[name])
                assert (await server.http.delete(f"{PATH}/{self.made[name]}")).status_code == 204
                self.deleted.add(name)

    async def call(self, server: Offhook, username: str) -> None:
        """Calls to `echo`, one after the other; one counts once its BYE is answered."""
        while True:
            phone = PlainPhone(username, server.passwords[username], DOMAIN, server.sip)
            try:
                await phone.call("echo")
                await asyncio.sleep(0.2)  # below the rate of calls, and longer than the journal gathers
                await phone.hang_up()
                self.ended.add(phone._tag)
            finally:
                phone.close()


async def life(server: Offhook, witness: Witness, seconds: float) -> None:
    """Everybody at once, until the server is killed in the middle of it."""
    await hang_up_all(server)
    work = [witness.write(server) for _ in range(WRITERS)]
    work += [witness.call(server, name) for name in ("alice", "bob")[:CALLERS]]
    tasks = [asyncio.create_task(one) for one in work]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    await server.kill()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError, OSError, TimeoutError):
            await task
    assert not done, "nothing failed before the kill"


async def hang_up_all(server: Offhook) -> None:
    """Calls that were up at a kill, or whose end had not reached the journal, live on without a phone."""
    for one in (await server.http.get("/api/offhook/calls?page_size=1000")).json()["data"]:
        await server.http.delete(f"/api/offhook/calls/{one['call_ref']}")


async def everything_is_there(server: Offhook, witness: Witness, database: Database) -> None:
    """The promises, after the last start."""
    names = Counter(str(name) for (name,) in database.rows("select username from endpoints"))
    assert max(names.values()) == 1, "1. nothing is doubled"
    assert set(witness.made) - witness.deleted <= set(names) | {
        # A delete whose answer the kill cut off may have been done.
        name for name, id_ in witness.made.items() if id_ in witness.tried
    }, "2. what was acknowledged is there"  # fmt: skip
    assert not witness.deleted & set(names), "3. what was deleted is gone"
    assert set(names) <= witness.tried | {"alice", "bob"}, "4. and nothing else is"
    for name in random.Random(SEED).sample(sorted(set(names) - {"alice", "bob"}), min(3, len(names) - 2)):
        phone = PlainPhone(name, "a long enough secret", DOMAIN, server.sip)
        await phone.register()
        phone.close()
    await hang_up_all(server)
    async with asyncio.timeout(PATIENCE):
        while (await server.http.get("/api/offhook/calls")).json()["data"] or not witness.ended <= set(
            in_log(database)
        ):
            await asyncio.sleep(0.2)
    counted = Counter(in_log(database))
    assert witness.ended <= set(counted), "5. each call that ended is in the log"
    assert max(counted.values()) == 1, "6. once"


def in_log(database: Database) -> list[str]:
    """Call-IDs of the legs in the log."""
    import json

    rows = [one[0] for one in database.rows("select record from call_log")]
    return [str((json.loads(one) if isinstance(one, str) else one)["sip_call_id"]) for one in rows]  # type: ignore[index]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as one:
        yield one


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("sqlite", 8),
        pytest.param("sqlite", 200, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
        pytest.param("postgresql", 40, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_a_killed_server_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, kills: int
) -> None:
    settings = {"OFFHOOK_DOMAIN": DOMAIN, "OFFHOOK_LOG_LEVEL": "info"}
    if kind == "postgresql":
        where: str | Path = request.getfixturevalue("cluster").create()
        settings["OFFHOOK_STORE_URL"] = str(where)
    else:
        where = tmp_path / "offhook-data" / "offhook.sqlite"
    chance, witness, server = random.Random(SEED), Witness(), Offhook(tmp_path, settings)
    await server.start()
    for _ in range(kills):
        await life(server, witness, chance.uniform(0.02, LONGEST_LIFE))
        await server.start(**server.same_ports())
    try:
        await everything_is_there(server, witness, Database(kind, where))
    finally:
        await server.stop()
    print(f"{kills} kills, {len(witness.made)} rows and {len(witness.ended)} calls acknowledged")
    check_log(server)
