"""Call control as the API sees it (offhook.api.call_ports.CallDesk): legs, commands, the log."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from offhook.api.call_ports import Refusal, Wished
from offhook.api.paging import stored_page
from offhook.api.times import milliseconds
from offhook.calls import control, placing, sounding, streaming
from offhook.calls.addresses import uri_of
from offhook.calls.call import Call
from offhook.calls.commands import EndLeg, Listen, Place, RecordCommand, StreamCommand
from offhook.calls.document import Document
from offhook.calls.leg import Leg, LegState
from offhook.calls.numbers import looks_dialled
from offhook.calls.routing import destination_of
from offhook.calls.seeking import look_up_of
from offhook.server.details import Details
from offhook.server.dialler import Dialler
from offhook.server.document_text import read_inline
from offhook.server.leg_views import leg_view, logged_view, queued_view
from offhook.server.log_rows import shown
from offhook.store.call_log import CallLog
from offhook.transport.outward_http import HttpFailed

if TYPE_CHECKING:
    from offhook.server.app import App

RENAMED = {"number_format_invalid": "invalid_pstn_destination"}
"""Codes of calls that the API says otherwise where a request is refused."""
LEVELS = {"call.finding_raised": "warn"}


class ServerCallDesk:
    """Reads the running parts; writes through the driver's door."""

    def __init__(self, app: "App", log: CallLog, details: Details) -> None:
        self._app, self._log, self._details = app, log, details
        limits = app.settings.limits
        self.dialler = Dialler(app.driver.command, limits.dial_per_second, limits.dial_backlog)

    # ---- what a request brings

    def read_swml(self, value: object) -> Document:
        return read_inline(value)

    async def url_refusal(self, project: str, url: str) -> Refusal | None:
        row = self._app.store.projects.get(project)
        if row is not None and row.settings.get("force_https_requests") and url.lower().startswith("http://"):
            return "url_is_unsafe", "Url must be https (force_https_requests of the project)"
        wrong = await self._app.telling.http.refusal(url)
        if wrong is None:
            return None
        if wrong.code == "not_an_http_url":
            return wrong.code, f"Url must be an http or https URL: {wrong}"
        return wrong.code, f"Url must not point to {wrong}"

    async def stream_address(self, project: str, url: str) -> str | Refusal:
        row = self._app.store.projects.get(project)
        if row is not None and row.settings.get("force_https_requests") and url.lower().startswith("ws://"):
            return "url_is_unsafe", "Url must be wss (force_https_requests of the project)"
        try:
            return await self._app.telling.http.socket_address(url)
        except HttpFailed as wrong:
            if wrong.code == "url_is_unsafe":
                return wrong.code, f"Url must not point to {wrong}"
            return "not_an_http_url", f"Url must be a ws or wss URL that can be reached: {wrong}"

    def refusal(self, project: str, command: Place) -> tuple[str, str, str] | None:
        driver = self._app.driver
        switchboard = driver.switchboard
        uri = uri_of(command.to, command.domain or self._app.store.space.domain)
        if uri is None:
            return "to", "to_destination_unresolvable", f"{command.to} cannot be called"
        out = switchboard.index.outbound
        foreign = out is not None and out.is_foreign(uri)
        facts = driver.facts_of(
            look_up_of(switchboard.index, "api", None, destination_of(uri, switchboard.gruus), "", project)
        )
        wrong = placing.impossible(uri, facts, switchboard.index, driver.now())
        if wrong is not None:
            return "to", RENAMED.get(wrong.row.code, wrong.row.code), wrong.text
        if facts.callee is None and facts.entry is None and not foreign:
            return self._sender(project, command)
        return None

    def _sender(self, project: str, command: Place) -> tuple[str, str, str] | None:
        """Towards the telephone network only a number that may be shown."""
        switchboard = self._app.driver.switchboard
        out = switchboard.index.outbound
        number = out.normal(command.from_) if out is not None and looks_dialled(command.from_) else None
        if number is None:
            return "from", "not_valid_for_caller_id", "From must be in E.164 format, like +15558675309"
        numbers = self._app.directory.caller_numbers("", project)
        if numbers is None or not numbers.may(number):
            return "from", "not_purchased_or_verified", "From must be a number of this project or a verified caller id"
        return None

    # ---- legs

    def place(self, command: Place, url: str) -> dict[str, Any] | None:
        if not self.dialler.dial(command):
            return None
        found = self._leg(command.project, command.call_ref)
        if found is not None:
            return {**leg_view(*found, self._app.driver.now()), "status": "queued"}
        return queued_view(command, self._app.store.space.domain)

    def legs(self, project: str) -> list[dict[str, Any]]:
        now, domain = self._app.driver.now(), self._app.store.space.domain
        waiting = [queued_view(one, domain) for one in self.dialler.waiting(project)]
        calls = [call for call in self._app.driver.switchboard.calls() if self._owns(project, call)]
        live = [
            leg_view(call, leg, now)
            for call in calls
            for leg in call.legs
            if leg.state is not LegState.ENDED and not leg.behind
        ]
        return [*waiting, *live]

    async def leg(self, project: str, id_: str) -> dict[str, Any] | None:
        waits = self.dialler.find(id_)
        if waits is not None and waits.project == project:
            return queued_view(waits, self._app.store.space.domain)
        found = self._leg(project, id_)
        if found is not None:
            return leg_view(*found, self._app.driver.now())
        row = await self.log(project, id_)
        return logged_view(row) if row is not None and "offhook" in row else None

    def _leg(self, project: str, id_: str) -> tuple[Call, Leg] | None:
        found = self._app.driver.switchboard.leg(id_)
        return found if found is not None and self._owns(project, found[0]) else None

    def _owns(self, project: str, call: Call) -> bool:
        return not call.sealed and self._app.telling.happenings.owner(call) == project

    # ---- commands

    def judge(self, project: str, command: Wished) -> Refusal | None:
        if self.dialler.find(command.leg_ref) is not None:
            if isinstance(command, EndLeg | Listen):
                return None
            return "invalid_state", "The call waits to be placed"
        found = self._leg(project, command.leg_ref)
        if found is None:
            return "call_not_found", "No live call has this id"
        if isinstance(command, StreamCommand):
            return streaming.impossible(*found, command)
        if isinstance(command, RecordCommand):
            return sounding.impossible(*found, command)
        return control.impossible(*found, command)

    def perform(self, command: Wished) -> None:
        if isinstance(command, EndLeg) and self.dialler.drop(command.leg_ref):
            return
        self._app.driver.command(command)

    # ---- the log

    async def logs(self, project: str, query: Mapping[str, Any], path: str, page: Mapping[str, str]) -> dict[str, Any]:
        async def fetch(most: int, before: str, after: str) -> list[Mapping[str, Any]]:
            return await self._log.page(project, query, before, after, most)

        return await stored_page(fetch, lambda row: str(row["leg_ref"]), shown, path, page)

    async def log(self, project: str, id_: str) -> dict[str, Any] | None:
        row = await self._log.get(project, id_)
        return shown(row) if row is not None else None

    async def log_events(self, project: str, id_: str) -> list[dict[str, Any]] | None:
        row = await self._log.get(project, id_)
        if row is None:
            return None
        return [
            {
                "event_at": milliseconds(one["at"]),
                "level": LEVELS.get(one["type"], "info"),
                "name": one["type"],
                "details": one["data"],
                "project_id": one["project_id"],
                "log_id": id_,
            }
            for one in await self._log.events(row["call_ref"], id_)
        ]

    # ---- quality

    async def quality(self, project: str, ref: str) -> list[dict[str, Any]] | None:
        return await self._details.samples(project, ref)

    def client_report(self, project: str, ref: str, username: str, report: Mapping[str, Any]) -> bool:
        return self._details.client_report(project, ref, username, report)
