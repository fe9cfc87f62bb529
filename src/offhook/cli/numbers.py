"""`offhook number`: numbers that carriers deliver, and what calls to them lead to."""

from typing import Annotated, Any

import typer

from offhook.cli.server import Json, Server, done, echo, fail, print_json, settings_of, table

PATH = "/api/relay/rest/phone_numbers"
IMPORT = "/api/relay/rest/imported_phone_numbers"
ENDPOINTS = "/api/relay/rest/endpoints/sip"
RESOURCES = "/api/fabric/resources"
app = typer.Typer(help="Numbers that carriers deliver, and what calls to them lead to.", no_args_is_help=True)

ToEndpoint = Annotated[str | None, typer.Option("--to", help="Endpoint that it rings.")]
ToResource = Annotated[
    str | None, typer.Option("--resource", help="Subscriber, SIP gateway or webhook, by id or display name.")
]
ToSwml = Annotated[str | None, typer.Option("--swml", help="URL of a SWML document.")]
ToCxml = Annotated[str | None, typer.Option("--cxml", help="URL of a cXML document.")]
Nowhere = Annotated[bool, typer.Option("--nowhere", help="Calls to it end with number_not_assigned.")]
Fallback = Annotated[
    str | None, typer.Option(help="Where calls go on to on busy, no answer and no device; - takes it away.")
]
RingSeconds = Annotated[int | None, typer.Option(help="How long it rings, 5 to 600.")]
CallerName = Annotated[str | None, typer.Option(help="Name shown with it to the outside; - takes it away.")]


def _find(server: Server, number: str) -> dict[str, Any]:
    for row in server.rows(f"{PATH}?page_size=1000"):
        if number in (row["number"], row["id"]):
            return row
    fail(f"{number} is not a number of ours. `offhook number list` shows them all.")


def _endpoint(server: Server, username: str) -> str:
    for row in server.rows(f"{ENDPOINTS}?filter_username={username}&page_size=1000"):
        if row["username"].casefold() == username.casefold():
            return str(row["id"])
    fail(f"No endpoint is named {username}. `offhook endpoint list` shows them all.")


def _resource(server: Server, name: str) -> str:
    found = [row for row in server.rows(f"{RESOURCES}?page_size=1000") if name in (row["id"], row["display_name"])]
    if len(found) == 1:
        return str(found[0]["id"])
    fail(f"{len(found)} resources are called {name}; give its id, as /api/fabric/resources lists them")


def _handler(server: Server, to: str | None, swml: str | None, cxml: str | None) -> dict[str, Any]:
    """The handler's fields that the options say."""
    if to is not None:
        return {"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": _endpoint(server, to)}
    if swml is not None:
        return {"call_handler": "relay_script", "call_relay_script_url": swml}
    return {"call_handler": "laml_webhooks", "call_request_url": cxml} if cxml is not None else {}


def _options(fallback: str | None, ring_seconds: int | None, caller_name: str | None) -> dict[str, Any]:
    """What stands under `offhook`; - clears."""
    given = {"fallback": fallback, "ring_seconds": ring_seconds, "caller_name": caller_name}
    return {name: None if value == "-" else value for name, value in given.items() if value is not None}


