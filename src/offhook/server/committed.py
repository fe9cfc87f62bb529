"""A call back once what is queued now is committed."""

import asyncio
from collections.abc import Callable

from offhook.store.writer import Writer


class Committed:
    """Calls `then` back once for all that one turn of the loop has queued."""

    def __init__(self, writer: Writer, then: Callable[[], None]) -> None:
        self._writer, self._then = writer, then
        self._asked = False

    def soon(self) -> None:
        """Something has been queued."""
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._ask)

    def _ask(self) -> None:
        self._asked = False
        self._writer.after(self._then)
