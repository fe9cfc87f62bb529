"""Sockets that are bound before the program is loaded (LIVE-15)."""

import socket

import pytest

from interop.support.ports import free_port
from offhook.server.config import Settings
from offhook.server.ears import Ears
from offhook.server.errors import StartError
from offhook.transport.sockets import DATAGRAM, STREAM
from tests.support.patience import PATIENCE


def settings(http: int = 0, sip: int = 0) -> Settings:
    return Settings.model_validate({"http": {"port": http}, "sip": {"port": sip}})


def test_connections_and_datagrams_wait_until_somebody_serves() -> None:
    ears = Ears(settings()).open()
    (http,) = ears.bound([("127.0.0.1", STREAM)], "http.port", 0)
    phones = ears.bound([("127.0.0.1", DATAGRAM), ("127.0.0.1", STREAM)], "sip.port", 0)
    assert [one.type for one in phones] == [DATAGRAM, STREAM]
    assert len({one.getsockname()[1] for one in phones}) == 1
    # 1. a client is connected although nobody has accepted it
    with socket.create_connection(http.getsockname(), timeout=PATIENCE) as client:
        client.sendall(b"early")
        served, _ = http.accept()
        served.setblocking(True)
        assert served.recv(5) == b"early"
        served.close()
    # 2. a datagram waits
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.sendto(b"early", phones[0].getsockname())
        phones[0].settimeout(PATIENCE)
        assert phones[0].recv(5) == b"early"
    for one in (http, *phones):
        one.close()


def test_a_port_in_use_is_named_before_anything_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"http\.port {port}"):
            Ears(settings(http=port)).open()


def test_what_nobody_took_is_closed() -> None:
    port = free_port()
    ears = Ears(settings(sip=port)).open()
    bound = ears.bound([("127.0.0.1", STREAM)], "http.port", 0)
    ears.close()
    for one in bound:
        one.close()
    # The ports are free again.
    Ears(settings(sip=port)).open().close()
