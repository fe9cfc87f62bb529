"""Numbers, caller ids and applications as the API sees them running (offhook.api.number_ports.Reception)."""

from typing import TYPE_CHECKING

from offhook.api.number_ports import ApplicationRow, ApplicationRows, CallerIdRow, CallerIdRows
from offhook.calls.applications import Application, networks_of
from offhook.calls.commands import DropApplication, Place, UseApplication
from offhook.calls.document import Document, Pause
from offhook.calls.words import LANGUAGES
from offhook.server.entries import AUDIO
from offhook.server.ids import SystemIds
from offhook.sip.location import Account

if TYPE_CHECKING:
    from offhook.server.app import App

SECONDS = 25.0
"""A verification call lasts so long: six digits, four times."""


class ServerReception:
    """Reads the store, and writes through the driver's doors only."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self.caller_ids: CallerIdRows = app.store.caller_ids
        self.applications: ApplicationRows = app.store.applications
        self.ip_auth_entries = app.settings.limits.ip_auth_entries

    def country(self, project_id: str) -> str:
        return self._app.profiles.country(project_id)

    def is_ours(self, host: str) -> bool:
        return host in self._app.profiles.hosts

    async def read_code(self, row: CallerIdRow, code: str) -> tuple[str, str] | None:
        _, own = self._app.store.numbers.of_project(row.project_id)
        if own is None:
            return "not_purchased_or_verified", "A verification call needs a number of the project to call from"
        words = LANGUAGES["en"]
        secret = words.files(*words.digits(code))
        digits = f"ww{row.extension}" if row.extension else ""
        silence = Document((Pause(SECONDS),))
        ref = SystemIds().ref()
        call = Place(ref, row.number, own, silence, digits=digits, project=row.project_id, secret=secret)
        desk = self._app.calling.desk
        refused = desk.refusal(row.project_id, call)
        if refused is not None:
            return refused[1], refused[2]
        return None if desk.dialler.dial(call) else ("max_queued_calls_exceeded", "Too many calls wait to be placed")

    def application_changed(self, id_: str) -> None:
        row = self.applications.get(id_)
        command = UseApplication(self._application(row)) if row is not None else DropApplication(id_)
        self._app.driver.command(command)
        self._app.profiles.changed_hosts()

    def _application(self, row: ApplicationRow) -> Application:
        settings, realm = row.settings, self._app.store.space.realm
        account = None
        if row.ha1_md5.reveal():
            account = Account(f"application-{row.id}", row.identifier, realm, row.ha1_md5, row.ha1_sha256)
        return Application(
            id=row.id,
            identifier=row.identifier,
            user=str(settings.get("user") or "*").casefold(),
            host=self.host_of(row),
            networks=networks_of(settings["ip_auth"]) if settings["ip_auth_enabled"] else None,
            encryption=settings["encryption"],
            codecs=tuple(one for one in settings["codecs"] if one in AUDIO) or ("PCMU", "PCMA"),
            ciphers=tuple(settings["ciphers"]),
            account=account,
        )

    def host_of(self, row: ApplicationRow) -> str:
        suffix = self._app.settings.sip.domain_suffix
        return f"{row.identifier}.{suffix}" if suffix else ""

    def uri_of(self, row: ApplicationRow) -> str:
        user, host = str(row.settings.get("user") or "*"), self.host_of(row)
        if not host:
            return f"sip:{row.identifier}@{self._app.store.space.domain}"
        return f"sip:{row.identifier if user == '*' else user}@{host}"
