"""The outbox: webhook deliveries, from the moment in which the state changed until they are delivered or given up.

Rows of one lane (a call and a URL) are delivered in the order of their ids. `due_at` (Unix seconds) stands on the first
pending row of each lane only, so that what is due is found without looking at what waits behind it. A row belongs to the
node whose call it tells of, and no other delivers it.
"""

from collections.abc import Collection
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, case, delete, exists, func, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.record import record
from offhook.store.statements import Stated
from offhook.store.tables import webhook_deliveries
from offhook.store.writer import Writer

SWEPT = 5_000
"""Rows taken away at once, so that nobody waits long for the writer."""
ATTEMPTS_KEPT = 33
"""Attempts shown of one delivery: three rounds of all tries."""

_rows = webhook_deliveries
_BEFORE = exists(select(1).where(_rows.c.lane == bindparam("in_lane"), _rows.c.state == "pending").correlate(None))
_VALUES: dict[str, Any] = {column.name: bindparam(f"of_{column.name}") for column in _rows.c if column.name != "due_at"}
_VALUES["due_at"] = case((_BEFORE, null()), else_=bindparam("due"))
_INSERT = Stated("delivery", lambda insert: insert(_rows).values(**_VALUES).on_conflict_do_nothing())
_TRIED = Stated(
    "delivery tried",
    lambda _: (
        update(_rows)
        .where(_rows.c.id == bindparam("of_id"))
        .values(
            state=bindparam("now_state"),
            tries=bindparam("now_tries"),
            attempts=bindparam("now_attempts"),
            due_at=bindparam("now_due"),
            finished_at=bindparam("now_finished"),
        )
    ),
)
_FIRST = (
    select(func.min(_rows.c.id))
    .where(_rows.c.lane == bindparam("in_lane"), _rows.c.state == "pending")
    .scalar_subquery()
)
_NEXT = Stated(
    "delivery next",
    lambda _: update(_rows).where(_rows.c.id == _FIRST, _rows.c.due_at.is_(None)).values(due_at=bindparam("due")),
)
_AGAIN = Stated(
    "delivery again",
    lambda _: (
        update(_rows)
        .where(_rows.c.id == bindparam("of_id"), _rows.c.state != "pending")
        .values(state="pending", tries=0, due_at=case((_BEFORE, null()), else_=bindparam("due")), finished_at=None)
    ),
)


@record
class Delivery:
    """One thing to deliver. `kind` is `json` or `form`; `body` the JSON text, or names and values percent-encoded.
    `attempts` are as API.md 12.5 shows them, `tries` counts those since it was last begun with; `due_at` is None for what
    waits behind another or is done."""

    id: str
    project_id: str
    event_id: str
    call_ref: str
    sequence: int | None
    request_id: str
    lane: str
    receiver: str
    url: str
    method: str
    kind: str
    body: str
    state: str = "pending"
    tries: int = 0
    attempts: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    due_at: float | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None


def _delivery(row: Any) -> Delivery:
    names = Delivery.__dataclass_fields__
    return Delivery(**{name: getattr(row, name) for name in names if name != "attempts"}, attempts=tuple(row.attempts))


