"""Invariant: any datagram is answered with a well-formed Binding response of at most 44 octets, or not at all."""

from hypothesis import given

from fuzz.support import fuzzed, mutated
from offhook.transport.keepalive import binding_answer, is_stun
from tests.transport.test_keepalive import REQUEST, VECTORS

SEEDS = [REQUEST, *VECTORS.values(), b"\x00\x01\x00\x08" + REQUEST[4:] + bytes.fromhex("8022000361626300")]


@fuzzed
@given(mutated(SEEDS))
def test_stun(data: bytes) -> None:
    for source in (("192.0.2.1", 32853), ("2001:db8::1", 1), ("fe80::1%eth0", 65_535)):
        answer = binding_answer(data, source)
        if answer is None:
            continue
        assert is_stun(answer)
        assert len(answer) in (32, 44)
        assert answer[8:20] == data[8:20]
