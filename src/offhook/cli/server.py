"""Talking to the running server, as any other REST client does."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer

from offhook.server.config import Settings
from offhook.server.data_directory import RUNNING
from offhook.server.setting_sources import SettingError, load

FIRST_RUN = "first-run.json"
Json = Annotated[bool, typer.Option("--json", help="The API's objects.")]

WIDEST = 10_000
"""Columns of a line that no terminal shows."""
HINTS = {
    "call_not_found": "`offhook call list` and `offhook call list --ended` show them all.",
    "log_not_found": "`offhook call log` shows the last ones.",
    "webhook_delivery_not_found": "`offhook webhook deliveries` shows the last ones.",
    "endpoint_not_found": "`offhook endpoint list` shows them all.",
    "registration_not_found": "`offhook registration list` shows them all.",
    "device_not_found": "`offhook device list` shows them all.",
    "scope_missing": "Give another in OFFHOOK_TOKEN, or make one with `offhook token add NAME --scope SCOPE`.",
}
"""What helps, by the code of the API's answer."""


def plain(text: str) -> str:
    """Text for a terminal: names and numbers come from strangers, and a control character of theirs could rewrite what
    stands there."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)


def echo(text: str) -> None:
    """One line of what the server says."""
    typer.echo(plain(text))


def print_json(value: Any) -> None:
    """What the API answered, for programs."""
    typer.echo(json.dumps(value, indent=2))


def done(text: str, value: Any, as_json: bool) -> None:
    """What was done: in words, or as the API's object that it was done to."""
    if as_json:
        print_json(value)
    else:
        echo(text)


def fail(text: str) -> NoReturn:
    """One sentence on standard error, exit code 1."""
    typer.echo(plain(text), err=True)
    raise typer.Exit(1)


def settings_of(context: typer.Context) -> Settings:
    """The settings this command line means."""
    options = context.obj or {}
    try:
        return load(os.environ, {("data",): options.get("data")}, options.get("config"))
    except SettingError as error:
        fail(str(error))


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, None if it is not there or not whole."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


class Server:
    """The REST API of the server that works in the data directory."""

    def __init__(self, settings: Settings) -> None:
        running = read_json(settings.data / RUNNING)
        first = read_json(settings.data / FIRST_RUN)
        if running is None:
            fail(f"No server runs in {settings.data}. Start it with `offhook serve`, or name its directory by --data.")
        token = os.environ.get("OFFHOOK_TOKEN")
        self._given = "OFFHOOK_TOKEN" if token is not None else str(settings.data / FIRST_RUN)
        project = os.environ.get("OFFHOOK_PROJECT") or str(running["project_id"])
        if token is None:
            if first is None:
                fail(
                    f"{settings.data / FIRST_RUN} is gone: give an API token in OFFHOOK_TOKEN,"
                    " and its project in OFFHOOK_PROJECT."
                )
            token = str(first["api_token"])
        self._client = httpx.Client(
            base_url=running["http_url"], auth=(project, token), timeout=10, trust_env=False, verify=False
        )

    def request(self, verb: str, path: str, **options: Any) -> Any:
        """The decoded answer; every failure ends the command with a sentence."""
        response = self._successful(verb, path, **options)
        return response.json() if response.content else None

    def try_request(self, verb: str, path: str, **options: Any) -> Any:
        """The same, but raises httpx.TransportError while the server does not answer."""
        response = self._client.request(verb, path, **options)
        if response.status_code >= 500:
            raise httpx.RemoteProtocolError(f"{response.status_code}")
        self._checked(response)
        return response.json() if response.content else None

    def content(self, path: str, query: dict[str, str]) -> bytes:
        """What a GET gives, as it is."""
        return self._successful("GET", path, params=query).content

    def _successful(self, verb: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._client.request(verb, path, **options)
        except httpx.TransportError as error:
            fail(f"The server at {self._client.base_url} does not answer ({error}). Is `offhook serve` running?")
        return self._checked(response)

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            if ignored := response.headers.get("X-Offhook-Ignored"):
                fail(
                    f"Not known, and left out: {ignored}. All else is done; {self._client.base_url}docs names every field."
                )
            return response
        try:
            body = response.json()
        except ValueError:
            fail(
                f"What answers at {self._client.base_url} is no Offhook ({response.status_code}): stop it, or start ours."
            )
        if "errors" in body:
            fail("\n".join(str(one.get("detail") or one.get("message")) for one in body["errors"]))
        if response.status_code == 401:
            remedy = "Give one in OFFHOOK_TOKEN, and its project in OFFHOOK_PROJECT."
            fail(f"The server does not take the API token from {self._given}, which may have been removed. {remedy}")
        hint = HINTS.get(str(body.get("code")), "")
        fail(f"{body.get('message', response.reason_phrase)} ({response.status_code}). {hint}".rstrip())

    def rows(self, path: str) -> list[dict[str, Any]]:
        """Every row of a list, all pages."""
        rows: list[dict[str, Any]] = []
        following: str | None = path
        while following:
            answer = self.request("GET", following)
            rows += answer["data"]
            following = answer["links"].get("next")
        return rows


def table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Columns as wide as their longest cell; a terminal that is too narrow for them folds cells, a pipe gets whole lines."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*[Text("" if cell is None else plain(str(cell))) for cell in row])
    if console.is_terminal:
        console.print(grid)
        return
    whole = Console(highlight=False, markup=False, emoji=False, width=WIDEST)
    with whole.capture() as capture:
        whole.print(grid)
    typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
