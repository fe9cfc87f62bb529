"""SIPp with scenarios of ours (interop/sipp): one process each, over UDP on loopback; its exit code is the verdict."""

import asyncio
import re
import shutil
import socket
from pathlib import Path

from interop.support.digest import authorization
from interop.support.ports import free_port
from tests.support.patience import PATIENCE

SCENARIOS = Path(__file__).parent.parent / "sipp"
MEDIA_PORTS = 4
"""SIPp takes RTP and RTCP for sound, and for picture right behind."""
LIFE = str(int(PATIENCE) - 10)
"""Seconds after which it gives up by itself and says what it was waiting for."""


class Sipp:
    """`user` speaks for an endpoint: as a caller it proves itself when asked, as a device `register` binds its port."""

    def __init__(self, folder: Path, scenario: str, user: str, password: str, domain: str, server: str) -> None:
        self._folder = folder / f"sipp-{scenario}-{user}"
        self._folder.mkdir()
        self._scenario, self._user, self._password = scenario, user, password
        self._domain, self._server = domain, server
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    async def register(self) -> None:
        """REGISTER from the port that the device will use, so that the binding leads there."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", self.port))
            one.setblocking(False)
            challenged = await self._registering(one, 1, "")
            assert " 401 " in challenged.splitlines()[0], challenged
            proof = authorization(challenged, "REGISTER", f"sip:{self._domain}", self._user, self._password)
            accepted = await self._registering(one, 2, proof)
            assert " 200 " in accepted.splitlines()[0], accepted

    async def _registering(self, one: socket.socket, cseq: int, proof: str) -> str:
        me = f"<sip:{self._user}@{self._domain}>"
        lines = [
            f"REGISTER sip:{self._domain} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.port}{cseq};rport",
            "Max-Forwards: 70", f"From: {me};tag={self.port}", f"To: {me}", f"Call-ID: reg-{self.port}",
            f"CSeq: {cseq} REGISTER", f"Contact: <sip:{self._user}@127.0.0.1:{self.port}>", "Expires: 600",
            *([proof] if proof else []), "Content-Length: 0", "", "",
        ]  # fmt: skip
        loop = asyncio.get_running_loop()
        host, port = self._server.split(":")
        await loop.sock_sendto(one, "\r\n".join(lines).encode(), (host, int(port)))
        data, _ = await asyncio.wait_for(loop.sock_recvfrom(one, 65_535), PATIENCE)
        return data.decode()

    async def start(self, target: str = "", *options: str, pause: int = 300) -> None:
        """Runs the scenario once; `target` is whom a caller dials, `pause` the milliseconds of its open pause."""
        program = shutil.which("sipp")
        assert program is not None, "sipp is not installed"
        named = {"user": self._user, "domain": self._domain}
        pairs = [text for name, value in named.items() for text in ("-key", name, value)]
        command = [
            program, "-sf", str(SCENARIOS / f"{self._scenario}.xml"), "-i", "127.0.0.1", "-p", str(self.port),
            "-mi", "127.0.0.1", "-mp", str(free_port(count=MEDIA_PORTS)), "-s", target or "nobody", "-au", self._user,
            "-ap", self._password, *pairs, "-trace_err", "-trace_msg", "-nostdin", "-timeout", LIFE, "-d", str(pause),
            *(() if "-m" in options else ("-m", "1")), *options, self._server,
        ]  # fmt: skip
        log = (self._folder / "out.txt").open("wb")
        self._process = await asyncio.create_subprocess_exec(*command, cwd=self._folder, stdout=log, stderr=log)

    async def done(self) -> None:
        """Waits for the verdict; a failed scenario shows its messages."""
        assert self._process is not None
        code = await asyncio.wait_for(self._process.wait(), PATIENCE)
        assert code == 0, f"{self._scenario}: exit code {code}\n{self.told()}"

    async def stop(self) -> None:
        """Ends it, however far it is."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def told(self) -> str:
        """Errors and messages as it saw them, the newest last."""
        texts = [path.read_text(errors="replace")[-6000:] for path in sorted(self._folder.glob("*.log"))]
        return re.sub(r"\n{2,}", "\n", "\n".join(texts))
