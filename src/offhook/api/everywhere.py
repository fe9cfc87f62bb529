"""A write is answered once every node knows of it: the next SIP message anywhere obeys it (API.md 1.1)."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = ("GET", "HEAD", "OPTIONS")


class Everywhere:
    """ASGI middleware: holds the answer to a write that was done until `everywhere` has returned."""

    def __init__(self, app: ASGIApp, everywhere: Callable[[], Awaitable[None]]) -> None:
        self._app, self._everywhere = app, everywhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READING:
            await self._app(scope, receive, send)
            return

        async def when_known(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await self._everywhere()
            await send(message)

        await self._app(scope, receive, when_known)
