"""The servers under measurement, each on one core with the same users: Offhook with its engine, Kamailio with rtpengine."""

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.machine import on_core
from bench.signalling.meter import Meter, tree
from offhook.sip.digest import both_ha1
from offhook.store.database import migrate, open_database
from offhook.store.endpoints import Endpoints
from offhook.store.space import Spaces, write_first_run

HERE = Path(__file__).parent
DOMAIN = "offhook.test"
CALLEE = "callee"
KAMAILIO_UDP, KAMAILIO_WSS, NG_PORT = 15_060, 15_443, 15_022
START_TIME = 90.0
"""Seconds that a server may take to listen."""
SERVE = ("-c", "from offhook.cli import main; main()", "serve")
"""`offhook serve` of the package that is found first."""
WORKERS = 2.0
"""Seconds after the first connection in which Kamailio starts the rest of its processes, which are measured too."""

RAISED = {
    "OFFHOOK_LIMITS_FLOWS_PER_SOURCE": "20000",
    "OFFHOOK_LIMITS_REGISTER_RATE": "1000",
    "OFFHOOK_LIMITS_REGISTER_SOURCE_RATE": "1000000",
    "OFFHOOK_LIMITS_TRANSACTIONS_PER_FLOW": "1000000",
    "OFFHOOK_LIMITS_TRANSACTIONS": "2000000",
    "OFFHOOK_LIMITS_CALL_RATE": "1000",
    "OFFHOOK_RTP_PORTS": "20000-49999",
    "OFFHOOK_LIMITS_UNAUTH_RATE": "1000000",
    "OFFHOOK_LIMITS_OPTIONS_EVERY": "0",
    "OFFHOOK_LIMITS_FIRST_MESSAGE": "600",
    "OFFHOOK_LIMITS_PROOF": "600",
    "OFFHOOK_LIMITS_LOOP_LAG": "5",
    "OFFHOOK_LIMITS_REGISTER_STORM": "1000000",
}
"""What is raised in Offhook for the load: all of it comes from one address, each user does the work of many, and a port of a
call rests before the next one gets it."""


def user(number: int) -> str:
    """The name of a caller or registrant."""
    return f"u{number}"


def password(name: str) -> str:
    """Known to servers and load alike."""
    return f"pw-{name}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What every server is started with, and the core it runs on."""

    folder: Path
    engine: Path
    users: int
    core: int
    package: Path
    """Where the package with the compiled core is, of the server `compiled`."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens. `sip` is host:port for UDP, `wss` the URL for pages; `roots` its process ids by part."""

    name: str
    sip: str
    wss: str
    roots: Mapping[str, int]

    def meter(self) -> Meter:
        """CPU and memory of every part, child processes included."""
        return Meter({name: tree(pid) for name, pid in self.roots.items()})


class Server(Protocol):
    """Starts one server; with `media`, calls are anchored."""

    def __call__(self, setting: Setting, media: bool = ...) -> AbstractAsyncContextManager[Running]: ...


async def prepare(setting: Setting) -> None:
    """Certificate, Offhook's data directory and Kamailio's table, all with the same users."""
    from interop.support.certificate import write_certificate

    setting.folder.mkdir(parents=True, exist_ok=True)
    write_certificate(setting.folder)
    names = [CALLEE, *(user(number) for number in range(setting.users))]
    _prepare_kamailio(setting.folder, names)
    data = setting.folder / "offhook-users"
    data.mkdir(mode=0o700)
    await _prepare_offhook(data, names)


async def _prepare_offhook(data: Path, names: list[str]) -> None:
    engine = open_database(data / "offhook.sqlite")
    await migrate(engine)
    space, token = await Spaces(engine).create(DOMAIN)
    endpoints = Endpoints(engine)
    for name in names:
        md5, sha256 = both_ha1(name, space.realm, password(name))
        await endpoints.create(
            project_id=space.project_id, username=name, ha1_md5=md5, ha1_sha256=sha256, offhook={"max_calls": 100_000}
        )
    await engine.dispose()
    write_first_run(data, {"project_id": space.project_id, "api_token": token, "domain": DOMAIN, "endpoints": []})


def _prepare_kamailio(folder: Path, names: list[str]) -> None:
    (folder / "tls.cfg").write_text(
        "[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\n"
        f"private_key = {folder}/key.pem\ncertificate = {folder}/certificate.pem\n"
    )
    table = folder / "db"
    table.mkdir()
    (table / "version").write_text("table_name(string) table_version(int)\nusers:2\n")
    rows = ["id(int,auto) key_name(string) key_type(int) value_type(int) key_value(string) expires(int)"]
    for number, name in enumerate(names, 1):
        secret = hashlib.md5(f"{name}:{DOMAIN}:{password(name)}".encode()).hexdigest()
        rows.append(f"{number}:{name}:0:0:{secret}:0")
    (table / "users").write_text("\n".join(rows) + "\n")


def offhook(setting: Setting, media: bool = True) -> AbstractAsyncContextManager[Running]:
    """`offhook serve` from the sources; its engine runs whether it is asked for or not."""
    return _offhook(setting, "offhook", SERVE)


