"""`offhook device`: the devices of endpoints, registered or not."""

from typing import Annotated, Any

import typer

from offhook.cli.server import Json, Server, done, fail, print_json, settings_of, table

PATH, ENDPOINTS = "/api/offhook/devices", "/api/relay/rest/endpoints/sip"
app = typer.Typer(help="Devices that have registered once: their names, and which are kept away.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(help="A device's id, or its name.")]


def _find(server: Server, which: str) -> dict[str, Any]:
    found = [row for row in server.rows(f"{PATH}?page_size=1000") if which in (row["id"], row["name"])]
    if len(found) != 1:
        fail(f"{len(found)} devices are called {which}. `offhook device list` shows them all, with their ids.")
    return found[0]


@app.command("list")
def list_(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="Of this endpoint alone.")] = "",
    as_json: Json = False,
) -> None:
    """All devices, newest first."""
    server = Server(settings_of(context))
    names = {row["id"]: row["username"] for row in server.rows(f"{ENDPOINTS}?page_size=1000")}
    rows = [
        row
        for row in server.rows(f"{PATH}?page_size=1000")
        if not username or names.get(row["endpoint_id"], "").casefold() == username.casefold()
    ]
    if as_json:
        print_json(rows)
        return
    shown = [
        (row["id"], names.get(row["endpoint_id"]), row["name"] or "-", row["user_agent"] or "-", _state(row))
        for row in rows
    ]
    table(("ID", "ENDPOINT", "NAME", "DEVICE", "STATE"), shown)


@app.command("set")
def set_(
    context: typer.Context,
    which: Which,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    ring: Annotated[bool | None, typer.Option(help="Whether calls to its endpoint ring it.")] = None,
    as_json: Json = False,
) -> None:
    """Name a device, or let it ring or be quiet."""
    changes = {field: value for field, value in (("name", name), ("ring", ring)) if value is not None}
    if not changes:
        fail("Nothing to change: see `offhook device set --help` for what there is.")
    _change(context, which, changes, "changed", as_json)


@app.command("block")
def block(context: typer.Context, which: Which, as_json: Json = False) -> None:
    """Keep a device away: it neither registers nor calls."""
    _change(context, which, {"blocked": True}, "blocked", as_json)


@app.command("unblock")
def unblock(context: typer.Context, which: Which, as_json: Json = False) -> None:
    """Let a device come again."""
    _change(context, which, {"blocked": False}, "unblocked", as_json)


@app.command("remove")
def remove(context: typer.Context, which: Which, as_json: Json = False) -> None:
    """Forget a device; it is a new one when it registers again."""
    server = Server(settings_of(context))
    row = _find(server, which)
    server.request("DELETE", f"{PATH}/{row['id']}")
    done(f"removed {_called(row)}", row, as_json)


def _change(context: typer.Context, which: str, changes: dict[str, Any], verb: str, as_json: bool) -> None:
    server = Server(settings_of(context))
    row = server.request("PATCH", f"{PATH}/{_find(server, which)['id']}", json=changes)
    done(f"{verb} {_called(row)}", row, as_json)


def _called(row: dict[str, Any]) -> str:
    return str(row["name"] or row["user_agent"] or row["id"])


def _state(row: dict[str, Any]) -> str:
    if row["blocked"]:
        return "blocked"
    return ("registered" if row["registered"] else "away") + ("" if row["ring"] else ", quiet")
