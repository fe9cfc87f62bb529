"""Who we are among those that share a database."""

import asyncio
import os
import time
import uuid
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.server.observe import log
from offhook.store.database import StoreError, reason, shown

FILE = "node"


def node_id(data: Path) -> str:
    """The id of the node that works in a data directory, made at its first start."""
    path = data / FILE
    if not path.exists():
        partial = path.with_suffix(".part")
        partial.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        os.replace(partial, path)
    return path.read_text(encoding="ascii").strip()


async def reach(engine: AsyncEngine, patience: float) -> None:
    """Returns once the database answers; waits for `patience` seconds. Raises StoreError."""
    deadline = time.monotonic() + patience
    told = False
    while True:
        try:
            async with engine.connect():
                return
        except (DBAPIError, OSError) as error:
            text = reason(error) if isinstance(error, DBAPIError) else str(error)
        if time.monotonic() >= deadline or engine.dialect.name == "sqlite":
            raise StoreError(f"the database {shown(engine)} cannot be opened: {text}")
        if not told:
            log.warning("the database cannot be reached yet", reason=text, patience=patience)
            told = True
        await asyncio.sleep(1.0)
