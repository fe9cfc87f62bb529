"""Where a request is to go before it has a flow: RFC 3263 in data.

Lives here: what a name means to a resolver and what a resolver gives back. Never here: DNS, sockets. A peer of a WebSocket
has no `Target`: it is reached by its flow and by nothing else (WS-6).
"""

from dataclasses import dataclass

from offhook.sip.flow import Transport


@dataclass(frozen=True, slots=True)
class Target:
    """A next hop by name: `host` is a domain or an IP address (IPv6 without brackets), `port` None when none was given.

    `transport` None leaves the choice to NAPTR (RFC 3263 section 4.1); `secure` is set by sips and by settings that demand
    TLS. `certificate_name` is the SIP domain that a TLS peer must prove (RFC 5922), whatever DNS returned (TRK-6); empty
    means `host`. `foreign` is a host that no setting of ours names, such as that of a foreign SIP URI: it is held to the
    strict form of the outbound-address policy, and TLS is tried first where DNS offers it (TRK-13).
    """

    host: str
    port: int | None = None
    transport: Transport | None = None
    secure: bool = False
    certificate_name: str = ""
    foreign: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Hop:
    """One address to try: a `Target` after DNS. `address` is an IP address without brackets."""

    transport: Transport
    address: str
    port: int
    certificate_name: str = ""
    foreign: bool = False

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}/{self.transport.lower()}"
