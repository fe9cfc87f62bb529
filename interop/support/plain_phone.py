"""A phone of a few lines over UDP, that does with its media what a test wants: nothing, or something wrong."""

import asyncio
import hashlib
import re
import socket
import struct
import uuid

from tests.support.patience import PATIENCE

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"


AGAIN = 2.0
"""Seconds after which a request that nothing has answered is sent again: UDP may lose it where everybody calls at once."""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _field(name: str, message: str) -> str:
    found = re.search(rf"(?m)^{name}: (.*?)\r$", message)
    assert found, f"no {name} in {message}"
    return found.group(1)


class PlainPhone:
    """`await phone.call("echo")` sets a call up; `rtp(...)` sends packets to where the answer says.
    `description` is its SDP."""

    description = SDP

    def __init__(
        self, username: str, password: str, domain: str, server: str, instance: str = "", address: str = "127.0.0.1",
        listens: int = 0,
    ) -> None:  # fmt: skip
        self._address = address
        host, port = server.split(":")
        self._server, self._user, self._password, self._domain = (host, int(port)), username, password, domain
        self._sip, self._rtp = self._socket(listens), self._socket()
        self._tag = f"plain{uuid.uuid4().hex}"
        self._instance = f';+sip.instance="<urn:uuid:{instance}>"' if instance else ""

    def _socket(self, port: int = 0) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((self._address, port))
        one.setblocking(False)
        return one

    def close(self) -> None:
        """Closes the sockets."""
        self._sip.close()
        self._rtp.close()

    async def _send(self, text: str) -> None:
        await asyncio.get_running_loop().sock_sendto(self._sip, text.encode(), self._server)

    async def _final(self, request: str) -> str:
        """Sends a request; its final response. One to another is passed over: a refusal is repeated if its ACK is late."""
        cseq, answered = _field("CSeq", request), False
        await self._send(request)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with asyncio.timeout(None if answered else AGAIN):
                        text = await self._received()
                except TimeoutError:
                    await self._send(request)
                    continue
                if text.startswith("SIP/2.0 ") and _field("CSeq", text) == cseq:
                    answered = True
                    if text[8] != "1":
                        return text

    async def _received(self) -> str:
        data, _ = await asyncio.get_running_loop().sock_recvfrom(self._sip, 65_535)
        # An RTCP report of a call before us may come to where SIP is listened for now: ports follow each other.
        return data.decode(errors="replace")

    def _request(
        self, method: str, target: str, cseq: int, to: str, extra: str = "", body: str = "", branch: str = ""
    ) -> str:
        port = self._sip.getsockname()[1]
        me = f"sip:{self._user}@{self._domain}"
        # As most phones do it: only a REGISTER says which device this is.
        named = self._instance if method == "REGISTER" else ""
        return (
            f"{method} {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self._address}:{port};branch=z9hG4bK{self._tag}{cseq}{branch or method};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <{me}>;tag={self._tag}\r\nTo: {to}\r\nCall-ID: {self._tag}\r\n"
            f"CSeq: {cseq} {method}\r\nContact: <sip:{self._user}@{self._address}:{port}>{named}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    async def call(self, user: str) -> None:
        """INVITE, digest, ACK."""
        answer = await self.invite(user)
        assert answer.startswith("SIP/2.0 200"), answer
        self._contact = _field("Contact", answer).split("<")[1].split(">")[0]
        self._to = _field("To", answer)
        await self._send(self._request("ACK", self._contact, 2, self._to))
        self._answered(answer.partition("\r\n\r\n")[2])

    def _offer(self) -> str:
        """The description that it calls with."""
        return self.description.format(port=self._rtp.getsockname()[1]).replace("127.0.0.1", self._address)

    def _answered(self, description: str) -> None:
        media = re.search(r"m=audio (\d+)", description)
        host = re.search(r"(?m)^c=IN IP4 (\S+?)\r?$", description)
        assert media
        assert host
        self._media = (host.group(1), int(media.group(1)))

    @property
    def media(self) -> tuple[str, int]:
        """Where the server wants sound to go."""
        return self._media

    async def sounds(self, seconds: float) -> int:
        """How many packets of sound come in that time."""
        return len(await self.packets(seconds))

    async def packets(self, seconds: float) -> list[bytes]:
        """The packets of sound that come in that time."""
        loop, packets = asyncio.get_running_loop(), []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    packets.append(await loop.sock_recv(self._rtp, 65_535))
        except TimeoutError:
            return packets

    async def hears(self, packets: int) -> None:
        """Waits until so many packets of sound have come."""
        async with asyncio.timeout(PATIENCE):
            for _ in range(packets):
                await asyncio.get_running_loop().sock_recv(self._rtp, 65_535)

    async def refused(self, user: str) -> str:
        """A call that is not to come about; its final response."""
        answer = await self.invite(user)
        target = f"sip:{user}@{self._domain}"
        await self._send(self._request("ACK", target, 2, _field("To", answer), branch="INVITE"))
        return answer

    async def told(self, uri: str) -> str:
        """The final response to an INVITE that proves nothing."""
        typed = "Content-Type: application/sdp\r\n"
        answer = await self._final(self._request("INVITE", uri, 1, f"<{uri}>", typed, self._offer()))
        await self._send(self._request("ACK", uri, 1, _field("To", answer), branch="INVITE"))
        return answer

    async def invite(self, user: str) -> str:
        """INVITE, digest; the final response."""
        target = f"sip:{user}@{self._domain}"
        body = self._offer()
        typed = "Content-Type: application/sdp\r\n"
        challenge = await self._final(self._request("INVITE", target, 1, f"<{target}>", typed, body))
        # RFC 3261 17.1.1.3: the ACK of a refusal belongs to the INVITE's transaction.
        await self._send(self._request("ACK", target, 1, _field("To", challenge), branch="INVITE"))
        proof = typed + self._proof(challenge, target)
        return await self._final(self._request("INVITE", target, 2, f"<{target}>", proof, body))

    async def register(self) -> None:
        """REGISTER, digest, 200."""
        answer = await self.registration()
        assert answer.startswith("SIP/2.0 200"), answer

    async def registration(self) -> str:
        """REGISTER, digest; the final response."""
        target = f"sip:{self._domain}"
        me = f"<sip:{self._user}@{self._domain}>"
        challenge = await self._final(self._request("REGISTER", target, 101, me))
        proof = self._proof(challenge, target, "REGISTER")
        return await self._final(self._request("REGISTER", target, 102, me, proof))

    @property
    def address(self) -> tuple[str, int]:
        """Where SIP is listened for."""
        host, port = self._sip.getsockname()
        return host, port

    async def ask(self, data: bytes) -> bytes:
        """Octets to the server from where SIP is sent, and what comes back."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self._sip, data, self._server)
        return await asyncio.wait_for(loop.sock_recv(self._sip, 65_535), PATIENCE)

    async def heard(self) -> str:
        """The next message, whatever it is."""
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._sip, 65_535), PATIENCE)
        return data.decode()

    def _proof(self, challenge: str, uri: str, method: str = "INVITE") -> str:
        registrar = method == "REGISTER"
        value = _field("WWW-Authenticate" if registrar else "Proxy-Authenticate", challenge)
        realm, nonce = (re.search(rf'{name}="([^"]+)"', value) for name in ("realm", "nonce"))
        assert realm
        assert nonce
        ha1 = _md5(f"{self._user}:{realm.group(1)}:{self._password}")
        answer = _md5(f"{ha1}:{nonce.group(1)}:00000001:c:auth:{_md5(f'{method}:{uri}')}")
        return (
            f'{"" if registrar else "Proxy-"}Authorization: Digest username="{self._user}", '
            f'realm="{realm.group(1)}", nonce="{nonce.group(1)}", '
            f'uri="{uri}", response="{answer}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"\r\n'
        )

    async def answer_options(self) -> None:
        """Waits for the server's OPTIONS and says that somebody is there."""
        while True:
            data, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(self._sip, 65_535), PATIENCE)
            text = data.decode()
            if text.startswith("OPTIONS "):
                break
        copied = "".join(f"{name}: {_field(name, text)}\r\n" for name in ("Via", "From", "To", "Call-ID", "CSeq"))
        await self._send(f"SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n")

    async def rtp(
        self, payload_type: int, packets: int, source: socket.socket | None = None, sound: bytes = bytes(range(160))
    ) -> None:
        """So many packets of 20 ms, in time."""
        for number in range(packets):
            head = struct.pack(">BBHII", 0x80, payload_type, number, number * 160, 7 if source is None else 8)
            (source or self._rtp).sendto(head + sound, self._media)
            await asyncio.sleep(0.02)  # the pace of sound

    async def stranger(self, packets: int) -> None:
        """Packets of the right form from an address nobody told of, beside the right ones."""
        other = self._socket()
        try:
            await asyncio.gather(self.rtp(0, packets), self.rtp(0, packets, other))
        finally:
            other.close()

    async def hang_up(self) -> None:
        """BYE."""
        answer = await self._final(self._request("BYE", self._contact, 3, self._to))
        assert answer.startswith("SIP/2.0 200"), answer
