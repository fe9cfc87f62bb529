"""`offhook doctor --from URL`: what another machine reaches of a server, asked from where browsers are.

No server sees from inside what a router or a firewall before it lets through. So a call to `echo` is set up as a page would,
by SIP over WebSocket, and every address that the answer names for media is asked by STUN, as a browser asks it.
"""

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import socket
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import typer
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from offhook.cli.certificates import Check
from offhook.cli.server import fail
from offhook.server.ids import SystemIds
from offhook.sip.client_auth import Attempt, ClientAuth
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Response
from offhook.sip.parse import parse_websocket
from offhook.sip.secret import Secret
from offhook.sip.uri import parse_uri

PATIENCE = 5.0
"""Seconds in which a server answers."""
TRIES, BETWEEN = 4, 0.5
"""STUN requests to one address, and the seconds that each waits for its answer: one that is lost is no firewall."""
COOKIE = 0x2112A442
"""RFC 8489 section 5."""
PASSWORD = "OFFHOOK_PASSWORD"
"""The environment's name for the endpoint's password, for who asks from a script."""
_ROUTER = "behind a router set media.public_address to its outer address"
_OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=setup:actpass\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:sha-256 {fingerprint}\r\n"
)


class _NotSoFarError(Exception):
    """What did not work, and what mends it."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class _Place:
    """One address for media; `protocol` is UDP or TCP."""

    protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def from_here(url: str, username: str) -> list[Check]:
    """What this machine reaches of the server at a URL, as an endpoint of it."""
    if not url.startswith(("http://", "https://")):
        fail(f"--from {url}: give the server's page, like https://pbx.example.com")
    password = os.environ.get(PASSWORD) or typer.prompt(f"Password of {username}", hide_input=True)
    checks: list[Check] = []
    try:
        checks.append(_page(url))
        domain = httpx.get(f"{url.rstrip('/')}/api/offhook/public", timeout=PATIENCE).json()["domain"]
        with _websocket(url) as socket_, _Call(socket_, domain, username, password) as call:
            checks.append(Check(True, f"SIP over WebSocket is reached, and {username} may call"))
            checks += _media(call)
    except _NotSoFarError as error:
        checks.append(Check(False, str(error), error.remedy))
    return checks


def _page(url: str) -> Check:
    try:
        httpx.get(f"{url.rstrip('/')}/healthz", timeout=PATIENCE).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        remedy = "Let the port through the firewall and forward it, or mend the certificate (docs/help/certificates.md)"
        raise _NotSoFarError(f"{url} is not reached from here: {error}", remedy) from error
    return Check(True, f"{url} is reached from here")


@contextlib.contextmanager
def _websocket(url: str) -> Iterator[ClientConnection]:
    parts = urlsplit(url)
    target = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/"
    try:
        with connect(target, subprotocols=[Subprotocol("sip")], open_timeout=PATIENCE, proxy=None) as socket_:
            yield socket_
    except (OSError, WebSocketException, TimeoutError) as error:
        remedy = "A proxy before the server must pass WebSockets on (docs/guides/public-server.md)"
        raise _NotSoFarError(f"SIP over WebSocket at {target} fails: {error}", remedy) from error


def _media(call: "_Call") -> list[Check]:
    """Whether sound comes through, by any of the addresses that browsers are told."""
    asked = {place: _answers(place, call) for place in call.places}
    reached = {
        one: [str(place) for place, well in asked.items() if well and place.protocol == one] for one in ("UDP", "TCP")
    }
    told = ", ".join(str(place) for place in asked if place.protocol == "UDP")
    if reached["UDP"]:
        return [Check(True, f"sound comes through at {', '.join(reached['UDP'])}")]
    ports = ", ".join(sorted({str(place.port) for place in asked if place.protocol == "UDP"}))
    remedy = f"Let UDP {ports} through every firewall and forward it to the server; {_ROUTER}"
    text = f"no UDP comes through: none of {told} answers" if told else "the server tells no UDP address for media"
    if reached["TCP"]:
        return [Check(False, f"{text}. Browsers have sound by {', '.join(reached['TCP'])}, which is worse", remedy)]
    return [Check(False, f"{text}, nor does TCP. Calls of browsers here have no sound", remedy)]


class _Call:
    """A call to `echo`, from its answer to its end. `places` are where media is taken."""

    def __init__(self, socket_: ClientConnection, domain: str, username: str, password: str) -> None:
        self._socket, self._domain, self._username = socket_, domain, username
        self._attempt = Attempt(ClientAuth(ClientCredentials(username, Secret(password)), SystemIds()))
        self._target, self._to = f"sip:echo@{domain}", f"<sip:echo@{domain}>"
        self._id, self._host, self._number = secrets.token_hex(12), f"{secrets.token_hex(6)}.invalid", 0
        self.ufrag, self._own_password = secrets.token_hex(4), secrets.token_hex(16)
        self.places: tuple[_Place, ...] = ()

    def __enter__(self) -> "_Call":
        answer = self._invite()
        while self._attempt.challenged(answer):
            self._send("ACK", self._number)
            answer = self._invite()
        self._to = answer.headers.get("To") or self._to
        if answer.status >= 300:
            self._send("ACK", self._number)
            why = answer.headers.get("Warning") or answer.reason
            remedy = "Give an endpoint's user name with --as, and its password"
            raise _NotSoFarError(f"{self._username} may not call echo: {answer.status} {why}", remedy)
        contact = re.search(r"<([^>]+)>", answer.headers.get("Contact") or "")
        self._target = contact.group(1) if contact else self._target
        self._send("ACK", self._number)
        self._read(answer.body.decode(errors="replace"))
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, WebSocketException):
            self._number += 1
            self._send("BYE", self._number)

    def _invite(self) -> Response:
        """The final answer to one INVITE."""
        self._number += 1
        digest = hashlib.sha256(self._id.encode()).digest().hex(":").upper()
        offer = _OFFER.format(ufrag=self.ufrag, password=self._own_password, fingerprint=digest).encode()
        assert self._attempt.auth is not None
        proofs = self._attempt.auth.fields("INVITE", parse_uri(self._target), offer)
        self._send("INVITE", self._number, offer, proofs)
        while True:
            message = parse_websocket(_octets(self._socket.recv(timeout=PATIENCE)))
            mine = f"{self._number} INVITE"
            if isinstance(message, Response) and message.status >= 200 and message.headers.get("CSeq") == mine:
                return message

    def _send(self, method: str, number: int, body: bytes = b"", more: list[tuple[str, str]] | None = None) -> None:
        me = f"<sip:{self._username}@{self._domain}>"
        # The ACK of a refusal belongs to the INVITE's transaction.
        branch = f"z9hG4bK{self._id}{number}{'BYE' if method == 'BYE' else ''}"
        fields = [
            ("Via", f"SIP/2.0/WSS {self._host};branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"{me};tag={self._id}"),
            ("To", self._to),
            ("Call-ID", self._id),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:doctor@{self._host};transport=ws>"),
            *(more or ()),
            *([("Content-Type", "application/sdp")] if body else ()),
            ("Content-Length", str(len(body))),
        ]
        lines = [f"{method} {self._target} SIP/2.0", *(f"{name}: {value}" for name, value in fields), "", ""]
        self._socket.send("\r\n".join(lines) + body.decode())

    def _read(self, answer: str) -> None:
        """Where media is taken, and with what STUN proves itself there."""
        found = [re.search(rf"(?m)^a={name}:(\S+)", answer) for name in ("ice-ufrag", "ice-pwd")]
        self.user, self.secret = (one.group(1) if one else "" for one in found)
        candidates = re.findall(r"(?im)^a=candidate:\S+ 1 (udp|tcp) \d+ (\S+) (\d+) typ", answer)
        self.places = tuple(dict.fromkeys(_Place(kind.upper(), host, int(port)) for kind, host, port in candidates))


def _octets(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def _answers(place: _Place, call: _Call) -> bool:
    """Whether an address answers a STUN request that proves itself by the call's secret (RFC 8445 section 7)."""
    kind = socket.SOCK_DGRAM if place.protocol == "UDP" else socket.SOCK_STREAM
    transaction = secrets.token_bytes(12)
    request = _stun(f"{call.user}:{call.ufrag}", call.secret, transaction)
    with contextlib.suppress(OSError), socket.socket(_family(place.host), kind) as one:
        one.settimeout(PATIENCE if kind == socket.SOCK_STREAM else BETWEEN)
        one.connect((place.host, place.port))
        for _ in range(TRIES):
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                # RFC 4571: on a stream a length goes before.
                one.send(request if kind == socket.SOCK_DGRAM else struct.pack(">H", len(request)) + request)
                if transaction in one.recv(2048):
                    return True
    return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _stun(username: str, password: str, transaction: bytes) -> bytes:
    """A Binding request that chooses nothing (RFC 8489, RFC 8445 section 7.1)."""
    attributes = _attribute(0x0006, username.encode())
    attributes += _attribute(0x0024, struct.pack(">I", 1)) + _attribute(0x802A, secrets.token_bytes(8))
    signed = _head(len(attributes) + 24, transaction) + attributes
    attributes += _attribute(0x0008, hmac.new(password.encode(), signed, "sha1").digest())
    marked = _head(len(attributes) + 8, transaction) + attributes
    return marked + _attribute(0x8028, struct.pack(">I", zlib.crc32(marked) ^ 0x5354554E))


def _head(length: int, transaction: bytes) -> bytes:
    return struct.pack(">HHI", 0x0001, length, COOKIE) + transaction


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)
