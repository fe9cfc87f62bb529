"""`offhook number`: numbers that carriers deliver, and whom they ring."""

from typing import Annotated, Any

import typer

from offhook.cli.server import Server, echo, fail, settings_of, table

PATH = "/api/relay/rest/phone_numbers"
IMPORT = "/api/relay/rest/imported_phone_numbers"
ENDPOINTS = "/api/relay/rest/endpoints/sip"
app = typer.Typer(help="Numbers that carriers deliver, and whom they ring.", no_args_is_help=True)


def _find(server: Server, number: str) -> dict[str, Any]:
    for row in server.rows(f"{PATH}?page_size=1000"):
        if row["number"] == number:
            return row
    fail(f"{number} is not a number of ours. `offhook number list` shows them all.")


def _endpoint(server: Server, username: str) -> str:
    for row in server.rows(f"{ENDPOINTS}?filter_username={username}&page_size=1000"):
        if row["username"].casefold() == username.casefold():
            return str(row["id"])
    fail(f"No endpoint is named {username}. `offhook endpoint list` shows them all.")


@app.command("add")
def add(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="E.164, like +15125550100.")],
    to: Annotated[str | None, typer.Option(help="Endpoint that it rings.")] = None,
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
) -> None:
    """Make a number ours; an existing one gets another endpoint by `offhook number route`."""
    server = Server(settings_of(context))
    body: dict[str, Any] = {"number": number, "name": name}
    if to is not None:
        body |= {"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": _endpoint(server, to)}
    row = server.request("POST", IMPORT, json=body)
    echo(f"made {row['number']}{f', which rings {to}' if to else ''}")


@app.command("route")
def route(
    context: typer.Context, number: str, to: Annotated[str, typer.Option(help="Endpoint that it rings.")]
) -> None:
    """Let a number ring another endpoint."""
    server = Server(settings_of(context))
    row = _find(server, number)
    body = {"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": _endpoint(server, to)}
    server.request("PUT", f"{PATH}/{row['id']}", json=body)
    echo(f"{number} rings {to}")


@app.command("list")
def list_(context: typer.Context) -> None:
    """All numbers and whom they ring."""
    server = Server(settings_of(context))
    names = {row["id"]: row["username"] for row in server.rows(f"{ENDPOINTS}?page_size=1000")}
    rows = server.rows(f"{PATH}?page_size=1000")
    shown = [(row["number"], names.get(row["call_sip_endpoint_id"], "-"), row["name"]) for row in reversed(rows)]
    table(("NUMBER", "RINGS", "NAME"), shown)


@app.command("remove")
def remove(context: typer.Context, number: str) -> None:
    """Calls to it are refused from now on."""
    server = Server(settings_of(context))
    row = _find(server, number)
    server.request("DELETE", f"{PATH}/{row['id']}")
    echo(f"removed {number}")
