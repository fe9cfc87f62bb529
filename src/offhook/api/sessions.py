"""The dashboard's cookie (API.md 1.2): who logged in with an API token is known by it for twelve hours.

The cookie is `ID.TOKEN_ID.ENDS.MAC` under a key of the space, so that every node knows it and no table is read for it; one
that was given back by logging out is remembered until its end. It opens what its API token opens, and ends with it. A page
of another site cannot send it (SameSite=Strict), and cannot write by it, because it cannot set X-Offhook-Request.
"""

import hashlib
import hmac
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from fastapi import Request, Response

NAME = "offhook_session"
SECONDS = 12 * 3600
HEADER = "x-offhook-request"
"""A write by cookie carries this field: another site's form cannot set it, and its script would need our leave."""


class GivenBack(Protocol):
    """Cookies that were ended before their time."""

    def is_given_back(self, id_: str) -> bool: ...
    async def give_back(self, id_: str, ends_at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Session:
    """One login."""

    id: str
    token_id: str
    ends: int

    @property
    def ends_at(self) -> datetime:
        """When it ends."""
        return datetime.fromtimestamp(self.ends, UTC)


class Sessions:
    """Makes and reads cookies. `wall` is Unix time."""

    def __init__(self, key: bytes, given_back: GivenBack, wall: Callable[[], float]) -> None:
        self._key, self._given_back, self._wall = key, given_back, wall

    def begin(self, token_id: str, request: Request, response: Response) -> Session:
        """Sets the cookie of a new session."""
        session = Session(str(uuid.uuid4()), token_id, int(self._wall()) + SECONDS)
        self._set(request, response, self._written(session), SECONDS)
        return session

    def read(self, request: Request) -> Session | None:
        """The session of a request's cookie; None without, or when it is altered, over or given back."""
        parts = request.cookies.get(NAME, "").split(".")
        if len(parts) != 4 or not parts[2].isascii() or not parts[2].isdigit() or len(parts[2]) > 12:
            return None
        session = Session(parts[0], parts[1], int(parts[2]))
        if not hmac.compare_digest(self._written(session).encode(), ".".join(parts).encode("utf-8", "replace")):
            return None
        if session.ends <= self._wall() or self._given_back.is_given_back(session.id):
            return None
        return session

    async def end(self, session: Session, request: Request, response: Response) -> None:
        """The cookie opens nothing from now on."""
        await self._given_back.give_back(session.id, session.ends_at)
        self._set(request, response, "", 0)

    def _written(self, session: Session) -> str:
        text = f"{session.id}.{session.token_id}.{session.ends}"
        return f"{text}.{hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()}"

    @staticmethod
    def _set(request: Request, response: Response, value: str, seconds: int) -> None:
        secure = request.url.scheme == "https"
        response.set_cookie(NAME, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=secure)
