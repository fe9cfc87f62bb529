"""Whether somebody can be reached: from devices and calls, or as the endpoint itself has published it (EVT-2, RFC 3903).

Lives here: publications and the one line that everybody sees. Never here: who watches (watching.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

from offhook.calls.call import Call, CallConfig, Effects
from offhook.calls.documents import PIDF, pidf
from offhook.calls.effects import Sip, StartTimer, StopTimer
from offhook.calls.leg import LegState
from offhook.calls.outcome import refusal
from offhook.calls.outside import Asked
from offhook.sip.commands import Respond
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_number
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers

LONGEST = 3600
"""Seconds a publication lives at most (EVT-2)."""
SHORTEST = 60
"""Shorter ones would only be refreshes."""
PER_ENDPOINT = 10
"""Publications of one endpoint: each of its devices has one."""


@dataclass(frozen=True, slots=True)
class PublicationOver:
    """A publication was not refreshed."""

    username: str
    etag: str


@dataclass(frozen=True, slots=True)
class Publication:
    """What a device said of its user, unread."""

    body: bytes


class Publications:
    """Owned by the switchboard; `changed` is told whose publications are others now."""

    def __init__(self, config: CallConfig, ids: Ids, changed: Callable[[str, float], Effects]) -> None:
        self._config = config
        self._ids = ids
        self._changed = changed
        self._of: dict[str, dict[str, Publication]] = {}

    def __len__(self) -> int:
        return sum(len(group) for group in self._of.values())

    def latest(self, username: str) -> bytes | None:
        """The newest publication that lives."""
        group = self._of.get(username.casefold())
        return next(reversed(group.values())).body if group else None

    def asked(self, asked: Asked, now: float) -> Effects:
        """See outside.Room: the steps of RFC 3903 section 6."""
        request, domain = asked.event.request, self._config.domain
        package = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
        if package != "presence":
            return [Sip(Respond(asked.transaction, 489, Headers([("Allow-Events", "presence")])))]
        if asked.callee is None or asked.callee.id != asked.sender.id:
            return asked.refused(refusal("watch_not_allowed", "Only one's own presence can be published"), domain)
        kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if request.body and kind != PIDF:
            return [Sip(Respond(asked.transaction, 415, Headers([("Accept", PIDF)])))]
        if len(request.body) > self._config.text_max:
            return asked.refused(refusal("text_too_large", "The document is longer than limits.text_max"), domain)
        try:
            seconds = min(parse_number(request.headers.get("Expires") or str(LONGEST), "Expires", 2**32 - 1), LONGEST)
        except PeerError:
            return [Sip(Respond(asked.transaction, 400))]
        if 0 < seconds < SHORTEST:
            return [Sip(Respond(asked.transaction, 423, Headers([("Min-Expires", str(SHORTEST))])))]
        return self._publish(asked, (request.headers.get("SIP-If-Match") or "").strip(), seconds, now)

    def _publish(self, asked: Asked, etag: str, seconds: int, now: float) -> Effects:
        username, body = asked.sender.username, asked.event.request.body
        group = self._of.get(username.casefold(), {})
        before = group.get(etag)
        if etag and before is None:
            # RFC 3903 section 6 step 3: the entity tag is of nothing that lives.
            return [Sip(Respond(asked.transaction, 412))]
        if before is None and (not body or not seconds):
            return [Sip(Respond(asked.transaction, 400))]
        effects = self._drop(username, etag) if before is not None else []
        fresh = self._ids.token()
        if seconds:
            effects += self._keep(username, fresh, Publication(body or (before.body if before else b"")), seconds)
        answer = Headers([("SIP-ETag", fresh), ("Expires", str(seconds))])
        told = self._changed(username, now) if body or not seconds else []
        return [*effects, Sip(Respond(asked.transaction, 200, answer)), *told]

    def _keep(self, username: str, etag: str, publication: Publication, seconds: int) -> Effects:
        group = self._of.setdefault(username.casefold(), {})
        group[etag] = publication
        effects: Effects = [StartTimer(PublicationOver(username, etag), float(seconds))]
        if len(group) > PER_ENDPOINT:
            effects += self._drop(username, next(iter(group)))
        return effects

    def _drop(self, username: str, etag: str) -> Effects:
        group = self._of.get(username.casefold(), {})
        if group.pop(etag, None) is None:
            return []
        if not group:
            del self._of[username.casefold()]
        return [StopTimer(PublicationOver(username, etag))]

    def over(self, key: PublicationOver, now: float) -> Effects:
        """It ran out."""
        return [*self._drop(key.username, key.etag), *self._changed(key.username, now)]


def state_of(account: Account, bindings: tuple[Binding, ...], calls: list[Call]) -> tuple[str, str]:
    """(open or closed, a note) from devices and calls."""
    if not bindings:
        return "closed", "Not registered"
    if account.do_not_disturb:
        return "closed", "Do not disturb"
    legs = [leg for call in calls for leg in call.live if leg.account is not None and leg.account.id == account.id]
    if any(leg.confirmed for leg in legs):
        return "open", "On the phone"
    if any(leg.state is not LegState.ENDED for leg in legs):
        return "open", "Ringing"
    return "open", "Available"


def document(entity: str, account: Account, bindings: tuple[Binding, ...], calls: list[Call]) -> bytes:
    """The PIDF that is derived where nothing is published."""
    return pidf(entity, *state_of(account, bindings, calls))
