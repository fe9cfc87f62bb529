"""The composition root: makes every part and hands each what it needs."""

import asyncio
import contextlib
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from offhook import __version__
from offhook.api.app import ApiSettings
from offhook.api.app import create as create_api
from offhook.calls.commands import HangUpCall, UseTrunk
from offhook.calls.events import EngineReady
from offhook.calls.numbers import dialled_in, is_emergency
from offhook.calls.outbound import Outbound, OutboundSettings
from offhook.calls.switchboard import CallConfig, Switchboard
from offhook.calls.thresholds import Thresholds
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
from offhook.server.data_directory import RUNNING
from offhook.server.descriptors import raise_limit
from offhook.server.directing import directing_of
from offhook.server.directory import Sockets, Store, StoreDirectory
from offhook.server.drain import RESTART, Drain
from offhook.server.draining import Draining
from offhook.server.driver import Driver
from offhook.server.ears import Ears
from offhook.server.errors import StartError
from offhook.server.gate import TokenGate
from offhook.server.homer import Homer
from offhook.server.ids import SystemIds
from offhook.server.keeping import TraceKeeper
from offhook.server.listeners import Listeners, parser_limits
from offhook.server.load import LoadWatch
from offhook.server.nodes import Neighbours, node_id, reach
from offhook.server.number_plan import WorldPlan
from offhook.server.observe import log
from offhook.server.platform import ServerPlatform
from offhook.server.profiles import Profiles
from offhook.server.recorder import Recorder, TraceLimits
from offhook.server.shares import Shares
from offhook.server.sweeping import Sweeps
from offhook.server.telling import open_telling
from offhook.server.tokens import Tokens
from offhook.sip.config import RegistrarLimits, SipConfig, StrangerLimits, SubscriptionLimits
from offhook.sip.credentials import Authenticator, AuthSettings, derived_key
from offhook.sip.digest import both_ha1
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.timers import Timers as SipTimers
from offhook.sip.transaction.table import TransactionLimits
from offhook.sip.uri import Uri
from offhook.store.addresses import Addresses
from offhook.store.answers import Answers
from offhook.store.applications import ApplicationRows
from offhook.store.bindings import Bindings
from offhook.store.caller_ids import CallerIdRows
from offhook.store.database import alone, migrate, open_database
from offhook.store.devices import Devices
from offhook.store.endpoints import Endpoints
from offhook.store.events import Event
from offhook.store.journal import Journal as CallJournal
from offhook.store.numbers import NumberRows
from offhook.store.projects import Projects
from offhook.store.resources import Resources
from offhook.store.space import FIRST_RUN, Space, Spaces, write_first_run
from offhook.store.spool import FILE as SPOOL
from offhook.store.spool import Spool
from offhook.store.tables import metadata
from offhook.store.texts import Texts
from offhook.store.traces import Traces
from offhook.store.trunks import TrunkRows
from offhook.store.vault import Vault
from offhook.store.writer import Writer
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
        self.store, self.first_run = await self._open_store()
        ids = SystemIds()
        raise_limit(settings.limits.flows)
        self.flows = FlowTable(settings.limits.flows, settings.limits.flows_per_source)
        self.sockets = Sockets(self.flows)
        sip = settings.sip
        own = self._own_hosts()
        private = settings.media.private_addresses_of_trunks
        self.profiles = Profiles(
            self.store, own, settings.http.origins, sip.domain_suffix, sip.country, sip.project_aliases, private
        )
        self._hosts = self.profiles.hosts
        self.tokens = await self._token_keys()
        self.authenticator = Authenticator(self._auth_settings(), self.store.space.secret, ids, self.tokens)
        endpoint = SipEndpoint(self._sip_config(), ids, self.authenticator)
        outbound = self._outbound(ids)
        switchboard = Switchboard(self._call_config(), ids, self.authenticator, outbound)
        if switchboard.gateway is not None:
            endpoint.use_gate(switchboard.gateway)
        directory = self.directory = StoreDirectory(self.store, self.profiles)
        endpoint.use_rport(self._forces_rport)
        self.book = Book(CallJournal(settings.data / "journal.sqlite"), self.store.writer, endpoint.dialog_record)
        before = self.book.journal.load()
        self.book.journal.start()
        limits = parser_limits(settings)
        recorder = Recorder(self._trace_limits(), switchboard.of_usage, settings.trace.enabled)
        self.driver = Driver(endpoint, switchboard, directory, self.sockets, self.book, limits, recorder)
        self.telling = await open_telling(settings, self._engine, self.store, switchboard, endpoint, before)
        self.driver.use_outside(directing_of(self))
        root = self.store.space.project_id
        self.calling = Calling.of(self, self._engine)
        await self.calling.hear(self.driver, self.telling.happenings)
        self.driver.use_gate(TokenGate(self.authenticator, directory, self._auth_settings().epoch))
        self.keeper = self._make_keeper(recorder, switchboard)
        self.certificates = CertificateKeeper(settings)
        self.certificates.prepare()
        self._listening = Listeners(settings, self.flows, self.driver, self.ears, self.certificates)
        self.driver.hold_media_events()
        await self._start_media()
        # Before anybody can speak in their dialogs.
        taken = await take_back(before, self.book, self.driver, self.media.engine, self.trunks() if before else {})
        for call in switchboard.calls():
            recorder.taken_back(call)
        self.driver.release_media_events()
        self.draining = Draining(self)
        self.telling.events.listen(self._count_event)
        self.platform = ServerPlatform(self)
        self.driver.use_countries(lambda ref: self.profiles.country(self.platform.project_of_call(ref) or root))
        await self._listen()
        await self._copy_to_homer()
        await self._load_bindings()
        self.shares = Shares(self, self._engine, node_id(self.settings.data))
        await self.shares.begin()
        self._take_trunks_into_service()
        for one in self.store.applications:
            self.platform.reception.application_changed(one.id)
        for project in {self.store.space.project_id} | self.profiles.moved():
            await profiles.apply(self, project)
        if taken:
            log.info("calls taken back", count=taken)
            self.driver.tell(EngineReady())
        self.neighbours = Neighbours(self, self._engine)
        await self.neighbours.start()
        self.shares.start()
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep of bindings")
        self._keeping = asyncio.create_task(self.keeper.run(), name="traces of ended calls")
        self.telling.start()
        self.sweeps = Sweeps(settings, self._engine, self.store.texts)
        self.sweeps.start()
        self._load = LoadWatch(settings.limits.loop_lag, self.driver.overloaded)
        self.certificates.start()
        self._write_running()
        self._tell_of_node("node.started")

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
        """What runs by itself, beside calls."""
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

    async def _open_store(self) -> tuple[Store, dict[str, Any] | None]:
        data = self.settings.data
        self._engine = open_database(self.settings.store.url.get_secret_value() or data / "offhook.sqlite")
        await reach(self._engine, self.settings.store.start_wait)
        async with alone(self._engine):
            return await self._load_store()

    async def _load_store(self) -> tuple[Store, dict[str, Any] | None]:
        data = self.settings.data
        await migrate(self._engine)
        addresses = Addresses(self._engine)
        await addresses.load()
        spaces, endpoints = Spaces(self._engine), Endpoints(self._engine, addresses)
        resources = Resources(self._engine, addresses)
        spool = Spool(data / SPOOL, metadata, self.settings.store.waiting_rows)
        writer = Writer(self._engine, spool, lambda event, facts: log.warning(event, **facts))
        writer.start()
        bindings = Bindings(self._engine, writer, node_id(data))
        await endpoints.load()
        await resources.load()
        space = await spaces.load()
        first: dict[str, Any] | None = None
        if space is None:
            space, token = await spaces.create(self.settings.sip.domain)
            first = await self._first_endpoints(space, token, endpoints)
        elif self.settings.sip.domain not in ("localhost", space.domain):
            # The realm is in every stored HA1: another domain would lock every device out without a word.
            raise StartError(
                f"sip.domain is {self.settings.sip.domain}, but this installation was made for {space.domain}."
                " Give the new name in sip.aliases, or start with another data directory."
            )
        traces = Traces(self._engine, writer)
        limits = self.settings.limits
        texts = Texts(self._engine, writer, limits.texts_kept, limits.text_days)
        await texts.load()
        vault = Vault(space.secret)
        projects = Projects(self._engine, vault)
        await projects.load()
        trunks, numbers = TrunkRows(self._engine, vault), NumberRows(self._engine, writer)
        await trunks.load()
        await numbers.load()
        caller_ids, applications = CallerIdRows(self._engine), ApplicationRows(self._engine)
        await caller_ids.load()
        await applications.load()
        answers = Answers(self._engine, limits.idempotency_keys)
        await answers.load()
        devices = Devices(self._engine, writer, limits.devices_kept)
        await devices.load()
        return Store(
            space,
            spaces,
            endpoints,
            bindings,
            traces,
            texts,
            writer,
            trunks,
            numbers,
            addresses,
            resources,
            projects,
            caller_ids,
            applications,
            answers,
            devices,
        ), first

    async def _first_endpoints(self, space: Space, token: str, endpoints: Endpoints) -> dict[str, Any]:
        import secrets

        made = []
        for username in ("alice", "bob"):
            password = secrets.token_urlsafe(9)
            md5, sha256 = both_ha1(username, space.realm, password)
            await endpoints.create(
                project_id=space.project_id,
                username=username,
                caller_id=username.capitalize(),
                ha1_md5=md5,
                ha1_sha256=sha256,
            )
            uri = f"sip:{username}@{space.domain}"
            made.append({"username": username, "password": password, "uri": uri})
        return {"project_id": space.project_id, "api_token": token, "domain": space.domain, "endpoints": made}

    def _own_hosts(self) -> frozenset[str]:
        from offhook.server.addresses import host_addresses

        settings, space = self.settings, self.store.space
        names = {space.domain, "localhost", *settings.sip.aliases, *settings.media.public_address}
        return frozenset(name.lower() for name in (*names, *host_addresses()))

    def _trace_limits(self) -> TraceLimits:
        trace = self.settings.trace
        return TraceLimits(per_strand=trace.messages_per_dialog, bytes=trace.megabytes * 1_048_576, calls=trace.calls)

    def _make_keeper(self, recorder: Recorder, switchboard: Switchboard) -> TraceKeeper:
        epoch = time.time() - asyncio.get_running_loop().time()
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

    def _auth_settings(self) -> AuthSettings:
        limits = self.settings.limits
        return AuthSettings(
            realm=self.store.space.realm,
            hosts=self._hosts,
            domains=self.profiles.domains,
            digest_order=self.settings.sip.digest_order,
            digest_uri=self.settings.sip.digest_uri,
            ephemeral_hash=self.settings.sip.ephemeral_hash,
            authz_server=self.settings.sip.authz_server,
            nonce_life=limits.nonce_life,
            trust_for=limits.flow_trust,
            trusted_flows=limits.flows,
            fails_per_user=limits.fails_per_user,
            epoch=time.time() - asyncio.get_running_loop().time(),
            fails_per_user_source=limits.fails_per_user_source,
            fails_per_source=limits.fails_per_source,
        )

    def _sip_config(self) -> SipConfig:
        limits = self.settings.limits
        return SipConfig(
            domain=self.store.space.domain,
            aliases=self._hosts,
            domains=self.profiles.domains,
            realm=self.store.space.realm,
            trusted_proxies=self.settings.sip.trusted_proxies,
            outbound_strict=self.settings.sip.outbound_strict,
            epoch=time.time() - asyncio.get_running_loop().time(),
            force_rport=self.settings.sip.force_rport,
            timers=SipTimers(t1=self.settings.sip.t1),
            session_expires=self.settings.sip.session_expires,
            min_se=self.settings.sip.min_se,
            leg_queue=limits.leg_queue,
            tombstone=limits.tombstone,
            most_dialogs=limits.dialogs,
            strangers=StrangerLimits(limits.unauth_rate, 2 * limits.unauth_rate),
            urgent=self._is_emergency,
            transactions=TransactionLimits(limits.transactions, limits.transactions_per_flow, limits.datagram),
            subscriptions=SubscriptionLimits(per_endpoint=limits.subscriptions_per_endpoint),
            registrar=RegistrarLimits(
                expires_min=limits.expires_min,
                expires_max=limits.expires_max,
                contacts_per_aor=limits.contacts_per_aor,
                storm=limits.register_storm,
                probe_after=limits.options_every,
                probe_rate=limits.options_rate,
                rate_per_aor=limits.register_rate,
                rate_per_source=limits.register_source_rate,
                burst_per_source=3 * limits.register_source_rate,
            ),
        )

    def _is_emergency(self, uri: Uri) -> bool:
        country = self.profiles.domains.country(self.profiles.domains.of(uri.host)) or self.settings.sip.country
        return is_emergency(dialled_in(uri), country, WorldPlan(), self.settings.numbers.emergency)

    def _call_config(self) -> CallConfig:
        limits = self.settings.limits
        return CallConfig(
            domain=self.store.space.domain,
            hosts=self._hosts,
            domains=self.profiles.domains,
            ring_seconds=self.settings.sip.ring_seconds,
            hold=self.settings.sip.hold,
            language=self.settings.sounds.language,
            conference_tones=self.settings.sounds.conference_tones,
            parked_seconds=self.settings.calls.parked_seconds,
            ended_kept=self.settings.calls.ended_kept,
            thresholds=Thresholds(**self.settings.quality.model_dump()),
            document_hops=limits.document_redirects,
            flow_grace=limits.flow_grace,
            detached_silence=limits.detached_silence,
            late_caller=limits.late_caller,
            reload_grace=limits.reload_grace,
            detached_limit=limits.detached_limit,
            reopen_limit=limits.reopen_limit,
            reopen_handshake=limits.reopen_handshake,
            reopen_silence=limits.reopen_silence,
            late_arrival=limits.late_arrival,
            late_asleep=limits.late_asleep,
            media_timeout=limits.media_timeout,
            tombstone=limits.tombstone,
            call_rate=limits.call_rate,
            text_rate=limits.text_rate,
            text_max=limits.text_max,
            info_rate=limits.info_rate,
            store_texts=self.settings.sip.store_texts,
            fork_targets=limits.fork_targets,
            forward_hops=limits.forward_hops,
            pass_headers=self.settings.sip.pass_headers,
            refer_hosts=frozenset(host.lower() for host in self.settings.sip.refer_hosts),
        )

    def _outbound(self, ids: SystemIds) -> Outbound:
        """The way out of the space: trunks, numbering plans, policies."""
        sip, limits, space = self.settings.sip, self.settings.limits, self.store.space
        now = datetime.now(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        settings = OutboundSettings(
            country=sip.country,
            emergency=self.settings.numbers.emergency,
            enabled=sip.pstn_enabled,
            external_sip=sip.external_sip,
            strict_caller_id=sip.strict_caller_id,
            tries=limits.trunk_tries,
            ring_seconds=limits.trunk_ring_time,
            rate=limits.trunk_call_rate,
            burst=5 * limits.trunk_call_rate,
            foreign_rate=limits.foreign_rate,
            day_ends=asyncio.get_running_loop().time() + (midnight - now).total_seconds(),
        )
        return Outbound(
            settings,
            self._hosts,
            WorldPlan(),
            Trunks(space.domain, ids, self.authenticator.key("trunk lines")),
            ids,
            self.profiles.domains,
        )

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

    async def _copy_to_homer(self) -> None:
        settings = self.settings.homer
        if not settings.server:
            return
        epoch = time.time() - asyncio.get_running_loop().time()
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
