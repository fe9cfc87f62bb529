"""What a number, an address or an application of ours leads to (API.md 1.9), as call control is told it.

Lives here: the shapes. Never here: where they are kept (server/entries.py), what a call does about them (handling.py).
"""

from offhook.record import record
from offhook.sip.location import Account, Binding
from offhook.sip.secret import Secret
from offhook.sip.uri import Uri


@record
class Member:
    """An endpoint that is rung, and where its devices are."""

    account: Account
    bindings: tuple[Binding, ...]


@record
class RingsMembers:
    """All endpoints of a subscriber at once, or the one of an endpoint's own address."""

    members: tuple[Member, ...]


@record
class ForwardsTo:
    """A SIP gateway (API.md 6.1): one outside URI, or its user part by a trunk's targets and credentials."""

    name: str
    uri: Uri
    trunk_id: str = ""
    encryption: str = "optional"
    ciphers: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()


@record
class Fetch:
    """One HTTP request of a handler. `method` is GET or POST."""

    url: str
    method: str = "POST"


@record
class RunsDocument:
    """SWML or cXML from a URL. `kind` is swml or cxml; `resource_id` the webhook resource that stands for it."""

    kind: str
    primary: Fetch
    fallback: Fetch | None = None
    status: Fetch | None = None
    resource_id: str = ""


@record
class NotRun:
    """A handler that is stored and returned, and that nothing here runs. `name` is the value of `call_handler`."""

    name: str


@record
class Locked:
    """The address takes no calls (API.md 4.4)."""


@record
class BeyondTier:
    """The caller's token does not name this address (API.md 4.3)."""


Handler = RingsMembers | ForwardsTo | RunsDocument | NotRun | Locked | BeyondTier


@record
class Entry:
    """A number of ours, an application or an address. `name` is what was called, in words: `+15125550100`.

    `ring_seconds` and `fallback` are the number's own (API.md 5.2); `rights` stands for it where it calls on by itself, None
    for what may not. `status_events` are those that its form callback asks for (API.md 10.2). `handler` None: it leads
    nowhere.
    """

    id: str
    name: str
    handler: Handler | None
    kind: str = "number"
    project_id: str = ""
    ring_seconds: float | None = None
    fallback: str = ""
    rights: Account | None = None
    status_events: tuple[str, ...] = ("completed",)
    domain: str = ""
    """That of its project, "" the canonical one: the names in its settings are meant there."""


@record
class Permits:
    """What the endpoint whose rights count may reach outside, by its own policy and its project's SIP profile.

    `numbers` False is the policy block-pstn, `pstn_enabled` False the kill switch; `external_sip` is all, api_only or none;
    `trunks` are the ids of those that may carry its calls, None for every one.
    """

    numbers: bool = True
    pstn_enabled: bool = True
    external_sip: str = "all"
    trunks: frozenset[str] | None = None


def rights_of(id_: str, name: str, realm: str) -> Account:
    """The account in whose name a number calls on to its fallback; nobody can prove it, because it has no password."""
    return Account(f"entry-{id_}", name, realm, Secret(""), Secret(""), enabled=False)
