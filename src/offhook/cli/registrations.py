"""`offhook registration`: which devices are registered, and how to be rid of one."""

from typing import Annotated, Any

import typer

from offhook.cli.server import Json, Server, echo, fail, print_json, settings_of, table

PATH = "/api/offhook/registrations"
app = typer.Typer(help="Devices that are registered.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    username: Annotated[str | None, typer.Argument(help="Of this endpoint alone.")] = None,
    as_json: Json = False,
) -> None:
    """Registered devices, newest first."""
    query = f"&username={username}" if username else ""
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000{query}")
    if as_json:
        print_json(rows)
        return
    table(("ID", "NAME", "STATE", "TRANSPORT", "SOURCE", "UNTIL", "DEVICE"), [_shown(row) for row in rows])


@app.command("remove")
def remove(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="A registration's id, or an endpoint's name for all of its devices.")],
    hangup: Annotated[bool, typer.Option(help="End the device's calls too.")] = False,
    block_seconds: Annotated[int, typer.Option(help="Keep it away for so long, up to a day.")] = 0,
    as_json: Json = False,
) -> None:
    """Unregister a device. It may register again, after `--block-seconds`; `offhook device block` keeps it away for good."""
    server = Server(settings_of(context))
    rows = [row for row in server.rows(f"{PATH}?page_size=1000") if which in (row["id"], row["username"])]
    if not rows:
        fail(f"No device is registered under {which}. `offhook registration list` shows them all.")
    for row in rows:
        query = {"hangup": hangup, "block_seconds": block_seconds}
        server.request("DELETE", f"{PATH}/{row['id']}", params=query)
        if not as_json:
            echo(f"removed {row['contact']} of {row['username']}")
    if as_json:
        print_json(rows)


def _shown(row: dict[str, Any]) -> tuple[Any, ...]:
    until = row["expires_at"][11:19]
    return row["id"], row["username"], row["state"], row["transport"], row["source"], until, row["user_agent"] or "-"
