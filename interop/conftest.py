"""Fixtures: a real server, and after every test a look at its log for secrets and failures."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from interop.support.server import Offhook
from tests.support.spread import together

DOMAIN = "offhook.test"
LEAKS = re.compile(r"ice-pwd:(?!\*)|response=\\?\"[0-9a-f]{16}|inline:(?!\*)", re.IGNORECASE)

ServerMaker = Callable[..., AbstractAsyncContextManager[Offhook]]


def check_log(server: Offhook) -> None:
    """No secret and no failure of ours in what the server wrote. The first start's own page shows the passwords once."""
    lines = [line for line in server.log().splitlines() if not line.startswith("  endpoint ")]
    text = "\n".join(lines)
    for secret in (*server.passwords.values(), server.token):
        assert secret not in text, f"a secret stands in the log: {[line for line in lines if secret in line][:2]}"
    assert not LEAKS.search(text), [line[:400] for line in lines if LEAKS.search(line)][:2]
    assert "Traceback" not in text, next(line for line in lines if "Traceback" in line)[:3000]


@pytest.fixture
def serve(tmp_path: Path) -> ServerMaker:
    """`async with serve(OFFHOOK_…="…") as server`; the log is checked at the end."""

    @asynccontextmanager
    async def make(**settings: str) -> AsyncIterator[Offhook]:
        async with Offhook(tmp_path, {"OFFHOOK_DOMAIN": DOMAIN, **settings}) as server:
            yield server
        check_log(server)

    return make


@pytest.fixture
async def server(serve: ServerMaker) -> AsyncIterator[Offhook]:
    """A server with the settings of a first start."""
    async with serve() as one:
        yield one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    together(items)
