"""`offhook trunk`: the carriers that calls go to and come from."""

import json
from typing import Annotated, Any

import typer

from offhook.cli.fields import assigned, laid_over
from offhook.cli.server import Json, Server, done, echo, fail, print_json, settings_of, table

PATH = "/api/offhook/trunks"
app = typer.Typer(help="Carriers that calls go to and come from.", no_args_is_help=True)

Prefixes = Annotated[
    list[str] | None,
    typer.Option("--allow-prefix", help="E.164 prefix it may carry, like +1; without any it carries nothing."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any field of the API: name=value or group.name=value, JSON where it is no text."),
]


def _find(server: Server, name: str) -> dict[str, Any]:
    for row in server.rows(f"{PATH}?page_size=1000"):
        if row["name"].casefold() == name.casefold() or row["id"] == name:
            return row
    fail(f"No trunk is named {name}. `offhook trunk list` shows them all.")


@app.command("add")
def add(
    context: typer.Context,
    name: str,
    target: Annotated[list[str], typer.Option(help="SIP URI of the carrier; several are tried in order.")],
    username: Annotated[str | None, typer.Option(help="Account at the carrier.")] = None,
    password: Annotated[str | None, typer.Option(help="Its password; asked for if it is - ; kept encrypted.")] = None,
    register: Annotated[bool, typer.Option(help="Register with the carrier.")] = False,
    transport: Annotated[str, typer.Option(help="auto (by DNS), udp, tcp or tls.")] = "auto",
    allow_prefix: Prefixes = None,
    allow_source: Annotated[list[str] | None, typer.Option(help="Address or network its calls come from.")] = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Make a trunk. It registers and takes calls at once."""
    if password == "-":
        password = typer.prompt("Password", hide_input=True)
    body: dict[str, Any] = {
        "name": name,
        "targets": [
            {"uri": uri if uri.startswith(("sip:", "sips:")) else f"sip:{uri}", "transport": transport,
             "priority": 10 * (at + 1)}
            for at, uri in enumerate(target)
        ],
        "username": username,
        "register": register,
        "allowed_prefixes": allow_prefix or [],
    }  # fmt: skip
    if password is not None:
        body["password"] = password
    if allow_source:
        body["inbound"] = {"allow": allow_source}
    row = Server(settings_of(context)).request("POST", PATH, json=laid_over(body, assigned(set_)))
    done(f"made trunk {row['name']}", row, as_json)
    if not row["allowed_prefixes"] and not as_json:
        echo("It carries no call out yet: nothing is allowed until you list it, like --allow-prefix +1")


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """All trunks, and how they are."""
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")
    if as_json:
        print_json(rows)
        return
    shown = []
    for row in reversed(rows):
        status = row["status"]
        calls = f"{status['channels']['in']} in, {status['channels']['out']} out"
        where = ", ".join(target["uri"] for target in row["targets"])
        shown.append((row["name"], status["state"], status["registration"]["state"], calls, where))
    table(("NAME", "STATE", "REGISTRATION", "CALLS", "TARGETS"), shown)


@app.command("show")
def show(context: typer.Context, name: str, as_json: Json = False) -> None:
    """One trunk: its settings, its state and why it is so."""
    row = _find(Server(settings_of(context)), name)
    if as_json:
        print_json(row)
        return
    status = row.pop("status")
    for field, value in row.items():
        text = value if isinstance(value, str) else "-" if value is None else json.dumps(value)
        echo(f"{field:<22} {text}")
    code = f", {status['code']}" if status["code"] else ""
    echo(f"{'state':<22} {status['state']}: {status['text']}{code}")
    line = status["registration"]
    said = f" ({line['sip_code']} {line['sip_reason']})" if line["sip_code"] else ""
    echo(f"{'registration':<22} {line['state']}{said}")
    day = status["last_24h"]
    echo(f"{'last 24 hours':<22} {day['answered']} of {day['attempts']} calls out were answered")
    for target in status["targets"]:
        rtt = f", {target['rtt_ms']} ms" if target["rtt_ms"] is not None else ""
        why = f", {target['code']}" if target["code"] else ""
        echo(f"{'address':<22} {target['address']}/{target['transport']} {target['state']}{rtt}{why}")


@app.command("set")
def set_fields(
    context: typer.Context,
    name: str,
    assignments: Annotated[list[str], typer.Argument(help="name=value or group.name=value, as in the API.")],
    as_json: Json = False,
) -> None:
    """Change fields of a trunk; the rest stays."""
    server = Server(settings_of(context))
    row = _find(server, name)
    row = server.request("PATCH", f"{PATH}/{row['id']}", json=assigned(assignments))
    done(f"changed trunk {row['name']}", row, as_json)


@app.command("remove")
def remove(
    context: typer.Context,
    name: str,
    drain: Annotated[bool, typer.Option(help="Take no new calls, and delete it after the last.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a trunk; it is unregistered at once. Refused while it has calls, unless it drains."""
    server = Server(settings_of(context))
    row = _find(server, name)
    server.request("DELETE", f"{PATH}/{row['id']}", params={"drain": drain})
    busy = sum(row["status"]["channels"].values())
    text = f"trunk {row['name']} is removed after its {busy} calls" if busy else f"removed trunk {row['name']}"
    done(text, row, as_json)


@app.command("test")
def try_trunk(
    context: typer.Context,
    name: str,
    to: Annotated[str | None, typer.Option(help="Number to call for ten seconds, E.164.")] = None,
    as_json: Json = False,
) -> None:
    """Try DNS, connection, TLS, OPTIONS, registration and a call, and say what to mend."""
    server = Server(settings_of(context))
    row = _find(server, name)
    result = server.request("POST", f"{PATH}/{row['id']}/test", json={"to": to} if to else {}, timeout=60)
    if as_json:
        print_json(result)
    for step in [] if as_json else result["steps"]:
        said = f" {step['sip_code']}" if step["sip_code"] else ""
        echo(f"{'ok  ' if step['ok'] else 'FAIL'} {step['name']:<10} {step['ms']} ms{said}")
        if not step["ok"]:
            echo(f"     {step['code']}: {step.get('text', '')}")
            echo(f"     {step['remedy']}")
    if not result["ok"]:
        raise typer.Exit(1)
