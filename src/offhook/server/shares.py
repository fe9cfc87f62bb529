"""The share that this node has of each trunk, where several nodes use one database (API.md 12.1: `max_channels` counts over
all nodes). Calls take and give places in memory; this keeps the share true, behind them."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.calls.caps import NOTHING, WHOLE, Share
from offhook.calls.commands import DivideTrunks
from offhook.calls.trunks import TrunkState
from offhook.server.observe import log
from offhook.store.places import Division, Held, Places, Wish

if TYPE_CHECKING:
    from offhook.server.app import App

LOOK = 0.25
"""Seconds between looks at what is used here: so long a node may say `trunk_full` while another has places left."""
WANTS = 10.0
"""Seconds after a refusal in which a place is kept ready here: whoever was refused dials again."""
FAREWELL = 2.0
"""Seconds to give everything back at the end."""
PAUSE = 1.0
"""Seconds to the next try when the database does not answer; what is held stays so long."""


class Shares:
    """`begin` before trunks are taken into service, `start` when calls may come, `stop` at the end."""

    def __init__(self, app: "App", engine: AsyncEngine, node: str) -> None:
        self._app = app
        self._shared = engine.dialect.name == "postgresql"
        self._lease = app.settings.store.node_lease
        self._places = Places(engine, node, self._lease)
        self._news = asyncio.Event()
        self._told: dict[str, Wish] = {}
        self._division = Division({}, {}, alone=True)
        self._shares: dict[str, Share] = {}
        self._otherwise = WHOLE
        self._settled_at = 0.0
        self._silent = False
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Learns what the others leave us, before a trunk is used."""
        if self._shared:
            await self._settle(self._stored())

    def start(self) -> None:
        """Follows from now on what is used here, and what others hold."""
        if self._shared:
            self._task = asyncio.create_task(self._run(), name="shares of trunks")

    async def heard(self, ids: Collection[str] | None) -> None:
        """Another node holds or uses more or less."""
        self._news.set()

    async def stop(self, for_good: bool) -> None:
        """Ends; `for_good` leaves everything to the others, else it is kept for the next start."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if for_good and not self._silent:
            # A database that does not answer must not hold up the end; the lease gives everything back then.
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self._places.leave()

    def elsewhere(self, trunk_id: str) -> tuple[int, int]:
        """Calls in and out that other nodes had of a trunk when they last said so."""
        return self._division.used.get(trunk_id, (0, 0))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._news.wait()
            wishes = self._wishes()
            quiet = loop.time() - self._settled_at < self._lease / 4
            if wishes == self._told and quiet and not self._news.is_set():
                continue
            self._news.clear()
            if not await self._settle(wishes):
                self._news.set()
                await asyncio.sleep(PAUSE)

    async def _settle(self, wishes: dict[str, Wish]) -> bool:
        try:
            division = await self._places.settle(wishes, partial(self._lower, wishes))
        except (SQLAlchemyError, OSError) as error:
            if not self._silent:
                text = str(error).partition("\n")[0]
                log.warning("shares of trunks stay as they are", reason=text, remedy="the database has to answer")
            self._silent = True
            return False
        self._silent, self._told, self._settled_at = False, wishes, asyncio.get_running_loop().time()
        self._division = division
        if division.alone:
            self._divide({}, WHOLE)
        else:
            self._divide({trunk: _share(one, wishes[trunk]) for trunk, one in division.mine.items()}, NOTHING)
        return True

    def _lower(self, wishes: dict[str, Wish], mine: Mapping[str, Held]) -> dict[str, Held]:
        """See `Lower`. Calls that came about since the wishes were looked at keep their places."""
        now = self._wishes()
        kept = {trunk: _at_least(one, now.get(trunk, wishes[trunk])) for trunk, one in mine.items()}
        less = {
            trunk: _less(self._shares.get(trunk, self._otherwise), _share(one, wishes[trunk]))
            for trunk, one in kept.items()
        }
        # A node that is alone takes what it likes, until another is there.
        if not self._division.alone or any(one.held < wishes[trunk].channels for trunk, one in kept.items()):
            self._divide(less, self._otherwise)
        return kept

    def _divide(self, shares: dict[str, Share], otherwise: Share) -> None:
        if (shares, otherwise) != (self._shares, self._otherwise):
            self._shares, self._otherwise = shares, otherwise
            self._app.driver.command(DivideTrunks(shares, otherwise))

    def _wishes(self) -> dict[str, Wish]:
        gateway = self._app.driver.switchboard.gateway
        late = asyncio.get_running_loop().time() - WANTS
        return {one.trunk.id: _wish(one, late) for one in gateway.outbound.trunks} if gateway is not None else {}

    def _stored(self) -> dict[str, Wish]:
        """Before they are in service."""
        return {
            id_: Wish(one.caps.channels, one.caps.channels_in, one.caps.channels_out, one.register and one.enabled)
            for id_, one in self._app.trunks().items()
        }


def _wish(state: TrunkState, late: float) -> Wish:
    """`late` on the core's clock: what was refused before it is forgotten."""
    caps, usage, trunk = state.trunk.caps, state.usage, state.trunk
    return Wish(
        caps.channels,
        caps.channels_in,
        caps.channels_out,
        trunk.register and trunk.enabled,
        len(usage.legs_in),
        len(usage.legs_out),
        usage.full_at is not None and usage.full_at > late,
    )


def _share(held: Held, wish: Wish) -> Share:
    return Share(
        held.held,
        held.held_in if wish.channels_in is not None else None,
        held.held_out if wish.channels_out is not None else None,
        held.registers,
    )


def _at_least(held: Held, used: Wish) -> Held:
    return replace(
        held,
        held=max(held.held, used.used_in + used.used_out),
        held_in=max(held.held_in, used.used_in),
        held_out=max(held.held_out, used.used_out),
    )


def _less(before: Share, after: Share) -> Share:
    """What both allow. Whether it registers does not wait: who stops doing so has lost it already."""
    pairs = ((getattr(before, name), getattr(after, name)) for name in ("channels", "channels_in", "channels_out"))
    channels, into, out = (min((one for one in pair if one is not None), default=None) for pair in pairs)
    return Share(channels, into, out, before.registers and after.registers)
