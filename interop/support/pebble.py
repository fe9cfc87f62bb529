"""Pebble, Let's Encrypt's own ACME server for tests: certificates that live for seconds, names from our DNS server."""

import asyncio
import json
import os
import shutil
from pathlib import Path

from interop.support.certificate import write_certificate
from interop.support.ports import free_port
from interop.support.process import end, listening


class Pebble:
    """`async with Pebble(folder, http, https, dns, seconds) as authority`. `http` and `https` are the ports where names are
    looked at, `dns` is `address:port`, `seconds` the life of a certificate."""

    def __init__(self, folder: Path, http: int, https: int, dns: str, seconds: int) -> None:
        self._folder, self._dns = folder / "pebble", dns
        self._ports = {"httpPort": http, "tlsPort": https}
        self._seconds = seconds

    async def __aenter__(self) -> "Pebble":
        self._folder.mkdir()
        self.certificate, key = write_certificate(self._folder)
        self.port = free_port()
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": "",
            "certificate": str(self.certificate),
            "privateKey": str(key),
            **self._ports,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "short", "validityPeriod": self._seconds}},
        }
        path = self._folder / "pebble.json"
        path.write_text(json.dumps({"pebble": settings}))
        self.log = self._folder / "pebble.log"
        with self.log.open("wb") as log:
            # It refuses no nonce by chance: two in a row fail an order, and the next is a minute later.
            self._process = await asyncio.create_subprocess_exec(
                _program(), "-config", str(path), "-dnsserver", self._dns,
                env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        await listening(self._process, "127.0.0.1", self.port, self.log)
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._process)

    @property
    def directory(self) -> str:
        """The ACME directory's URL."""
        return f"https://localhost:{self.port}/dir"


def _program() -> str:
    """On the path, or where interop/peers.sh puts it."""
    ours = Path(__file__).parents[2] / "artefacts" / "peers" / "pebble"
    return shutil.which("pebble") or str(ours)
