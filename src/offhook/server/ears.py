"""Listening before the program is loaded: the sockets are bound first, so that a server that is started again is there at
once (LIVE-15). Connections and datagrams wait in the kernel for the second that imports and the database take.

Lives here: which sockets, early. Nothing heavy may be imported here.
"""

import errno
import socket
from collections.abc import Sequence

from offhook.server.config import Settings
from offhook.server.errors import StartError
from offhook.transport.sockets import DATAGRAM, STREAM, addresses_of, bind_all

_ANOTHER = "Choose another, or 0 for any free port."
_REMEDIES = {
    errno.EACCES: "Ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another, or 0 for any free port."
}
BACKLOG = 4096
"""Connections that may wait: after a restart all come back at once."""


class Ears:
    """`open` early, `bound` later by whoever serves; what nobody asks for is closed by `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._early: dict[str, list[socket.socket]] = {}

    def open(self) -> "Ears":
        """Binds everything the settings name. Raises StartError."""
        settings = self._settings
        ports = {"http.port": settings.http.port, "sip.port": settings.sip.port}
        if settings.secure:
            ports |= {"http.https_port": settings.http.https_port, "sip.tls_port": settings.sip.tls_port}
        for setting, port in ports.items():
            kinds = (DATAGRAM, STREAM) if setting == "sip.port" else (STREAM,)
            bound = self._bind([(host, kind) for host in self.hosts() for kind in kinds], setting, port)
            for one in bound:
                if one.type == STREAM:
                    one.listen(BACKLOG)
            self._early[setting] = bound
        return self

    def hosts(self) -> tuple[str, ...]:
        """The addresses of `http.host`. Raises StartError."""
        host = self._settings.http.host
        try:
            return addresses_of(host)
        except OSError as error:
            remedy = "give an address of this machine, 127.0.0.1 for itself alone, 0.0.0.0 for all of them"
            raise StartError(f"http.host {host or '(empty)'}: {error.strerror or error}; {remedy}") from error

    def bound(self, wanted: Sequence[tuple[str, int]], setting: str, port: int) -> list[socket.socket]:
        """The sockets of a setting, bound before or now. Raises StartError."""
        return self._early.pop(setting, None) or self._bind(wanted, setting, port)

    def close(self) -> None:
        """After a start that failed."""
        for bound in self._early.values():
            for one in bound:
                one.close()
        self._early.clear()

    @staticmethod
    def _bind(wanted: Sequence[tuple[str, int]], setting: str, port: int) -> list[socket.socket]:
        try:
            return bind_all(wanted, port)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                hosts = ", ".join(dict.fromkeys(address for address, _ in wanted))
                raise StartError(
                    f"http.host {hosts}: no such address on this machine; 0.0.0.0 means all of them"
                ) from error
            text = f"cannot listen on {setting} {port}: {error.strerror}. {_REMEDIES.get(error.errno or 0, _ANOTHER)}"
            raise StartError(text) from error
