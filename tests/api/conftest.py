"""Fixtures of the API's tests; a module that needs more has its own of the same names."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.platform import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """The platform over a fresh database."""
    one = await House.opened(tmp_path)
    yield one
    await one.engine.dispose()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to it as the first run's token."""
    async with house.client() as one:
        yield one
