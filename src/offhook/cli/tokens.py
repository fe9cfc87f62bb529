"""`offhook token`: credentials that end by themselves, for a page or a phone."""

import json
from typing import Annotated

import typer

from offhook.cli.server import Server, settings_of


def token(
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
        typer.echo(json.dumps(given, indent=2))
        return
    jssip = given["jssip"]
    typer.echo(f"{'uri':<12} {jssip['uri']}")
    typer.echo(f"{'until':<12} {given['token']['expires_at']}")
    typer.echo(f"{'auth user':<12} {jssip['authorization_user']}")
    typer.echo(f"{'password':<12} {jssip['password']}")
    typer.echo(f"{'token':<12} {given['token']['value']}")
