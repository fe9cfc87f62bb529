"""A cable between a page and the server that a test can pull: a TCP relay on a port of its own."""

import asyncio
import contextlib


class Cable:
    """`async with Cable(host, port) as cable`; clients use `cable.port`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._left: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole = True

    async def __aenter__(self) -> "Cable":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.pull()
        for task in self._tasks:
            task.cancel()

    def pull(self) -> None:
        """Every connection breaks at once, and none can be made."""
        self._whole = False
        for writer in (*(one for pair in self._pairs for one in pair), *self._left):
            writer.transport.abort()
        self._pairs.clear()
        self._left.clear()

    def plug(self) -> None:
        """Connections can be made again."""
        self._whole = True

    def vanish(self) -> None:
        """The clients' ends break, the server's stay up and silent: what a page that changed its network leaves behind."""
        for task in self._tasks:
            task.cancel()
        for client, _ in self._pairs:
            client.transport.abort()
        self._left += [back for _, back in self._pairs]
        self._pairs.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._pairs.append((writer, back))
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._relay(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        self._pairs = [pair for pair in self._pairs if sink not in pair]
