"""Certificates that come and go under running connections: from files, from a real ACME server, from our own authority."""

import asyncio
import contextlib
import shutil
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from websockets.typing import Subprotocol

from interop.conftest import DOMAIN, ServerMaker
from interop.support.certificate import write_certificate
from interop.support.pebble import Pebble
from interop.support.ports import free_port
from interop.support.promises import promised
from interop.support.server import Offhook
from tests.support.dns_server import DnsServer
from tests.support.patience import PATIENCE, PATIENTLY

NAME = "pbx.example.test"
LIFE = 24
"""Seconds of a certificate."""


async def presented(server: Offhook, listener: str = "https_url", name: str = NAME) -> x509.Certificate:
    """The certificate that a new connection meets."""
    where = server.running[listener].removeprefix("https://").replace("localhost", "127.0.0.1")
    host, _, port = where.rpartition(":")
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=blind, server_hostname=name)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der)


async def until_presented(
    server: Offhook, holds: Callable[[x509.Certificate], bool], listener: str = "https_url"
) -> x509.Certificate:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not holds(one := await presented(server, listener)):
                await asyncio.sleep(0.2)  # what a browser would meet is the only sign
            return one
    raise AssertionError(f"the certificate never came:\n{server.log()[-3000:]}")


def trusting(certificate: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=certificate.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


async def test_new_files_are_served_without_dropping_a_socket(serve: ServerMaker, tmp_path: Path) -> None:
    """1 a WebSocket that is open goes on, 2 new connections of browsers and phones meet the new certificate, 3 a bad file is
    named in the status and the good one stays."""
    for folder in ("served", "next"):
        (tmp_path / folder).mkdir()
    old, new = write_certificate(tmp_path / "served"), write_certificate(tmp_path / "next")
    settings = {"OFFHOOK_HTTP_CERTIFICATE": str(old[0]), "OFFHOOK_HTTP_KEY": str(old[1])}
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    async with serve(**settings) as server:
        before = await presented(server)
        url = server.running["wss_url"]
        async with websockets.connect(url, subprotocols=[Subprotocol("sip")], ssl=blind, **PATIENTLY) as socket:
            for source, target in zip(new, old, strict=True):
                shutil.copy(source, target)
            after = await until_presented(server, lambda one: one.serial_number != before.serial_number)
            phones = await until_presented(server, lambda one: one.serial_number == after.serial_number, "sips")
            assert await asyncio.wait_for(await socket.ping(), PATIENCE) >= 0, "promise 1"
        assert after == phones == x509.load_pem_x509_certificate(new[0].read_bytes()), "promise 2"
        old[0].write_text("no certificate")
        async with asyncio.timeout(PATIENCE):
            while not (told := (await server.http.get("/api/offhook/status")).json()["warnings"]):
                await asyncio.sleep(0.2)  # the server looks every few seconds
        assert str(old[0]) in told[0], "promise 3"
        assert (await presented(server)).serial_number == after.serial_number, "promise 3"


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
async def test_an_authority_gives_a_certificate_and_renews_it(
    serve: ServerMaker, tmp_path: Path, challenge: str
) -> None:
    """1 the certificate of the name is served, 2 it is renewed before it ends, by the same account, 3 a start later serves
    it at once, 4 the key is readable by its owner alone."""
    http, https = free_port(), free_port()
    zone = f"{NAME}. 30 IN A 127.0.0.1"
    async with DnsServer(zone) as dns, Pebble(tmp_path, http, https, dns.address, seconds=LIFE) as authority:
        settings = {
            "OFFHOOK_HTTP_PORT": str(http),
            "OFFHOOK_HTTPS_PORT": str(https),
            "OFFHOOK_ACME_DOMAINS": NAME,
            "OFFHOOK_ACME_DIRECTORY": authority.directory,
            "OFFHOOK_ACME_DIRECTORY_CA": str(authority.certificate),
            "OFFHOOK_ACME_CHALLENGE": challenge,
        }
        async with serve(**settings) as server:
            first = await until_presented(server, lambda one: one.issuer != one.subject)
            names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert names.get_values_for_type(x509.DNSName) == [NAME], "promise 1"
            second = await until_presented(server, lambda one: one.serial_number != first.serial_number)
            took = (second.not_valid_before_utc - first.not_valid_before_utc).total_seconds()
            promised("seconds to the next certificate, which is ordered after two thirds of its life", took, LIFE)
            kept = server.data / "certificates" / "certificate.pem"
            assert kept.stat().st_mode & 0o077 == 0, "promise 4"
        assert authority.log.read_text().count("There are now 1 accounts in memory") == 1, "promise 2"
    async with serve(**settings) as server:
        # The authority is gone: what is kept is served.
        assert (await presented(server)).issuer == second.issuer, "promise 3"


async def test_an_authority_that_refuses_is_named(serve: ServerMaker, tmp_path: Path) -> None:
    """1 the status names the name and what must be reachable, 2 the page is served meanwhile."""
    http, https = free_port(), free_port()
    async with DnsServer() as dns, Pebble(tmp_path, http, https, dns.address, seconds=LIFE) as authority:
        settings = {
            "OFFHOOK_ACME_DOMAINS": NAME,
            "OFFHOOK_ACME_DIRECTORY": authority.directory,
            "OFFHOOK_ACME_DIRECTORY_CA": str(authority.certificate),
        }
        async with serve(**settings) as server:
            async with asyncio.timeout(PATIENCE):
                while not (told := (await server.http.get("/api/offhook/status")).json()["warnings"]):
                    await asyncio.sleep(0.2)  # the authority takes its time
            assert NAME in told[0], "promise 1"
            assert "TCP port 80" in told[0], "promise 1"
            assert (await server.http.get("/healthz")).status_code == 200, "promise 2"


async def test_our_own_authority_is_trusted_once_installed(serve: ServerMaker) -> None:
    """1 the page tells the fingerprint of the file it gives, 2 who trusts that file meets a good certificate under our
    names, 3 a start later it is the same authority, 4 a page by plain HTTP from elsewhere is sent to TLS."""
    settings = {"OFFHOOK_HTTP_LOCAL_AUTHORITY": "true"}
    async with serve(**settings) as server:
        page = await server.http.get("/ca")
        file = (await server.http.get("/ca/offhook-authority.crt")).content
        authority = x509.load_der_x509_certificate(file)
        assert _fingerprint(authority) in page.text, "promise 1"
        pem = ssl.DER_cert_to_PEM_cert(file).encode()
        port = server.running["https_url"].rpartition(":")[2]
        async with httpx.AsyncClient(verify=trusting(pem), timeout=PATIENCE, trust_env=False) as browser:
            for name in ("localhost", "127.0.0.1"):
                assert (await browser.get(f"https://{name}:{port}/healthz")).status_code == 200, "promise 2"
        moved = await server.http.get("/", headers={"Host": f"{DOMAIN}:8080"})
        assert moved.headers["location"] == f"https://{DOMAIN}:{port}/", "promise 4"
        assert (await server.http.get("/")).status_code == 200, "promise 4: this machine needs no TLS"
        assert _fingerprint(authority) in await doctor(server), "promise 1"
    async with serve(**settings) as server:
        assert (await server.http.get("/ca/offhook-authority.crt")).content == file, "promise 3"


async def doctor(server: Offhook) -> str:
    """What the command says, which knows of the server nothing but its data directory."""
    command = [str(Path(sys.executable).with_name("offhook")), "--data", str(server.data), "doctor"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