class DeliveryRows:
    """Writes behind, reads at once; `load` first. `node` is who we are."""

    def __init__(self, engine: AsyncEngine, writer: Writer, node: str = "") -> None:
        self._engine = engine
        self._writer = writer
        self._node = node
        self.newest = ""
        """The greatest id that was ever written."""

    async def load(self) -> None:
        """Where the ids go on; what a process left in an odd state is put right: each lane has a row that is due."""
        waiting = select(_rows.c.lane).where(_rows.c.state == "pending").group_by(_rows.c.lane)
        async with self._engine.connect() as connection:
            self.newest = (await connection.execute(select(func.max(_rows.c.id)))).scalar() or ""
            stuck = (await connection.execute(waiting.having(func.count(_rows.c.due_at) == 0))).scalars().all()
        for lane in stuck:
            self.next(lane, datetime.now(UTC).timestamp())

    async def pending(self) -> int:
        """How many wait to be delivered, by whichever node."""
        count = select(func.count()).select_from(_rows).where(_rows.c.state == "pending")
        async with self._engine.connect() as connection:
            return int((await connection.execute(count)).scalar_one())

    # ---- what is written

    def put(self, delivery: Delivery, now: datetime) -> None:
        """Queues a new one, due at once unless another of its lane is before it."""
        self._writer.put(
            _INSERT,
            {
                "in_lane": delivery.lane,
                "due": now.timestamp(),
                "of_id": delivery.id,
                "of_project_id": delivery.project_id,
                "of_event_id": delivery.event_id,
                "of_node": self._node,
                "of_call_ref": delivery.call_ref,
                "of_sequence": delivery.sequence,
                "of_request_id": delivery.request_id,
                "of_lane": delivery.lane,
                "of_receiver": delivery.receiver,
                "of_url": delivery.url,
                "of_method": delivery.method,
                "of_kind": delivery.kind,
                "of_body": delivery.body,
                "of_state": delivery.state,
                "of_tries": delivery.tries,
                "of_attempts": list(delivery.attempts),
                "of_created_at": now.astimezone(UTC),
                "of_finished_at": None,
            },
        )

    def tried(self, delivery: Delivery, state: str, attempt: dict[str, Any], due_at: float | None) -> None:
        """How an attempt went. One that is no longer pending lets the next of its lane go (`next`)."""
        self._writer.put(
            _TRIED,
            {
                "of_id": delivery.id,
                "now_state": state,
                "now_tries": delivery.tries + 1,
                "now_attempts": [*delivery.attempts, attempt][-ATTEMPTS_KEPT:],
                "now_due": due_at,
                "now_finished": None if state == "pending" else datetime.now(UTC),
            },
        )

    def next(self, lane: str, now: float) -> None:
        """The first pending row of a lane is due, if none is yet."""
        self._writer.put(_NEXT, {"in_lane": lane, "due": now})

    def again(self, delivery: Delivery, now: float) -> None:
        """One that is done is pending anew, in its old place."""
        self._writer.put(_AGAIN, {"of_id": delivery.id, "in_lane": delivery.lane, "due": now})

    async def sweep(self, before: datetime) -> None:
        """Takes away what ended before that time, a bounded number of rows at once."""
        old = select(_rows.c.id).where(_rows.c.state != "pending", _rows.c.finished_at < before).limit(SWEPT)
        while True:
            async with self._engine.begin() as connection:
                gone = await connection.execute(delete(_rows).where(_rows.c.id.in_(old)))
            if gone.rowcount < SWEPT:
                return

    # ---- what is read

    async def due(self, now: float, most: int, without: Collection[str]) -> list[tuple[str, str]]:
        """Lanes of ours that are due, with their receivers, longest due first; none of those receivers."""
        wanted = select(_rows.c.lane, _rows.c.receiver).where(_rows.c.node == self._node, _rows.c.due_at <= now)
        if without:
            wanted = wanted.where(_rows.c.receiver.not_in(without))
        async with self._engine.connect() as connection:
            found = await connection.execute(wanted.order_by(_rows.c.due_at).limit(most))
            return [(lane, receiver) for lane, receiver in found]

    async def next_due(self, after: float) -> float | None:
        """When something of ours is due that was not yet at that time."""
        wanted = select(func.min(_rows.c.due_at)).where(_rows.c.node == self._node, _rows.c.due_at > after)
        async with self._engine.connect() as connection:
            due: float | None = (await connection.execute(wanted)).scalar()
        return due

    async def of_lanes(self, lanes: Collection[str], most: int) -> dict[str, list[Delivery]]:
        """The first pending rows of each lane, in order."""
        place = func.row_number().over(partition_by=_rows.c.lane, order_by=_rows.c.id).label("place")
        pending = select(_rows, place).where(_rows.c.lane.in_(lanes), _rows.c.state == "pending").subquery()
        found: dict[str, list[Delivery]] = {lane: [] for lane in lanes}
        async with self._engine.connect() as connection:
            for row in await connection.execute(select(pending).where(pending.c.place <= most).order_by(pending.c.id)):
                found[row.lane].append(_delivery(row))
        return found

    async def get(self, project_id: str, id_: str) -> Delivery | None:
        """One of a project."""
        wanted = select(_rows).where(_rows.c.id == id_, _rows.c.project_id == project_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return _delivery(row) if row is not None else None

    async def find(
        self,
        project_id: str,
        most: int,
        *,
        before: str = "",
        after: str = "",
        state: str = "",
        call_ref: str = "",
        url: str = "",
    ) -> list[Delivery]:
        """Newest first; those older than the id `before`, or the next ones newer than the id `after`."""
        wanted = select(_rows).where(_rows.c.project_id == project_id)
        if state:
            wanted = wanted.where(_rows.c.state == state)
        if call_ref:
            wanted = wanted.where(_rows.c.call_ref == call_ref)
        if url:
            wanted = wanted.where(or_(_rows.c.url == url, _rows.c.url.contains(url, autoescape=True)))
        if before:
            wanted = wanted.where(_rows.c.id < before)
        if after:
            wanted = wanted.where(_rows.c.id > after)
        order = _rows.c.id.asc() if after else _rows.c.id.desc()
        async with self._engine.connect() as connection:
            found = [_delivery(row) for row in await connection.execute(wanted.order_by(order).limit(most))]
        return found[::-1] if after else found

    async def counts(self) -> dict[str, int]:
        """How many rows are pending and failed."""
        wanted = select(_rows.c.state, func.count()).where(_rows.c.state != "delivered").group_by(_rows.c.state)
        async with self._engine.connect() as connection:
            found = {str(row[0]): int(row[1]) for row in await connection.execute(wanted)}
        return {"pending": found.get("pending", 0), "failed": found.get("failed", 0)}
