"""What the API asks of call control, imperative."""

from offhook.calls.trunk import Trunk
from offhook.record import record


@record
class HangUpCall:
    """Ends every leg of a call; `code` is the end code of the catalogue. An unknown call is ignored."""

    call_ref: str
    code: str


@record
class HangUpEndpoint:
    """Ends every call in which an endpoint takes part, by its user name."""

    username: str
    code: str


@record
class UseTrunk:
    """A trunk is new or has changed; live calls of it go on."""

    trunk: Trunk


@record
class DropTrunk:
    """A trunk is deleted: unregistered, and no call is taken or placed by it any more."""

    trunk_id: str


@record
class RegisterTrunk:
    """Registers a trunk at once, whatever it waited for."""

    trunk_id: str


@record
class Dial:
    """Places a call for an endpoint: its devices ring first, then `target` (a name, a number or a URI) for whoever answers.

    `call_ref` is drawn by the caller of this. `name` is shown to the endpoint's own devices; with `auto_answer` they are
    asked to answer by themselves."""

    call_ref: str
    username: str
    target: str
    name: str = ""
    auto_answer: bool = False


@record
class SetMailbox:
    """An endpoint's voice mailbox holds so many new and old messages. Whoever watches it hears of a change (RFC 3842)."""

    username: str
    new: int
    old: int


CallCommand = SetMailbox | Dial | HangUpCall | HangUpEndpoint | UseTrunk | DropTrunk | RegisterTrunk