@app.command("search")
def search(
    context: typer.Context,
    areacode: Annotated[str | None, typer.Option(help="Area code of the country, like 512.")] = None,
    contains: Annotated[str | None, typer.Option(help="Digits that it contains.")] = None,
    most: Annotated[int, typer.Option(help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Free numbers that a trunk delivers."""
    wished = {"areacode": areacode, "contains": contains, "max_results": str(most)}
    query = {name: value for name, value in wished.items() if value}
    rows = Server(settings_of(context)).request("GET", f"{PATH}/search", params=query)["data"]
    if as_json:
        print_json(rows)
        return
    table(("NUMBER", "CITY", "REGION"), [(row["number"], row["city"], row["region"]) for row in rows])


@app.command("claim")
def claim(context: typer.Context, number: str, to: ToEndpoint = None, as_json: Json = False) -> None:
    """Make a number ours that a trunk delivers (its did_ranges)."""
    server = Server(settings_of(context))
    row = server.request("POST", PATH, json={"number": number, **_handler(server, to, None, None)})
    done(f"claimed {row['number']}{f', which rings {to}' if to else ''}", row, as_json)


@app.command("add")
def add(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="E.164, like +15125550100.")],
    to: ToEndpoint = None,
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    as_json: Json = False,
) -> None:
    """Make any number ours, delivered by a trunk now or later."""
    server = Server(settings_of(context))
    body: dict[str, Any] = {"number": number, "name": name, **_handler(server, to, None, None)}
    row = server.request("POST", IMPORT, json=body)
    done(f"made {row['number']}{f', which rings {to}' if to else ''}", row, as_json)


@app.command("route")
def route(
    context: typer.Context,
    number: str,
    to: ToEndpoint = None,
    resource: ToResource = None,
    swml: ToSwml = None,
    cxml: ToCxml = None,
    nowhere: Nowhere = False,
    as_json: Json = False,
) -> None:
    """Let calls to a number lead to an endpoint, a resource, a document or nowhere."""
    server = Server(settings_of(context))
    chosen = [one for one in (to, resource, swml, cxml, nowhere or None) if one is not None]
    if len(chosen) != 1:
        fail("Say where to, by one of --to, --resource, --swml, --cxml and --nowhere.")
    row = _find(server, number)
    if resource is not None:
        body = {"phone_route_id": row["id"], "handler": "calling"}
        server.request("POST", f"{RESOURCES}/{_resource(server, resource)}/phone_routes", json=body)
    else:
        fields = {"call_handler": None} if nowhere else _handler(server, to, swml, cxml)
        server.request("PUT", f"{PATH}/{row['id']}", json=fields)
    row = server.request("GET", f"{PATH}/{row['id']}")
    done(f"{row['number']} leads {'nowhere' if nowhere else f'to {chosen[0]}'}", row, as_json)


@app.command("set")
def set_fields(
    context: typer.Context,
    number: str,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    fallback: Fallback = None,
    ring_seconds: RingSeconds = None,
    caller_name: CallerName = None,
    as_json: Json = False,
) -> None:
    """Change a number's name, ring time, fallback and caller name."""
    server = Server(settings_of(context))
    row = _find(server, number)
    body: dict[str, Any] = {"offhook": _options(fallback, ring_seconds, caller_name)}
    if name is not None:
        body["name"] = name
    row = server.request("PUT", f"{PATH}/{row['id']}", json=body)
    done(f"changed {row['number']}", row, as_json)


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """All numbers and what they lead to."""
    server = Server(settings_of(context))
    rows = server.rows(f"{PATH}?page_size=1000")
    if as_json:
        print_json(rows)
        return
    names = {row["id"]: row["display_name"] for row in server.rows(f"{RESOURCES}?page_size=1000")} if rows else {}
    shown = [(row["number"], _leads_to(row, names), row["offhook"]["fallback"], row["name"]) for row in reversed(rows)]
    table(("NUMBER", "LEADS TO", "FALLBACK", "NAME"), shown)


def _leads_to(row: dict[str, Any], names: dict[str, str]) -> str:
    if row["call_handler"] is None:
        return "-"
    url = row["call_relay_script_url"] or row["call_request_url"]
    return str(url or names.get(row["calling_handler_resource_id"] or "", row["call_handler"]))


@app.command("show")
def show(context: typer.Context, number: str, as_json: Json = False) -> None:
    """One number: what is set of it."""
    row = _find(Server(settings_of(context)), number)
    if as_json:
        print_json(row)
        return
    for field, value in row.items():
        if value not in (None, "", []):
            echo(f"{field:<28} {value}")


@app.command("remove")
def remove(context: typer.Context, number: str, as_json: Json = False) -> None:
    """Calls to it are refused from now on."""
    server = Server(settings_of(context))
    row = _find(server, number)
    server.request("DELETE", f"{PATH}/{row['id']}")
    done(f"removed {row['number']}", row, as_json)
