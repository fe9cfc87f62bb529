"""Which trunk a call comes in by (TRK-10): line token, client certificate, digest if demanded, address list; never From.

Lives here: the match, and in words why there is none. Never here: what the call does then (gateway.py).
"""

import ipaddress
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from offhook.calls.numbers import NumberPlan, dialled_in, from_trunk, looks_dialled, plain
from offhook.calls.trunk import Trunk
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, readable_list
from offhook.sip.flow import Flow
from offhook.sip.message import Request
from offhook.sip.uri import Uri

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Matched:
    """`by` is line, certificate, digest or address; `challenge`: the trunk demands a digest that is not there yet."""

    trunk: Trunk
    by: str
    challenge: bool = False


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A code of the catalogue, and one sentence that names what did not match."""

    code: str
    text: str


@dataclass(slots=True)
class _Known:
    trunk: Trunk
    token: str
    networks: tuple[Network, ...]
    resolved: set[str] = field(default_factory=set)
    """Addresses that its targets have led to."""


class Matcher:
    """Every trunk by what its calls bring."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._tokens: dict[str, _Known] = {}
        self._digests: dict[str, _Known] = {}

    def use(self, trunk: Trunk, token: str) -> None:
        """A trunk as it is now; `token` is the user of the Contact we register."""
        self.drop(trunk.id)
        networks = tuple(ipaddress.ip_network(one, strict=False) for one in trunk.inbound.allow)
        known = self._known[trunk.id] = _Known(trunk, token, networks)
        self._tokens[token] = known
        if trunk.inbound.digest_username:
            self._digests[trunk.inbound.digest_username] = known

    def drop(self, trunk_id: str) -> None:
        """A trunk is gone."""
        known = self._known.pop(trunk_id, None)
        if known is not None:
            self._tokens = {token: one for token, one in self._tokens.items() if one is not known}
            self._digests = {name: one for name, one in self._digests.items() if one is not known}

    def resolved(self, trunk_id: str, addresses: Iterable[str]) -> None:
        """What the targets of a trunk lead to; older addresses stay, because calls of theirs may still come."""
        known = self._known.get(trunk_id)
        if known is not None:
            known.resolved |= {_plain(one) for one in addresses}
            while len(known.resolved) > ADDRESSES:
                known.resolved.pop()

    def by_digest(self, username: str) -> Trunk | None:
        """The trunk that proves itself by this user name."""
        known = self._digests.get(username)
        return known.trunk if known is not None else None

    @property
    def demands_digest(self) -> bool:
        """True if any trunk may prove itself by digest."""
        return bool(self._digests)

    # ---- the match

    def match(self, request: Request, flow: Flow, certificate: frozenset[str] = frozenset()) -> Matched | None:
        """The trunk that this INVITE comes from, None for a stranger's or an endpoint's."""
        found = self.by_line(request, flow) or self._by_certificate(certificate)
        return found or self._by_address(request, flow)

    def by_line(self, request: Request, flow: Flow) -> Matched | None:
        """The trunk whose registered Contact is called."""
        known = self._tokens.get(request.uri.unescaped_user)
        if known is None or not _takes_calls(known.trunk):
            return None
        if known.trunk.contact_user and not self._at_home(known, flow):
            # A random token is known to the registrar alone; one that was chosen may be guessed.
            return None
        return Matched(known.trunk, "line")

    def _by_certificate(self, names: frozenset[str]) -> Matched | None:
        for known in self._known.values():
            hosts = {one.uri.host for one in known.trunk.targets}
            if _takes_calls(known.trunk) and known.trunk.inbound.trust_targets and hosts & names:
                return Matched(known.trunk, "certificate")
        return None

    def _by_address(self, request: Request, flow: Flow) -> Matched | None:
        near = [one for one in self._known.values() if _takes_calls(one.trunk) and self._at_home(one, flow)]
        if not near:
            return None
        called = plain_called(request)
        best = min(near, key=lambda one: (not _delivers(one.trunk, called), one.trunk.priority, one.trunk.name))
        return Matched(best.trunk, "address", best.trunk.inbound.digest_username is not None)

    def _at_home(self, known: _Known, flow: Flow) -> bool:
        address = _plain(flow.remote[0])
        if known.trunk.inbound.trust_targets and address in known.resolved:
            return True
        source = ipaddress.ip_address(address)
        return any(source in network for network in known.networks)

    # ---- words for the stranger

    def why_not(self, flow: Flow) -> Unmatched:
        """What would have to be changed for a call from here to be taken."""
        address = _plain(flow.remote[0])
        for known in self._known.values():
            if self._at_home(known, flow):
                what = "is switched off" if not known.trunk.enabled else "takes no calls (inbound.enabled)"
                return Unmatched("source_not_allowed", f"{address} belongs to trunk {known.trunk.name}, which {what}")
        names = ", ".join(sorted(one.trunk.name for one in self._known.values())[:5]) or "none is set up"
        text = f"{address} is not in inbound.allow of any trunk, and no target leads to it ({names})"
        return Unmatched("source_not_allowed", text)


