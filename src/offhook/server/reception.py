"""Numbers, caller ids and applications as the API sees them running (offhook.api.number_ports.Reception)."""

from typing import TYPE_CHECKING

from offhook.api.number_ports import ApplicationRows, CallerIdRow, CallerIdRows

if TYPE_CHECKING:
    from offhook.server.app import App


class ServerReception:
    """Reads the store, and writes through the driver's doors only."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self.caller_ids: CallerIdRows = app.store.caller_ids
        self.applications: ApplicationRows = app.store.applications

    def country(self, project_id: str) -> str:
        return self._app.profiles.of(project_id).country or self._app.settings.sip.country

    def is_ours(self, host: str) -> bool:
        return host in self._app.profiles.hosts

    async def read_code(self, row: CallerIdRow, code: str) -> str | None:
        return (
            "No digits can be spoken here yet, so that no verification call is made; somebody with the scope management"
            ' may verify the number by PUT {"offhook":{"verified":true}}'
        )

    def application_changed(self, id_: str) -> None:
        return
