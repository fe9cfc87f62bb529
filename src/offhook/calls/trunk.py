"""A trunk: how we call a carrier and how it calls us, as data (TRK-1, API.md 12.1).

Lives here: the settings of one trunk, read from their plain form, and small questions about them. Never here: its state
(lines.py, health.py, caps.py), or what a call does with it (hunt.py, inbound.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from offhook.calls.entry import ForwardsTo
from offhook.sip.flow import Transport
from offhook.sip.hop import Target
from offhook.sip.location import ClientCredentials
from offhook.sip.secret import Secret
from offhook.sip.uri import Uri, parse_uri

DEFAULT_STATUSES = (408, 500, 502, 503, 504)
"""Responses after which another target is tried; never 486, 600, 603 (TRK-5)."""
TRANSPORTS = {"auto": None, "udp": Transport.UDP, "tcp": Transport.TCP, "tls": Transport.TLS}


@dataclass(frozen=True, slots=True)
class TrunkTarget:
    """One place of the carrier. `transport` None leaves the choice to DNS."""

    uri: Uri
    transport: Transport | None = None
    priority: int = 10
    weight: int = 10
    enabled: bool = True

    def hop(self, secure: bool = False, foreign: bool = False) -> Target:
        """The next hop by name. A TLS peer proves the host in the settings, whatever DNS says (TRK-6)."""
        return target_of(self.uri, self.transport, secure, foreign)


@dataclass(frozen=True, slots=True)
class Inbound:
    """Who may call in (TRK-10). `allow` are addresses or networks; `trust_targets` adds what the targets resolve to."""

    enabled: bool = True
    allow: tuple[str, ...] = ()
    trust_targets: bool = True
    digest_username: str | None = None
    digest_password: Secret | None = None


@dataclass(frozen=True, slots=True)
class PrefixRule:
    """A number that begins so loses `strip` characters and gets `prepend`; the longest prefix wins."""

    prefix: str
    strip: int = 0
    prepend: str = ""


@dataclass(frozen=True, slots=True)
class NumberRules:
    """How numbers look on this trunk (TRK-7). `country` is an ISO code or a calling code, "" the space's."""

    called_from: str = "request_uri"
    country: str = ""
    national_prefix: str = ""
    international_prefix: str = "00"
    outbound_format: str = "e164_plus"
    outbound_rules: tuple[PrefixRule, ...] = ()
    inbound_rules: tuple[PrefixRule, ...] = ()


@dataclass(frozen=True, slots=True)
class CallerIdRules:
    """What the called party sees (TRK-8)."""

    policy: str = "endpoint"
    number: str | None = None
    name: bool = True
    identity: str = "pai"


@dataclass(frozen=True, slots=True)
class Failover:
    """When the next target is tried (TRK-5). `timeout` in seconds, to any response at all."""

    statuses: frozenset[int] = frozenset(DEFAULT_STATUSES)
    timeout: float = 4.0
    attempts: int = 4


@dataclass(frozen=True, slots=True)
class HealthRules:
    """OPTIONS (TRK-4). Seconds; `interval` 0 is off."""

    interval: float = 30.0
    timeout: float = 4.0
    down_after: int = 2
    up_after: int = 1