def compiled(setting: Setting, media: bool = True) -> AbstractAsyncContextManager[Running]:
    """The same with the core compiled, as wheels can carry it (docs/decisions/0036-compiled-core.md)."""
    return _offhook(setting, "compiled", SERVE, setting.package)


def floor(setting: Setting, media: bool = True) -> AbstractAsyncContextManager[Running]:
    """What no telephone system in Python, with this loop and this engine, could do without (floor.py)."""
    return _offhook(setting, "floor", ("-m", "bench.signalling.floor"))


@asynccontextmanager
async def _offhook(
    setting: Setting, name: str, program: tuple[str, ...], package: Path | None = None
) -> AsyncIterator[Running]:
    """A program with a data directory of its own, from the given package or from where this one comes from."""
    data = setting.folder / "offhook-data"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(setting.folder / "offhook-users", data)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")} | RAISED
    environment |= {
        "OFFHOOK_DATA": str(data), "OFFHOOK_HTTP_PORT": "0", "OFFHOOK_HTTPS_PORT": "0", "OFFHOOK_SIP_PORT": "0",
        "OFFHOOK_SIPS_PORT": "0", "OFFHOOK_MEDIA_PORT": "0", "OFFHOOK_MEDIA_SHARDS": "1", "OFFHOOK_DOMAIN": DOMAIN,
        "OFFHOOK_HTTP_CERTIFICATE": str(setting.folder / "certificate.pem"),
        "OFFHOOK_HTTP_KEY": str(setting.folder / "key.pem"), "OFFHOOK_MEDIA_BINARY": str(setting.engine),
    }  # fmt: skip
    if package is not None:
        environment["PYTHONPATH"] = str(package)
    log = setting.folder / f"{name}.log"
    async with on_core(setting.core, log, sys.executable, *program, environment=environment) as process:
        running = await _until_written(data / "running.json", process, log)
        roots = {"signalling": process.pid}
        parts = {"signalling": running["pid"], "media": running["engine_pid"]}
        yield OffhookRunning(name, running["sip"], running["wss_url"], roots, parts)


@dataclass(frozen=True, slots=True)
class OffhookRunning(Running):
    """The engine is a child of the server: its part is told apart by its process id."""

    pids: Mapping[str, int]

    def meter(self) -> Meter:
        return Meter({name: [pid] for name, pid in self.pids.items()})


def _facts(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


async def _until_written(path: Path, process: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    with suppress(TimeoutError):
        async with asyncio.timeout(START_TIME):
            while process.returncode is None:
                if path.exists():  # noqa: ASYNC240 - the file is the signal; nothing can be awaited for it
                    return _facts(path)
                await asyncio.sleep(0.05)
    raise RuntimeError(f"offhook serve did not start; its words are in {log}")


@asynccontextmanager
async def kamailio(setting: Setting, media: bool = True) -> AsyncIterator[Running]:
    """Kamailio, with `media` beside an rtpengine in user space."""
    folder = setting.folder / "kamailio"
    folder.mkdir(exist_ok=True)
    command = [
        "kamailio", "-f", str(HERE / "kamailio.cfg"), "-m", "2048", "-M", "32", "-w", str(folder), "-Y", str(folder),
        "-A", f"PORT_UDP={KAMAILIO_UDP}", "-A", f"PORT_WSS={KAMAILIO_WSS}", "-A", f"DOMAIN={DOMAIN}",
        f"--subst=!__FOLDER__!{setting.folder}!g", f"--subst=!__NG__!{NG_PORT}!g", "-DD", "-E",
    ]  # fmt: skip
    log = setting.folder / "kamailio.log"
    sip, wss = f"127.0.0.1:{KAMAILIO_UDP}", f"wss://127.0.0.1:{KAMAILIO_WSS}"
    if not media:
        async with on_core(setting.core, log, *command) as process:
            await _until_listening(KAMAILIO_WSS)
            yield Running("kamailio", sip, wss, {"signalling": process.pid})
        return
    relay = (
        "rtpengine", "--config-file=none", "--table=-1", "--num-threads=1", "--foreground", "--interface=127.0.0.1",
        f"--listen-ng=127.0.0.1:{NG_PORT}", "--port-min=20000", "--port-max=39999", "--log-level=3", "--log-stderr",
        "--delete-delay=0",
    )  # fmt: skip
    async with (
        on_core(setting.core, setting.folder / "rtpengine.log", *relay) as beside,
        on_core(setting.core, log, *command, "-A", "WITH_MEDIA") as process,
    ):
        await _until_listening(KAMAILIO_WSS)
        yield Running("kamailio", sip, wss, {"signalling": process.pid, "media": beside.pid})


async def _until_listening(port: int) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(START_TIME):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    await asyncio.sleep(WORKERS)
                    return
                await asyncio.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port} after {START_TIME} s")


SERVERS: dict[str, Server] = {"offhook": offhook, "kamailio": kamailio, "compiled": compiled, "floor": floor}
USUAL = "offhook,kamailio"
"""Those that are measured unless others are asked for."""
