"""Under which URL browsers reach this server: what a page is told that somebody else configured."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from offhook.server.certificates.views import AT_HOME

if TYPE_CHECKING:
    from offhook.server.app import App

_HTTPS = "443"


def websocket_urls(app: "App", asked: str = "") -> list[str]:
    """Where pages connect. `asked` is the URL under which somebody asks us just now: over TLS it is right as it stands,
    for he trusted its certificate. Else a name that our certificate has; this machine's own where there is none."""
    url = urlsplit(asked)
    if url.scheme == "https" and url.netloc:
        return [f"wss://{url.netloc}"]
    listener = app.listeners.get("https")
    if listener is None:
        return [f"ws://{url.netloc}" if url.netloc else app.websocket_url]
    port = listener.rpartition(":")[2]
    name = next(_names(app, url.hostname or ""), app.page_host)
    host = f"[{name}]" if ":" in name else name
    return [f"wss://{host}" if port == _HTTPS else f"wss://{host}:{port}"]


def page_url(app: "App") -> str:
    """What a person opens, from another machine where that is possible."""
    return websocket_urls(app)[0].replace("ws", "http", 1)


def _names(app: "App", asked: str) -> Iterator[str]:
    """Names and addresses of ours that others know, the likeliest first."""
    served = app.certificates.served
    ours = () if app.settings.http.loopback else (app.store.space.domain,)
    if served is not None and asked not in (*AT_HOME, "::1") and served.covers(asked):
        yield asked
    yield from app.settings.acme.domains
    yield from (one for one in ours if one not in AT_HOME and served is not None and served.covers(one))
