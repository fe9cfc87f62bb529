"""The composition root: makes every part and hands each what it needs."""

import asyncio
import contextlib
import json
import os
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from offhook import __version__
from offhook.api.app import ApiSettings
from offhook.api.app import create as create_api
from offhook.calls.commands import HangUpCall, UseTrunk
from offhook.calls.events import EngineReady
from offhook.calls.outbound import Outbound, OutboundSettings
from offhook.calls.switchboard import Switchboard
from offhook.calls.trunk import Trunk
from offhook.calls.trunks import Trunks
from offhook.media.engine import OverTcp
from offhook.media.process import MediaOptions, MediaProcess
from offhook.server import profiles
from offhook.server.book import Book
from offhook.server.calling import Calling
from offhook.server.certificates.keeper import CertificateKeeper
from offhook.server.comeback import take_back
from offhook.server.config import Settings
from offhook.server.core_settings import CoreSettings
from offhook.server.data_directory import RUNNING
from offhook.server.descriptors import raise_limit
from offhook.server.directing import directing_of
from offhook.server.directory import Sockets, StoreDirectory
from offhook.server.drain import RESTART, Drain
from offhook.server.draining import Draining
from offhook.server.driver import Driver
from offhook.server.ears import Ears
from offhook.server.errors import StartError
from offhook.server.gate import TokenGate
from offhook.server.homer import Homer
from offhook.server.ids import SystemIds
from offhook.server.keeping import TraceKeeper
from offhook.server.listeners import Listeners, parser_limits, settle_parsers
from offhook.server.load import LoadWatch
from offhook.server.nodes import Neighbours, node_id
from offhook.server.number_plan import WorldPlan
from offhook.server.observe import log
from offhook.server.opening import opened
from offhook.server.platform import ServerPlatform
from offhook.server.profiles import Profiles
from offhook.server.recorder import Recorder
from offhook.server.shares import Shares
from offhook.server.sweeping import Sweeps
from offhook.server.telling import open_telling
from offhook.server.tokens import Tokens
from offhook.sip.credentials import Authenticator, derived_key
from offhook.sip.digest import both_ha1
from offhook.sip.endpoint import SipEndpoint
from offhook.store.database import open_database
from offhook.store.events import Event
from offhook.store.journal import Journal as CallJournal
from offhook.store.space import FIRST_RUN, write_first_run
from offhook.transport.flow import FlowTable

SHIPPED_SOUNDS = Path(str(files("offhook"))) / "sounds"
"""Prompts and music of the package; those in the data directory go before them."""
FAREWELL = 1.0
"""Seconds in which the calls of a server that stops are ended and logged."""
SWEEP = 30.0
"""Seconds between sweeps of expired bindings that no timer of the core has taken away."""


