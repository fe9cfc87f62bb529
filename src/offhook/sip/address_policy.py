"""Which addresses we may send to: one policy for SIP, webhooks, prompts and media.

Lives here: the judgement of one IP address. Never here: names (whoever resolves one asks about each address that came back).
"""

import ipaddress
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, Teredo, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _public(address: Address) -> bool:
    """RFC 4291 section 2.4: of IPv6 only what IANA gives out is; what stands before it stands for something else."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    return address.is_global and address not in _METADATA


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`networks` are those a setting opens for everybody (`outbound.networks`).

    An address is *named* when the operator wrote it down, or a name that leads to it: a trunk's target, a webhook in the
    settings. What a caller, a document or a foreign SIP URI leads to is not (TRK-13).
    """

    networks: tuple[Network, ...] = ()

    def never(self, text: str) -> str | None:
        """Why nobody may ever be sent anything at this address, in words; None for an address of one host."""
        try:
            address = inner(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            return f"{text} is not an IP address"
        if address.is_unspecified:
            return f"{text} is no address of a host"
        if address.is_multicast:
            return f"{text} is a multicast address"
        if address == _BROADCAST:
            return f"{text} is the broadcast address"
        if isinstance(address, ipaddress.IPv4Address) and (address.is_reserved or address in _THIS_NETWORK):
            return f"{text} is a reserved address"
        return None

    def refusal(self, text: str, named: bool = False) -> str | None:
        """Why we must not send to this address, in words; None if we may."""
        refused = self.never(text)
        if refused is not None or named:
            return refused
        address = inner(ipaddress.ip_address(text.partition("%")[0]))
        if _public(address) or any(address in network for network in self.networks):
            return None
        return f"{text} is a private address; outbound.networks does not open it"


_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "192.0.0.192")))
"""Look public, and are the inside of a cloud's host to every machine in it."""
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")

OPEN = AddressPolicy((ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
"""Refuses only what is refused always."""
