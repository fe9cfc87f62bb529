"""TLS as a thin layer on `ssl.MemoryBIO`: protocol of the TCP transport, transport of the application's protocol.

An idle connection costs about 16 KB here, where the event loop's own TLS costs 44 (docs/decisions/0004). A MemoryBIO
never shrinks, so writes and reads are cut into slices.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, cast

SLICE = 16_384
"""Bytes given to a BIO at once: one TLS record, so that its buffer stays at that size for ever."""


class Tls(asyncio.Protocol, asyncio.Transport):
    """One TLS connection. `factory` makes the application's protocol once the handshake is done.

    `server_name` None is our side of an accepted connection; else we are the client (tls_client.py), and it is sent as SNI.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        factory: Callable[[], asyncio.Protocol],
        handshake: float,
        server_name: str | None = None,
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self._factory = factory
        self._handshake = handshake
        self._app: asyncio.Protocol | None = None
        self._timer: asyncio.TimerHandle | None = None

    # ---- protocol of the TCP transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._handshake, self._tcp.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        app, self._app, self._tls = self._app, None, None
        if app is not None:
            app.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), SLICE):
            if self._tls is None:
                return
            self._receive(data[at : at + SLICE])

    def eof_received(self) -> None:
        return None

    def pause_writing(self) -> None:
        if self._app is not None:
            self._app.pause_writing()

    def resume_writing(self) -> None:
        if self._app is not None:
            self._app.resume_writing()

    def _receive(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if self._app is None:
                self._shake_hands()
            self._read()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.close()
        except ssl.SSLError:
            # A wrong certificate on their side, plain text on ours: the alert goes out, then the end.
            self._flush()
            self._tcp.close()
            return
        self._flush()

    def _shake_hands(self) -> None:
        assert self._tls is not None
        self._tls.do_handshake()
        self._stop_timer()
        self._established()
        self._app = self._factory()
        self._app.connection_made(self)

    def _established(self) -> None:
        """What is to be checked before anything is said to the peer. Raises ssl.SSLError to end the connection."""

    def _read(self) -> None:
        while self._tls is not None and self._app is not None:
            plain = self._tls.read(SLICE)
            if not plain:
                self.close()
                return
            self._app.data_received(plain)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        if self._outgoing.pending and not self._tcp.is_closing():
            self._tcp.write(self._outgoing.read())

    # ---- transport of the application's protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        for at in range(0, len(view), SLICE):
            if self._tls is None:
                return
            self._tls.write(view[at : at + SLICE])
            self._flush()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if self._tls is not None and not self._tcp.is_closing():
            with contextlib.suppress(ssl.SSLError):  # the peer's close_notify is not waited for
                self._tls.unwrap()
            self._flush()
        self._tcp.close()

    def abort(self) -> None:
        self._tcp.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._app = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._app is not None
        return self._app

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._tls.context if self._tls else default
        return self._tcp.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._tcp.is_closing()

    def is_reading(self) -> bool:
        return self._tcp.is_reading()

    def pause_reading(self) -> None:
        self._tcp.pause_reading()

    def resume_reading(self) -> None:
        self._tcp.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._tcp.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._tcp.get_write_buffer_size()
