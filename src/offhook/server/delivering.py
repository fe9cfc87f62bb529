"""Delivers what stands in the outbox: in order per call and URL, again and again, without one receiver holding up another.

Lives here: which lane goes when. Never here: what is sent (outbox.py), waits (retrying.py), signatures (signing.py), SQL.
The table is the queue: in memory is only what is under way, so a receiver that is down for an hour costs no memory. A
delivery begins once its row is committed.
"""

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from offhook.server.observe import log
from offhook.server.retrying import verdict, wait
from offhook.server.signing import Headers, signed
from offhook.store.deliveries import Delivery, DeliveryRows
from offhook.store.writer import Writer
from offhook.transport.http_url import HttpUrl
from offhook.transport.outward_http import HttpFailed, OutwardHttp

IN_A_ROW = 20
"""Deliveries of one lane that are read at once: more than a call's set-up has."""
PROBES = 2
"""Deliveries under way to a receiver whose last answer was no success."""
KNOWN = 10_000
"""Receivers of which is remembered how they did."""
LOOK = 5.0
"""Seconds between two looks into the table when nothing calls for one: another node may have put something back."""
PAUSE = 1.0
"""Seconds to the next try after the database refused."""
FAREWELL = 2.0
"""Seconds that deliveries under way have when the server stops; they are done again after the next start otherwise."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Counts and seconds."""

    at_once: int = 100
    per_receiver: int = 10
    first_retry: float = 1.0


