"""URIs of ours that strangers may call: domain applications and SIP addresses (API.md 6.2, 6.3).

Lives here: which one an INVITE names, and whether its sender is let in. Never here: what becomes of the call (gateway.py).
"""

import ipaddress
from dataclasses import dataclass, field, replace

from offhook.calls.outcome import Outcome, refusal
from offhook.calls.trunk import Trunk, foreign_trunk
from offhook.sip.flow import Flow
from offhook.sip.location import Account
from offhook.sip.message import Request
from offhook.sip.uri import Uri

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ANY = "*"


@dataclass(frozen=True, slots=True)
class Application:
    """`identifier` is the user part of its URI at a host of ours; with a `host` of its own it is called there, by the user
    part `user` or, `*`, by any. `networks` None lets anybody in; `account` is the password that callers have to know."""

    id: str
    identifier: str
    user: str = ANY
    host: str = ""
    networks: tuple[Network, ...] | None = None
    encryption: str = "optional"
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    ciphers: tuple[str, ...] = ()
    account: Account | None = None

    def refuses(self, flow: Flow) -> Outcome | None:
        """Why a call from there is not taken; None lets it in."""
        address = flow.remote[0].strip("[]").partition("%")[0]
        if self.networks is not None and not any(_plain(address) in one for one in self.networks):
            return refusal("source_not_allowed", f"{address} is not in ip_auth of {self.identifier}")
        if self.encryption == "required" and not flow.secure:
            return refusal("tls_required", f"{self.identifier} may be called over TLS or WSS only")
        return None

    def as_trunk(self, caller: Uri) -> Trunk:
        """The caller's side of a call to it: a foreign URI, with this application's codecs and encryption."""
        plain = foreign_trunk(caller)
        return replace(
            plain,
            name=self.identifier,
            codecs=self.codecs,
            encryption=self.encryption,
            ciphers=self.ciphers,
            chosen=True,
        )


def networks_of(entries: list[str]) -> tuple[Network, ...]:
    """Addresses and networks, which whoever took them in has found right."""
    return tuple(ipaddress.ip_network(one, strict=False) for one in entries)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


@dataclass(slots=True)
class Applications:
    """All of the node, by what an INVITE says."""

    _by_id: dict[str, Application] = field(default_factory=dict)
    _by_user: dict[str, Application] = field(default_factory=dict)
    _by_host: dict[str, Application] = field(default_factory=dict)

    def use(self, application: Application) -> None:
        """It is new, or has changed."""
        self.drop(application.id)
        self._by_id[application.id] = application
        self._by_user[application.identifier] = application
        if application.host:
            self._by_host[application.host] = application

    def drop(self, id_: str) -> None:
        """It is gone."""
        known = self._by_id.pop(id_, None)
        if known is not None:
            self._by_user.pop(known.identifier, None)
            self._by_host.pop(known.host, None)

    def named(self, request: Request) -> Application | None:
        """The one that a Request-URI of ours names."""
        user = request.uri.unescaped_user.casefold()
        at_home = self._by_host.get(request.uri.host)
        if at_home is not None:
            return at_home if at_home.user in (ANY, user) else None
        return self._by_user.get(user)
