"""A phone whose media goes wrong in one way that a test names: each is told by how the phone describes itself and by what
it does once it is answered."""

import asyncio
import re
import struct

from aioice import stun
from aiortc import RTCPeerConnection, RTCSessionDescription
from pylibsrtp import Policy, Session

from interop.support.plain_phone import SDP, PlainPhone

KEY, ANOTHER = "B" * 40, bytes(30)
"""Of AES_CM_128_HMAC_SHA1_80, key and salt: what is agreed, in base64, and what is used."""
FINGERPRINT = ":".join(["AA"] * 32)
HANDSHAKE = f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:active\r\na=rtcp-mux\r\n"
SDES = SDP.replace("RTP/AVP", "RTP/SAVP") + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
DTLS = SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVP") + HANDSHAKE
ICE = (
    f"{SDP.replace('RTP/AVP', 'UDP/TLS/RTP/SAVPF')}{HANDSHAKE}a=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 22}\r\n"
    "a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host\r\n"
)
FOREVER = 100_000
"""Packets: until the test ends."""


class FaultyPhone(PlainPhone):
    """Each method but `call` is a fault, which goes on until it is cancelled."""

    _answer = ""

    def _answered(self, description: str) -> None:
        super()._answered(description)
        self._answer = description

    async def nothing(self) -> None:
        """Nothing ever comes."""

    async def speaks(self) -> None:
        """No fault, unless the phone's description makes it one."""
        await self.rtp(0, FOREVER)

    async def stops(self) -> None:
        """A second of sound, and no more."""
        await self.rtp(0, 50)

    async def other_payload_type(self) -> None:
        """A number that nobody agreed."""
        await self.rtp(96, FOREVER)

    async def no_sound(self) -> None:
        """Packets of digital silence."""
        await self.rtp(0, FOREVER, sound=b"\xff" * 160)

    async def comfort_noise(self) -> None:
        """Nothing but descriptions of silence (RFC 3389)."""
        await self.rtp(13, FOREVER, sound=b"\x40")

    async def moves(self) -> None:
        """Sound from the address that was agreed, then another stream from one that was not."""
        await self.stops()
        with self._socket() as other:
            await self.rtp(0, FOREVER, other)

    async def closed_port(self) -> None:
        """Nobody listens where the phone says that sound is to go."""
        self._rtp.close()

    async def hears_no_more(self) -> None:
        """It speaks, and its reports name the same highest sequence again and again."""
        speaking = asyncio.create_task(self.speaks())
        try:
            while True:
                packet = await asyncio.get_running_loop().sock_recv(self._rtp, 2_048)
                if 192 <= packet[1] <= 223:
                    continue
                [stream] = struct.unpack(">I", packet[8:12])
                # RFC 3550 6.4.2: one block; a report on the port of sound is taken from the address of sound alone.
                self._rtp.sendto(struct.pack(">BBH7I", 0x81, 201, 7, 7, stream, 0, 7, 0, 0, 0), self._media)
                await asyncio.sleep(0.5)
        finally:
            speaking.cancel()

    async def wrong_key(self) -> None:
        """libsrtp with another key than the description has."""
        policy = Policy(key=ANOTHER, ssrc_type=Policy.SSRC_ANY_OUTBOUND)
        session = Session(policy)
        for number in range(FOREVER):
            packet = struct.pack(">BBHII", 0x80, 0, number, number * 160, 7) + bytes(range(160))
            self._rtp.sendto(session.protect(packet), self._media)
            await asyncio.sleep(0.02)  # the pace of sound

    async def never_nominates(self) -> None:
        """Checks in order, of which none chooses the path (RFC 8445 7.1.1 without USE-CANDIDATE)."""
        await self._check(self._said("ice-pwd"))

    async def old_password(self) -> None:
        """Checks with a password of another call."""
        await self._check("stale" * 5)

    async def _check(self, password: str) -> None:
        while True:
            request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
            request.attributes |= {
                "USERNAME": f"{self._said('ice-ufrag')}:abcd",
                "PRIORITY": 1_845_501_695,
                "ICE-CONTROLLING": 1,
            }
            request.add_message_integrity(password.encode())
            self._rtp.sendto(bytes(request), self._media)
            await asyncio.sleep(0.1)  # a check each so often, as ICE paces them

    def _said(self, name: str) -> str:
        found = re.search(rf"(?m)^a={name}:(\S+)", self._answer)
        assert found, f"no {name} in {self._answer}"
        return found.group(1)


class OtherCertificate(FaultyPhone):
    """aiortc, with another fingerprint in its description than its certificate has."""

    async def call(self, user: str) -> None:
        self._peer = RTCPeerConnection()
        self._peer.addTransceiver("audio")
        await self._peer.setLocalDescription(await self._peer.createOffer())
        await super().call(user)

    def _offer(self) -> str:
        # Each of its hashes, with the first octet at the end.
        return re.sub(r"(?m)^(a=fingerprint:\S+ )(..):(\S+)", r"\1\3:\2", self._peer.localDescription.sdp)

    async def speaks(self) -> None:
        """Its side of ICE and DTLS."""
        await self._peer.setRemoteDescription(RTCSessionDescription(self._answer, "answer"))
        try:
            await asyncio.Event().wait()
        finally:
            await self._peer.close()
