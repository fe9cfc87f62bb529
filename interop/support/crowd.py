"""Many plain phones over UDP in one process: each is in a call, sends sound all the time and counts what it hears.

They answer what comes inside their dialogs as a phone does: re-INVITE with their description, following where media comes
from now; UPDATE, INFO, OPTIONS with 200; a BYE with 200, and its Reason is kept.
"""

import asyncio
import random
import re
import struct

from interop.support.plain_phone import SDP, PlainPhone, _field
from tests.support.patience import PATIENCE


class CrowdPhone(PlainPhone):
    """One phone of the crowd: `await phone.call("echo")`, then `start()`."""

    packet_ms = 20
    loss = 0.0
    """Share of its packets that it loses on the way."""

    def __init__(self, username: str, password: str, domain: str, server: str) -> None:
        super().__init__(username, password, domain, server)
        self.heard = 0
        self.missed = 0
        """Packets of its own that the echo did not bring back, though a later one came."""
        self.moved = 0
        self.ended: str | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """From now on it talks, listens and answers."""
        self._tasks = [asyncio.create_task(one) for one in (self._talk(), self._listen(), self._answer())]

    async def stop(self) -> None:
        """Goes away without a word."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.close()

    async def bye(self) -> None:
        """Hangs up; the answer is counted as the end."""
        await self._send(self._request("BYE", self._contact, 3, self._to))

    async def _talk(self) -> None:
        number, size = 0, 8 * self.packet_ms
        while self.ended is None:
            head = struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, number * size, 7)
            if random.random() >= self.loss:
                self._rtp.sendto(head + number.to_bytes(4) + bytes(size - 4), self._media)
            number += 1
            await asyncio.sleep(self.packet_ms / 1000)  # the pace of sound

    async def _listen(self) -> None:
        loop, expected = asyncio.get_running_loop(), 0
        while True:
            try:
                data, _ = await loop.sock_recvfrom(self._rtp, 2048)
            except OSError:
                continue  # the port of a dead engine: an ICMP error is no end
            if 192 <= data[1] <= 223:
                continue  # RTCP for who has the port before this one
            self.heard += 1
            number = int.from_bytes(data[12:16])
            self.missed += max(0, number - expected)
            expected = number + 1

    async def _answer(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data, _ = await loop.sock_recvfrom(self._sip, 65_535)
            except OSError:
                continue  # the server is away for a moment
            if data[0] >= 0x80:
                continue  # RTCP for who had a port beside this one
            text = data.decode()
            method = text.split(" ", 1)[0]
            if method.startswith("SIP/2.0"):
                if " BYE\r\n" in text and self.ended is None:
                    self.ended = "bye"
                elif text.startswith("SIP/2.0 200") and " INVITE\r\n" in text:
                    # RFC 3261 13.2.2.4: the 200 comes again because its ACK was lost.
                    await self._send(self._request("ACK", self._contact, 2, self._to))
            elif method != "ACK":
                await self._respond(method, text)

    async def _respond(self, method: str, text: str) -> None:
        body = ""
        if method == "BYE":
            found = re.search(r"(?m)^Reason: (.*?)\r$", text)
            self.ended = found.group(1) if found else ""
        media = re.search(r"m=audio (\d+)", text)
        if method == "INVITE" and media:
            self._media = ("127.0.0.1", int(media.group(1)))
            self.moved += 1
            body = SDP.format(port=self._rtp.getsockname()[1])
        copied = "".join(f"{name}: {_field(name, text)}\r\n" for name in ("Via", "From", "To", "Call-ID", "CSeq"))
        typed = "Content-Type: application/sdp\r\n" if body else ""
        contact = f"Contact: <sip:{self._user}@127.0.0.1:{self._sip.getsockname()[1]}>\r\n"
        await self._send(f"SIP/2.0 200 OK\r\n{copied}{contact}{typed}Content-Length: {len(body)}\r\n\r\n{body}")


class Crowd:
    """`async with Crowd(names, …) as crowd`: a call to the echo for each name, with sound both ways."""

    def __init__(self, usernames: list[str], password: str, domain: str, sip: str) -> None:
        self.phones = [CrowdPhone(name, password, domain, sip) for name in usernames]

    async def __aenter__(self) -> "Crowd":
        for phone in self.phones:
            await phone.call("echo")
            phone.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(phone.stop() for phone in self.phones))

    @property
    def missed(self) -> int:
        """What all of them said and did not hear."""
        return sum(phone.missed for phone in self.phones)

    async def ended(self, within: float = PATIENCE) -> set[str | None]:
        """How their calls ended, None for one that goes on; waited for until all have."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while any(phone.ended is None for phone in self.phones) and loop.time() < end:
            await asyncio.sleep(0.05)  # answers lie in fifty sockets
        return {phone.ended for phone in self.phones}

    async def hearing(self, within: float = PATIENCE, least: int = 20, enough: float = 1.0) -> int:
        """How many hear at least so many packets from now on, waited for until `enough` of all do, a share."""
        before = [phone.heard for phone in self.phones]
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while True:
            hear = sum(phone.heard - old >= least for phone, old in zip(self.phones, before, strict=True))
            if hear >= enough * len(self.phones) or loop.time() >= end:
                return hear
            await asyncio.sleep(0.05)  # sound has to come before there is anything to count
