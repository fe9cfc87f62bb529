"""Fixtures of the API's tests; a module that needs more has its own of the same names."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.databases import Database
from tests.support.platform import House


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """The platform over a fresh database."""
    return await House.opened(database)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to it as the first run's token."""
    async with house.client() as one:
        yield one