@dataclass(frozen=True, slots=True)
class Caps:
    """TRK-11. None is no limit; `call_seconds` ends a call, `daily_minutes` are talking time since midnight UTC."""

    channels: int = 30
    channels_in: int | None = None
    channels_out: int | None = None
    per_second: int = 10
    per_hour: int | None = None
    call_seconds: int = 14_400
    daily_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Trunk:
    """One trunk. `allowed` and `blocked` are E.164 prefixes with +; nothing listed, nothing allowed."""

    id: str
    name: str
    targets: tuple[TrunkTarget, ...]
    enabled: bool = True
    outbound_proxy: Uri | None = None
    username: str | None = None
    credentials: ClientCredentials | None = None
    from_user: str | None = None
    from_domain: str | None = None
    contact_user: str | None = None
    register: bool = False
    expires: int = 3600
    inbound: Inbound = Inbound()
    numbers: NumberRules = NumberRules()
    did_ranges: tuple[tuple[str, str], ...] = ()
    caller_id: CallerIdRules = CallerIdRules()
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    emergency: bool = False
    priority: int = 10
    weight: int = 10
    caps: Caps = Caps()
    pass_headers: tuple[str, ...] = ()
    user_phone: bool = False
    accept_refer: bool = False
    accept_messages: bool = False
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    encryption: str = "optional"
    ciphers: tuple[str, ...] = ()
    dtmf: str = "auto"
    ptime: int = 20
    session_timer: str = "allowed"
    failover: Failover = Failover()
    health: HealthRules = HealthRules()
    private_media: bool = False
    """Though it is outside, its descriptions may name private addresses (destinations.py)."""
    foreign: bool = False
    chosen: bool = False
    """A foreign URI that somebody of ours has set up: not held to the outbound-address policy (API.md 6.1)."""

    def __repr__(self) -> str:
        return f"<trunk {self.name} {', '.join(str(one.uri) for one in self.targets)}>"

    @property
    def domain(self) -> str:
        """The host of From and of identities that we assert towards the carrier."""
        return self.from_domain or self.targets[0].uri.host

    @property
    def secure(self) -> bool:
        """True if nothing may go to it in clear."""
        return self.encryption == "required"

    def passes(self, field: str) -> bool:
        """True if a header field crosses to this trunk (CALL-20)."""
        folded = field.casefold()
        return any(
            folded == name.casefold() or (name.endswith("*") and folded.startswith(name[:-1].casefold()))
            for name in self.pass_headers
        )

    def ordered_targets(self, draw: float) -> list[TrunkTarget]:
        """Lower priority first, weights shared within it; `draw` in [0, 1) is the luck of one call (RFC 2782)."""
        ordered: list[TrunkTarget] = []
        enabled = [one for one in self.targets if one.enabled]
        for priority in sorted({one.priority for one in enabled}):
            ordered += _shared([one for one in enabled if one.priority == priority], draw)
        return ordered


def _shared(group: list[TrunkTarget], draw: float) -> list[TrunkTarget]:
    left, ordered = list(group), []
    while left:
        total = sum(one.weight for one in left)
        at, chosen = draw * total, left[0]
        for one in left:
            chosen = one
            if at < one.weight:
                break
            at -= one.weight
        # The rest of the same luck decides the next place.
        draw = min(max(at / chosen.weight, 0.0), 0.999) if chosen.weight else draw
        left.remove(chosen)
        ordered.append(chosen)
    return ordered


def target_of(uri: Uri, transport: Transport | None, secure: bool = False, foreign: bool = False) -> Target:
    """A SIP URI as a next hop: RFC 3263 section 4.1 gives `transport=` the say where the settings have none."""
    named = {"udp": Transport.UDP, "tcp": Transport.TCP, "tls": Transport.TLS}.get(uri.params.get("transport") or "")
    chosen = transport or named
    secure = secure or uri.scheme == "sips"
    if secure:
        chosen = Transport.TLS
    host = uri.host.strip("[]")
    return Target(host, uri.port, chosen, secure or chosen is Transport.TLS, host, foreign)


# ---- from the plain form


def read_trunk(id_: str, fields: Mapping[str, Any], password: Secret | None, digest_password: Secret | None) -> Trunk:
    """A trunk from the settings of API.md 12.1, which whoever took them in has found right. Secrets come beside them."""
    proxy = fields.get("outbound_proxy")
    return Trunk(
        id=id_,
        name=fields["name"],
        targets=tuple(_target(one) for one in fields["targets"]),
        enabled=fields["enabled"],
        outbound_proxy=parse_uri(proxy) if proxy else None,
        username=fields["username"],
        credentials=_credentials(fields, password),
        from_user=fields["from_user"],
        from_domain=fields["from_domain"],
        contact_user=fields["contact_user"],
        register=fields["register"],
        expires=fields["expires"],
        inbound=_inbound(fields["inbound"], digest_password),
        numbers=_numbers(fields["numbers"]),
        did_ranges=tuple(did_range(one) for one in fields["did_ranges"]),
        caller_id=CallerIdRules(**fields["caller_id"]),
        allowed=tuple(fields["allowed_prefixes"]),
        blocked=tuple(fields["blocked_prefixes"]),
        emergency=fields["emergency"],
        priority=fields["priority"],
        weight=fields["weight"],
        caps=_caps(fields),
        pass_headers=tuple(fields["pass_headers"]),
        user_phone=fields["user_phone"],
        accept_refer=fields["accept_refer"],
        accept_messages=fields["accept_messages"],
        codecs=tuple(fields["codecs"]),
        encryption=fields["encryption"],
        ciphers=tuple(fields["ciphers"]),
        dtmf=fields["dtmf"],
        ptime=fields["ptime"],
        session_timer=fields["session_timer"],
        failover=_failover(fields["failover"]),
        health=_health(fields["health"]),
    )


