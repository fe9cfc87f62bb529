"""Devices of endpoints (API.md 12.2): they outlive their registrations, and an operator can name, block or quiet them.

Known by endpoint and instance id. In memory for the call path; what registrations tell is written behind, what an operator
says is committed before it is seen.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Executable, Table, delete, update
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.location import Account, Binding, device_name
from offhook.store.changes import read_again
from offhook.store.endpoints import Endpoints
from offhook.store.identifiers import new_id
from offhook.store.statements import GONE, Remove, Stated
from offhook.store.tables import devices
from offhook.store.writer import Writer

LONGEST = 128
"""Characters of an instance id: a URN of a UUID has 45, and what is longer names no device that is in use."""
AGENT = 200
"""Characters of a User-Agent that are kept."""
WRITTEN_EVERY = timedelta(hours=1)
"""A device that only refreshes is written so often: in memory it is exact."""


FLOWS = 100_000
"""Flows whose devices are remembered, as many as there are connections; a call may end after its own."""


@dataclass(slots=True)
class Device:
    """One row. `last_seen_at` is None until it registers; `blocked_until` blocks for a while, `blocked` for good."""

    id: str
    endpoint_id: str
    instance_id: str
    first_seen_at: datetime
    name: str = ""
    user_agent: str = ""
    last_source: str = ""
    last_seen_at: datetime | None = None
    ring: bool = True
    blocked: bool = False
    blocked_until: datetime | None = None

    def is_blocked(self, now: datetime) -> bool:
        """True while it may neither register nor call."""
        return self.blocked or (self.blocked_until is not None and self.blocked_until > now)


def _seen(insert: Callable[[Table], Any]) -> Executable:
    """A registration says nothing of what an operator has said, here or at another node."""
    statement = insert(devices)
    told = {name: statement.excluded[name] for name in ("user_agent", "last_source", "last_seen_at")}
    key = ["endpoint_id", "instance_id"]
    done: Executable = statement.on_conflict_do_update(index_elements=key, set_=told)
    return done


_SEEN = Stated("device seen", _seen)
_REMOVE = Remove(devices)
_REMOVE_OF = Remove(devices, "endpoint_id")


class Devices:
    """All devices of the installation, `per_endpoint` of one endpoint at most."""

    def __init__(self, engine: AsyncEngine, writer: Writer, per_endpoint: int) -> None:
        self._engine = engine
        self._writer = writer
        self._per_endpoint = per_endpoint
        self._rows: dict[str, Device] = {}
        self._of: dict[str, dict[str, Device]] = {}
        self._marked: dict[str, list[Device]] = {}
        self._written: dict[str, datetime] = {}
        self._by_flow: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def load(self) -> None:
        """Reads every row."""
        for row in (await read_again(self._engine, devices, None)).values():
            self._remember(_from_row(row))

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, devices, ids)
        if ids is None:
            # What waits for a database that was away is not there yet.
            ids = set(found) if self._writer.behind else set(found).union(self._rows)
        for id_ in ids:
            known = self._rows.get(id_)
            if id_ not in found:
                self._forget(known)
                continue
            row = _from_row(found[id_])
            if known is not None and (known.last_seen_at or row.first_seen_at) > (
                row.last_seen_at or row.first_seen_at
            ):
                # It was seen here since.
                told = (known.user_agent, known.last_source, known.last_seen_at)
                row.user_agent, row.last_source, row.last_seen_at = told
            self._remember(row)

    def __iter__(self) -> Iterator[Device]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> Device | None:
        """By id."""
        return self._rows.get(id_)

    def of(self, endpoint_id: str, instance: str | None) -> Device | None:
        """The device that gives this instance id, as it stands in a Contact."""
        return self._of.get(endpoint_id, {}).get(device_name(instance))

    def marks(self, account: Account) -> Account:
        """The account with those of its devices that are kept away or quiet."""
        marked = self._marked.get(account.id)
        if not marked:
            return account
        now = datetime.now(UTC)
        blocked = frozenset(one.instance_id for one in marked if one.is_blocked(now))
        quiet = frozenset(one.instance_id for one in marked if not one.ring)
        return replace(account, blocked_devices=blocked, quiet_devices=quiet)

    # ---- what registrations tell

    def seen(self, endpoint_id: str, binding: Binding, registered: Collection[str]) -> None:
        """A device has registered or refreshed; `registered` are the instance ids of its endpoint that are there."""
        name = device_name(binding.instance)
        if not name or len(name) > LONGEST:
            return
        now, source = datetime.now(UTC), f"{binding.flow.remote[0]}:{binding.flow.remote[1]}"
        row = self._of.get(endpoint_id, {}).get(name)
        if row is None:
            row = Device(new_id(), endpoint_id, name, now)
            if not self._make_room(endpoint_id, registered):
                return
            self._remember(row)
        agent = binding.user_agent[:AGENT]
        changed = (row.user_agent, row.last_source) != (agent, source)
        if not binding.path:
            self._came_by(endpoint_id, binding.flow.id, row)
        row.user_agent, row.last_source, row.last_seen_at = agent, source, now
        written = self._written.get(row.id)
        if changed or written is None or now - written > WRITTEN_EVERY:
            self._write(row, now)

    def _came_by(self, endpoint_id: str, flow: str, row: Device) -> None:
        self._by_flow[endpoint_id, flow] = row.id
        self._by_flow.move_to_end((endpoint_id, flow))
        if len(self._by_flow) > FLOWS:
            self._by_flow.popitem(last=False)

    def by_flow(self, endpoint_id: str, flow: str) -> str | None:
        """The id of the device that an endpoint registered by a flow last, also when it is gone since."""
        return self._by_flow.get((endpoint_id, flow))

    def _write(self, row: Device, now: datetime) -> None:
        self._written[row.id] = now
        self._writer.put(_SEEN, _values(row))

    def _make_room(self, endpoint_id: str, registered: Collection[str]) -> bool:
        """The device not seen for the longest time goes; those that an operator blocks stay, or they would come back as
        strangers. False when there is none to go."""
        group = self._of.get(endpoint_id, {})
        if len(group) < self._per_endpoint:
            return True
        now = datetime.now(UTC)
        free = [one for one in group.values() if one.instance_id not in registered and not one.is_blocked(now)]
        if not free:
            return False
        oldest = min(free, key=lambda one: one.last_seen_at or one.first_seen_at)
        self._forget(oldest)
        self._writer.put(_REMOVE, {GONE: oldest.id})
        return True

    def only_of(self, endpoints: Endpoints) -> None:
        """Devices of endpoints that are gone go too."""
        for id_ in [one for one in self._of if endpoints.get(one) is None]:
            for row in list(self._of[id_].values()):
                self._forget(row)
            self._writer.put(_REMOVE_OF, {GONE: id_})

    # ---- what an operator says

    async def change(self, id_: str, **fields: Any) -> Device | None:
        """The row with those fields (name, ring, blocked, blocked_until) changed, committed; None when it is gone."""
        # What a registration has told a moment ago is in the database before.
        await self._writer.drained()
        row = self._rows.get(id_)
        if row is None:
            return None
        key = (devices.c.endpoint_id == row.endpoint_id, devices.c.instance_id == row.instance_id)
        await self._execute(update(devices).where(*key).values(**fields))
        current = self._rows.get(id_)
        if current is not None:
            self._remember(replace(current, **fields))
        return self._rows.get(id_)

    async def called(self, endpoint_id: str, instance: str, name: str, registered: Collection[str]) -> None:
        """Keeps the name that a page gives its device before it registers for the first time."""
        known = self.of(endpoint_id, instance)
        if known is None:
            if not self._make_room(endpoint_id, registered):
                return
            known = Device(new_id(), endpoint_id, device_name(instance), datetime.now(UTC), name)
            self._remember(known)
            self._write(known, known.first_seen_at)
            await self._writer.drained()
        elif known.name != name:
            await self.change(known.id, name=name)

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing. A device that registers again is a new one."""
        await self._writer.drained()
        await self._execute(delete(devices).where(devices.c.id == id_))
        self._forget(self._rows.get(id_))

    async def _execute(self, statement: Executable) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    # ---- in memory

    def _remember(self, row: Device) -> None:
        group = self._of.setdefault(row.endpoint_id, {})
        before = group.get(row.instance_id)
        if before is not None and before.id != row.id:
            # Two nodes saw it for the first time at once: the row that was written counts.
            self._forget(before)
        self._rows[row.id] = self._of.setdefault(row.endpoint_id, {})[row.instance_id] = row
        self._mark(row.endpoint_id)

    def _forget(self, row: Device | None) -> None:
        if row is None:
            return
        self._rows.pop(row.id, None)
        self._written.pop(row.id, None)
        group = self._of.get(row.endpoint_id, {})
        group.pop(row.instance_id, None)
        if not group:
            self._of.pop(row.endpoint_id, None)
        self._mark(row.endpoint_id)

    def _mark(self, endpoint_id: str) -> None:
        group = self._of.get(endpoint_id, {}).values()
        marked = [one for one in group if one.blocked or one.blocked_until is not None or not one.ring]
        if marked:
            self._marked[endpoint_id] = marked
        else:
            self._marked.pop(endpoint_id, None)


def _values(row: Device) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Device.__dataclass_fields__}


def _from_row(row: Mapping[str, Any]) -> Device:
    times = ("first_seen_at", "last_seen_at", "blocked_until")
    return Device(**{**row, **{name: row[name] and row[name].replace(tzinfo=UTC) for name in times}})
