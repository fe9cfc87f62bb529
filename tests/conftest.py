"""Fixtures of all tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from offhook.store import changes, database, postgres
from tests.support.databases import KINDS, Cluster, Database
from tests.support.link import Link
from tests.support.patience import PATIENCE
from tests.support.spread import together

# No example fails because the machine was slow to make it or to try it.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def patient() -> Iterator[None]:
    """A database, or another node, is given up only where a test says after how long."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "LOCKED", PATIENCE)
        patched.setattr(postgres, "PATIENCE", PATIENCE)
        patched.setitem(postgres.OPTIONS, "connect_timeout", int(PATIENCE))
        patched.setattr(changes, "CONFIRM", PATIENCE)
        yield


@pytest.fixture
def link() -> Iterator[Link]:
    """Virtual clock and network in memory; pytest shows the ladder of a failed test."""
    network = Link()
    yield network
    print(network.ladder())


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server, started when the first test asks for it."""
    with Cluster() as one:
        yield one


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of the store, and those marked `both_databases`, run on each kind."""
    of_store = Path(metafunc.definition.path).is_relative_to(Path(__file__).parent / "store")
    marked = metafunc.definition.get_closest_marker("both_databases") is not None
    if "database" in metafunc.fixturenames and (of_store or marked):
        metafunc.parametrize("database", KINDS, indirect=True)


@pytest.fixture(name="database")
async def one_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        one = Database("sqlite", tmp_path / "offhook.sqlite")
        yield one
        await one.close()
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    url = cluster.create()
    one = Database("postgresql", url)
    yield one
    await one.close()
    cluster.drop(url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    together(items)
