"""`offhook token`: API tokens, and credentials that end by themselves, for a page or a phone."""

from typing import Annotated, Any

import typer

from offhook.cli.server import Json, Server, done, fail, print_json, settings_of, table

PATH = "/api/project/tokens"
app = typer.Typer(help="API tokens, and credentials for pages that end by themselves.", no_args_is_help=True)


@app.command("mint")
def mint(
    context: typer.Context,
    endpoint: Annotated[str, typer.Argument(help="User name or id of the endpoint.")],
    ttl: Annotated[int, typer.Option(help="Seconds to live, 60 to 86400.")] = 3600,
    origin: Annotated[
        str | None, typer.Option(help="Only for pages of this origin, like https://app.example.com.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything a page with JsSIP needs.")] = False,
) -> None:
    """Mint a token and an expiring password for an endpoint. Both are shown only now; nothing is stored."""
    body = {"endpoint": endpoint, "ttl": ttl, **({"origin": origin} if origin else {})}
    given = Server(settings_of(context)).request("POST", "/api/offhook/provision", json=body)
    if as_json:
        print_json(given)
        return
    jssip = given["jssip"]
    typer.echo(f"{'uri':<12} {jssip['uri']}")
    typer.echo(f"{'until':<12} {given['token']['expires_at']}")
    typer.echo(f"{'auth user':<12} {jssip['authorization_user']}")
    typer.echo(f"{'password':<12} {jssip['password']}")
    typer.echo(f"{'token':<12} {given['token']['value']}")


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What you call it.")],
    scope: Annotated[list[str], typer.Option(help="What it opens; may be given several times.")],
    project: Annotated[str | None, typer.Option(help="Id of a subproject that it is for.")] = None,
    as_json: Json = False,
) -> None:
    """Make an API token. It is shown only now."""
    body: dict[str, Any] = {"name": name, "permissions": scope, "subproject_id": project}
    made = Server(settings_of(context)).request("POST", PATH, json=body)
    done(f"{'project':<8} {made['project_id']}\n{'token':<8} {made['token']}", made, as_json)


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """The API tokens of the project and its subprojects, without their secrets."""
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")
    if as_json:
        print_json(rows)
        return
    shown = [(row["id"], row["name"], " ".join(row["permissions"]), row["project_id"]) for row in reversed(rows)]
    table(("ID", "NAME", "OPENS", "PROJECT"), shown)


@app.command("remove")
def remove(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="Its id or its name.")],
    as_json: Json = False,
) -> None:
    """Take an API token back: it opens nothing from now on."""
    server = Server(settings_of(context))
    found = [row for row in server.rows(f"{PATH}?page_size=1000") if token in (row["id"], row["name"])]
    if len(found) != 1:
        fail(f"{len(found)} API tokens are called {token}. `offhook token list` shows them all.")
    server.request("DELETE", f"{PATH}/{found[0]['id']}")
    done(f"removed {found[0]['name']}", found[0], as_json)
