"""Records of the location service (RFC 3261 section 10): accounts and bindings."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address

from offhook.record import record
from offhook.sip.flow import Flow, Transport
from offhook.sip.hop import Hop
from offhook.sip.secret import Secret
from offhook.sip.uri import Uri


def device_name(instance: str | None) -> str:
    """The instance id of a device as the API writes it: without brackets and `urn:uuid:`, in lower case, for a UUID may come
    in either (RFC 5626 section 4.1). "" for a device that gives none."""
    return (instance or "").strip().strip("<>").lower().removeprefix("urn:uuid:")


@dataclass(frozen=True, slots=True)
class Forward:
    """Where an endpoint's calls go on to, each a name, a number or a URI, "" for nowhere (CALL-16)."""

    always: str = ""
    busy: str = ""
    no_answer: str = ""
    unreachable: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """An endpoint: the credentialed account behind an address of record.

    `ha1_md5` and `ha1_sha256` are lower-case hex H(username:realm:password) (RFC 7616 section 3.4.2); plain passwords are
    kept nowhere. `credential_version` changes with every change of the credentials and revokes trusted flows (AUTH-9).
    """

    id: str
    username: str
    realm: str
    ha1_md5: Secret
    ha1_sha256: Secret
    credential_version: int = 1
    caller_id: str | None = None
    enabled: bool = True
    max_calls: int = 10
    max_calls_per_hour: int | None = None
    """Calls to trunks that it may place in an hour; None is no limit of its own."""
    ring_seconds: int = 60
    codecs: tuple[str, ...] = ("OPUS", "G722", "PCMU", "PCMA", "VP8", "H264")
    early_media: bool = True
    """False: callers hear their own tone until one of its devices answers (CALL-6)."""
    single_provisional: bool = False
    """Its client takes exactly one 18x to its INVITE."""
    force_rport: bool = False
    """Its UDP requests are answered at the port they came from though they do not ask for it (RFC 3581)."""
    encryption: str = "default"
    ciphers: tuple[str, ...] = ()
    do_not_disturb: bool = False
    forward: Forward = Forward()
    ring: str = "parallel"
    """How several devices ring: `parallel`, `serial` one by one, or `q` in groups of the same q-value, best first."""
    unsolicited_mwi: bool = False
    """Its devices are told of the mailbox without having subscribed (EVT-2)."""
    dtmf: str = "auto"
    """How its devices get digits (DTMF-5): `auto`, `rfc4733`, `info` or `inband`."""
    pickup_group: str = ""
    """Endpoints of one group may take each other's calls; "" is nobody's."""
    block_callers: tuple[str, ...] = ()
    """Names and numbers whose calls it does not take; `anonymous` for those without, `+1900*` for all that begin so."""
    block_targets: tuple[str, ...] = ()
    """Names and numbers that it may not call, in the same form."""
    rights: frozenset[str] = frozenset()
    """`page`: its calls may answer by themselves; `alert`: it may choose how others ring; `watch`: it may see with whom
    others talk (EVT-1)."""
    challenge_every_invite: bool = False
    """AUTH-9: asked for its password at every INVITE, for clients that count on a 407."""
    tier: str = "member"
    """Of the tokens that prove it (API.md 4.3); any other than `member` is described by its name alone (guests.py)."""
    project: str = ""
    """Whose addresses it may call, where no row of an endpoint says whose it is."""
    line: str = ""
    line_calls: int = 0
    """The widget that it came by, and how many calls that may have at a time."""
    blocked_devices: frozenset[str] = frozenset()
    """Of its devices those that an operator keeps away, by `device_name`: they may neither register nor call."""
    quiet_devices: frozenset[str] = frozenset()
    """Of its devices those that register and call but are not rung."""

    def blocks(self, instance: str | None) -> bool:
        """True for a device that an operator keeps away."""
        return bool(self.blocked_devices) and device_name(instance) in self.blocked_devices

    def rings(self, binding: "Binding") -> bool:
        """False for a device that must not ring."""
        return not self.quiet_devices or device_name(binding.instance) not in self.quiet_devices

    @property
    def endpoint_id(self) -> str | None:
        """The endpoint's id; None for whom only a name describes."""
        return self.id if self.tier == "member" else None


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What we prove ourselves with to a peer (TRK-3). `realm` None answers any realm."""

    username: str
    password: Secret
    realm: str | None = None


@record
class Binding:
    """Address of record -> contact, with the flow it came in on. Times are on the monotonic clock of the core.

    `id` stays the same as long as the binding is refreshed. `path` are the Path values that lead to the contact, in the
    order of a Route (RFC 3327); empty for a device that is reached by its flow alone. `user_agent` and `params` (feature
    tags of RFC 3840, `pn-*` of RFC 8599) are as the device gave them.
    """

    aor: str
    contact: Uri
    flow: Flow
    call_id: str
    cseq: int
    expires_at: float
    instance: str | None = None
    reg_id: int | None = None
    q: float = 1.0
    user_agent: str = ""
    params: dict[str, str | None] = field(default_factory=dict)
    registered_at: float = 0.0
    refreshed_at: float = 0.0
    id: str = ""
    path: tuple[str, ...] = ()
    attached: bool = True
    """False when its flow is gone and it waits to be dialled back (`dial_back`)."""
    auth: str = ""
    """How its endpoint was proved (`credentials.Verified.how`)."""

    def known_as(self, name: str, registered_at: float) -> "Binding":
        """The same under an id, since then. Written out, because every refresh makes one."""
        return Binding(
            self.aor, self.contact, self.flow, self.call_id, self.cseq, self.expires_at, self.instance, self.reg_id, self.q,
            self.user_agent, self.params, registered_at, self.refreshed_at, name, self.path, self.attached, self.auth,
        )  # fmt: skip

    def refreshed(self, flow: Flow, call_id: str, cseq: int, expires_at: float, now: float, auth: str) -> "Binding":
        """The same after a refresh on its flow."""
        return Binding(
            self.aor, self.contact, flow, call_id, cseq, expires_at, self.instance, self.reg_id, self.q,
            self.user_agent, self.params, self.registered_at, now, self.id, self.path, True, auth,
        )  # fmt: skip

    @property
    def dial_back(self) -> Hop | None:
        """REG-12: where a TCP phone can be reached anew when its connection is gone: one without outbound, on a private
        network, that registered from the very address it names. None for everybody else."""
        host, port = self.contact.host, self.contact.port or 5060
        if self.flow.transport is not Transport.TCP or self.reg_id is not None or self.path:
            return None
        if port == self.flow.remote[1] and port >= EPHEMERAL:
            # It names the end of the connection itself, on which nobody listens.
            return None
        address = host.strip("[]")
        return Hop(Transport.TCP, address, port) if address == self.flow.remote[0] and _private(address) else None


EPHEMERAL = 32_768
"""Ports from here on are given to connections by the phone's system."""


