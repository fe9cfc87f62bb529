"""The outbox: webhook deliveries, from the moment in which the state changed until they are delivered or given up.

Rows of one lane (a call and a URL) are delivered in the order of their ids. `due_at` (Unix seconds) stands on the first
pending row of each lane only, so that what is due is found without looking at what waits behind it.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, case, exists, func, null, select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.record import record
from offhook.store.statements import Stated
from offhook.store.tables import webhook_deliveries
from offhook.store.writer import Writer

_rows = webhook_deliveries
_BEFORE = exists(select(1).where(_rows.c.lane == bindparam("in_lane"), _rows.c.state == "pending").correlate(None))
_VALUES: dict[str, Any] = {column.name: bindparam(f"of_{column.name}") for column in _rows.c if column.name != "due_at"}
_VALUES["due_at"] = case((_BEFORE, null()), else_=bindparam("due"))
_INSERT = Stated("delivery", lambda insert: insert(_rows).values(**_VALUES).on_conflict_do_nothing())


@record
class Delivery:
    """One thing to deliver. `kind` is `json` or `form`; `body` the JSON text, or names and values percent-encoded."""

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


class DeliveryRows:
    """Writes behind; `load` first."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer
        self.newest = ""
        """The greatest id that was ever written."""

    async def load(self) -> None:
        """Where the ids go on."""
        async with self._engine.connect() as connection:
            self.newest = (await connection.execute(select(func.max(_rows.c.id)))).scalar() or ""

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
                "of_call_ref": delivery.call_ref,
                "of_sequence": delivery.sequence,
                "of_request_id": delivery.request_id,
                "of_lane": delivery.lane,
                "of_receiver": delivery.receiver,
                "of_url": delivery.url,
                "of_method": delivery.method,
                "of_kind": delivery.kind,
                "of_body": delivery.body,
                "of_state": "pending",
                "of_attempts": [],
                "of_created_at": now.astimezone(UTC),
                "of_finished_at": None,
            },
        )
