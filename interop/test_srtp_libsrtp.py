"""Our SRTP against C libsrtp (pylibsrtp), both directions, each suite it has: RTP over a wrap, RTCP, damage, replay.

The Rust side is `crates/rtp/examples/srtp_tool.rs`: OFFHOOK_SRTP_TOOL names the built binary, else cargo builds it.
"""

import hashlib
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pylibsrtp import Error, Policy, Session

from tests.support.patience import PATIENCE

# The first test may have to build AWS-LC.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parent.parent
SSRC = 0x1234ABCD

SUITES = {
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16 + 12),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32 + 12),
    "AES_CM_128_HMAC_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16 + 14),
    "AES_CM_128_HMAC_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16 + 14),
}


class SrtpTool:
    """The example binary, one line in, one line out."""

    def __init__(self, binary: str) -> None:
        self._process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, verb: str, suite: str, key: bytes, packet: bytes) -> bytes:
        """The answered packet; raises ValueError with the tool's reason."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{verb} {suite} {key.hex()} {packet.hex()}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if answer.startswith("error"):
            raise ValueError(answer)
        return bytes.fromhex(answer)

    def close(self) -> None:
        """Ends the tool by closing its input."""
        self._process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="session")
def binary() -> str:
    """Path of the built example."""
    if built := os.environ.get("OFFHOOK_SRTP_TOOL"):
        return built
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.fail("cargo is needed, or OFFHOOK_SRTP_TOOL with the built program")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    subprocess.run(
        [cargo, "build", "-q", "--locked", "-p", "offhook-rtp", "--example", "srtp_tool"],
        cwd=ROOT,
        check=True,
    )
    return str(target / "debug" / "examples" / "srtp_tool")


@pytest.fixture
def tool(binary: str) -> Iterator[SrtpTool]:
    tool = SrtpTool(binary)
    yield tool
    tool.close()


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def key_of(suite: str) -> bytes:
    return hashlib.sha512(suite.encode()).digest()[: SUITES[suite][1]]


def session(suite: str, direction: int) -> Session:
    profile, _ = SUITES[suite]
    return Session(Policy(key=key_of(suite), ssrc_type=direction, srtp_profile=profile))


def rtp(sequence: int, payload: bytes = b"\xd5" * 160) -> bytes:
    """Every third packet has a header extension, every fifth a contributing source: both stay in the clear."""
    sources = struct.pack("!I", 0xCAFE) if sequence % 5 == 0 else b""
    extension = struct.pack("!HHI", 0xBEDE, 1, 0x10AA0000) if sequence % 3 == 0 else b""
    first = 0x80 | (0x10 if extension else 0) | (1 if sources else 0)
    return struct.pack("!BBHII", first, 0, sequence, sequence * 160, SSRC) + sources + extension + payload


def report(count: int) -> bytes:
    """SR and SDES."""
    sender = struct.pack("!BBHIQIII", 0x80, 200, 6, SSRC, 1 << 40 | count, count, count, count * 160)
    return sender + struct.pack("!BBHI", 0x81, 202, 3, SSRC) + b"\x01\x04abcd\x00\x00"


SEQUENCES = [*range(65_500, 65_536), *range(40)]


def test_we_seal_and_libsrtp_opens(tool: SrtpTool, suite: str) -> None:
    theirs = session(suite, Policy.SSRC_ANY_INBOUND)
    for sequence in SEQUENCES:
        sealed = tool.ask("protect", suite, key_of(suite), rtp(sequence))
        assert theirs.unprotect(sealed) == rtp(sequence)
        with pytest.raises(Error):
            theirs.unprotect(sealed)
    for count in range(1, 6):
        sealed = tool.ask("protect-rtcp", suite, key_of(suite), report(count))
        assert theirs.unprotect_rtcp(sealed) == report(count)


def test_libsrtp_seals_and_we_open(tool: SrtpTool, suite: str) -> None:
    theirs = session(suite, Policy.SSRC_ANY_OUTBOUND)
    for sequence in SEQUENCES:
        sealed = theirs.protect(rtp(sequence))
        damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
        with pytest.raises(ValueError, match="authentication failed"):
            tool.ask("unprotect", suite, key_of(suite), damaged)
        assert tool.ask("unprotect", suite, key_of(suite), sealed) == rtp(sequence)
        with pytest.raises(ValueError, match="replayed"):
            tool.ask("unprotect", suite, key_of(suite), sealed)
    for count in range(1, 6):
        sealed = theirs.protect_rtcp(report(count))
        assert tool.ask("unprotect-rtcp", suite, key_of(suite), sealed) == report(count)


def test_both_seal_to_the_same_bytes(tool: SrtpTool, suite: str) -> None:
    theirs = session(suite, Policy.SSRC_ANY_OUTBOUND)
    for sequence in SEQUENCES:
        assert tool.ask("protect", suite, key_of(suite), rtp(sequence)) == theirs.protect(rtp(sequence))
    for count in range(1, 6):
        assert tool.ask("protect-rtcp", suite, key_of(suite), report(count)) == theirs.protect_rtcp(report(count))


def test_disorder_and_loss_over_a_wrap(tool: SrtpTool, suite: str) -> None:
    theirs = session(suite, Policy.SSRC_ANY_OUTBOUND)
    sealed = {sequence: theirs.protect(rtp(sequence)) for sequence in SEQUENCES}
    for sequence in (65_500, 0, 65_535, 65_501, 1, 39, 65_530, 38):
        assert tool.ask("unprotect", suite, key_of(suite), sealed[sequence]) == rtp(sequence)
