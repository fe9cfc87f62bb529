"""`offhook event`: what happened, and what happens."""

import json
import time
from collections import deque
from typing import Annotated, Any

import httpx
import typer

from offhook.cli.server import Json, Server, echo, print_json, settings_of
from offhook.server.data_directory import RUNNING

PATH = "/api/offhook/events"
WAIT = 25
"""Seconds that one question for news waits at the server."""
app = typer.Typer(help="What happened to calls, devices and trunks.", no_args_is_help=True)

Types = Annotated[list[str] | None, typer.Option("--type", help="A type like call.ended, or a family like call.*")]
OfCall = Annotated[str, typer.Option("--call", help="Of this call alone.")]
OfEndpoint = Annotated[str, typer.Option("--endpoint", help="About the endpoint with this id alone.")]


def _query(types: list[str] | None, call: str, endpoint: str) -> dict[str, str]:
    given = {"types": ",".join(types or ()), "call_ref": call, "endpoint_id": endpoint}
    return {name: value for name, value in given.items() if value}


def line(row: dict[str, Any]) -> str:
    """One event in one line."""
    data = dict(row["data"])
    leg = data.pop("leg", None) or {}
    who = leg.get("username") or data.get("username") or ""
    told = "  ".join(f"{name}={value}" for name, value in data.items() if isinstance(value, str | int) and value != "")
    about = f"{row['call_ref']} #{row['sequence']}" if row["call_ref"] else ""
    return "  ".join(part for part in (row["at"], f"{row['type']:<24}", about, who, told) if part)


@app.command("list")
def list_(
    context: typer.Context,
    type_: Types = None,
    call: OfCall = "",
    endpoint: OfEndpoint = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The last so many.")] = 100,
    as_json: Json = False,
) -> None:
    """The last events, the oldest first."""
    server, query = Server(settings_of(context)), _query(type_, call, endpoint)
    last: deque[dict[str, Any]] = deque(maxlen=limit)
    more = True
    while more:
        answer = server.request("GET", PATH, params={**query, "limit": "1000"})
        last += answer["data"]
        query["after"], more = answer["next_cursor"], answer["has_more"]
    if as_json:
        print_json(list(last))
        return
    for row in last:
        echo(line(row))


def _started_anew(context: typer.Context) -> Server:
    """The server, once it is there again."""
    settings = settings_of(context)
    while not (settings.data / RUNNING).exists():
        time.sleep(0.5)
    time.sleep(0.5)
    return Server(settings)


@app.command("follow")
def follow(
    context: typer.Context,
    type_: Types = None,
    call: OfCall = "",
    endpoint: OfEndpoint = "",
    after: Annotated[
        str, typer.Option(help="A cursor to begin behind; without it, with what is yet to come.")
    ] = "latest",
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0 never ends.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The API's objects, one in a line.")] = False,
) -> None:
    """Events as they happen, until Ctrl-C. Goes on where it was when the server is started anew."""
    server, query = Server(settings_of(context)), {**_query(type_, call, endpoint), "after": after}
    shown = 0
    while True:
        try:
            answer = server.try_request("GET", PATH, params={**query, "wait": str(WAIT)}, timeout=WAIT + 10)
        except httpx.TransportError:
            server = _started_anew(context)
            continue
        query["after"] = answer["next_cursor"]
        for row in answer["data"]:
            typer.echo(json.dumps(row)) if as_json else echo(line(row))
            shown += 1
            if shown == count:
                return
