"""A carrier of a few lines over UDP that takes no calls: it answers OPTIONS and REGISTER as it is told, or not at all."""

import asyncio
import re


class Line(asyncio.DatagramProtocol):
    """`async with Line() as line`; `answers` by method: a status line, "" for silence."""

    def __init__(self, **answers: str) -> None:
        self.answers = {"OPTIONS": "200 OK", "REGISTER": "200 OK", **answers}

    async def __aenter__(self) -> "Line":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        host, port = self._transport.get_extra_info("sockname")
        self.uri = f"sip:{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One request."""
        text = data.decode()
        status = self.answers.get(text.partition(" ")[0], "")
        if not status:
            return
        kept = [
            line for line in text.split("\r\n") if re.match(r"(?i)(via|from|to|call-id|cseq|contact|expires):", line)
        ]
        lines = [f"{line};tag=line" if line.lower().startswith("to:") else line for line in kept]
        self._transport.sendto("\r\n".join([f"SIP/2.0 {status}", *lines, "Content-Length: 0", "", ""]).encode(), addr)  # type: ignore[attr-defined]
