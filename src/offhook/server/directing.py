"""What calls want of the outside world: documents fetched, and their states told (API.md 10.1 to 10.4).

Lives here: HTTP around call control's effects. Never here: what a document means, what is told (calls/reports.py).
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from offhook import __version__
from offhook.calls.document import Broken, Document
from offhook.calls.effects import FetchDocument, TellStatus
from offhook.calls.events import DocumentFetched
from offhook.calls.reports import LegReport
from offhook.server.document_text import read_document
from offhook.server.leg_words import Words
from offhook.server.nodes import node_id
from offhook.server.outbox import Outbox
from offhook.server.signing import signed
from offhook.store.identifiers import new_id
from offhook.transport.http_url import HttpUrl
from offhook.transport.outward_http import HttpAnswer, HttpFailed, OutwardHttp

if TYPE_CHECKING:
    from offhook.server.app import App


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """Octets, seconds and counts of one document."""

    octets: int
    seconds: float
    redirects: int


class Directing:
    """`key` gives the signing key of a project, `owner` the project of a call, `clock` the core's time."""

    def __init__(
        self,
        http: OutwardHttp,
        outbox: Outbox,
        words: Words,
        limits: DocumentLimits,
        key: Callable[[str], str],
        owner: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        self._http, self._outbox, self._words, self._limits = http, outbox, words, limits
        self._key, self._owner, self._clock = key, owner, clock

    # ---- states

    def tell(self, effect: TellStatus) -> None:
        """Queues one webhook, in order for its leg and URL."""
        wish, leg, now = effect.wish, effect.leg, self._clock()
        project, event_id = self._project(leg), new_id()
        if wish.form:
            form = self._words.callback(leg, project, now, effect.sequence, wish.sids)
            self._outbox.enqueue(
                project,
                wish.url,
                wish.method,
                form=form,
                call_ref=leg.call_ref,
                event_id=event_id,
                sequence=effect.sequence,
            )
            return
        number = effect.sequence + 1
        if effect.kind == "state":
            body = self._words.state_event(leg, project, now, event_id, number)
        else:
            details = dict(effect.details)
            body = self._words.other_event(effect.kind, leg, details, project, now, event_id, number)
        self._outbox.enqueue(project, wish.url, json=body, call_ref=leg.call_ref, event_id=event_id, sequence=number)

    def _project(self, leg: LegReport) -> str:
        return leg.project or self._owner(leg.call_ref)

    # ---- documents

    async def fetch(self, effect: FetchDocument) -> DocumentFetched:
        """The document of a link, else that of its fallback, else why there is none."""
        link = effect.link
        try:
            return DocumentFetched(effect.token, await self._document(effect, link.url, link.method))
        except Broken as broken:
            wrong = broken
        if link.fallback_url:
            try:
                return DocumentFetched(
                    effect.token, await self._document(effect, link.fallback_url, link.fallback_method)
                )
            except Broken as broken:
                wrong = Broken(broken.code, f"{wrong.text}; then {broken.text}")
        return DocumentFetched(effect.token, None, wrong.code, wrong.text)

    async def _document(self, effect: FetchDocument, url: str, method: str) -> Document:
        project = self._project(effect.leg)
        body, kind = b"", "json"
        if effect.link.cxml:
            form = [*self._words.document_form(effect.leg, project).items(), *effect.extra]
            kind = "form"
            if method == "GET":
                url = f"{url}{'&' if '?' in url else '?'}{urlencode(form)}"
            else:
                body = urlencode(form).encode()
        elif method != "GET":
            body = json.dumps(self._words.document_json(effect.leg, project), ensure_ascii=False).encode()
        answer = await self._send(method, url, kind, body, project)
        return read_document(answer.body, answer.url)

    async def _send(self, method: str, url: str, kind: str, body: bytes, project: str) -> HttpAnswer:
        key = self._key(project)
        request_id = new_id()
        type_ = "application/json" if kind == "json" else "application/x-www-form-urlencoded"

        def headers(at: HttpUrl) -> list[tuple[str, str]]:
            own = [("User-Agent", f"Offhook/{__version__}"), ("X-Request-Id", request_id), ("Accept", "*/*")]
            typed = [("Content-Type", type_)] if method != "GET" else []
            return [*own, *typed, *signed(key, method, at.written, kind, body.decode())]

        limits = self._limits
        try:
            answer = await self._http.send(
                method, url, headers, body, redirects=limits.redirects, total=limits.seconds, most=limits.octets
            )
        except HttpFailed as error:
            code = "document_loop" if str(error).startswith("redirected more") else "document_fetch_failed"
            raise Broken(code, f"{shown(url)}: {error}") from None
        if not 200 <= answer.status < 300:
            raise Broken("document_fetch_failed", f"{shown(url)} answers {answer.status}")
        return answer


def directing_of(app: "App") -> Directing:
    """Made of the parts of a server whose `telling` is open."""
    limits, store, switchboard = app.settings.limits, app.store, app.driver.switchboard

    def owner(ref: str) -> str:
        call = switchboard.by_ref(ref)
        return app.telling.happenings.owner(call) if call is not None else store.space.project_id

    return Directing(
        app.telling.http,
        app.telling.outbox,
        Words(app.book.epoch, node_id(app.settings.data), store.space.project_id),
        DocumentLimits(limits.document_bytes, limits.document_seconds, limits.document_redirects),
        lambda project: store.projects.signing_key(project).reveal(),
        owner,
        asyncio.get_running_loop().time,
    )


def shown(url: str) -> str:
    """A URL for people: without user information, which may hold a password, and without query."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