ADDRESSES = 1_000
"""Addresses remembered per trunk."""


def _takes_calls(trunk: Trunk) -> bool:
    return trunk.enabled and trunk.inbound.enabled


def _plain(address: str) -> str:
    host = address.strip("[]").partition("%")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _delivers(trunk: Trunk, number: str) -> bool:
    return any(len(first) == len(number) and first <= number <= last for first, last in trunk.did_ranges)


def plain_called(request: Request) -> str:
    """The number in the Request-URI as it stands, for telling two trunks of one carrier apart."""
    text = dialled_in(request.uri)
    return text if text.startswith("+") else f"+{text}"


def comes_as_trunk(request: Request, hosts: AbstractSet[str]) -> bool:
    """True if a stranger's INVITE is a call to a number rather than an endpoint that has not proved itself yet: its From is
    of another host, and what it dials is a number. It gets no challenge, because no endpoint could answer one so."""
    try:
        sender = parse_name_addr(request.headers.get("From") or "").uri
    except PeerError:
        return False
    return sender.host not in hosts and looks_dialled(request.uri.unescaped_user)


SHORTEST_NUMBER = 7
"""Digits of a From that can be a subscriber's number; extensions of endpoints have fewer."""


def is_endpoints(request: Request, hosts: AbstractSet[str]) -> bool:
    """True if an INVITE is to be proved as an endpoint's even where it comes from a carrier's address, because phones and a
    PBX may share one: its From is of a host of ours and no telephone number. It lets nobody in, it asks for a password."""
    try:
        sender = parse_name_addr(request.headers.get("From") or "").uri
    except PeerError:
        return False
    user = plain(sender.unescaped_user)
    is_number = looks_dialled(user) and sum(one.isdigit() for one in user) >= SHORTEST_NUMBER
    return sender.host in hosts and not is_number and user.casefold() != "anonymous"


def called_number(request: Request, trunk: Trunk, country: str, plan: NumberPlan) -> tuple[str | None, str]:
    """(E.164 or None, the text as it came) of the number that was called, from where this trunk puts it."""
    uri = _called_uri(request, trunk.numbers.called_from)
    text = dialled_in(uri) if uri is not None else ""
    return (from_trunk(text, trunk, country, plan) if text else None), text


def numbered_elsewhere(request: Request, trunk: Trunk, country: str, plan: NumberPlan) -> str:
    """Where a called number stands after all, as a value of `called_from`; "" if it stands nowhere. Carriers to whom a trunk
    registers often call the Contact, and name the number in To."""
    for place in ("to", "p_called_party_id", "request_uri"):
        uri = _called_uri(request, place)
        text = dialled_in(uri) if uri is not None else ""
        if text and from_trunk(text, trunk, country, plan):
            return place
    return ""


def _called_uri(request: Request, place: str) -> Uri | None:
    field_of = {"to": "To", "p_called_party_id": "P-Called-Party-ID", "diversion": "Diversion"}
    if place not in field_of:
        return request.uri
    for line in request.headers.all(field_of[place]):
        for text in readable_list(line) if place != "to" else [line]:
            try:
                return parse_name_addr(text).uri
            except PeerError:
                continue
    return None
