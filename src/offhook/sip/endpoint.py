"""The door of the SIP layer: messages, timers, lost flows and commands in, effects out.

**Perform the effects of each call in order before you make the next call.**
"""

from collections.abc import Hashable

from offhook.sip.commands import SipCommand
from offhook.sip.config import SipConfig
from offhook.sip.effects import SipEffect
from offhook.sip.errors import PeerError
from offhook.sip.credentials import Authenticator
from offhook.sip.flow import Flow, FlowId
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Binding
from offhook.sip.message import Message


class SipEndpoint:
    """One SIP node. `now` is the core's monotonic clock in seconds everywhere."""

    def __init__(self, config: SipConfig, ids: Ids, authenticator: Authenticator) -> None:
        raise NotImplementedError

    @property
    def transactions(self) -> int:
        """Transactions alive."""
        raise NotImplementedError

    @property
    def usages(self) -> int:
        """INVITE usages alive, from INVITE to the end of the dialog."""
        raise NotImplementedError

    @property
    def dialogs(self) -> int:
        """Dialogs known, early ones and those that still wait for the answer to our BYE included."""
        raise NotImplementedError

    @property
    def timers(self) -> int:
        """Timers set and not stopped."""
        raise NotImplementedError

    def receive(self, message: Message, flow: Flow, now: float) -> list[SipEffect]:
        """One message from the parser."""
        raise NotImplementedError

    def receive_malformed(self, error: PeerError, flow: Flow, now: float) -> list[SipEffect]:
        """What the parser refused: answered without state when enough of it could be read, else nothing."""
        raise NotImplementedError

    def timer_fired(self, key: Hashable, now: float) -> list[SipEffect]:
        """A timer of `StartTimer` ran out."""
        raise NotImplementedError

    def send_failed(self, flow: FlowId, message: Message, now: float) -> list[SipEffect]:
        """A `Send` could not be performed."""
        raise NotImplementedError

    def flow_opened(self, flow: Flow, now: float) -> list[SipEffect]:
        """A stream or WebSocket is up; a UDP flow may be announced too, when a stored binding names it."""
        raise NotImplementedError

    def flow_lost(self, flow: FlowId, now: float) -> list[SipEffect]:
        """A stream or WebSocket is gone."""
        raise NotImplementedError

    def registration_found(
        self, token: Hashable, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[SipEffect]:
        """The answer to `FindRegistration`: the account of its `username` and all bindings of its `aor`."""
        raise NotImplementedError

    def perform(self, command: SipCommand, now: float) -> list[SipEffect]:
        """A command of call control."""
        raise NotImplementedError
