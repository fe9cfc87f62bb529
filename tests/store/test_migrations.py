"""The schema: from the first one with rows in it to the newest, on both databases; and a database that is too new."""

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.database import StoreError, migrate, open_database
from offhook.store.endpoints import Endpoints
from offhook.store.space import Spaces
from offhook.store.tables import metadata
from tests.support.databases import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST: dict[str, dict[str, Any]] = {
    "spaces": {"id": "space", "domain": "offhook.test", "realm": "offhook.test", "secret": b"\0\1" * 16, "created_at": NOW},
    "projects": {"id": "project", "space_id": "space", "name": "Offhook", "created_at": NOW},
    "tokens": {
        "id": "token", "project_id": "project", "name": "first run", "sha256": "5" * 64, "permissions": ["calling"],
        "created_at": NOW,
    },
    "endpoints": {
        "id": "bob", "project_id": "project", "username": "Bob", "username_folded": "bob", "ha1_md5": "a" * 32,
        "ha1_sha256": "b" * 64, "credential_version": 3, "caller_id": None, "send_as": "random", "codecs": ["PCMU"],
        "ciphers": [], "encryption": "default", "handler": {}, "offhook": {"ring": "serial"}, "enabled": True,
        "created_at": NOW, "updated_at": NOW,
    },
    "bindings": {
        "aor": "sip:bob@offhook.test", "contact": "sip:bob@192.0.2.7", "instance": "", "reg_id": 0,
        "source": "192.0.2.7 5060", "local": "192.0.2.1 5060", "call_id": "c", "cseq": 1, "q": 1.0, "user_agent": "phone",
        "expires_at": NOW,
    },
    "call_log": {
        "leg_ref": "leg", "call_ref": "call", "started_at": NOW, "ended_at": NOW, "record": {"end_code": "hangup"},
    },
}  # fmt: skip
"""A row in each table of the first schema."""


async def fill(engine: AsyncEngine) -> None:
    """The first schema's tables as they are found, since those of today know other columns."""

    def insert(connection: Any) -> None:
        found = MetaData()
        found.reflect(connection)
        for name, row in FIRST.items():
            connection.execute(found.tables[name].insert(), row)

    async with engine.begin() as connection:
        await connection.run_sync(insert)


async def test_from_the_first_schema_to_the_newest(database: Database) -> None:
    engine = database.open()
    await migrate(engine, "0001")
    await fill(engine)
    await migrate(engine)
    space = await Spaces(engine).load()
    assert space is not None
    assert (space.project_id, space.secret, space.realm) == ("project", b"\0\1" * 16, "offhook.test")
    endpoints = Endpoints(engine)
    await endpoints.load()
    (bob,) = endpoints
    assert (bob.username, bob.credential_version, bob.codecs, bob.offhook) == ("Bob", 3, ("PCMU",), {"ring": "serial"})
    assert bob.created_at == NOW
    assert database.rows("select leg_ref, call_ref from call_log") == [("leg", "call")]
    await migrate(engine)


async def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    engine = database.open()
    await migrate(engine)

    def differences(connection: Any) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_newer_database_is_refused_in_words(database: Database) -> None:
    engine = database.open()
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreError, match="newer than this program: its schema is 9999"):
        await migrate(engine)


@pytest.mark.parametrize("url", ["mysql://a@b/c", "nonsense", "postgresql://[::1/x"])
def test_another_url_is_refused_in_words(url: str) -> None:
    with pytest.raises(StoreError, match="postgresql://user:password@host/database"):
        open_database(url)


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    engine = open_database("postgresql://offhook:s3cret@127.0.0.1:1/offhook")
    with pytest.raises(StoreError) as refused:
        await migrate(engine)
    assert "127.0.0.1:1/offhook" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    await engine.dispose()


async def test_what_stands_in_the_way_is_said_without_the_statement(database: Database) -> None:
    engine = database.open()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE spaces (x INTEGER)"))
    with pytest.raises(StoreError, match=r"the database .* cannot be opened: .*spaces.* already exists") as caught:
        await migrate(engine)
    assert "CREATE TABLE" not in str(caught.value)
