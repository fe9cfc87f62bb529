"""Debian's Kamailio as an edge in front of Offhook, and a page of a few lines that speaks SIP over WebSocket to it."""

import asyncio
import hashlib
import shutil
import uuid
from pathlib import Path

import websockets

from interop.support.kamailio import ADDRESS, CONFIG, _replaced, counted
from interop.support.ports import free_port
from interop.support.process import end, listening
from offhook.sip.encode import encode
from offhook.sip.fields import parse_auth
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.parse import parse_websocket
from offhook.sip.response import response_to
from offhook.sip.uri import parse_uri
from tests.support.patience import PATIENCE


class Edge:
    """`async with Edge(folder, server.sip) as edge`; `edge.url` is for pages."""

    def __init__(self, folder: Path, behind: str) -> None:
        self._folder, self._behind = folder / "edge", behind

    async def __aenter__(self) -> "Edge":
        self._folder.mkdir()
        self.port = free_port(ADDRESS)
        host, _, port = self._behind.rpartition(":")
        text = (CONFIG / "edge.cfg").read_text()
        names = {"IP": ADDRESS, "PORT": str(self.port), "BEHIND": self._behind, "IP_BEHIND": host, "PORT_BEHIND": port}
        for name in sorted(names, key=len, reverse=True):
            text = _replaced(text, name, names[name])
        (self._folder / "kamailio.cfg").write_text(text)
        self.log = self._folder / "kamailio.log"
        program = shutil.which("kamailio") or "/usr/sbin/kamailio"
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                program, "-f", str(self._folder / "kamailio.cfg"), "-DD", "-E", "-Y", str(self._folder), "-m", "32",
                "-M", "8", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.url = f"ws://{ADDRESS}:{self.port}/"
        await listening(self._process, ADDRESS, self.port, self.log)
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._process)

    def counted(self, what: str) -> int:
        """In how many requests the edge's log has this: `inwards INVITE`, `routed ACK`."""
        return counted(self.log, what)


class Page:
    """A SIP client in a page; its own address is as useless as a browser's (`.invalid`)."""

    def __init__(self, socket: websockets.ClientConnection, username: str, password: str, domain: str) -> None:
        self._socket, self.username, self._password, self.domain = socket, username, password, domain
        self.host = f"{uuid.uuid4().hex[:12]}.invalid"
        self.contact = f"<sip:{username}@{self.host};transport=ws>"
        self.heard: list[Message] = []

    async def send(self, message: Message) -> None:
        """One message."""
        await self._socket.send(encode(message).decode())

    async def next(self, what: str, within: float = PATIENCE) -> Message:
        """The next message of a kind: `INVITE`, or `200` for a response. Others are kept and passed over."""
        async with asyncio.timeout(within):
            while True:
                data = await self._socket.recv()
                octets = data if isinstance(data, bytes) else data.encode()
                if not octets.strip():
                    continue
                message = parse_websocket(octets)
                self.heard.append(message)
                kind = message.method if isinstance(message, Request) else str(message.status)
                if kind == what:
                    return message

    def request(self, method: str, uri: str, cseq: int, call_id: str, to: str, *fields: tuple[str, str]) -> Request:
        """A request of the page."""
        head = [
            ("Via", f"SIP/2.0/WS {self.host};branch=z9hG4bK{uuid.uuid4().hex}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.username}@{self.domain}>;tag=page"),
            ("To", to),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
        ]
        return Request(method, parse_uri(uri), Headers([*head, *fields]), b"")

    async def register(self) -> Response:
        """REGISTER, digest; the 200."""
        target, call_id = f"sip:{self.domain}", uuid.uuid4().hex
        to = f"<sip:{self.username}@{self.domain}>"
        contact = ("Contact", f'{self.contact};+sip.instance="<urn:uuid:{uuid.uuid4()}>";reg-id=1')
        supported = ("Supported", "path, outbound")
        await self.send(self.request("REGISTER", target, 1, call_id, to, contact, supported))
        challenge = await self.next("401")
        params = parse_auth(challenge.headers.get("WWW-Authenticate") or "")[1]
        ha1 = _md5(f"{self.username}:{params['realm']}:{self._password}")
        proof = _md5(f"{ha1}:{params['nonce']}:00000001:c:auth:{_md5(f'REGISTER:{target}')}")
        value = (
            f'Digest username="{self.username}", realm="{params["realm"]}", nonce="{params["nonce"]}", uri="{target}", '
            f'response="{proof}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'
        )
        fields = (contact, supported, ("Authorization", value))
        await self.send(self.request("REGISTER", target, 2, call_id, to, *fields))
        answer = await self.next("200")
        assert isinstance(answer, Response)
        return answer

    async def answer(self, invite: Request, sdp: bytes) -> None:
        """200 with a description; its Record-Routes go back as they came (RFC 3261 12.1.1)."""
        routes = [("Record-Route", value) for value in invite.headers.all("Record-Route")]
        fields = [*routes, ("Contact", self.contact), ("Content-Type", "application/sdp")]
        await self.send(response_to(invite, 200, Headers(fields), sdp, "page"))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
