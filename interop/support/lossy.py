"""A bad network between pages and the engine: a UDP relay that loses packets by a seeded die, in both directions."""

import asyncio
import random
from typing import Any

Address = tuple[str, int]


class LossyLink:
    """`async with LossyLink(("192.0.2.1", 40000), 0.05) as link`; pages send to `link.port` at any address of this host."""

    def __init__(self, target: Address, loss: float, seed: int = 1) -> None:
        self._target, self._loss, self._die = target, loss, random.Random(seed)
        self._ways: dict[Address, asyncio.DatagramTransport] = {}
        self._opening: dict[Address, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.passed = self.lost = 0

    async def __aenter__(self) -> "LossyLink":
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: _Ends(self._from_page), ("0.0.0.0", 0))
        self.port = int(self._front.get_extra_info("sockname")[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._front.close()
        for way in self._ways.values():
            way.close()

    def _falls(self) -> bool:
        falls = self._die.random() < self._loss
        self.lost += falls
        self.passed += not falls
        return falls

    def _from_page(self, data: bytes, source: Address) -> None:
        if self._falls():
            return
        if source in self._ways:
            self._ways[source].sendto(data, self._target)
        elif source in self._opening:
            self._opening[source].append(data)
        else:
            self._opening[source] = [data]
            task = asyncio.create_task(self._open(source))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, page: Address) -> None:
        """Each page has a source address of its own towards the engine, as behind a NAT."""

        def back(data: bytes, _: Address) -> None:
            if not self._falls():
                self._front.sendto(data, page)

        loop = asyncio.get_running_loop()
        way, _ = await loop.create_datagram_endpoint(lambda: _Ends(back), ("0.0.0.0", 0))
        self._ways[page] = way
        for data in self._opening.pop(page):
            way.sendto(data, self._target)


class _Ends(asyncio.DatagramProtocol):
    def __init__(self, heard: Any) -> None:
        self.datagram_received = heard
