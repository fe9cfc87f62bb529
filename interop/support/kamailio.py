"""Debian's Kamailio as a carrier's edge, with SIPp as the telephone behind it; addresses of its own on loopback."""

import asyncio
import re
import shutil
from pathlib import Path

import numpy as np

from interop.support.certificate import write_certificate
from interop.support.ports import free_port
from interop.support.process import end, listening
from interop.support.sipp import MEDIA_PORTS
from tests.support.patience import PATIENCE

CONFIG = Path(__file__).parent.parent / "kamailio"
ADDRESS, BEHIND, DESK = "127.0.0.3", "127.0.0.5", "127.0.0.6"
"""The edge, the telephone behind it, and one that it does not know: other addresses than ours, as carriers have."""

WAITED_FOR = {"failover": {"timeout_ms": 30_000}, "health": {"options_timeout_ms": 30_000}}
"""Of a trunk to the edge, which shares the processor: its being late is no outage."""

TONE = 620.0
"""What the telephone sends, in Hz."""

TLS = """\
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
private_key = {key}
certificate = {certificate}
"""


def write_ulaw(path: Path, frequency: float, seconds: float = 2.0) -> None:
    """Octets of G.711 mu-law at 8 kHz that loop without a click."""
    time = np.arange(int(8000 * seconds)) / 8000
    linear = np.sin(2 * np.pi * frequency * time) * 8000
    magnitude = np.minimum(np.abs(linear), 32635).astype(int) + 132
    exponent = np.floor(np.log2(magnitude)).astype(int) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(linear < 0, 0x80, 0)
    path.write_bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes())


class Carrier:
    """`async with Carrier(folder, customer) as carrier`; `customer` is where calls in go, host:port."""

    def __init__(self, folder: Path, customer: str, tls: bool = False, name: str = "carrier.test") -> None:
        self.folder = folder / f"kamailio-{free_port(ADDRESS)}"
        self._customer, self._tls, self._name = customer, tls, name
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> "Carrier":
        self.folder.mkdir()
        self.port, self.tls_port = free_port(ADDRESS), free_port(ADDRESS)
        self.behind_port = free_port(BEHIND)
        write_ulaw(self.folder / "tone.ulaw", TONE)
        self.log = self.folder / "kamailio.log"
        program = shutil.which("kamailio") or "/usr/sbin/kamailio"
        names = {
            "IP": ADDRESS,
            "PORT": str(self.port),
            "PORT_TLS": str(self.tls_port),
            "CALLEE": f"sip:{BEHIND}:{self.behind_port}",
            "IP_CALLEE": BEHIND,
            "CUSTOMER": self._customer,
        }
        if self._tls:
            names["WITH_TLS"] = "1"
            self.certificate, key = write_certificate(self.folder, self._name)
            (self.folder / "tls.cfg").write_text(TLS.format(certificate=self.certificate, key=key))
        text = (CONFIG / "carrier.cfg").read_text().replace("__RUN__", str(self.folder))
        for name in sorted(names, key=len, reverse=True):
            if name != "WITH_TLS":
                text = _replaced(text, name, names[name])
        if self._tls:
            text = text.replace("#!KAMAILIO\n", "#!KAMAILIO\n#!define WITH_TLS\n", 1)
        (self.folder / "kamailio.cfg").write_text(text)
        with self.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                program, "-f", str(self.folder / "kamailio.cfg"), "-DD", "-E", "-Y", str(self.folder), "-m", "32", "-M", "8",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        await listening(process, ADDRESS, self.tls_port if self._tls else self.port, self.log)
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            await end(process)

    async def telephone(self, scenario: str = "callee", *options: str) -> "Telephone":
        """Answers calls from the customer and sends its tone."""
        media = free_port(BEHIND, count=MEDIA_PORTS)
        arguments = ["-sf", str(CONFIG / f"{scenario}.xml"), "-i", BEHIND, "-p", str(self.behind_port)]
        arguments += ["-mi", BEHIND, "-mp", str(media), "-m", "1", "-nostdin"]
        return await self._sipp(scenario, [*arguments, *options])

    async def desk(self, scenario: str = "callee") -> tuple[str, "Telephone"]:
        """A telephone that the edge does not know, and its host:port; it answers one call and sends its tone."""
        port, media = free_port(DESK), free_port(DESK, count=MEDIA_PORTS)
        arguments = ["-sf", str(CONFIG / f"{scenario}.xml"), "-i", DESK, "-p", str(port)]
        arguments += ["-mi", DESK, "-mp", str(media), "-m", "1", "-nostdin"]
        return f"{DESK}:{port}", await self._sipp(f"desk-{port}", arguments)

    async def call_in(self, number: str, seconds: float | None = None) -> "Telephone":
        """The telephone calls the customer's number, sends its tone, and hangs up after some seconds; without seconds it
        waits until it is hung up on."""
        media = free_port(BEHIND, count=MEDIA_PORTS)
        scenario = "caller_hung_up" if seconds is None else "caller"
        arguments = ["-sf", str(CONFIG / f"{scenario}.xml"), "-i", BEHIND, "-p", str(self.behind_port), "-s", number]
        arguments += ["-mi", BEHIND, "-mp", str(media), "-m", "1", "-nostdin"]
        arguments += ["-d", str(int((seconds or 0) * 1000)), f"{ADDRESS}:{self.port}"]
        return await self._sipp("caller", arguments)

    async def _sipp(self, name: str, arguments: list[str]) -> "Telephone":
        log = self.folder / f"{name}.log"
        messages = self.folder / f"{name}.messages"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                "sipp", *arguments, "-trace_msg", "-message_file", str(messages), "-trace_err", "-error_file",
                str(self.folder / f"{name}.errors"),
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
            )  # fmt: skip
        self._processes.append(process)
        return Telephone(process, log, messages)

    def counted(self, what: str) -> int:
        """In how many requests the edge's log has this: `challenge INVITE`, `proved BYE`."""
        return counted(self.log, what)


class Telephone:
    """One SIPp. It succeeds when its scenario ran to the end."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, messages: Path) -> None:
        self._process, self._log, self._messages = process, log, messages

    async def done(self, within: float = PATIENCE) -> None:
        """Waits until the scenario is over, and fails unless every step of it was met."""
        try:
            code = await asyncio.wait_for(self._process.wait(), within)
        except TimeoutError:
            code = -1
        if code != 0:
            text = self._messages.read_text(errors="replace")[-4000:] if self._messages.exists() else ""
            raise AssertionError(f"sipp ended with {code}:\n{self._log.read_text(errors='replace')[-1500:]}\n{text}")

    async def stop(self) -> None:
        """Ends it, however far it is."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def messages(self) -> str:
        """Everything sent and received."""
        return self._messages.read_text(errors="replace") if self._messages.exists() else ""


def counted(log: Path, what: str) -> int:
    """How many different lines begin so: a request that came again, for the answer was late, is one. The line names it by
    CSeq and Call-ID."""
    return len(set(re.findall(rf"<script>: ({what}\b.*)", log.read_text(errors="replace"))))


def _replaced(text: str, name: str, value: str) -> str:
    return re.sub(rf"(?<![A-Z_]){name}(?![A-Z_])", value, text)
