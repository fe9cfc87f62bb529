"""A socket on every address answers from the one that was asked (RFC 3581 section 4), and says which that is."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from offhook.sip.flow import Flow
from offhook.transport.datagram import DatagramPath
from offhook.transport.keepalive import binding_answer
from offhook.transport.sockets import DATAGRAM, bind_all
from offhook.transport.wildcard import BATCH, source_from
from tests.support.patience import PATIENCE
from tests.transport.test_keepalive import REQUEST
from tests.transport.test_listening import Echo

ROUTE, OTHER = "127.0.0.1", "127.0.0.2"
"""Where a phone at 127.0.0.1 is reached from by itself, and another address of the same machine."""


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    one = Echo()
    await one.datagrams.serve(bind_all([("0.0.0.0", DATAGRAM)], 0)[0])
    yield one
    one.datagrams.close()


def path_of(echo: Echo) -> DatagramPath:
    return echo.datagrams.paths[0]


def phone(echo: Echo, address: str) -> socket.socket:
    """A phone at 127.0.0.1 that hears from that address only, as most do."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((ROUTE, 0))
    made.connect((address, path_of(echo).bound[1]))
    return made


async def ask(phone: socket.socket, data: bytes = b"OPTIONS x") -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(phone, data)
    return await asyncio.wait_for(loop.sock_recv(phone, 100), PATIENCE)


async def heard(phone: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(phone, 100), PATIENCE)


async def test_an_answer_comes_from_the_address_that_was_asked(echo: Echo) -> None:
    port = path_of(echo).bound[1]
    for address in (ROUTE, OTHER, ROUTE):
        with phone(echo, address) as one:
            # 1. the answer, and what we say of ourselves in Via and Contact
            assert await ask(one) == b"OPTIONS x"
            flow = echo.heard[-1][1]
            assert (flow.local, flow.advertised) == ((address, port), f"{address}:{port}")
            assert echo.datagrams.known(flow.id) == flow
            # 2. to another port of the same phone (a Via without rport) from the same address
            with phone(echo, address) as beside:
                assert echo.datagrams.send(flow.to_port(beside.getsockname()[1]).id, b"INVITE x")
                assert await heard(beside) == b"INVITE x"


async def test_a_flow_is_found_again_after_a_restart(echo: Echo) -> None:
    """1 by the addresses that a binding keeps; 2 by the id that a call keeps."""
    flows: list[Flow] = []
    phones = [phone(echo, address) for address in (ROUTE, OTHER)]
    for one in phones:
        await ask(one)
        flows.append(echo.heard[-1][1])
    assert flows[0].id != flows[1].id
    assert echo.datagrams.flow_to(flows[0].remote) == flows[0], "what we begin ourselves goes by the route"
    port, again = path_of(echo).bound[1], Echo()
    echo.datagrams.close()
    await again.datagrams.serve(bind_all([("0.0.0.0", DATAGRAM)], port)[0])
    for flow, one in zip(flows, phones, strict=True):
        assert again.datagrams.send(flow.id, b"BYE x")
        assert await heard(one) == b"BYE x", "promise 2"
        assert again.datagrams.flow(flow.remote, flow.local[0]) == flow, "promise 1"
        one.close()
    again.datagrams.close()


async def test_an_address_that_is_gone_leaves_the_choice_to_the_kernel(echo: Echo) -> None:
    with phone(echo, ROUTE) as one:
        gone = path_of(echo).flow(one.getsockname()[:2], "192.0.2.77")
        assert echo.datagrams.send(gone.id, b"NOTIFY x")
        assert await heard(one) == b"NOTIFY x"


async def test_a_keepalive_is_answered_from_there_too(echo: Echo) -> None:
    echo.knows = lambda flow: True  # type: ignore[method-assign,assignment]
    with phone(echo, OTHER) as one:
        assert await ask(one, REQUEST) == binding_answer(REQUEST, one.getsockname())


async def test_more_than_one_turn_reads_at_once_comes_in_order(echo: Echo) -> None:
    with phone(echo, OTHER) as one:
        for number in range(3 * BATCH):
            one.send(b"MESSAGE %d" % number)
        assert [await heard(one) for _ in range(3 * BATCH)] == [b"MESSAGE %d" % number for number in range(3 * BATCH)]


async def test_nothing_is_sent_once_it_is_closed(echo: Echo) -> None:
    with phone(echo, OTHER) as one:
        await ask(one)
        echo.datagrams.close()
        assert not echo.datagrams.send(echo.heard[-1][1].id, b"BYE x")
        echo.datagrams.close()


def test_an_address_of_ours_as_ancillary_data() -> None:
    """in_pktinfo of ip(7), in6_pktinfo of RFC 3542 section 6."""
    assert source_from(OTHER) == [(socket.IPPROTO_IP, 8, bytes(4) + bytes((127, 0, 0, 2)) + bytes(4))]
    packed = socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    assert source_from("2001:db8::7") == [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed + bytes(4))]
