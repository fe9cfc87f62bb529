"""Who watches whom: subscriptions to dialog, presence, message-summary and reg (section 8).

Lives here: who may watch what, when a state is said (at most once a second each), which devices' subscriptions move with
them. Never here: how a state reads (documents.py), the subscription itself (sip/subscription.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from offhook.calls import presence
from offhook.calls.adoption import Devices
from offhook.calls.call import Call, CallConfig, Effects
from offhook.calls.documents import (
    DIALOG_INFO,
    PIDF,
    REGINFO,
    SUMMARY,
    ContactLine,
    DialogLine,
    dialog_info,
    message_summary,
    reginfo,
)
from offhook.calls.effects import LookUp, Publish, Sip, StartTimer, StopTimer
from offhook.calls.events import FactsFound
from offhook.calls.index import Index
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import refusal
from offhook.calls.outside import Asked
from offhook.calls.passing import withheld
from offhook.calls.presence import Publications
from offhook.sip.commands import AcceptSubscription, MoveSubscription, Notify, Respond, SendRequest
from offhook.sip.domains import aor_of, name_of
from offhook.sip.errors import PeerError
from offhook.sip.events import BindingsChanged, DeviceReturned, SubscribeReceived, SubscriptionId
from offhook.sip.fields import parse_contacts, parse_name_addr
from offhook.sip.flow import FlowId
from offhook.sip.gruu import nameable
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Binding, Change, Changed
from offhook.sip.message import Headers, Request

MAILBOX = "mailbox:"
"""Beginning of the look-ups for devices that are told of their mailbox unasked."""
TOKEN = "watch:"
"""Beginning of the look-ups made here."""
PACE = 1.0
"""Seconds between two NOTIFYs of one subscription (EVT-1)."""

TYPES = {"dialog": DIALOG_INFO, "presence": PIDF, "message-summary": SUMMARY, "reg": REGINFO}
"""Event packages and the one type of body each is told in."""
OWN = frozenset({"message-summary", "reg"})
"""Packages that only the endpoint itself may watch (EVT-2)."""

_STATES = {LegState.TRYING: "trying", LegState.RINGING: "early", LegState.EARLY: "early"}


@dataclass(frozen=True, slots=True)
class WatchPace:
    """A change waits until the subscription may speak again."""

    subscription: SubscriptionId


@dataclass(frozen=True, slots=True)
class Unasked:
    """Token of a NOTIFY that nobody has subscribed to; what its device says to it changes nothing."""

    entity: str


@dataclass(slots=True, eq=False)
class Watch:
    """One subscription. `device` tells which device it belongs to: its instance, or user and host of its Contact.

    `shown` are the dialogs last told, by id; `gone` the bindings that ended since. `paced` while a change waits.
    """

    id: SubscriptionId
    package: str
    target: str
    watcher: Account
    flow: FlowId
    device: str
    version: int = -1
    told_at: float = -PACE
    paced: bool = False
    paused: bool = False
    shown: dict[str, DialogLine] = field(default_factory=dict)
    gone: list[Changed] = field(default_factory=list)


class Watchers:
    """Owned by the switchboard."""

    def __init__(self, config: CallConfig, ids: Ids, index: Index, devices: Devices) -> None:
        self._config = config
        self._ids = ids
        self._index = index
        self._devices = devices
        self._watches: dict[SubscriptionId, Watch] = {}
        self._of_target: dict[str, dict[SubscriptionId, Watch]] = {}
        self._of_watcher: dict[str, dict[SubscriptionId, Watch]] = {}
        self._latest: dict[str, dict[str, FlowId]] = {}
        self._mailboxes: dict[str, tuple[int, int]] = {}
        self.publications = Publications(config, ids, self.presence_changed)

    def __len__(self) -> int:
        return len(self._watches)

    # ---- a subscriber

    def asked(self, asked: Asked, now: float) -> Effects:
        """See outside.Room."""
        event = asked.event
        assert isinstance(event, SubscribeReceived)
        domain = self._config.domain
        if asked.callee is None:
            text = f"Nobody here is called {asked.destination.user}"
            return asked.refused(refusal("destination_unknown", text), domain)
        if event.package in OWN and asked.callee.id != asked.sender.id:
            text = f"{event.package} can be watched by its own endpoint only"
            return asked.refused(refusal("watch_not_allowed", text), domain)
        if not _accepts(event.request, TYPES[event.package]):
            return [Sip(Respond(asked.transaction, 406, Headers([("Accept", TYPES[event.package])])))]
        watch = self._watch(asked, event)
        accepted = Sip(AcceptSubscription(watch.id, asked.transaction, asked.sender.username))
        if event.expires == 0:
            body = self._body(watch, asked.callee, asked.bindings, now)
            return [accepted, Sip(Notify(watch.id, body, TYPES[watch.package], "terminated", "timeout"))]
        self._remember(watch)
        return [accepted, *self._say(watch, asked.callee, asked.bindings, now)]

    def _watch(self, asked: Asked, event: SubscribeReceived) -> Watch:
        assert asked.callee is not None
        subscription = SubscriptionId(self._ids.token())
        # Most phones say in a REGISTER alone which device they are.
        known = self._devices.of(event.flow.id, asked.sender.username)
        device = device_of(event.request, known.instance if known is not None else "")
        return Watch(subscription, event.package, asked.callee.username, asked.sender, event.flow.id, device)

    def _remember(self, watch: Watch) -> None:
        self._watches[watch.id] = watch
        self._of_target.setdefault(watch.target.casefold(), {})[watch.id] = watch
        self._of_watcher.setdefault(watch.watcher.username.casefold(), {})[watch.id] = watch

    def ended(self, subscription: SubscriptionId) -> Effects:
        """The subscription is gone."""
        watch = self._watches.pop(subscription, None)
        if watch is None:
            return []
        for group, name in ((self._of_target, watch.target), (self._of_watcher, watch.watcher.username)):
            watches = group[name.casefold()]
            del watches[subscription]
            if not watches:
                del group[name.casefold()]
        if watch.watcher.username.casefold() not in self._of_watcher:
            self._latest.pop(watch.watcher.username.casefold(), None)
        return [StopTimer(WatchPace(subscription))] if watch.paced else []

    # ---- changes

    def calls_changed(
        self, published: Iterable[Publish], calls: dict[str, Call], ended: dict[str, Call], now: float
    ) -> Effects:
        """Something happened in calls: whoever watches one of their endpoints hears of it."""
        touched: dict[str, None] = {}
        for one in published:
            call = calls.get(one.event.call_ref) or ended.get(one.event.call_ref)
            for leg in call.legs if call is not None else ():
                if leg.account is not None:
                    touched[leg.account.username] = None
        return [effect for username in touched for effect in self._changed(username, ("dialog", "presence"), now)]

    def bindings_changed(self, event: BindingsChanged, now: float) -> Effects:
        """Devices came or went."""
        username = name_of(event.aor, self._config.domain)
        watches = self._of_target.get(username.casefold(), {})
        gone = [one for one in event.changed if not one.change.active]
        for watch in watches.values():
            if watch.package == "reg":
                watch.gone += gone
        fresh = any(one.change is not Change.REFRESHED for one in event.changed)
        return self._changed(username, ("presence", "reg") if fresh else ("reg",), now)

    def presence_changed(self, username: str, now: float) -> Effects:
        """A publication came or went."""
        return self._changed(username, ("presence",), now)

    def mailbox_changed(self, username: str, new: int, old: int, now: float) -> Effects:
        """The voice mailbox of an endpoint holds other messages than before."""
        if self._mailboxes.get(username.casefold(), (0, 0)) == (new, old):
            return []
        self._mailboxes[username.casefold()] = (new, old)
        return [*self._changed(username, ("message-summary",), now), LookUp(f"{MAILBOX}{username}", None, username)]

    def mailbox_found(self, event: FactsFound) -> Effects:
        """EVT-2: devices that are set so are told of their mailbox without having asked."""
        account = event.callee
        if account is None or not account.unsolicited_mwi:
            return []
        entity = aor_of(account.username, self._config.domain)
        body = message_summary(entity, *self._mailboxes.get(account.username.casefold(), (0, 0)))
        headers = Headers([("Event", "message-summary"), ("Subscription-State", "active"), ("Content-Type", SUMMARY)])
        name = f"<{entity}>"
        return [
            Sip(SendRequest(Unasked(entity), "NOTIFY", one.flow.id, one.contact, name, name, headers, body))
            for one in event.bindings
        ]

    def _changed(self, username: str, packages: tuple[str, ...], now: float) -> Effects:
        watches = self._of_target.get(username.casefold())
        if not watches:
            return []
        return [effect for one in list(watches.values()) if one.package in packages for effect in self._due(one, now)]

    def _due(self, watch: Watch, now: float) -> Effects:
        if watch.paced:
            return []
        wait = watch.told_at + PACE - now
        if wait > 0:
            watch.paced = True
            return [StartTimer(WatchPace(watch.id), wait)]
        return self.due(watch.id)

    def pace_over(self, key: WatchPace) -> Effects:
        """The subscription may speak again."""
        watch = self._watches.get(key.subscription)
        if watch is None:
            return []
        watch.paced = False
        return self.due(watch.id)

    def due(self, subscription: SubscriptionId) -> Effects:
        """The full state is to be said: what is it?"""
        watch = self._watches.get(subscription)
        return [] if watch is None else [LookUp(f"{TOKEN}{watch.id}", None, watch.target)]

    def found(self, event: FactsFound, now: float) -> Effects:
        """The facts for a state have come; without the endpoint the subscription ends."""
        watch = self._watches.get(SubscriptionId(event.token.removeprefix(TOKEN)))
        if watch is None:
            return []
        if event.callee is None:
            return [*self.ended(watch.id), Sip(Notify(watch.id, state="terminated", reason="noresource"))]
        return self._say(watch, event.callee, event.bindings, now)

    def _say(self, watch: Watch, account: Account, bindings: tuple[Binding, ...], now: float) -> Effects:
        watch.told_at = now
        body = self._body(watch, account, bindings, now)
        return [Sip(Notify(watch.id, body, TYPES[watch.package]))]

    # ---- what is said

    def _body(self, watch: Watch, account: Account, bindings: tuple[Binding, ...], now: float) -> bytes:
        entity = aor_of(account.username, self._config.domain)
        watch.version += 1
        match watch.package:
            case "dialog":
                return dialog_info(entity, watch.version, self._dialogs(watch, account))
            case "presence":
                published = self.publications.latest(account.username)
                calls = self._index.of_endpoint(account.username)
                return published or presence.document(entity, account, bindings, calls)
            case "reg":
                gone, watch.gone = watch.gone, []
                return reginfo(entity, watch.version, self._contacts(account, bindings, gone), now)
            case _:
                return message_summary(entity, *self._mailboxes.get(account.username.casefold(), (0, 0)))

    def _dialogs(self, watch: Watch, account: Account) -> list[DialogLine]:
        """Live ones, and those told last time that have ended, once."""
        may = may_see(watch.watcher, account)
        lines = {
            leg.ref: _line(call, leg, may, self._config.domain)
            for call in self._index.of_endpoint(account.username)
            for leg in call.live
            if leg.account is not None and leg.account.id == account.id
        }
        ended = [_ended(line) for ref, line in watch.shown.items() if ref not in lines]
        watch.shown = lines
        return [*lines.values(), *ended]

    def _contacts(self, account: Account, bindings: tuple[Binding, ...], gone: list[Changed]) -> list[ContactLine]:
        gruus = self._config.gruus
        lines = []
        for one in bindings:
            gruu = ""
            if gruus is not None and one.instance is not None and nameable(one.instance):
                gruu = gruus.public(account.username, one.instance)
            lines.append(ContactLine(one, Change.REGISTERED, gruu))
        return [*lines, *(ContactLine(one.binding, one.change) for one in gone)]

    # ---- devices

    def flow_lost(self, subscriptions: tuple[SubscriptionId, ...]) -> Effects:
        """EVT-4: they pause, unless their device has come back by another way already."""
        effects: Effects = []
        for subscription in subscriptions:
            watch = self._watches.get(subscription)
            if watch is None:
                continue
            watch.paused = True
            latest = self._latest.get(watch.watcher.username.casefold(), {}).get(watch.device)
            if latest is not None and latest != watch.flow:
                effects += self._move(watch, latest)
        return effects

    def returned(self, event: DeviceReturned) -> Effects:
        """LIVE-5: a device has registered; its paused subscriptions go on there."""
        effects: Effects = []
        if event.username.casefold() in self._mailboxes:
            effects.append(LookUp(f"{MAILBOX}{event.username}", None, event.username))
        watches = self._of_watcher.get(event.username.casefold())
        if not watches:
            return effects
        names = devices_of(event.binding)
        for watch in [one for one in watches.values() if one.device in names]:
            if event.binding.instance:
                watch.device = _plain(event.binding.instance)
            # Only of devices that watch: a page has another name each time it is loaded.
            self._latest.setdefault(event.username.casefold(), {})[watch.device] = event.binding.flow.id
            if watch.paused:
                effects += self._move(watch, event.binding.flow.id)
        return effects

    def _move(self, watch: Watch, flow: FlowId) -> Effects:
        watch.paused, watch.flow = False, flow
        return [Sip(MoveSubscription(watch.id, flow))]


def may_see(watcher: Account, account: Account) -> bool:
    """EVT-1: who may see with whom somebody talks, and take the call: the endpoint, its pickup group, or the right to."""
    same_group = bool(account.pickup_group) and watcher.pickup_group == account.pickup_group
    return watcher.id == account.id or same_group or "watch" in watcher.rights


def device_of(request: Request, registered: str = "") -> str:
    """Which device a SUBSCRIBE comes from: the instance in its Contact or that `registered` on its connection, else user
    and host of its Contact."""
    try:
        contacts = parse_contacts(request.headers.all("Contact"))
    except PeerError:
        return ""
    if not contacts:
        return ""
    instance = contacts[0].params.get("+sip.instance") or contacts[0].uri.params.get("gr") or registered
    return _plain(instance) if instance else f"{contacts[0].uri.user or ''}@{contacts[0].uri.host}"


def _plain(instance: str) -> str:
    return instance.strip('<>"').casefold()


def devices_of(binding: Binding) -> set[str]:
    """The same names for a device that has registered."""
    names = {f"{binding.contact.user or ''}@{binding.contact.host}"}
    if binding.instance is not None:
        names.add(_plain(binding.instance))
    return names


def _line(call: Call, leg: Leg, may_see_remote: bool, domain: str) -> DialogLine:
    direction = "initiator" if leg.role == "caller" else "recipient"
    state = _STATES.get(leg.state, "confirmed")
    if not may_see_remote:
        return DialogLine(leg.ref, state, direction)
    key = leg.dialog
    ids = ("", "", "") if key is None else (key.call_id, key.remote_tag, key.local_tag)
    return DialogLine(leg.ref, state, direction, *ids, *_remote(call, leg, domain))


def _remote(call: Call, leg: Leg, domain: str) -> tuple[str, str]:
    """Address and name of the other side."""
    if leg is call.caller:
        return aor_of(call.to_name, call.at), ""
    caller = call.caller
    if withheld(caller):
        return "", ""
    if caller.account is not None:
        return aor_of(caller.account.username, domain), caller.account.caller_id or ""
    try:
        # As the devices called see him, and nothing of where he came from (CALL-19).
        given = parse_name_addr(caller.identity)
    except PeerError:
        return "", ""
    return str(given.uri), given.display


def _ended(line: DialogLine) -> DialogLine:
    return DialogLine(line.id, "terminated", line.direction, line.call_id, line.local_tag, line.remote_tag)


def _accepts(request: Request, kind: str) -> bool:
    wanted = [
        part.partition(";")[0].strip().lower() for line in request.headers.all("Accept") for part in line.split(",")
    ]
    return not any(wanted) or kind in wanted or "*/*" in wanted or f"{kind.partition('/')[0]}/*" in wanted