class Deliverer:
    """`start`, then `kick` whenever something has been committed, then `stop`. `failed` is told of what is given up;
    `signing_key` is that of a project, "" for one that is gone; `forces_https` says whether it wants nothing in clear."""

    def __init__(
        self,
        rows: DeliveryRows,
        writer: Writer,
        http: OutwardHttp,
        signing_key: Callable[[str], str],
        forces_https: Callable[[str], bool],
        failed: Callable[[Delivery, dict[str, Any]], None],
        uniform: Callable[[float, float], float],
        user_agent: str,
        settings: DeliverySettings,
    ) -> None:
        self._rows, self._writer, self._http = rows, writer, http
        self._signing_key, self._forces_https = signing_key, forces_https
        self._failed, self._uniform = failed, uniform
        self._agent, self._settings = user_agent, settings
        self.on_try: Callable[[Delivery, dict[str, Any]], None] = lambda _delivery, _attempt: None
        """Told of every try."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._busy: dict[str, asyncio.Task[None]] = {}
        """By lane: those under way, and those whose outcome is not committed yet."""
        self._under_way: Counter[str] = Counter()
        self._shaky: OrderedDict[str, bool] = OrderedDict()
        """Receivers by whether their last answer was none that counts."""

    def start(self) -> None:
        """Begins with what an earlier process left."""
        self._task = asyncio.create_task(self._run(), name="webhook deliveries")

    def kick(self) -> None:
        """Something may be due."""
        self._wake.set()

    async def stop(self) -> None:
        """Ends soon; what is not done stays in the table."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        under_way = list(self._busy.values())
        if under_way:
            await asyncio.wait(under_way, timeout=FAREWELL)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    # ---- which lane goes when

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = await self._begin_due()
            except (SQLAlchemyError, OSError) as error:
                log.warning("webhooks wait for the database", text=str(error)[:200])
                pause = PAUSE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _begin_due(self) -> float:
        """Begins what is due as far as there is room; returns seconds until the next look."""
        if self._writer.behind:
            # The table does not yet say what has been delivered.
            return PAUSE
        while len(self._busy) < self._settings.at_once:
            now = time.time()
            full = [one for one in self._under_way if not self._has_room(one)]
            most = self._settings.at_once + len(self._busy)
            found = [one for one in await self._rows.due(now, most, full) if one[0] not in self._busy]
            if not await self._begin(found):
                due = await self._rows.next_due(now)
                return LOOK if due is None else min(LOOK, max(0.0, due - time.time()))
        return LOOK

    def _has_room(self, receiver: str, chosen: int = 0, of_it: int = 0) -> bool:
        """Room for one more, beside those that are chosen already, and those of them to this receiver."""
        most = PROBES if self._shaky.get(receiver) else self._settings.per_receiver
        return self._under_way[receiver] + of_it < most and len(self._busy) + chosen < self._settings.at_once

    async def _begin(self, found: Iterable[tuple[str, str]]) -> bool:
        """Begins with those lanes for which there is room; False when there is for none."""
        chosen: dict[str, str] = {}
        asked = Counter[str]()
        for lane, receiver in found:
            if self._has_room(receiver, len(chosen), asked[receiver]):
                chosen[lane] = receiver
                asked[receiver] += 1
        if chosen:
            # One question for all: a connection to the database each would leave none for anybody else.
            rows = await self._rows.of_lanes(chosen, IN_A_ROW)
            for lane, receiver in chosen.items():
                self._under_way[receiver] += 1
                work = self._lane(lane, receiver, rows[lane])
                self._busy[lane] = asyncio.create_task(work, name=f"webhooks {lane}")
        return bool(chosen)

    async def _lane(self, lane: str, receiver: str, rows: list[Delivery]) -> None:
        try:
            try:
                await self._in_order(lane, receiver, rows)
            finally:
                self._under_way[receiver] -= 1
                if not self._under_way[receiver]:
                    del self._under_way[receiver]
                self.kick()
            await self._committed()
        except Exception:
            # A fault of ours must not stop the other lanes; this one is tried again later.
            log.exception("a webhook could not be delivered", lane=lane)
            await asyncio.sleep(LOOK)
        finally:
            self._busy.pop(lane, None)
            self.kick()

    async def _committed(self) -> None:
        """Returns once the outcomes are in the table: until then it would say that the lane is due."""
        done = asyncio.Event()
        self._writer.after(done.set)
        await done.wait()

    async def _in_order(self, lane: str, receiver: str, rows: list[Delivery]) -> None:
        for delivery in rows:
            state = await self._try(delivery)
            self._remember(receiver, shaky=state != "delivered")
            if state == "pending":
                return
        self._rows.next(lane, time.time())

    def _remember(self, receiver: str, shaky: bool) -> None:
        self._shaky[receiver] = shaky
        self._shaky.move_to_end(receiver)
        if len(self._shaky) > KNOWN:
            self._shaky.popitem(last=False)

    # ---- one attempt

    async def _try(self, delivery: Delivery) -> str:
        began, clock = datetime.now(UTC), time.monotonic()
        status, error = await self._sent(delivery)
        attempt = {
            "at": began.strftime("%Y-%m-%dT%H:%M:%S.") + f"{began.microsecond // 1000:03d}Z",
            "status": status,
            "ms": int((time.monotonic() - clock) * 1000),
            "error": error,
        }
        tries = delivery.tries + 1
        state = verdict(status, tries)
        due = time.time() + wait(tries, self._settings.first_retry, self._uniform) if state == "pending" else None
        self._rows.tried(delivery, state, attempt, due)
        self.on_try(delivery, attempt)
        if state == "failed":
            about = {"call_ref": delivery.call_ref, "request_id": delivery.request_id}
            about = {name: value for name, value in about.items() if value}
            log.warning(
                "webhook given up", **about, receiver=delivery.receiver, id=delivery.id, tries=tries, error=error
            )
            self._failed(delivery, attempt)
        return state

    async def _sent(self, delivery: Delivery) -> tuple[int | None, str | None]:
        """(status, error): exactly one of them says what is wrong, none when nothing is."""
        key = self._signing_key(delivery.project_id)
        if not key:
            return 410, "the project is gone"
        if self._forces_https(delivery.project_id) and delivery.receiver.startswith("http:"):
            return None, "the project forces HTTPS requests, and this URL is http"
        get, url = delivery.method == "GET", delivery.url
        if get and delivery.body:
            # Nothing after a fragment is ever sent.
            url, _, _ = url.partition("#")
            url += ("&" if "?" in url else "?") + delivery.body
        body = b"" if get else delivery.body.encode()

        def headers(at: HttpUrl) -> Headers:
            return [*signed(key, delivery.method, at.written, delivery.kind, delivery.body), *self._common(delivery)]

        try:
            answer = await self._http.send(delivery.method, url, headers, body)
        except HttpFailed as failure:
            code = f"{failure.code}: " if failure.code != "unreachable" else ""
            return None, f"{code}{failure}"
        return answer.status, None if 200 <= answer.status < 300 else f"answered {answer.status}"

    def _common(self, delivery: Delivery) -> Headers:
        kinds = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
        headers = [
            ("User-Agent", self._agent),
            ("X-Offhook-Event-Id", delivery.event_id),
            ("X-Offhook-Attempt", str(delivery.tries + 1)),
            ("X-Request-Id", delivery.request_id or delivery.id),
        ]
        if delivery.sequence is not None:
            headers.append(("X-Offhook-Sequence", str(delivery.sequence)))
        if delivery.method != "GET":
            headers.append(("Content-Type", kinds[delivery.kind]))
        return headers