@lru_cache(maxsize=1024)
def _private(address: str) -> bool:
    try:
        return ip_address(address).is_private
    except ValueError:
        return False


class Change(StrEnum):
    """What happened to a binding, by the names of the events API."""

    REGISTERED = "registered"
    REFRESHED = "refreshed"
    RESTORED = "restored"
    """Taken up again after a restart of ours."""
    UNREGISTERED = "unregistered"
    EXPIRED = "expired"
    FLOW_LOST = "flow_lost"
    REPLACED = "replaced"
    EVICTED = "evicted"
    """Over the limit of contacts, it made room."""
    KICKED = "kicked"
    """Taken away by a command."""
    GONE = "gone"
    """Its device answered 410 or 430."""
    SILENT = "silent"
    """Its device left two OPTIONS unanswered."""

    @property
    def active(self) -> bool:
        """True while the binding stands."""
        return self in (Change.REGISTERED, Change.REFRESHED, Change.RESTORED)

    @property
    def reg_event(self) -> str:
        """The `event` of a reginfo contact (RFC 3680 section 5.3.3)."""
        match self:
            case Change.REGISTERED | Change.REFRESHED | Change.UNREGISTERED | Change.EXPIRED:
                return self.value
            case Change.RESTORED:
                return "created"
            case Change.REPLACED:
                return "unregistered"
            case _:
                return "deactivated"


@record
class Changed:
    """One binding of an address of record, as it is now or as it was when it ended, and what happened to it."""

    binding: Binding
    change: Change
