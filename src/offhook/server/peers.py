"""Ways to peers as the driver sees them (server.ports.Peers): the resolver and the ways out, put together from settings."""

import asyncio
import ssl
from collections.abc import Callable
from ipaddress import ip_network

from offhook.calls.effects import Connect, Locate, RateHop
from offhook.calls.events import Connected, Located
from offhook.server.config import Settings
from offhook.server.observe import log
from offhook.sip.address_policy import AddressPolicy
from offhook.sip.flow import Flow, Transport
from offhook.sip.hop import Hop
from offhook.sip.ids import Ids
from offhook.transport.flow import FlowTable, Receiver
from offhook.transport.outbound import Outbound, OutboundSettings, Unreachable
from offhook.transport.outward_http import HttpSettings, OutwardHttp
from offhook.transport.records import LookUpFailed, Records, RecordSettings
from offhook.transport.resolver import Resolver, ResolverSettings
from offhook.transport.stream import StreamSettings


def address_policy(settings: Settings) -> AddressPolicy:
    """The one outbound-address policy of this server."""
    return AddressPolicy(tuple(ip_network(one) for one in settings.outbound.networks))


def http_policy(settings: Settings) -> AddressPolicy:
    """The same for webhooks and documents: what their own setting opens, and loopback while nobody else is served."""
    open_ = [*settings.outbound.networks, *settings.webhooks.allow_networks]
    if settings.http.loopback:
        open_ += ["127.0.0.0/8", "::1/128"]
    return AddressPolicy(tuple(ip_network(one) for one in open_))


def outward_http(settings: Settings) -> OutwardHttp:
    """HTTP to the outside."""
    clock, ways = asyncio.get_running_loop().time, settings.webhooks
    records = Records(RecordSettings(servers=settings.sip.dns_servers, lookup=settings.limits.dns_lookup), clock)
    limits = HttpSettings(connect=ways.connect_seconds, total=ways.total_seconds, connections=2 * ways.at_once)
    return OutwardHttp(records, http_policy(settings), clock, limits)


class OutwardPeers:
    """Made once the listeners stand."""

    def __init__(self, resolver: Resolver, outbound: Outbound, stream_wait: float) -> None:
        self._resolver, self._outbound, self._stream_wait = resolver, outbound, stream_wait
        self._clock = asyncio.get_running_loop().time

    async def locate(self, effect: Locate) -> Located:
        try:
            return Located(effect.token, await self._resolver.locate(effect.target))
        except LookUpFailed as error:
            log.info("name leads nowhere", **_of_trunk(effect.token), target=str(effect.target), text=str(error))
            return Located(effect.token, (), str(error))

    def at_once(self, effect: Connect) -> Connected | None:
        try:
            flow = self._outbound.ready(effect.hop)
        except Unreachable as error:
            return self._refused(effect, error)
        return None if flow is None else Connected(effect.token, flow)

    async def connect(self, effect: Connect) -> Connected:
        try:
            flow = await self._outbound.connect(effect.hop)
        except Unreachable as error:
            self._resolver.aside.failed(effect.hop, self._clock())
            return self._refused(effect, error)
        self._resolver.aside.worked(effect.hop)
        return Connected(effect.token, flow)

    async def stream_to(self, flow: Flow) -> Flow | None:
        hop = Hop(Transport.TCP, *flow.remote)
        if self._resolver.aside.holds(hop, self._clock()):
            return None
        try:
            async with asyncio.timeout(self._stream_wait):
                return await self._outbound.connect(hop)
        except (Unreachable, TimeoutError):
            # A phone behind a NAT, most of the time: not asked again for a while.
            self._resolver.aside.failed(hop, self._clock())
            return None

    def rate(self, effect: RateHop) -> None:
        if effect.worked:
            self._resolver.aside.worked(effect.hop)
        else:
            self._resolver.aside.failed(effect.hop, self._clock())

    def _refused(self, effect: Connect, error: Unreachable) -> Connected:
        log.info("no way to a peer", **_of_trunk(effect.token), hop=str(effect.hop), code=error.code, text=str(error))
        return Connected(effect.token, None, error.code, str(error))


def _of_trunk(token: object) -> dict[str, str]:
    trunk = getattr(token, "trunk", "")
    return {"trunk": str(trunk)} if trunk else {}


def outward_peers(
    settings: Settings,
    context: ssl.SSLContext,
    ids: Ids,
    flows: FlowTable,
    receiver: Receiver,
    datagram: Callable[[str, int], Flow | None],
    advertised: Callable[[Transport, str, str], str],
    families: Callable[[], tuple[int, ...]],
    stream: StreamSettings,
) -> OutwardPeers:
    """`context` is what connections to trunks verify by, and show."""
    policy, clock = address_policy(settings), asyncio.get_running_loop().time
    limits, sip = settings.limits, settings.sip
    records = Records(RecordSettings(servers=sip.dns_servers, lookup=limits.dns_lookup), clock)
    resolver = Resolver(records, policy, ids.uniform, clock, families, ResolverSettings(lookup=limits.dns_lookup))
    ways = OutboundSettings(connect=limits.connect, wildcards=sip.tls_wildcards, stream=stream)
    outbound = Outbound(flows, receiver, policy, datagram, advertised, context, ways)
    return OutwardPeers(resolver, outbound, limits.datagram_tcp)
