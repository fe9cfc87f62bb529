"""Tells that something has been set up differently: `config.changed`, after every write that succeeded (API.md 12.5)."""

import json
import re
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offhook.api.ports import Platform, TokenRow

ACTIONS = {"POST": "created", "PUT": "changed", "PATCH": "changed", "DELETE": "deleted"}
_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SET_UP = re.compile(
    r"/api/(?:relay/rest/(?!lookup)[a-z_/]+|fabric/(?:resources|sip_addresses)(?:/(?!tokens|invites)[a-z_]+)*"
    r"|projects|project/tokens|offhook/(?:trunks|webhooks|devices))"
    rf"(?:/(?P<id>{_ID})(?:/(?P<part>[a-z_-]+)(?:/{_ID})?)?)?"
)
"""Paths of what is set up; calls, logs, log-ins and trials are not."""
_TRIALS = frozenset({"test", "register", "ping"})


class ConfigChanges:
    """ASGI middleware, inside those that refuse."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _SET_UP.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] in ACTIONS else None
        if found is None or found["part"] in _TRIALS:
            await self._app(scope, receive, send)
            return
        status, body = 0, b""

        async def watched(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                # An answer that is given once more changes nothing once more.
                replayed = any(name.lower() == b"idempotency-replayed" for name, _ in message["headers"])
                status = 0 if replayed else message["status"]
            elif not body:
                body = message.get("body", b"")
            await send(message)

        await self._app(scope, receive, watched)
        token: TokenRow | None = scope.get("state", {}).get("token")
        if 200 <= status < 300 and token is not None:
            id_ = found["id"] or _id_in(body)
            # What is below an id changes that.
            action = ACTIONS[scope["method"]] if not found["part"] else "changed"
            resource = scope["path"].partition(f"/{found['id']}")[0] if found["id"] else scope["path"]
            platform: Platform = scope["app"].state.platform
            request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
            data = {"resource": resource, "id": id_, "action": action}
            platform.events.config_changed(token.project_id, data, request_id)


def _id_in(body: bytes) -> str | None:
    """The id of what has been made, from the answer."""
    try:
        made: Any = json.loads(body)
    except ValueError:
        return None
    return made["id"] if isinstance(made, dict) and isinstance(made.get("id"), str) else None
