"""Webhooks on their way out: `enqueue` writes a delivery in the turn in which the state changes (API.md 10.3).

Lives here: what a delivery consists of. Never here: when it is tried (delivering.py), signatures (signing.py).
"""

import json as json_
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

from offhook.server.committed import Committed
from offhook.store.deliveries import Delivery, DeliveryRows
from offhook.store.identifiers import AscendingIds


class Outbox:
    """`enqueue` from anywhere on the loop; it never waits."""

    def __init__(self, rows: DeliveryRows, committed: Committed) -> None:
        self._rows, self._committed = rows, committed
        self._ids = AscendingIds(rows.newest)

    def enqueue(
        self,
        project_id: str,
        url: str,
        method: str = "POST",
        form: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        call_ref: str = "",
        event_id: str = "",
        sequence: int | None = None,
        request_id: str = "",
        order: str = "",
    ) -> str:
        """One webhook to deliver, at least once, signed for its project; returns its id.

        Give a `form` (a field without a value is left out) or `json`. Those of one `order` (the call, unless given) and one
        URL are delivered one after the other as they came; without either each goes by itself. `event_id` and `sequence`
        are what `Events.publish` returned."""
        if (form is None) == (json is None):
            raise ValueError("a webhook has either a form or json")
        id_, order = self._ids(), order or call_ref
        delivery = Delivery(
            id=id_,
            project_id=project_id,
            event_id=event_id or id_,
            call_ref=call_ref,
            sequence=sequence,
            request_id=request_id,
            lane=blake2b(f"{order} {url}".encode(), digest_size=16).hexdigest() if order else id_,
            receiver=receiver_of(url),
            url=url,
            method=method.upper(),
            kind="form" if json is None else "json",
            body=_form(form) if form is not None else _json(json),
        )
        self._rows.put(delivery, datetime.now(UTC))
        self._committed.soon()
        return id_


def receiver_of(url: str) -> str:
    """Who is connected to for a URL: scheme, host and port."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return f"{scheme}://{authority.rpartition('@')[2]}".lower()[:300]


def _json(value: Mapping[str, Any] | None) -> str:
    """As text that every receiver and every database takes: half of a surrogate pair, from a broken client, becomes `?`."""
    return json_.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()


def _form(form: Mapping[str, str]) -> str:
    return urlencode([(name, value) for name, value in form.items() if value != ""], errors="replace")
