"""SIP over WebSocket (RFC 7118, server side): one connection is one flow, one WebSocket message is one SIP message.

Rules WS-1 … WS-14 of the signalling contract; framing is in frames.py.
"""

import asyncio
import random
from dataclasses import dataclass
from typing import cast

from offhook.sip.flow import Flow
from offhook.transport.backpressure import Backpressure, Patience
from offhook.transport.flow import LEFT, FlowTable, Receiver
from offhook.transport.frames import SLUGS, Frame, FrameError, FrameReader, Opcode, accept_key, frame


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """Times in seconds, sizes in octets; the numbers are rows of the limits table."""

    max_message: int = 65_536
    patience: Patience = Patience()
    ping_after: tuple[float, float] = (20.0, 25.0)
    pong_within: float = 10.0
    first_message: float = 30.0
    proof: float = 60.0


class SipWebSocket(asyncio.Protocol):
    """The connection after its upgrade. Made by front.py, which has checked the handshake."""

    __slots__ = (
        "_flows", "_heard", "_heard_at", "_loop", "_missed", "_pinged", "_pressure", "_proof", "_reader", "_reason",
        "_receiver", "_settings", "_timer", "_transport", "flow", "rtt",
    )  # fmt: skip

    def __init__(self, flow: Flow, flows: FlowTable, receiver: Receiver, settings: WebSocketSettings) -> None:
        self.flow = flow
        self._flows = flows
        self._receiver = receiver
        self._settings = settings
        self._reader = FrameReader(settings.max_message)
        self._loop = asyncio.get_running_loop()
        self._missed = 0
        self._heard_at = 0.0
        self._pinged: float | None = None
        self.rtt: float | None = None
        """Seconds between the last ping and its pong."""
        self._heard = False
        self._reason = "peer closed the connection"

    def start(self, transport: asyncio.Transport, key: str) -> None:
        """Answers the upgrade and opens the flow."""
        self._transport = transport
        self._pressure = Backpressure(transport, self._settings.patience, self._too_slow)
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
        )
        self._flows.add(self)
        self._proof = self._loop.call_later(self._settings.proof, self._proof_due)
        self._timer = self._loop.call_later(self._settings.first_message, self._stayed_silent)
        self._receiver.flow_opened(self.flow)

    # ---- what arrives

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._missed:
            self._heard_again()
        try:
            frames = self._reader.feed(data)
        except FrameError as error:
            self._receiver.refused(str(error), b"", self.flow)
            self._end(error.code, SLUGS[error.code])
            return
        for one in frames:
            if self._transport.is_closing():
                return
            self._take(one)

    def _take(self, one: Frame) -> None:
        match one.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                self._message(one.payload)
            case Opcode.PING:
                self._write(Opcode.PONG, one.payload)
            case Opcode.CLOSE:
                code = int.from_bytes(one.payload[:2], "big") if len(one.payload) >= 2 else 1005
                self._reason = LEFT if code == 1001 else f"closed by the client ({code})"
                self._end(code, one.payload[:2])
            case _:
                # A pong: data_received has noted the sign of life.
                if self._pinged is not None:
                    self.rtt, self._pinged = self._loop.time() - self._pinged, None

    def _message(self, data: bytes) -> None:
        if not self._heard:
            self._heard = True
            self._arm_ping()
        if not data.strip(b"\r\n\x00 "):
            # RFC 5626 section 4.4.1: a double CRLF asks for a single one. Other blank messages mean nothing.
            if data == b"\r\n\r\n":
                self._write(Opcode.TEXT, b"\r\n")
            return
        self._receiver.received(data, self.flow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pressure.end()
        self._stop(self._reason if exc is None else f"{self._reason}: {exc}")

    # ---- keepalive (WS-9) and silence (WS-14)

    def _stayed_silent(self) -> None:
        self.close(1008, "flow-idle")

    def _proof_due(self) -> None:
        if not self._receiver.proven(self.flow):
            self.close(1008, "flow-idle")

    def _arm_ping(self, since: float = 0.0) -> None:
        """The next ping, so long after the last one; `since` seconds of that are over."""
        self._timer.cancel()
        # Proxies cut at 60 s; random per flow, so that a thousand clients do not answer at once.
        self._timer = self._loop.call_later(random.uniform(*self._settings.ping_after) - since, self._ping)

    def _ping(self) -> None:
        self._missed += 1
        self._pinged = self._loop.time()
        self._write(Opcode.PING, b"")
        self._timer = self._loop.call_later(self._settings.pong_within, self._pong_due)

    def _pong_due(self) -> None:
        if not self._missed:
            self._arm_ping(self._settings.pong_within)
        elif self._missed == 1:
            self._receiver.flow_suspected(self.flow, True)
            self._ping()
        else:
            self._reason = "two pings unanswered"
            self._transport.abort()

    def _heard_again(self) -> None:
        if self._missed > 1:
            self._receiver.flow_suspected(self.flow, False)
        self._missed = 0

    def ping(self) -> None:
        """Asks for a pong out of turn (LIVE-5)."""
        self._write(Opcode.PING, b"")

    def answered(self, since: float) -> bool:
        """Anything heard will do."""
        return self._heard_at > since

    # ---- what goes out

    def send(self, data: bytes) -> bool:
        """One SIP message: text if it is UTF-8, else binary (WS-3)."""
        if self._transport.is_closing():
            return False
        try:
            data.decode("utf-8")
            self._write(Opcode.TEXT, data)
        except UnicodeDecodeError:
            self._write(Opcode.BINARY, data)
        return True

    def close(self, code: int, slug: str) -> None:
        """Closes with one of our codes of WS-13; `slug` is the reason text. The flow is lost from this moment."""
        self._reason = slug
        self._end(code, slug)

    def _write(self, opcode: Opcode, payload: bytes) -> None:
        if self._transport.is_closing():
            return
        self._pressure.write(frame(opcode, payload))

    def _end(self, code: int, said: str | bytes) -> None:
        """Says why, and closes. `said` as octets is the peer's own close frame sent back (RFC 6455 section 5.5.1)."""
        if self._transport.is_closing():
            return
        payload = said if isinstance(said, bytes) else code.to_bytes(2, "big") + said.encode()
        self._transport.write(frame(Opcode.CLOSE, payload[:125]))
        self._transport.close()
        # A peer that reads nothing would keep a closing connection open for ever.
        self._loop.call_later(self._settings.patience.stall, self._transport.abort)
        self._stop(self._reason)

    def _stop(self, reason: str) -> None:
        """The end of the flow, which may come before that of the connection."""
        self._timer.cancel()
        self._proof.cancel()
        self._pressure.stop()
        if self._flows.remove(self):
            self._receiver.flow_lost(self.flow, reason)

    # ---- back-pressure (WS-11)

    def pause_writing(self) -> None:
        self._pressure.pause()

    def resume_writing(self) -> None:
        self._pressure.resume()

    def _too_slow(self) -> None:
        self.close(1013, "client-too-slow")
