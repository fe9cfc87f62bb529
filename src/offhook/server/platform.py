"""The server as the API sees it (offhook.api.ports.Platform)."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from offhook import __version__
from offhook.api.call_ports import CallDesk
from offhook.api.certificate_ports import CertificateDesk
from offhook.api.device_ports import DeviceDesk
from offhook.api.event_ports import EventDesk, WebhookDesk
from offhook.api.fabric_ports import AddressRows, ResourceRows
from offhook.api.number_ports import Reception
from offhook.api.ports import EndpointRows, KeptThings, NumberRows, TokenRow, TrunkRows
from offhook.api.project_ports import ApiTokenRows, ProjectRows
from offhook.api.recording_ports import RecordingDesk
from offhook.api.times import milliseconds
from offhook.api.token_ports import TokenOffice
from offhook.calls.call import Call
from offhook.calls.commands import DropTrunk, HangUpCall, HangUpEndpoint, RegisterTrunk, UseTrunk
from offhook.calls.ports import LegFacts
from offhook.calls.trunks import TrunkState
from offhook.media.client import MediaError
from offhook.server import profiles, projects, registrations
from offhook.server.addresses import host_addresses
from offhook.server.certificates.views import CertificateViews
from offhook.server.desks import EventViews, WebhookViews
from offhook.server.device_desk import ServerDevices
from offhook.server.ladder import ladder
from offhook.server.metrics import Metrics
from offhook.server.nodes import node_id
from offhook.server.reception import ServerReception
from offhook.server.token_office import ServerTokenOffice
from offhook.server.trace import pcap
from offhook.server.trial_call import TrialCall
from offhook.server.trunk_test import TrunkTest
from offhook.server.trunk_views import NOT_RUNNING, status_of
from offhook.server.views import call_view, diagnosis_of
from offhook.sip.credentials import derived_key
from offhook.store.identifiers import new_id

if TYPE_CHECKING:
    from offhook.server.app import App

SHOWN = 200
"""Ended calls in a list: making more would hold up the calls that live."""
FACTS_TIME = 1.0
"""Seconds that fresh facts of a live leg may take before the last ones are shown."""


class ServerPlatform:
    """Reads the running parts, and writes through the driver's doors only."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self.version = __version__
        self._began = time.monotonic()
        self._metrics = Metrics(app)
        self.node = node_id(app.settings.data)
        self.domain = app.store.space.domain
        self.realm = app.store.space.realm
        self.endpoints: EndpointRows = app.store.endpoints
        self.trunks: TrunkRows = app.store.trunks
        self.numbers: NumberRows = app.store.numbers
        self.reception: Reception = ServerReception(app)
        self.resources: ResourceRows = app.store.resources
        self.addresses: AddressRows = app.store.addresses
        self.token_office: TokenOffice = ServerTokenOffice(app)
        self.certificates: CertificateDesk = CertificateViews(app)
        self.answers: KeptThings = app.store.answers
        self.session_key = derived_key(app.store.space.secret, "dashboard cookies")
        self.projects: ProjectRows = app.store.projects
        self.events: EventDesk = EventViews(app.telling, app.settings.events.streams)
        self.webhooks: WebhookDesk = WebhookViews(app.telling, app.store.writer, app.store.projects)
        self.api_tokens: ApiTokenRows = app.store.spaces.tokens
        self.call_desk: CallDesk = app.calling.desk
        self.devices: DeviceDesk = ServerDevices(app)
        self.recordings: RecordingDesk = app.calling.recordings
        self.custom_variables = app.settings.limits.custom_variables

    def new_id(self) -> str:
        return new_id()

    def widgets_changed(self) -> None:
        self._app.profiles.widgets_changed()

    def token(self, project: str, text: str) -> TokenRow | None:
        return self._app.store.spaces.token(project, text)

    async def remove_project(self, id_: str) -> None:
        await projects.remove(self._app, id_)
        await profiles.apply(self._app, id_)

    @property
    def has_domain_suffix(self) -> bool:
        return bool(self._app.settings.sip.domain_suffix)

    def profile(self, project_id: str) -> dict[str, Any]:
        return profiles.view(self._app, project_id)

    def domain_of(self, project_id: str) -> str:
        return self._app.store.domain_of(project_id) or self.domain

    def domain_at(self, host: str) -> str:
        return self._app.profiles.domains.of(host) or self.domain

    def realm_of(self, project_id: str) -> str:
        return self._app.store.realm_of(project_id)

    def alias_refusal(self, project_id: str, host: str) -> tuple[str, str] | None:
        return self._app.profiles.alias_refusal(project_id, host)

    def new_profile(self, name: str) -> dict[str, Any]:
        return self._app.profiles.made_for(name)

    async def profile_changed(self, project_id: str) -> None:
        await profiles.apply(self._app, project_id)

    def registered(self, username: str) -> bool:
        return bool(self._app.store.find(self._app.store.aor(username)))

    async def unbind(self, username: str) -> None:
        self._app.authenticator.forget_account(username)
        self._app.driver.unbind(self._app.store.aor(username))

    def endpoint_state(self, username: str) -> dict[str, Any]:
        return registrations.endpoint_state(self._app, username, self._now())

    def registrations(self) -> list[dict[str, Any]]:
        return registrations.rows(self._app, self._now())

    async def kick(self, id_: str, hang_up: bool) -> bool:
        return registrations.kick(self._app, id_, hang_up)

    def provision(self, username: str, seconds: int, origin: str, asked: str) -> dict[str, Any] | None:
        return registrations.provision(self._app, username, seconds, origin, asked, self._now())

    async def hang_up_all(self, username: str, code: str) -> None:
        self._app.driver.command(HangUpEndpoint(username, code))

    def _trunk(self, id_: str) -> TrunkState | None:
        gateway = self._app.driver.switchboard.gateway
        return gateway.outbound.trunks.get(id_) if gateway is not None else None

    def trunk_status(self, id_: str) -> dict[str, Any]:
        state = self._trunk(id_)
        return NOT_RUNNING if state is None else status_of(state, self._now(), self._app.shares.elsewhere(id_))

    async def trunk_changed(self, id_: str) -> None:
        row = self.trunks.get(id_)
        if row is not None:
            trunk = self._app.profiles.trunk(row)
            self._app.driver.command(UseTrunk(trunk))
            if row.settings.get("draining"):
                self._app.draining.watch(id_)

    async def remove_trunk(self, id_: str) -> None:
        await self.trunks.remove(id_)
        self._app.driver.command(DropTrunk(id_))

    async def register_trunk(self, id_: str) -> None:
        self._app.driver.command(RegisterTrunk(id_))

    async def test_trunk(self, id_: str, to: str | None = None) -> dict[str, Any]:
        row, driver = self.trunks.get(id_), self._app.driver
        if row is None:
            return {"ok": False, "steps": []}
        trunk = self._app.profiles.trunk(row)
        call = TrialCall(self._app, row, to).run if to is not None else None
        test = TrunkTest(trunk, self._trunk(id_), self.domain, driver.peers, driver.ask, driver.flow_opened, call)
        return await test.run()

    def project_of_call(self, ref: str) -> str | None:
        call = self._app.driver.switchboard.call(ref)
        return self._app.telling.happenings.owner(call) if call is not None else None

    def _with_project(self, view: dict[str, Any], call: Call) -> dict[str, Any]:
        for shown, leg in zip(view["legs"], call.legs, strict=True):
            shown["device_id"] = registrations.device_of(self._app, leg)
        return {**view, "project_id": self._app.telling.happenings.owner(call)}

    def calls(self) -> list[dict[str, Any]]:
        views = self._app.driver.switchboard.calls()
        return [
            self._with_project(call_view(one, {}, self._now()), one)
            for one in sorted(views, key=lambda one: one.ref, reverse=True)
        ]

    def ended_calls(self) -> list[dict[str, Any]]:
        views = self._app.driver.switchboard.ended(SHOWN)
        return [
            self._with_project(call_view(one, {}, self._now()), one)
            for one in sorted(views, key=lambda one: one.ref, reverse=True)
        ]

    async def call(self, ref: str) -> dict[str, Any] | None:
        view, details = self._app.driver.switchboard.call(ref), self._app.calling.details
        if view is None:
            kept = await details.stored(ref)
            if kept is None:
                return None
            return {**kept["call"], "client_reports": kept["client_reports"], "project_id": kept["project_id"]}
        facts = {}
        if view.state.value != "ended":
            facts = {leg.ref: await self._facts(leg.media.leg) for leg in view.legs if leg.media is not None}
        shown = call_view(view, {ref: one for ref, one in facts.items() if one is not None}, self._now())
        return self._with_project({**shown, "client_reports": details.reports(view.ref)}, view)

    async def _facts(self, leg: int) -> LegFacts | None:
        with contextlib.suppress(MediaError, TimeoutError):
            async with asyncio.timeout(FACTS_TIME):
                return await self._app.media.engine.facts(leg)
        return None

    async def _may_see(self, ref: str, project: str) -> bool:
        """True for a trace of the project; those of nobody (strangers' calls, endpoints' registrations) are the root's."""
        owner, trunk = self.project_of_call(ref), self.trunks.get(ref)
        if owner is None and trunk is not None:
            owner = trunk.project_id
        if owner is not None:
            return owner == project
        own = await self._app.calling.desk.log(project, ref) is not None
        if own or project != self._app.store.space.project_id:
            return own
        others = [one.id for one in self.projects if one.id != project]
        return not any([await self._app.calling.desk.log(one, ref) for one in others])

    async def trace(self, ref: str, project: str) -> dict[str, Any] | None:
        if not await self._may_see(ref, project):
            return None
        driver, keeper = self._app.driver, self._app.keeper
        call = driver.switchboard.call(ref)
        trail = driver.recorder.trail(call, call.ref if call is not None else ref)
        if trail is not None:
            return keeper.document(trail, call)
        return await self._app.store.traces.get(ref)

    def ladder(self, document: dict[str, Any]) -> str:
        return ladder(document)

    def capture(self, document: dict[str, Any]) -> bytes:
        return pcap(document)

    def diagnosis(self, call: dict[str, Any]) -> dict[str, Any]:
        return diagnosis_of(call)

    async def hang_up(self, ref: str) -> bool:
        view = self._app.driver.switchboard.call(ref)
        if view is None or view.state.value == "ended":
            return False
        self._app.driver.command(HangUpCall(view.ref, "api_hangup"))
        return True

    def status(self) -> dict[str, Any]:
        app = self._app
        switchboard, endpoint = app.driver.switchboard, app.driver.endpoint
        calls = switchboard.calls()
        return {
            "version": __version__,
            "node": self.node,
            "nodes": [self.node],
            "uptime_seconds": round(time.monotonic() - self._began),
            "limits": app.settings.limits.model_dump(),
            "domain": self.domain,
            "listeners": [{"name": name, "address": where} for name, where in app.listeners.items()],
            "media": {
                "webrtc_ports": list(app.media.engine.webrtc_ports),
                "rtp_ports": app.settings.media.rtp_ports,
                "addresses": self._media_addresses(),
                "engine_pid": app.media.engine.pid,
            },
            "counts": {
                "registrations": len(list(app.store.bindings)),
                "flows": len(app.flows),
                "calls": len(calls),
                "legs": sum(len(one.legs) for one in calls),
                "transactions": endpoint.transactions,
                "dialogs": endpoint.dialogs,
                "large_by_tcp": endpoint.large_requests["tcp"],
                "large_compact": endpoint.large_requests["compact"],
            },
            "certificate": self._certificate(),
            "warnings": self._warnings(),
        }

    def _certificate(self) -> dict[str, str] | None:
        served = self._app.certificates.served
        if served is None or served.shown is None:
            return None
        return {"subject": served.shown.subject, "expires_at": milliseconds(served.shown.expires_at)}

    def _media_addresses(self) -> list[str]:
        usable = [one for one in host_addresses() if not one.startswith(("127.", "[::1", "[fe80", "169.254."))]
        return [*self._app.settings.media.public_address, *usable]

    def _warnings(self) -> list[str]:
        app, warnings = self._app, []
        if not app.settings.http.loopback and "https" not in app.listeners:
            warnings.append(
                "no certificate: browsers on other machines give no microphone to a plain http page;"
                " set acme.domains, http.certificate or http.local_authority"
            )
        if app.certificates.trouble:
            warnings.append(app.certificates.trouble)
        warnings += app.store.writer.warnings()
        return warnings

    def readiness(self) -> dict[str, bool]:
        app = self._app
        served = app.certificates.served
        certificate = served.shown if served is not None else None
        return {
            # Calls need no database: while records can wait for it, all is well.
            "store": not app.store.writer.full,
            "media": app.media.engine.connected,
            "sip": "sip" in app.listeners,
            # None is fine: a server without one serves this machine, or a proxy.
            "certificate": certificate is None or certificate.expires_at > datetime.now(UTC),
        }

    @property
    def draining(self) -> bool:
        return self._app.driver.draining

    async def metrics(self) -> bytes:
        return await self._metrics.text()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
