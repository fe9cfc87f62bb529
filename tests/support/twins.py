"""Two registrars of the same seed: one is asked first whether a REGISTER only says the last one again, the other never is.

What they send, tell, write and keep has to be the same, whatever is said to them.
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from offhook.sip.config import SipConfig
from offhook.sip.credentials import Authenticator, AuthSettings
from offhook.sip.domains import Domains
from offhook.sip.effects import (
    Deliver,
    FindRegistration,
    Send,
    SendText,
    SipEffect,
    StartTimer,
    StopTimer,
    UpdateBindings,
)
from offhook.sip.encode import encode
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.errors import PeerError
from offhook.sip.flow import Flow
from offhook.sip.location import Account, Binding
from offhook.sip.parse import parse_websocket
from tests.support.ids import SeededIds
from tests.support.nodes import DOMAIN, make_account

ALIAS, OTHER = "alias.example.com", "acme.example.com"
"""Another name of the domain, and a domain beside it."""


class Twin:
    """One of them, with its accounts, bindings and timers; `log` is everything it wanted done."""

    def __init__(self, short: bool, config: Callable[[set[str], Domains], SipConfig]) -> None:
        self.aliases, self.domains = {ALIAS, OTHER}, Domains()
        self.domains.use({OTHER: OTHER}, {OTHER: OTHER}, {})
        self.config = config(self.aliases, self.domains)
        self.ids = SeededIds(7)
        settings = AuthSettings(DOMAIN, {DOMAIN, *self.aliases}, self.domains, trust_for=2000.0)
        self.authenticator = Authenticator(settings, b"secret of the tests", self.ids)
        self.node = SipEndpoint(self.config, self.ids, self.authenticator)
        self.accounts: dict[str, Account] = {name: make_account(name) for name in ("alice", "bob")}
        self.bindings: dict[str, tuple[Binding, ...]] = {}
        self.timers: dict[Hashable, float] = {}
        self.log: list[Any] = []
        self.sent: list[bytes] = []
        self.short = short
        self.hits = 0

    def hear(self, data: bytes, flow: Flow, now: float) -> None:
        """A message came."""
        if self.short and self._repeated(data, flow, now):
            self.hits += 1
            return
        try:
            message = parse_websocket(data)
        except PeerError as error:
            self.apply(self.node.receive_malformed(error, flow, now), now)
            return
        self.apply(self.node.receive(message, flow, now), now)

    def _repeated(self, data: bytes, flow: Flow, now: float) -> bool:
        recalled = self.node.recall(data, flow, now)
        if recalled is None:
            return False
        account, kept = self.accounts.get(recalled.username), self.bindings.get(recalled.aor, ())
        effects = self.node.refresh(recalled, flow, account, kept, now)
        if effects is not None:
            self.apply(effects, now)
        return effects is not None

    def apply(self, effects: list[SipEffect], now: float) -> None:
        """Performs them as the driver does."""
        for effect in effects:
            match effect:
                case Send(flow, message, _):
                    self._write(flow, encode(message))
                case SendText(flow, data):
                    self._write(flow, data)
                case FindRegistration(token, username, aor):
                    account = None if username is None else self.accounts.get(username)
                    found = self.node.registration_found(token, account, self.bindings.get(aor, ()), now)
                    self.apply(found, now)
                    continue
                case UpdateBindings(aor, bindings):
                    self.bindings[aor] = bindings
                case StartTimer(key, seconds):
                    self.timers[key] = now + seconds
                case StopTimer(key):
                    self.timers.pop(key, None)
                case Deliver():
                    pass
            if not isinstance(effect, Send | SendText):
                self.log.append(effect)

    def _write(self, flow: str, data: bytes) -> None:
        self.log.append((flow, data))
        self.sent.append(data)

    def run(self, since: float, until: float) -> None:
        """Fires what is due, in order."""
        while due := [(at, str(key), key) for key, at in self.timers.items() if at <= until]:
            at, _, key = min(due, key=lambda one: one[:2])
            del self.timers[key]
            self.apply(self.node.timer_fired(key, max(at, since)), max(at, since))

    def state(self) -> list[Any]:
        """All that can be told from outside by later messages; what only tells that words are remembered left out."""
        registrar, flows, nonces = self.node._registrar, self.authenticator._flows, self.authenticator._nonces
        return [
            self.bindings,
            self.timers,
            (self.node.timers, self.node.transactions),
            (registrar._per_aor._buckets, registrar._per_node._buckets, registrar._per_source._buckets),
            (registrar._carried._aors, registrar._carried._clocks, registrar._carried._marks),
            {id_: [replace(one, said=b"", binding="") for one in of] for id_, of in flows._flows.items()},
            (nonces._newer.counts, nonces._older.counts),
            (self.node._core.table._machines.keys(), self.node._core.table._merged),
            self.ids._random.getstate(),
        ]
