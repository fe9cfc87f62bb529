"""RFC 4475 and RFC 5118 against a real server, each message over every transport, with the verdict of its row.

`accept` is any answer but 400 and 5xx. Over UDP an INVITE of a stranger gets no answer at all (TRK-10), which the log tells.
"""

import asyncio
import contextlib
import re
import resource
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from interop.conftest import ServerMaker
from interop.support.certificate import write_certificate
from interop.support.server import Offhook
from interop.test_transports import ask, port_of, trusting
from offhook.sip.errors import PeerError
from offhook.sip.framing import StreamFramer
from offhook.sip.message import Request
from offhook.sip.parse import parse_datagram
from tests.support.patience import PATIENCE
from tests.support.torture import Torture, torture

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")
WARM_ROUNDS, ROUNDS = 60, 50
"""Until what is remembered of messages, texts as they were read and addresses, is there; and in which nothing more comes."""
KEPT = 640
"""Octets for each message by which the server may grow meanwhile, half of what a transaction takes, the least that could be
kept of one."""
SILENCE = 1.0
"""Seconds after which no answer is none, where there need not be one."""

TRUSTING = trusting()

SHORT = {"OFFHOOK_SIP_T1": "0.01"}
"""Transactions end after 0.64 s: a message that comes again after that is a new one."""


def distinct() -> list[Torture]:
    """The messages; of those that share a branch all but the first get one of their own, of the same length, or they would
    be taken for one message sent again."""
    seen: set[bytes] = set()
    cases = []
    for number, case in enumerate(torture(), 100):
        found = re.search(rb"branch *= *([^;, \r]+)", case.data)
        if found is not None and found.group(1) in seen:
            at = found.end(1)
            case = replace(case, data=case.data[: at - 3] + str(number).encode() + case.data[at:])
        seen.add(b"" if found is None else found.group(1))
        cases.append(case)
    return cases


def hosts() -> str:
    """Every host that a Request-URI names: the server serves it, so that its own rules decide."""
    found = set()
    for case in torture():
        with contextlib.suppress(PeerError):
            message = parse_datagram(case.data)
            if isinstance(message, Request) and message.uri.host:
                found.add(message.uri.host)
    return ",".join(sorted(found))


def allowed(case: Torture, transport: str) -> tuple[str, ...]:
    """The row, and what the transport changes in it."""
    if transport in ("ws", "wss"):
        # WS-3: two messages in one WebSocket message.
        return ("400",) if case.name == "dblreq" else case.outcomes
    if transport in ("tcp", "tls"):
        whole = []
        try:
            whole.extend(one for one in StreamFramer().feed(case.data) if isinstance(one, bytes))
        except PeerError:
            # RFC 3261 18.3: without a usable Content-Length the connection is answered 400 and closed.
            return case.outcomes if whole else ("400",)
        # One that promises more than there is waits for it.
        return case.outcomes if whole else ("drop",)
    if case.data.lstrip().startswith(b"INVITE"):
        return (*case.outcomes, "drop")
    return case.outcomes


def fits(outcome: str, rows: tuple[str, ...]) -> bool:
    liberal = "accept" in rows and outcome not in ("400", "drop") and not outcome.startswith("5")
    return outcome in rows or liberal


async def outcome(server: Offhook, case: Torture, transport: str) -> str:
    """The status of the first final response, or `drop`."""
    patience = SILENCE if "drop" in allowed(case, transport) else PATIENCE
    with contextlib.suppress(TimeoutError):
        if transport == "udp":
            return await over_udp(server, case.data, patience)
        if transport in ("tcp", "tls"):
            return await over_stream(server, case.data, transport, patience)
        return await over_websocket(server, case.data, transport, patience)
    return "drop"


def udp_phone(server: Offhook) -> socket.socket:
    """A peer that nobody has met."""
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone.setblocking(False)
    phone.connect(("127.0.0.1", port_of(server, "sip")))
    return phone


async def over_udp(server: Offhook, data: bytes, patience: float) -> str:
    with udp_phone(server) as phone:
        return await asked(phone, data, patience)


async def asked(phone: socket.socket, data: bytes, patience: float = SILENCE) -> str:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(phone, data)
    async with asyncio.timeout(patience):
        while True:
            status = (await loop.sock_recv(phone, 65_535))[8:11].decode()
            if status != "100":
                return status


