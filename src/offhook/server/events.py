"""Events: numbered and written, then told to who listens in this process (API.md 12.5).

Lives here: numbers and order. Never here: what an event says (happenings.py), who is sent it (outbox.py).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from offhook.server import observe
from offhook.server.committed import Committed
from offhook.server.observe import log
from offhook.store.events import Event, EventRows
from offhook.store.identifiers import AscendingIds
from offhook.store.writer import Writer

OVER = 10_000
"""Ended calls whose count is remembered: what is told of a call after its end follows within minutes."""

Listener = Callable[[Event], None]


class Events:
    """`publish` from anywhere on the loop; it never waits. Rows are queued in the turn in which the state changes, so they
    are committed with it."""

    def __init__(self, rows: EventRows, writer: Writer) -> None:
        self._rows = rows
        self._committed = Committed(writer, self._there)
        self._ids = AscendingIds()
        self._counts: dict[str, int] = {}
        self._over: OrderedDict[str, int] = OrderedDict()
        self._listeners: list[Listener] = []
        self.news = asyncio.Event()
        """Set, and replaced by another, whenever events have been committed: take it before you look."""
        self.closed = False

    def listen(self, listener: Listener) -> None:
        """Is called with every event, in the turn in which it happens: what it queues is committed with the event."""
        self._listeners.append(listener)

    def go_on(self, counts: Mapping[str, int]) -> None:
        """Calls of an earlier process go on counting where it stopped."""
        self._counts.update(counts)

    def publish(
        self,
        type_: str,
        project_id: str,
        call_ref: str = "",
        leg_ref: str = "",
        data: Mapping[str, Any] | None = None,
        request_id: str = "",
        endpoints: tuple[str, ...] = (),
    ) -> Event:
        """Tells of one event. `endpoints` are the ids of those it is about, for the filter of the same name; without a
        `request_id` it is that of the request that is served just now, if one is (API.md 1.3)."""
        event = Event(
            cursor=self._rows.cursor(),
            id=self._ids(),
            at=datetime.now(UTC),
            type=type_,
            project_id=project_id,
            call_ref=call_ref,
            leg_ref=leg_ref,
            sequence=self._count(call_ref, type_) if call_ref else None,
            request_id=request_id or observe.request_id(),
            endpoints=endpoints,
            data=dict(data or {}),
        )
        self._rows.put(event)
        self._committed.soon()
        for listener in self._listeners:
            self._tell(listener, event)
        return event

    def close(self) -> None:
        """Who waits for news waits no longer."""
        self.closed = True
        self._there()

    def _there(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()

    def forget(self, is_call: Callable[[str], bool]) -> None:
        """Calls that went without a word, into another one or with a fault of ours, are held for over."""
        for call_ref in [one for one in self._counts if not is_call(one)]:
            self._ended(call_ref, self._counts[call_ref])

    def _count(self, call_ref: str, type_: str) -> int:
        over = call_ref in self._over
        number = (self._over if over else self._counts).get(call_ref, 0) + 1
        if over or type_ == "call.ended":
            self._ended(call_ref, number)
        else:
            self._counts[call_ref] = number
        return number

    def _ended(self, call_ref: str, number: int) -> None:
        self._counts.pop(call_ref, None)
        self._over[call_ref] = number
        if len(self._over) > OVER:
            self._over.popitem(last=False)

    def _tell(self, listener: Listener, event: Event) -> None:
        try:
            listener(event)
        except Exception:
            # Who listens must not cost the call whose event it is.
            log.exception("a listener failed on an event", type=event.type, id=event.id)
