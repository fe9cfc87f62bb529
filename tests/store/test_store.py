"""The database: a second opening finds everything, a locked one loses nothing."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from offhook.sip.digest import both_ha1
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri
from offhook.store.bindings import Bindings
from offhook.store.database import StoreError, migrate, open_database
from offhook.store.endpoints import Endpoints
from offhook.store.space import Spaces, write_first_run
from offhook.store.writer import Writer
from tests.support.databases import Database
from tests.support.patience import PATIENCE

AOR = "sip:bob@offhook.test"


def flow_by(remote: tuple[str, int], local: str) -> Flow:
    """The UDP flow to a peer by an address of ours."""
    return replace(flow_of(remote), local=(local, 5060))


def flow_of(remote: tuple[str, int], transport: Transport = Transport.UDP) -> Flow:
    return Flow(FlowId(f"f-{remote[1]}"), transport, remote, ("127.0.0.1", 5060), "127.0.0.1:5060", False, True)


async def test_a_second_opening_finds_everything(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    space, token = await Spaces(engine).create("offhook.test")
    md5, sha256 = both_ha1("bob", space.realm, "a good secret")
    made = await Endpoints(engine).create(
        project_id=space.project_id, username="bob", ha1_md5=md5, ha1_sha256=sha256, codecs=("PCMU",)
    )
    again = database.open()
    await migrate(again)
    spaces, endpoints = Spaces(again), Endpoints(again)
    assert await spaces.load() == space
    assert spaces.token(space.project_id, token) is not None
    assert spaces.token(space.project_id, token + "x") is None
    await endpoints.load()
    assert list(endpoints) == [made]
    if database.kind == "sqlite":
        assert database.rows("PRAGMA journal_mode") == [("wal",)]


async def test_a_name_is_taken_without_regard_to_case(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    space, _ = await Spaces(engine).create("offhook.test")
    endpoints = Endpoints(engine)
    md5, sha256 = both_ha1("bob", space.realm, "a good secret")
    fields = {"project_id": space.project_id, "ha1_md5": md5, "ha1_sha256": sha256}
    assert await endpoints.create(username="bob", **fields) is not None
    assert await endpoints.create(username="BOB", **fields) is None
    assert len(endpoints) == 1


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "offhook.sqlite"
    path.write_bytes(b"this is not a database, it is a poem about one" * 100)
    engine = open_database(path)
    with pytest.raises(StoreError, match=str(path)):
        await migrate(engine)
    await engine.dispose()


async def test_reg_12_phone_bindings_outlive_us_and_page_bindings_do_not(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    writer = Writer(engine)
    writer.start()
    bindings = Bindings(engine, writer)
    now = asyncio.get_running_loop().time()
    phone = Binding(
        AOR, parse_uri("sip:bob@192.0.2.7"), flow_of(("192.0.2.7", 5070)), "call", 3, now + 300,
        instance="<urn:uuid:1>", reg_id=0, q=0.5, user_agent="phone", params={"audio": None, "x": "y"},
        registered_at=now - 50, refreshed_at=now - 5, id="one", path=("<sip:edge.example;lr>",),
    )  # fmt: skip
    second = replace(phone, reg_id=2, id="two", flow=flow_by(("192.0.2.7", 5071), "127.0.0.2"))
    page = Binding(
        AOR, parse_uri("sip:x@y.invalid"), flow_of(("192.0.2.8", 9), Transport.WS), "c2", 1, now + 300, id="three"
    )
    desk = Binding(
        AOR,
        parse_uri("sip:bob@10.0.0.7:5060"),
        flow_of(("10.0.0.7", 50123), Transport.TCP),
        "c3",
        1,
        now + 300,
        id="four",
    )
    natted = replace(desk, contact=parse_uri("sip:bob@10.0.0.8"), id="five")
    bindings.replace(AOR, (phone, second, page, desk, natted), now)
    assert bindings.find(AOR, now) == (phone, second, page, desk, natted)
    await writer.stop()
    later = Bindings(engine, Writer(engine))
    (loaded,) = (await later.load(flow_by, now)).values()
    assert later.find(AOR, now) == loaded
    for before, after in zip((phone, second), loaded, strict=False):
        assert after == replace(
            before, registered_at=after.registered_at, refreshed_at=after.refreshed_at, expires_at=after.expires_at
        )
        assert after.expires_at == pytest.approx(before.expires_at, abs=2)
        assert after.registered_at == pytest.approx(before.registered_at, abs=2)
    # REG-12's exception: it waits to be dialled back, on no flow of this life.
    assert [(one.id, one.attached, str(one.dial_back)) for one in loaded[2:]] == [("four", False, "10.0.0.7:5060/tcp")]
    assert loaded[2].flow.id != desk.flow.id
    assert later.find(AOR, now + 302) == ()
    # The registrar ends them, with a word; until then they are kept.
    assert later.kept(AOR) == loaded
    assert [one.aor for one in later.expire(now + 302)] == [AOR] * 3


async def test_a_locked_database_delays_writes_and_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "offhook.sqlite"
    engine = open_database(path)
    await migrate(engine)
    writer = Writer(engine)
    writer.start()
    bindings = Bindings(engine, writer)
    now = asyncio.get_running_loop().time()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        bindings.replace(
            AOR, (Binding(AOR, parse_uri("sip:b@192.0.2.7"), flow_of(("192.0.2.7", 1)), "c", 1, now + 9, id="x"),), now
        )
        await asyncio.sleep(0.1)  # the writer meets the lock
        # The call path saw the write at once.
        assert len(bindings.find(AOR, now)) == 1
        other.execute("ROLLBACK")
    await asyncio.wait_for(writer.drained(), PATIENCE)
    await writer.stop()
    assert len(await Bindings(engine, Writer(engine)).load(flow_by, now)) == 1
    await engine.dispose()


async def test_a_row_that_cannot_be_written_costs_no_other(database: Database) -> None:
    """A Call-ID may hold octets that are no UTF-8; the phone behind it stops nobody's rows."""
    engine = database.open()
    await migrate(engine)
    writer = Writer(engine)
    writer.start()
    bindings = Bindings(engine, writer)
    now = asyncio.get_running_loop().time()
    for number, call_id in enumerate(("a", "b\udcff", "c")):
        contact, flow = parse_uri("sip:b@192.0.2.7"), flow_of(("192.0.2.7", number + 1))
        aor = f"sip:{number}@example.com"
        bindings.replace(aor, (Binding(aor, contact, flow, call_id, 1, now + 9, id=str(number)),), now)
    await asyncio.wait_for(writer.drained(), PATIENCE)
    assert writer.dropped == 1
    await writer.stop()
    assert set(await Bindings(engine, Writer(engine)).load(flow_by, now)) == {"sip:0@example.com", "sip:2@example.com"}


def test_the_first_run_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = write_first_run(tmp_path, {"api_token": "PT"})
    assert path.stat().st_mode & 0o777 == 0o600