async def over_stream(server: Offhook, data: bytes, transport: str, patience: float) -> str:
    port = port_of(server, "sip" if transport == "tcp" else "sips")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=TRUSTING if transport == "tls" else None)
    try:
        writer.write(data)
        async with asyncio.timeout(patience):
            while line := await reader.readline():
                if line.startswith(b"SIP/2.0 ") and line[8:11] != b"100":
                    return line[8:11].decode()
        return "drop"
    finally:
        writer.close()


async def over_websocket(server: Offhook, data: bytes, transport: str, patience: float) -> str:
    port = port_of(server, "http_url" if transport == "ws" else "https_url")
    tls = TRUSTING if transport == "wss" else None
    async with websockets.connect(
        f"{transport}://127.0.0.1:{port}/", subprotocols=["sip"], ssl=tls, open_timeout=PATIENCE
    ) as page:  # type: ignore[list-item]
        await page.send(data)
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(patience):
                while True:
                    answer = await page.recv()
                    octets = answer if isinstance(answer, bytes) else answer.encode()
                    if octets[8:11] != b"100":
                        return octets[8:11].decode()
    return "drop"


async def test_every_message_over_every_transport(serve: ServerMaker, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    async with serve(
        OFFHOOK_HTTP_CERTIFICATE=str(certificate),
        OFFHOOK_HTTP_KEY=str(key),
        OFFHOOK_SIP_ALIASES=hosts(),
        **SHORT,
        OFFHOOK_SIP_FORCE_RPORT="true",
        OFFHOOK_LIMITS_UNAUTH_RATE="100000",
        OFFHOOK_LIMITS_REGISTER_SOURCE_RATE="100000",
    ) as server:
        pid, wrong = server.pid, []
        for transport in TRANSPORTS:
            got = await asyncio.gather(*(outcome(server, case, transport) for case in distinct()))
            for case, one in zip(distinct(), got, strict=True):
                if not fits(one, allowed(case, transport)):
                    wrong.append((transport, case.name, one, allowed(case, transport)))
            async with asyncio.timeout(PATIENCE):
                while (await server.status())["counts"]["transactions"]:
                    await asyncio.sleep(0.1)  # those of this transport have to be over
            # Whatever came before, an ordinary request is answered.
            assert (await ask(server, transport, "127.0.0.1")).startswith("SIP/2.0 200"), transport
        assert wrong == [], "\n".join(map(str, wrong))
        assert server.pid == pid
        assert len(await server.calls()) == 0


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nothing_is_left_of_a_hundred_rounds(serve: ServerMaker, tmp_path: Path, transport: str) -> None:
    """Over UDP each message comes from the same place in every round: thousands of places that were met are remembered,
    whatever they send. Over the rest each comes by a connection of its own, which is closed."""
    certificate, key = write_certificate(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            serve(
                OFFHOOK_HTTP_CERTIFICATE=str(certificate),
                OFFHOOK_HTTP_KEY=str(key),
                OFFHOOK_SIP_ALIASES=hosts(),
                **SHORT,
                OFFHOOK_SIP_FORCE_RPORT="true",
                OFFHOOK_LIMITS_UNAUTH_RATE="100000",
                OFFHOOK_LIMITS_REGISTER_SOURCE_RATE="100000",
                OFFHOOK_LOG_LEVEL="warning",
            )
        )
        cases, sizes = torture(), []
        phones = [stack.enter_context(udp_phone(server)) for _ in cases] if transport == "udp" else []
        for number in range(WARM_ROUNDS + ROUNDS):
            if phones:
                told = [asked(phone, case.data) for phone, case in zip(phones, cases, strict=True)]
                await asyncio.gather(*told, return_exceptions=True)
            else:
                await asyncio.gather(*(outcome(server, case, transport) for case in cases))
            if number >= WARM_ROUNDS:
                sizes.append(resident(server.pid))
        assert sizes[-1] - sizes[0] < KEPT * len(cases) * ROUNDS, sizes[:: ROUNDS // 10]
        assert (await ask(server, "udp", "127.0.0.1")).startswith("SIP/2.0 200")


def resident(pid: int) -> int:
    """Octets of memory in use by a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()
