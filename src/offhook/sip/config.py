"""What the SIP layer is told once: who we are, what we serve, and the limits table of registrations and transactions."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network

from offhook.sip.domains import Domains
from offhook.sip.timers import Timers
from offhook.sip.transaction.table import TransactionLimits
from offhook.sip.uri import Uri


@dataclass(frozen=True, slots=True)
class RegistrarLimits:
    """Numbers of the registrar. Seconds and counts."""

    expires_min: int = 60
    """`EXPIRES_MIN`: clients ask 60."""
    expires_max: int = 3600
    """`EXPIRES_MAX`: flows make longer registrations pointless."""
    expires_default: int = 600
    """Used when the request names no time."""
    contacts_per_aor: int = 50
    """`CONTACTS_PER_AOR`: hosted platforms stop at 5 to 10."""
    contacts_per_request: int = 10
    """Devices send one."""
    rate_per_aor: float = 5.0
    """`REGISTER_RATE` per second and address of record."""
    rate_per_source: float = 20.0
    """`REGISTER_RATE` per second and source before proof of identity; offices share one address."""
    burst_per_source: float = 60.0
    """How many may come at once."""
    storm: float = 2_000.0
    """`REGISTER_STORM` per second and node: after a restart all come at once."""
    probe_after: float = 0.0
    """Seconds of silence after which a UDP phone is asked by OPTIONS whether it is there; 0 never asks."""
    probe_rate: int = 100
    """OPTIONS per second at most."""
    sources: int = 10_000
    """Sources and addresses of record whose rate is remembered; the longest unheard is forgotten first."""
    datagram: int = 1300
    """Octets a UDP answer may have before the list of bindings is cut to the client's own (CALL-21)."""


@dataclass(frozen=True, slots=True)
class SubscriptionLimits:
    """Numbers of subscriptions (EVT-3). Seconds and counts."""

    per_endpoint: int = 250
    """`SUBSCRIPTIONS_PER_ENDPOINT`: busy lamp side-cars have 160 keys."""
    expires_min: int = 600
    """Shorter ones cost more NOTIFYs than they save."""
    expires_max: int = 3600
    expires_default: int = 3600
    """Used when SUBSCRIBE names no time."""
    refer_expires: int = 300
    """The implied subscription of a REFER: a transfer rings and is settled within."""


@dataclass(frozen=True, slots=True)
class StrangerLimits:
    """`UNAUTH_RATE`: requests per second and source of somebody who has not proved who he is."""

    rate: float = 20.0
    """Scanners send hundreds; typing errors stay below."""
    burst: float = 40.0
    """How many may come at once."""
    sources: int = 10_000
    """Sources whose rate is remembered; the longest unheard is forgotten first."""


@dataclass(frozen=True, slots=True)
class SipConfig:
    """Read by the endpoint only. `allow` and `supported` hold what works, and nothing else (CALL-26)."""

    domain: str
    aliases: AbstractSet[str] = frozenset()
    """Further hosts that mean us; they may change while we run."""
    domains: Domains = field(default_factory=Domains)
    """Domains beside `domain`; their hosts are among the aliases."""
    realm: str = ""
    """Digest realm; the domain unless given."""
    server: str = "Offhook"
    """Server and User-Agent, without a version."""
    allow: tuple[str, ...] = (
        "INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "OPTIONS",
        "REGISTER", "PUBLISH",
    )  # fmt: skip
    supported: tuple[str, ...] = ("timer", "replaces", "norefersub", "tdialog", "histinfo", "100rel")
    """Option tags served in calls, for Supported and against Require."""
    registrar_supported: tuple[str, ...] = ("path", "gruu", "outbound")
    """Option tags served in registrations."""
    registrar_required: tuple[str, ...] = ("path", "gruu", "outbound", "timer", "replaces")
    """Option tags that a REGISTER may require (REG-2): some clients list there what they want in calls."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose proxies may set Path (REG-14)."""
    node: str = ""
    """`host[:port]` by which other nodes of ours reach this one; empty for a system of one node (REG-17)."""
    outbound_strict: bool = False
    """439 as RFC 5626 section 6 has it, where the first proxy keeps no flows; without it they are bound all the same."""
    session_expires: int = 1800
    """Seconds of a session timer that we propose (RFC 4028): dead peers are noticed, and a refresh costs little."""
    min_se: int = 90
    """Shortest session timer in seconds that we accept: RFC 4028's own floor."""
    accept: tuple[str, ...] = ("application/sdp",)
    """Bodies an INVITE may carry."""
    force_rport: bool = False
    """Answer UDP requests to the port they came from even when they do not ask for it (RFC 3581)."""
    flow_timer: int = 120
    """Flow-Timer in seconds (RFC 5626 section 4.4), in answers to outbound registrations."""
    leg_queue: int = 16
    """`LEG_QUEUE`: wishes kept for a dialog whose flow is gone; a page that is away for a minute misses a dozen digits."""
    tombstone: float = 600.0
    """`TOMBSTONE`: seconds a dialog that ended while its flow was gone is remembered, so that its device gets the BYE."""
    epoch: float | None = None
    """Unix time at which the core's monotonic clock showed 0, for Date; without it no Date is written."""
    timers: Timers = field(default_factory=Timers)
    events: tuple[str, ...] = ("dialog", "presence", "message-summary", "reg")
    """Event packages served to SUBSCRIBE (EVT-3)."""
    transactions: TransactionLimits = field(default_factory=TransactionLimits)
    subscriptions: SubscriptionLimits = field(default_factory=SubscriptionLimits)
    most_dialogs: int = 50_000
    """`DIALOGS` per node, of calls and subscriptions: 4 KiB each."""
    strangers: StrangerLimits = field(default_factory=StrangerLimits)
    urgent: Callable[[Uri], bool] = lambda _: False
    """True for a destination that is called for help (TRK-9): overload and a stopping node let it in."""
    registrar: RegistrarLimits = field(default_factory=RegistrarLimits)

    @property
    def allow_events(self) -> tuple[str, ...]:
        """Allow-Events (CALL-26): what SUBSCRIBE may ask, and `refer` where REFER is served."""
        return (*self.events, "refer") if "REFER" in self.allow else self.events

    def is_ours(self, uri: Uri) -> bool:
        """True when the URI's host is our domain or one of its aliases."""
        host = uri.host.lower()
        return host == self.domain.lower() or host in self.aliases

    def canonical(self, host: str) -> str:
        """The domain that a host of ours means."""
        return self.domains.of(host) or self.domain

    def is_trusted_proxy(self, address: str) -> bool:
        """True for a peer whose Path is believed."""
        return any(_lies_in(address, network) for network in self.trusted_proxies)


@lru_cache(maxsize=4096)
def _lies_in(address: str, network: str) -> bool:
    try:
        return ip_address(address) in ip_network(network)
    except ValueError:
        return False