def _target(fields: Mapping[str, Any]) -> TrunkTarget:
    transport = TRANSPORTS[fields["transport"]]
    return TrunkTarget(parse_uri(fields["uri"]), transport, fields["priority"], fields["weight"], fields["enabled"])


def _credentials(fields: Mapping[str, Any], password: Secret | None) -> ClientCredentials | None:
    user = fields["auth_username"] or fields["username"]
    return ClientCredentials(user, password, fields["realm"]) if user and password is not None else None


def _inbound(fields: Mapping[str, Any], password: Secret | None) -> Inbound:
    return Inbound(
        fields["enabled"], tuple(fields["allow"]), fields["trust_targets"], fields["digest_username"], password
    )


def _numbers(fields: Mapping[str, Any]) -> NumberRules:
    def rules(name: str) -> tuple[PrefixRule, ...]:
        return tuple(PrefixRule(**one) for one in fields[name])

    return NumberRules(
        fields["called_from"],
        fields["country_code"] or "",
        fields["national_prefix"],
        fields["international_prefix"],
        fields["outbound_format"],
        rules("outbound_rules"),
        rules("inbound_rules"),
    )


def _caps(fields: Mapping[str, Any]) -> Caps:
    return Caps(
        fields["max_channels"],
        fields["max_channels_in"],
        fields["max_channels_out"],
        fields["max_calls_per_second"],
        fields["max_calls_per_hour"],
        fields["max_call_seconds"],
        fields["max_daily_minutes"],
    )


def _failover(fields: Mapping[str, Any]) -> Failover:
    return Failover(frozenset(fields["statuses"]), fields["timeout_ms"] / 1000, fields["max_attempts"])


def _health(fields: Mapping[str, Any]) -> HealthRules:
    return HealthRules(
        fields["options_interval"], fields["options_timeout_ms"] / 1000, fields["down_after"], fields["up_after"]
    )


def did_range(text: str) -> tuple[str, str]:
    """First and last number of `+15125550100` or `+15125550100-+15125550199`."""
    first, _, last = text.partition("-")
    return first.strip(), (last or first).strip()


def foreign_trunk(uri: Uri) -> Trunk:
    """TRK-13: a foreign SIP URI as a trunk without account, identity or health; one target, any number of tries."""
    return Trunk(
        id="",
        name=uri.host,
        targets=(TrunkTarget(uri),),
        caller_id=CallerIdRules(policy="endpoint", identity="none"),
        codecs=("OPUS", "G722", "PCMU", "PCMA"),
        health=HealthRules(interval=0),
        inbound=Inbound(enabled=False, trust_targets=False),
        foreign=True,
    )


def gateway_trunk(way: ForwardsTo) -> Trunk:
    """A SIP gateway that has no trunk of its own (API.md 6.1)."""
    plain = foreign_trunk(way.uri)
    codecs = way.codecs or plain.codecs
    return replace(plain, name=way.name, codecs=codecs, encryption=way.encryption, ciphers=way.ciphers, chosen=True)


# ---- in the journal


def kept_as(trunk: Trunk) -> str:
    """What a restart finds a leg's trunk by: its id, or the URI of one that has none."""
    return trunk.id or str(trunk.targets[0].uri)


def foreign_kept(text: str) -> Trunk | None:
    """The trunk without id that was kept so; None for an id. Its call goes on by its dialog, whatever the settings were."""
    return replace(foreign_trunk(parse_uri(text)), chosen=True) if ":" in text else None
