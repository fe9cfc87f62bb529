"""SIP over TLS that asks its clients for certificates, by setting, on IPv6; a carrier is known by its own (TRK-10)."""

import asyncio
import ssl
import uuid
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.plain_phone import SDP
from interop.test_trunks import make_trunk
from tests.support.authority import Authority
from tests.support.patience import PATIENCE

NUMBER = "+15125550100"
UNKNOWN_NUMBER, STRANGER, NO_CONNECTION = "404", "403", ""


def invite(domain: str) -> bytes:
    """A carrier's call to a number that nobody has."""
    body, name = SDP.format(port=40_000), uuid.uuid4().hex
    return (
        f"INVITE sip:{NUMBER}@{domain} SIP/2.0\r\nVia: SIP/2.0/TLS [::1]:5061;branch=z9hG4bK{name};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:+14155550123@carrier.test>;tag={name}\r\nTo: <sip:{NUMBER}@{domain}>\r\n"
        f"Call-ID: {name}\r\nCSeq: 1 INVITE\r\nContact: <sip:carrier@[::1]:5061;transport=tls>\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def told(port: int, domain: str, trusts: Authority, shows: Authority | None) -> str:
    """The status of the final answer to a call by somebody who shows a certificate of `shows`; "" without a connection."""
    client = ssl.create_default_context(cafile=str(trusts.file))
    client.check_hostname = False
    if shows is not None:
        client.load_cert_chain(*shows.issue("dns:carrier.test"))
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("::1", port, ssl=client)
            writer.write(invite(domain))
            status = "100"
            while status.startswith("1"):
                status = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
            writer.close()
            return status
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return NO_CONNECTION


@pytest.mark.parametrize(
    ("mode", "carrier", "another", "nobody"),
    [
        ("optional", UNKNOWN_NUMBER, NO_CONNECTION, STRANGER),
        ("required", UNKNOWN_NUMBER, NO_CONNECTION, NO_CONNECTION),
    ],
)
async def test_a_carrier_is_known_by_its_certificate(
    serve: ServerMaker, tmp_path: Path, mode: str, carrier: str, another: str, nobody: str
) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "Stranger")
    certificate, key = ours.issue("dns:localhost")
    settings = {
        "OFFHOOK_HOST": "127.0.0.1,::1",
        "OFFHOOK_HTTP_CERTIFICATE": str(certificate),
        "OFFHOOK_HTTP_KEY": str(key),
        "OFFHOOK_SIP_TLS_AUTHORITIES": str(ours.file),
        "OFFHOOK_SIP_TLS_CLIENT_CERTIFICATES": mode,
    }
    async with serve(**settings) as server:
        listeners = {one["name"]: one["address"] for one in (await server.status())["listeners"]}
        port = int(listeners["sips"].rpartition(":")[2])
        await make_trunk(
            server, targets=[{"uri": "sip:carrier.test", "transport": "tls"}], health={"options_interval": 0}
        )
        # 1. a certificate of the carrier's domain lets its call in: the number is looked for
        assert await told(port, server.domain, ours, ours) == carrier
        # 2. one of another authority ends the connection wherever one is asked for
        assert await told(port, server.domain, ours, theirs) == another
        # 3. without any the call is a stranger's, or there is no connection
        assert await told(port, server.domain, ours, None) == nobody
