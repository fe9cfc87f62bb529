"""`offhook project`: customers that see nothing of each other on one server."""

from typing import Annotated

import typer

from offhook.cli.server import Json, Server, done, fail, print_json, settings_of, table

PATH, TOKENS = "/api/projects", "/api/project/tokens"
SCOPES = ("calling", "numbers", "management")
app = typer.Typer(help="Subprojects: customers that see nothing of each other.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """The project and its subprojects."""
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")[::-1]
    if as_json:
        print_json(rows)
        return
    table(("ID", "NAME"), [(row["id"], row["name"]) for row in rows])


@app.command("add")
def add(context: typer.Context, name: str, as_json: Json = False) -> None:
    """Make a subproject with an API token of its own, which is shown only now."""
    server = Server(settings_of(context))
    row = server.request("POST", PATH, json={"name": name})
    body = {"name": f"{name}, first", "permissions": list(SCOPES), "subproject_id": row["id"]}
    token = server.request("POST", TOKENS, json=body)
    text = f"{'project':<8} {row['id']}\n{'token':<8} {token['token']}\nUse them as OFFHOOK_PROJECT and OFFHOOK_TOKEN."
    done(text, {**row, "token": token}, as_json)


@app.command("remove")
def remove(
    context: typer.Context,
    which: Annotated[str, typer.Argument(help="Its id or its name.")],
    as_json: Json = False,
) -> None:
    """Delete a subproject that has nothing left in it."""
    server = Server(settings_of(context))
    found = [row for row in server.rows(f"{PATH}?page_size=1000") if which in (row["id"], row["name"])]
    if len(found) != 1:
        fail(f"{len(found)} projects are called {which}. `offhook project list` shows them all.")
    server.request("DELETE", f"{PATH}/{found[0]['id']}")
    done(f"removed {found[0]['name']}", found[0], as_json)
