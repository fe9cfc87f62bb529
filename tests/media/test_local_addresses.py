"""The engine's port for browsers on a machine with several addresses: what answers leaves from where it was asked.

A browser is a socket that is connected to one of our addresses: from any other one nothing comes in to it.
"""

import asyncio
import secrets
import socket
from collections.abc import Iterator

import pytest
from aioice import stun

from offhook.calls.ports import Codec, KeyKind, LegLocal, LegOffer, LegRemote, PathKind
from offhook.media import messages as m
from tests.support.patience import PATIENCE

PCMU = Codec("PCMU", 0, 8_000)
THEIRS = "theirs"
HANDSHAKE = 22
"""First octet of a DTLS record that opens an association (RFC 6347 section 4.1)."""


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.setblocking(False)
        yield client


def check(leg: LegLocal) -> bytes:
    """A check that nominates its pair (RFC 8445 section 7.2.4)."""
    attributes = {
        "USERNAME": f"{leg.ufrag}:{THEIRS}",
        "PRIORITY": 1,
        "ICE-CONTROLLING": secrets.randbits(64),
        "USE-CANDIDATE": None,
    }
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=attributes)
    message.add_message_integrity(leg.password.encode())
    return bytes(message)


async def heard(client: socket.socket) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.get_running_loop().sock_recv(client, 2_048)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
async def test_1_answers_and_the_handshake_leave_from_where_the_browser_asked(host, client, address):
    offer = LegOffer(PathKind.WEBRTC, KeyKind.DTLS, (PCMU,), dtls_active=True, mid="0")
    leg = (await host.engine.open_call((offer,))).legs[0]
    fingerprint = ":".join(["AB"] * 32)
    remote = LegRemote((PCMU,), ufrag=THEIRS, password="p" * 24, fingerprints=(("sha-256", fingerprint),))
    await host.engine.complete(leg.leg, remote)
    port = leg.candidates[0][1]
    client.connect((address, port))
    client.send(check(leg))
    answer = stun.parse_message(await heard(client))
    assert answer.message_class == stun.Class.RESPONSE
    assert answer.check_message_integrity(leg.password.encode())
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == client.getsockname()
    assert (await heard(client))[0] == HANDSHAKE
    await host.until(lambda: host.of(m.PathChanged))
    assert host.of(m.PathChanged)[0].local == f"{address}:{port}"
