"""`offhook doctor` names real faults and what mends each: broken chains, taken, privileged and blocked ports, addresses that
nobody outside reaches. Chains: tests/cli/test_certificates.py has every kind; here is what the command makes of them."""

import asyncio
import os
import socket
import subprocess
from pathlib import Path

from interop.conftest import ServerMaker
from interop.support.certificate import write_certificate
from interop.support.namespace import INSIDE, passes_inside
from interop.support.server import Offhook
from interop.test_command_line import COMMAND, offhook


async def test_a_healthy_server(server: Offhook) -> None:
    code, said = await offhook(server.data, "doctor")
    assert "the server runs" in said
    assert server.running["sip"] in said
    assert "browsers are told" in said
    assert code == 0, said


async def test_a_port_that_another_program_has(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = await offhook(tmp_path / "other", "doctor", settings={"OFFHOOK_HTTP_PORT": port})
    assert code == 1
    assert f"WRONG  TCP {port} (http.port) is in use" in said
    assert "Stop the other program" in said


async def test_a_certificate_for_another_name_that_nobody_signed(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "other.test")
    settings = {
        "OFFHOOK_DOMAIN": "pbx.test",
        "OFFHOOK_HTTP_CERTIFICATE": str(certificate),
        "OFFHOOK_HTTP_KEY": str(key),
    }
    code, said = await offhook(tmp_path / "other", "doctor", settings=settings)
    assert code == 1
    assert "WRONG  the certificate is for other.test, 127.0.0.1, but clients dial pbx.test" in said
    assert "sip.domain" in said
    assert "WRONG  the certificate is self-signed" in said
    assert "(http.https_port)" in said


async def test_an_address_of_somebody_else(tmp_path: Path) -> None:
    code, said = await offhook(tmp_path / "data", "doctor", settings={"OFFHOOK_HOST": "192.0.2.250"})
    assert (code, "192.0.2.250 is no address of this machine" in said) == (1, True), said


async def privileged_port(tmp_path: Path) -> None:
    less = ("setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
    environment = {**ours, "OFFHOOK_DATA": str(tmp_path / "data"), "OFFHOOK_HTTP_PORT": "81"}
    process = await asyncio.create_subprocess_exec(
        *less, COMMAND, "doctor", env=environment, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 1
    assert "WRONG  TCP 81 (http.port) is for privileged programs" in said
    assert "cap_net_bind_service" in said


PORT = 18_081


def test_a_firewall_in_a_namespace() -> None:
    passes_inside(
        __file__,
        "behind_a_firewall or private or privileged",
        (f"-A INPUT -p tcp --dport {PORT} -d 192.0.2.1 -j DROP",),
    )


def test_udp_cut_in_a_namespace() -> None:
    passes_inside(__file__, "no_udp_comes_through", ("-A INPUT -p udp -j DROP",))


async def test_from_a_place_that_reaches_all(server: Offhook) -> None:
    """A call is made and nobody hears of it."""
    asked = ("doctor", "--from", server.running["http_url"], "--as", "alice")
    code, said = await offhook(server.data, *asked, settings={"OFFHOOK_PASSWORD": server.passwords["alice"]})
    assert code == 0, said
    assert "ok     SIP over WebSocket is reached, and alice may call" in said
    assert "ok     sound comes through at UDP " in said
    await server.until_idle()
    code, said = await offhook(server.data, *asked, settings={"OFFHOOK_PASSWORD": "another's"})
    assert (code, "WRONG  alice may not call echo: 40" in said) == (1, True), said
    code, said = await offhook(
        server.data, "doctor", "--from", "http://127.0.0.1:9", settings={"OFFHOOK_PASSWORD": "x"}
    )
    assert (code, "http://127.0.0.1:9 is not reached from here" in said) == (1, True), said


def _moved_to_a_private_network() -> None:
    for change in ("flush dev outside", "add 192.168.77.1/24 dev outside"):
        subprocess.run(["ip", "-4", "address", *change.split()], check=True)


if INSIDE in os.environ:

    async def test_a_privileged_port(tmp_path: Path) -> None:
        await privileged_port(tmp_path)  # a fresh namespace has them; containers are often started without

    async def test_a_port_behind_a_firewall(serve: ServerMaker) -> None:
        async with serve(OFFHOOK_HOST="0.0.0.0", OFFHOOK_HTTP_PORT=str(PORT)) as server:
            code, said = await offhook(server.data, "doctor")
            assert code == 1
            assert f"WRONG  TCP {PORT} (pages) is not reached at 192.0.2.1" in said
            assert "firewall" in said

    async def test_no_udp_comes_through(serve: ServerMaker) -> None:
        async with serve(OFFHOOK_HOST="0.0.0.0") as server:
            asked = ("doctor", "--from", server.running["http_url"], "--as", "alice")
            code, said = await offhook(server.data, *asked, settings={"OFFHOOK_PASSWORD": server.passwords["alice"]})
            assert code == 1
            assert "WRONG  no UDP comes through: none of UDP 192.0.2.1:" in said, said
            assert "Browsers have sound by TCP 192.0.2.1:" in said
            assert f"Let UDP {server.running['webrtc_ports'][0]}" in said
            # From inside it does not show.
            assert (await offhook(server.data, "doctor"))[1].count("UDP comes through") == 0

    async def test_private_addresses_for_a_public_name(tmp_path: Path) -> None:
        _moved_to_a_private_network()
        settings = {"OFFHOOK_HOST": "0.0.0.0", "OFFHOOK_ACME_DOMAINS": "pbx.test", "OFFHOOK_HTTP_PORT": "8080"}
        code, said = await offhook(tmp_path / "data", "doctor", settings=settings)
        assert code == 1
        assert "WRONG  every address that browsers are told for media is private" in said
        assert "media.public_address" in said
        told = {**settings, "OFFHOOK_MEDIA_PUBLIC_ADDRESS": "203.0.113.9"}
        _, said = await offhook(tmp_path / "data", "doctor", settings=told)
        assert "browsers are told 203.0.113.9, 192.168.77.1" in said
        assert "is private" not in said
