"""What a test must know of a server's keys to make credentials that no API would hand out: such as are over already."""

import sqlite3
import time

from interop.support.server import Offhook
from offhook.server.tokens import Tokens
from offhook.sip import ephemeral
from offhook.sip.credentials import derived_key


def secret_of(server: Offhook) -> bytes:
    """The space's secret, from the server's database."""
    with sqlite3.connect(server.data / "offhook.sqlite") as database:
        return bytes(database.execute("SELECT secret FROM spaces").fetchone()[0])


def pair(server: Offhook, username: str, seconds: int) -> tuple[str, str]:
    """An authorization user and its password that end so many seconds from now."""
    user = ephemeral.write(username, int(time.time()) + seconds)
    return user, ephemeral.password(derived_key(secret_of(server), "ephemeral-password"), user).reveal()


def token(server: Offhook, username: str, seconds: int, origin: str = "") -> str:
    """A token of the server's own that ends so many seconds from now."""
    return Tokens(server.domain, derived_key(secret_of(server), "token")).mint(username, seconds, origin)[0]
