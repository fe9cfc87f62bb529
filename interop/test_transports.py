"""A real server on every transport and both IP versions: OPTIONS is answered where it came from (RFC 3261 section 18)."""

import asyncio
import itertools
import socket
import ssl
from pathlib import Path

import pytest
import websockets

from interop.conftest import DOMAIN, ServerMaker
from interop.support.certificate import write_certificate
from interop.support.loopback import loopbacks
from interop.support.server import Offhook
from tests.support.patience import PATIENCE, PATIENTLY

REACHED = [(transport, address) for transport in ("udp", "tcp", "tls", "ws", "wss") for address in loopbacks()]
COUNT = itertools.count(1)


def options(transport: str, port: int = 5999) -> bytes:
    """OPTIONS of a peer that asks for rport."""
    number = next(COUNT)
    return (
        f"OPTIONS sip:{DOMAIN} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport.upper()} client.invalid:{port};rport;branch=z9hG4bKx{number}\r\n"
        f"From: <sip:probe@{DOMAIN}>;tag=1\r\nTo: <sip:{DOMAIN}>\r\nCall-ID: {transport}{number}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def port_of(server: Offhook, name: str) -> int:
    return int(str(server.running[name]).rpartition(":")[2])


async def ask(server: Offhook, transport: str, address: str) -> str:
    """The answer to OPTIONS."""
    message = options(transport)
    loop = asyncio.get_running_loop()
    if transport == "udp":
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as phone:
            phone.setblocking(False)
            phone.connect((address, port_of(server, "sip")))
            await loop.sock_sendall(phone, message)
            return (await asyncio.wait_for(loop.sock_recv(phone, 4000), PATIENCE)).decode()
    if transport in ("tcp", "tls"):
        port = port_of(server, "sip" if transport == "tcp" else "sips")
        reader, writer = await asyncio.open_connection(address, port, ssl=trusting() if transport == "tls" else None)
        writer.write(b"\r\n\r\n" + message)
        assert await asyncio.wait_for(reader.readexactly(2), PATIENCE) == b"\r\n"
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        writer.close()
        return answer.decode()
    port = port_of(server, "http_url" if transport == "ws" else "https_url")
    host = f"[{address}]" if ":" in address else address
    tls = trusting() if transport == "wss" else None
    async with websockets.connect(f"{transport}://{host}:{port}/", subprotocols=["sip"], ssl=tls, **PATIENTLY) as page:  # type: ignore[list-item]
        await page.send("\r\n\r\n")
        assert await page.recv() == "\r\n"
        await page.send(message.decode())
        return str(await asyncio.wait_for(page.recv(), PATIENCE))


async def test_every_transport_on_both_ip_versions(serve: ServerMaker, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    async with serve(
        OFFHOOK_HTTP_HOST="::" if len(loopbacks()) > 1 else "0.0.0.0",
        OFFHOOK_HTTP_CERTIFICATE=str(certificate),
        OFFHOOK_HTTP_KEY=str(key),
    ) as server:
        for transport, address in REACHED:
            answer = await ask(server, transport, address)
            assert answer.startswith("SIP/2.0 200 OK"), (transport, address, answer)
            via = next(line for line in answer.splitlines() if line.startswith("Via:"))
            # WS-7: what was said is echoed; only received and rport are added.
            assert via.startswith(f"Via: SIP/2.0/{transport.upper()} client.invalid:5999;rport="), via
            assert via.endswith(f"received={address}"), via
        names = {one["name"] for one in (await server.status())["listeners"]}
        assert {"http", "https", "sip", "sips"} <= names
        assert len(loopbacks()) == 1 or {"http.2", "sip.2"} <= names


@pytest.mark.parametrize("host", ["127.0.0.2,::1", "::1"] if len(loopbacks()) > 1 else ["127.0.0.2"])
async def test_several_addresses_and_ipv6_alone(serve: ServerMaker, host: str) -> None:
    async with serve(OFFHOOK_HTTP_HOST=host) as server:
        for address in host.split(","):
            for transport in ("udp", "tcp", "ws"):
                assert (await ask(server, transport, address)).startswith("SIP/2.0 200 OK"), (transport, address)
        with pytest.raises((OSError, TimeoutError)):
            await asyncio.wait_for(ask(server, "tcp", "127.0.0.3"), 2)