@dataclass
class App:
    """One server, in a data directory that the process holds (data_directory.py). `start`, then `stop`; lifecycle.py does
    both around signals."""

    settings: Settings
    ears: Ears
    _sweeping: asyncio.Task[None] | None = None
    _keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Brings every part up in order. Raises StartError."""
        settings = self.settings
        self._engine = open_database(settings.store.url.get_secret_value() or settings.data / "offhook.sqlite")
        self.store, self.first_run = await opened(settings, self._engine)
        raise_limit(settings.limits.flows)
        epoch = time.time() - asyncio.get_running_loop().time()
        before = await self._make_parts(epoch)
        self.driver.hold_media_events()
        await self._start_media()
        taken = await self._take_calls_back(before)
        self.driver.release_media_events()
        self.draining = Draining(self)
        self.telling.events.listen(self._count_event)
        self.platform = ServerPlatform(self)
        root = self.store.space.project_id
        self.driver.use_countries(lambda ref: self.profiles.country(self.platform.project_of_call(ref) or root))
        await self._listen()
        await self._copy_to_homer(epoch)
        await self._load_bindings()
        self.shares = Shares(self, self._engine, node_id(self.settings.data))
        await self.shares.begin()
        self._take_trunks_into_service()
        for one in self.store.applications:
            self.platform.reception.application_changed(one.id)
        for project in {root} | self.profiles.moved():
            await profiles.apply(self, project)
        if taken:
            log.info("calls taken back", count=taken)
            self.driver.tell(EngineReady())
        self.neighbours = Neighbours(self, self._engine)
        await self.neighbours.start()
        self._start_background()
        self._write_running()
        self._tell_of_node("node.started")

    async def _make_parts(self, epoch: float) -> dict[str, bytes]:
        """The core, and what stands around it; nothing is listened to yet. Returns the journal of an earlier process."""
        settings, ids = self.settings, SystemIds()
        self.flows = FlowTable(settings.limits.flows, settings.limits.flows_per_source)
        self.sockets = Sockets(self.flows)
        sip = settings.sip
        own = self._own_hosts()
        private = settings.media.private_addresses_of_trunks
        self.profiles = Profiles(
            self.store, own, settings.http.origins, sip.domain_suffix, sip.country, sip.project_aliases, private
        )
        core = CoreSettings(settings, self.store.space, self.profiles, epoch)
        self.tokens = await self._token_keys()
        self.authenticator = Authenticator(core.auth(), self.store.space.secret, ids, self.tokens)
        endpoint = SipEndpoint(core.sip(), ids, self.authenticator)
        outbound = self._outbound(core.outbound(), ids)
        switchboard = Switchboard(core.calls(), ids, self.authenticator, outbound)
        if switchboard.gateway is not None:
            endpoint.use_gate(switchboard.gateway)
        directory = self.directory = StoreDirectory(self.store, self.profiles)
        endpoint.use_rport(self._forces_rport)
        self.book = Book(CallJournal(settings.data / "journal.sqlite"), self.store.writer, endpoint.dialog_record)
        before = self.book.journal.load()
        self.book.journal.start()
        settle_parsers(settings)
        limits = parser_limits(settings)
        recorder = Recorder(core.trace(), switchboard.of_usage, settings.trace.enabled)
        self.driver = Driver(endpoint, switchboard, directory, self.sockets, self.book, limits, recorder)
        self.telling = await open_telling(settings, self._engine, self.store, switchboard, endpoint, before)
        self.driver.use_outside(directing_of(self))
        self.calling = Calling.of(self, self._engine)
        await self.calling.hear(self.driver, self.telling.happenings)
        self.driver.use_gate(TokenGate(self.authenticator, directory, epoch))
        self.keeper = self._make_keeper(recorder, switchboard, epoch)
        self.certificates = CertificateKeeper(settings)
        self.certificates.prepare()
        self._listening = Listeners(settings, self.flows, self.driver, self.ears, self.certificates)
        return before

    async def _take_calls_back(self, before: dict[str, bytes]) -> int:
        """How many calls of an earlier process go on; before anybody can speak in their dialogs."""
        taken = await take_back(before, self.book, self.driver, self.media.engine, self.trunks() if before else {})
        for call in self.driver.switchboard.calls():
            self.driver.recorder.taken_back(call)
        return taken

    def _start_background(self) -> None:
        """What runs by itself, beside calls."""
        self.shares.start()
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep of bindings")
        self._keeping = asyncio.create_task(self.keeper.run(), name="traces of ended calls")
        self.telling.start()
        self.sweeps = Sweeps(self.settings, self._engine, self.store.texts)
        self.sweeps.start()
        self._load = LoadWatch(self.settings.limits.loop_lag, self.driver.overloaded)
        self.certificates.start()

    @property
    def loop_lag(self) -> float:
        """Seconds that the loop was late when it last looked."""
        return self._load.lag if hasattr(self, "_load") else 0.0

    def _forces_rport(self, username: str) -> bool:
        account = self.store.account(username)
        return account is not None and account.force_rport

    def reload(self) -> None:
        """Looks at the certificate's files at once."""
        if self.certificates.served is not None:
            self.certificates.served.reload()

    def _count_event(self, event: Event) -> None:
        self.driver.tally.webhooks_failed += event.type == "webhook.failed"

    async def drain(self) -> None:
        """Takes no new calls and closes connections as they become idle; ends when none and no call is left."""
        self.driver.drain()
        self._tell_of_node("node.draining")
        calls = self.driver.switchboard.calls
        spread = self.settings.limits.drain_spread
        await Drain(self.flows, self.driver.in_use, lambda: bool(calls()), spread).run()

    def _tell_of_node(self, type_: str) -> None:
        calls = len(self.driver.switchboard.calls())
        data = {
            "node": node_id(self.settings.data),
            "version": __version__,
            "calls": calls,
            "listeners": self.listeners,
        }
        self.telling.happenings.of_node(type_, data)

    async def stop(self, keep_calls: bool = False) -> None:
        """Takes every part down; safe after a start that failed half way. `keep_calls` leaves engine and journal as they are
        for the next start, which takes the calls back; without it calls that are up end here."""
        (self.settings.data / RUNNING).unlink(missing_ok=True)
        self.ears.close()
        if hasattr(self, "driver") and not keep_calls:
            await self._end_calls()
        if hasattr(self, "shares"):
            await self.shares.stop(for_good=not keep_calls)
        await self._stop_background()
        await self._stop_listening()
        if hasattr(self, "tokens"):
            await self.tokens.stop()
        if hasattr(self, "media"):
            await (self.media.leave() if keep_calls else self.media.stop())
        if hasattr(self, "keeper"):
            await self.keeper.keep(asyncio.get_running_loop().time(), patience=0.0)
        if hasattr(self, "telling"):
            self.calling.stop()
            await self.telling.stop()
        if hasattr(self, "store"):
            await self.store.writer.stop()
        if hasattr(self, "book"):
            self.book.journal.stop()
        if hasattr(self, "_engine"):
            await self._engine.dispose()

    async def _stop_listening(self) -> None:
        if hasattr(self, "_listening"):
            for path in self.flows:
                path.close(RESTART, "node-draining")
            self._listening.close()
        if hasattr(self, "certificates"):
            await self.certificates.stop()
        if hasattr(self, "driver") and self.driver.homer is not None:
            self.driver.homer.close()

    async def _stop_background(self) -> None:
        """The same, in any state of a start."""
        for task in (self._sweeping, self._keeping):
            if task is not None:
                task.cancel()
        if hasattr(self, "neighbours"):
            await self.neighbours.stop()
        if hasattr(self, "sweeps"):
            await self.sweeps.stop()
        if hasattr(self, "_load"):
            self._load.stop()
        if hasattr(self, "draining"):
            self.draining.stop()

    async def _end_calls(self) -> None:
        """Everybody who talks is told, and every call is logged."""
        for call in self.driver.switchboard.calls():
            self.driver.command(HangUpCall(call.ref, "node_stopped"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                while not self.driver.idle:  # noqa: ASYNC110 - the engine's last answers; nothing tells of them all
                    await asyncio.sleep(0.01)

    # ---- parts

    def _own_hosts(self) -> frozenset[str]:
        from offhook.server.addresses import host_addresses

        settings, space = self.settings, self.store.space
        names = {space.domain, "localhost", *settings.sip.aliases, *settings.media.public_address}
        return frozenset(name.lower() for name in (*names, *host_addresses()))

    def _make_keeper(self, recorder: Recorder, switchboard: Switchboard, epoch: float) -> TraceKeeper:
        per_turn = self.settings.trace.stored_per_second
        return TraceKeeper(recorder, switchboard.call, switchboard.is_call, self.store.traces, per_turn, epoch)

    async def _token_keys(self) -> Tokens:
        space, sip = self.store.space, self.settings.sip
        own = derived_key(space.secret, "token")
        tokens = Tokens(space.realm, own, sip.token_jwks, sip.token_issuer)
        try:
            await tokens.start()
        except ValueError as error:
            raise StartError(str(error)) from None
        return tokens

    def _outbound(self, settings: OutboundSettings, ids: SystemIds) -> Outbound:
        """The way out of the space: trunks, numbering plans, policies."""
        longest_aside = self.settings.limits.trunk_set_aside
        lines = Trunks(self.store.space.domain, ids, self.authenticator.key("trunk lines"), longest_aside)
        return Outbound(settings, self.profiles.hosts, WorldPlan(), lines, ids, self.profiles.domains)

    def _take_trunks_into_service(self) -> None:
        for row in self.store.trunks:
            if row.broken:
                log.error("a trunk's password cannot be read", trunk=row.name, text=row.broken)
        for trunk in self.trunks().values():
            self.driver.command(UseTrunk(trunk))
        for row in self.store.trunks:
            if row.settings.get("draining"):
                self.draining.watch(row.id)

    def trunks(self) -> dict[str, Trunk]:
        """By id."""
        return {row.id: self.profiles.trunk(row) for row in self.store.trunks}

    async def _start_media(self) -> None:
        settings = self.settings
        options = MediaOptions(
            control=settings.data / "media.sock",
            webrtc_port=settings.media.port,
            rtp_ports=settings.rtp_range,
            public_addresses=settings.media.public_address,
            offer_loopback=settings.media.offer_loopback and settings.http.loopback,
            sha_1_fingerprints=settings.media.sha_1_fingerprints,
            shards=settings.media.shards,
            single_port=settings.media.single_port,
            pin=settings.media.pin,
            grace=settings.media.grace,
            sounds=(settings.data / "sounds", SHIPPED_SOUNDS),
            recordings=settings.data / "recordings",
        )
        self.media = MediaProcess(options, self.driver.media_event, self.driver.engine_lost, self._media_ready)
        try:
            await self.media.start()
        except (OSError, RuntimeError) as error:
            raise StartError(f"the media engine does not start: {error}") from error
        self.driver.use_engine(self.media.engine)

    def _media_ready(self) -> None:
        self.driver.use_engine(self.media.engine)
        self.driver.tell(EngineReady())
        if hasattr(self, "platform") and self.listeners:
            self._write_running()

    async def _listen(self) -> None:
        settings = self.settings
        page = Path(str(files("offhook") / "web"))
        api = create_api(
            self.platform,
            both_ha1,
            ApiSettings(
                body_bytes=settings.limits.body_bytes,
                login_failures_per_minute=settings.limits.login_failures_per_minute,
                password_min_length=settings.sip.password_min_length,
                writes_per_second=settings.limits.api_writes_per_second,
                reads_per_second=settings.limits.api_reads_per_second,
                cors_origins=settings.http.cors_origins,
                guest_addresses=settings.limits.guest_addresses,
            ),
            asyncio.get_running_loop().time,
            page,
            self.driver.tally.answered,
            self._everywhere,
        )
        self.sockets.datagram = self._listening.datagrams
        over_tcp = settings.media.ice_tcp
        await self._listening.open(api, self.profiles.origins, self.media.hand_over if over_tcp else None)
        if over_tcp:
            self.media.announce_tcp(OverTcp(*self._listening.browsers))
        self.driver.use_peers(self._listening.ways_out(SystemIds()))

    async def _copy_to_homer(self, epoch: float) -> None:
        settings = self.settings.homer
        if not settings.server:
            return
        self.driver.homer = Homer(settings.agent, settings.key.get_secret_value(), self.sockets.known, epoch)
        host, _, port = settings.server.rpartition(":")
        try:
            await self.driver.homer.open(host, int(port))
        except (OSError, OverflowError) as error:
            raise StartError(f"homer.server {settings.server}: {getattr(error, 'strerror', None) or error}") from error

    async def _everywhere(self) -> None:
        """Other nodes know what the API has written here."""
        if hasattr(self, "neighbours"):
            await self.neighbours.everywhere()

    # ---- bindings

    async def _load_bindings(self) -> None:
        assert self.sockets.datagram is not None
        now = asyncio.get_running_loop().time()
        kept = await self.store.bindings.load(self.sockets.datagram.flow, now)
        for aor, bindings in kept.items():
            self.driver.restored(aor, bindings)
        if kept:
            log.info("bindings of phones taken up", count=sum(len(one) for one in kept.values()))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self.store.bindings.expire(asyncio.get_running_loop().time())
            self.store.devices.only_of(self.store.endpoints)
            self.telling.events.forget(self.driver.switchboard.is_call)

    # ---- what runs where

    def _write_running(self) -> None:
        """`running.json`: where the command line and tests find this server (mode 0600)."""
        if self.first_run is not None:
            facts = {**self.first_run, "http_url": self.http_url, "websocket_url": self.websocket_url}
            write_first_run(self.settings.data, facts)
        # Last, because whoever waits for it reads the other file next.
        path = self.settings.data / RUNNING
        partial = path.with_suffix(".part")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self.running(), file, indent=2)
        partial.replace(path)

    def running(self) -> dict[str, Any]:
        """Where everything listens, and which processes run."""
        facts = {
            "pid": os.getpid(),
            "version": __version__,
            "project_id": self.store.space.project_id,
            "domain": self.store.space.domain,
            "http_url": self.http_url,
            "websocket_url": self.websocket_url,
            "sip": self.listeners["sip"],
            "engine_pid": self.media.engine.pid,
            "webrtc_ports": list(self.media.engine.webrtc_ports),
            "settings": self.settings.model_dump(mode="json", exclude_defaults=True),
        }
        if "https" in self.listeners:
            port = self.listeners["https"].rpartition(":")[2]
            facts |= {
                "https_url": f"https://{self.page_host}:{port}",
                "wss_url": f"wss://{self.page_host}:{port}",
            }
            facts["sips"] = self.listeners["sips"]
        return facts

    @property
    def page_host(self) -> str:
        """What a browser on this machine calls us."""
        http = self.settings.http
        first = http.host.partition(",")[0]
        return "localhost" if http.loopback or first in ("0.0.0.0", "::") else first

    @property
    def listeners(self) -> dict[str, str]:
        """What listens where."""
        return self._listening.addresses

    @property
    def http_url(self) -> str:
        """Where a browser on this machine opens the page."""
        return f"http://{self.page_host}:{self.listeners['http'].rpartition(':')[2]}"

    @property
    def websocket_url(self) -> str:
        """Where a page on this machine connects."""
        return self.http_url.replace("http", "ws", 1)


__all__ = ["FIRST_RUN", "App", "StartError"]
