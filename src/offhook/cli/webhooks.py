"""`offhook webhook`: which events go to which URL, and what became of them."""

from typing import Annotated, Any

import typer

from offhook.cli.server import Json, Server, done, echo, fail, print_json, settings_of, table

PATH, DELIVERIES = "/api/offhook/webhooks", "/api/offhook/webhook_deliveries"
app = typer.Typer(help="Events that are sent to a URL.", no_args_is_help=True)


def _find(server: Server, name: str) -> dict[str, Any]:
    for row in server.rows(f"{PATH}?page_size=1000"):
        if row["name"].casefold() == name.casefold() or row["id"] == name:
            return row
    fail(f"No webhook is named {name}. `offhook webhook list` shows them all.")


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """All webhooks of the project."""
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")[::-1]
    if as_json:
        print_json(rows)
        return
    shown = [
        (one["name"], "on" if one["enabled"] else "off", ", ".join(one["types"]) or "all", one["url"]) for one in rows
    ]
    table(("NAME", "STATE", "TYPES", "URL"), shown)


@app.command("add")
def add(
    context: typer.Context,
    name: str,
    url: str,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="A type like call.ended, or a family like call.*; all without it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send events to a URL from now on, signed with the project's signing key."""
    row = Server(settings_of(context)).request("POST", PATH, json={"name": name, "url": url, "types": type_ or []})
    if as_json:
        print_json(row)
        return
    echo(f"made webhook {row['name']}; try it with `offhook webhook ping {row['name']}`")


@app.command("remove")
def remove(context: typer.Context, name: str, as_json: Json = False) -> None:
    """Send no more; what is on its way is still tried."""
    server = Server(settings_of(context))
    row = _find(server, name)
    server.request("DELETE", f"{PATH}/{row['id']}")
    done(f"removed webhook {row['name']}", row, as_json)


@app.command("ping")
def ping(context: typer.Context, name: str, as_json: Json = False) -> None:
    """Send a trial to the URL."""
    server = Server(settings_of(context))
    delivery = server.request("POST", f"{PATH}/{_find(server, name)['id']}/ping")["delivery_id"]
    if as_json:
        print_json({"delivery_id": delivery})
        return
    echo(f"sent; `offhook webhook deliveries {delivery}` shows what came of it")


@app.command("deliveries")
def deliveries(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="One delivery's id, with every try.")] = "",
    state: Annotated[str, typer.Option(help="pending, delivered or failed.")] = "",
    call: Annotated[str, typer.Option("--call", help="Of this call alone.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The last so many.")] = 50,
    as_json: Json = False,
) -> None:
    """What was sent, newest first, and what became of it."""
    server = Server(settings_of(context))
    if which:
        row = server.request("GET", f"{DELIVERIES}/{which}")
        _show(row, as_json)
        return
    query = {"page_size": str(limit), "state": state, "call_ref": call}
    rows = server.request("GET", DELIVERIES, params={name: value for name, value in query.items() if value})["data"]
    if as_json:
        print_json(rows)
        return
    table(("ID", "STATE", "TRIES", "LAST", "NEXT", "URL"), [_shown(row) for row in rows])


@app.command("retry")
def retry(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="A delivery's id.")],
    as_json: Json = False,
) -> None:
    """Try a delivery once more, with all its retries."""
    row = Server(settings_of(context)).request("POST", f"{DELIVERIES}/{which}/retry")
    if as_json:
        print_json(row)
        return
    echo(f"{row['state']}: {row['url']}")


def _shown(row: dict[str, Any]) -> tuple[Any, ...]:
    last = row["attempts"][-1] if row["attempts"] else {"error": None, "status": None}
    until = row["next_attempt_at"][11:19] if row["next_attempt_at"] else "-"
    return row["id"], row["state"], len(row["attempts"]), last["error"] or last["status"] or "-", until, row["url"]


def _show(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(row)
        return
    echo(f"{row['state']}: {row['method']} {row['url']}")
    for one in row["attempts"]:
        echo(f"  {one['at']}  {one['ms']} ms  {one['error'] or one['status']}")
    if row["next_attempt_at"]:
        echo(f"  next at {row['next_attempt_at']}")
