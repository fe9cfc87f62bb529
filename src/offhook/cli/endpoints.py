"""`offhook endpoint`: the accounts that devices register with."""

import secrets
from typing import Annotated, Any

import typer

from offhook.cli.fields import assigned, laid_over
from offhook.cli.server import Json, Server, done, echo, fail, print_json, settings_of, table

PATH = "/api/relay/rest/endpoints/sip"
FIELDS = "Any field of the API: name=value or offhook.name=value, like encryption=required or offhook.extension=101"
app = typer.Typer(help="Accounts that devices register with.", no_args_is_help=True)


def _find(server: Server, username: str) -> dict[str, Any]:
    for row in server.rows(f"{PATH}?filter_username={username}&page_size=1000"):
        if row["username"].casefold() == username.casefold():
            return row
    fail(f"No endpoint is named {username}. `offhook endpoint list` shows them all.")


@app.command("add")
def add(
    context: typer.Context,
    username: str,
    password: Annotated[
        str | None,
        typer.Option(
            help="At least 8 characters; asked for if it is - ; drawn at random and printed once if not given."
        ),
    ] = None,
    caller_id: Annotated[str | None, typer.Option(help="Name shown to whom it calls.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help=f"{FIELDS}; may be given several times.")] = None,
    as_json: Json = False,
) -> None:
    """Make an endpoint. It can register at once."""
    server = Server(settings_of(context))
    drawn = _asked(password) or secrets.token_urlsafe(12)
    body = {"username": username, "password": drawn, "caller_id": caller_id}
    row = server.request("POST", PATH, json=laid_over(body, assigned(set_)))
    if as_json:
        print_json({**row, **({"password": drawn} if password is None else {})})
        return
    echo(f"made {row['offhook']['aor']}")
    if password is None:
        echo(f"password {drawn}  (shown only now)")


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """All endpoints, and which are registered."""
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")
    if as_json:
        print_json(rows)
        return
    shown = [
        (row["username"], row["caller_id"], "yes" if row["offhook"]["registered"] else "no", row["id"])
        for row in reversed(rows)
    ]
    table(("NAME", "CALLER ID", "REGISTERED", "ID"), shown)


@app.command("show")
def show(context: typer.Context, username: str, as_json: Json = False) -> None:
    """One endpoint."""
    row = _find(Server(settings_of(context)), username)
    if as_json:
        print_json(row)
        return
    for name in ("username", "id", "caller_id", "send_as", "codecs", "encryption"):
        value = row[name]
        echo(f"{name:<12} {', '.join(value) if isinstance(value, list) else value or '-'}")
    for name, value in row["offhook"].items():
        echo(f"{name:<12} {value if value is not None else '-'}")


@app.command("set")
def set_(
    context: typer.Context,
    username: str,
    assignments: Annotated[list[str] | None, typer.Argument(help=FIELDS)] = None,
    password: Annotated[str | None, typer.Option(help="A new one; asked for if it is -.")] = None,
    forward_always: Annotated[str | None, typer.Option(help="Forward every call to this name, number or URI.")] = None,
    forward_busy: Annotated[str | None, typer.Option(help="Forward while it is busy or takes no calls.")] = None,
    forward_no_answer: Annotated[str | None, typer.Option(help="Forward when nobody answers.")] = None,
    forward_unreachable: Annotated[str | None, typer.Option(help="Forward while no device is reached.")] = None,
    do_not_disturb: Annotated[bool | None, typer.Option(help="Whether it takes no calls.")] = None,
    ring: Annotated[str | None, typer.Option(help="How its devices ring: parallel, serial or q.")] = None,
    ring_seconds: Annotated[int | None, typer.Option(help="How long they ring, 5 to 600.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Calls at a time, 1 to 100.")] = None,
    max_calls_per_hour: Annotated[
        str | None, typer.Option(help="Calls to trunks in an hour, 1 to 10000; empty for no limit of its own.")
    ] = None,
    pickup_group: Annotated[
        str | None, typer.Option(help="Endpoints of one group may take each other's calls.")
    ] = None,
    dtmf: Annotated[str | None, typer.Option(help="How it gets digits: auto, rfc4733, info or inband.")] = None,
    block_caller: Annotated[
        list[str] | None, typer.Option(help="Take no calls from this name or number; give it once for each.")
    ] = None,
    block_target: Annotated[
        list[str] | None, typer.Option(help="Do not let it call this name or number; +1900* means all that begin so.")
    ] = None,
    may_page: Annotated[bool | None, typer.Option(help="Whether its calls may answer by themselves.")] = None,
    may_alert: Annotated[bool | None, typer.Option(help="Whether it may choose how others ring.")] = None,
    may_watch: Annotated[bool | None, typer.Option(help="Whether its busy lamps show with whom others talk.")] = None,
    as_json: Json = False,
) -> None:
    """Change an endpoint, and how it is called. An empty text takes a setting away."""
    server = Server(settings_of(context))
    row = _find(server, username)
    forward = _given(
        always=forward_always, busy=forward_busy, no_answer=forward_no_answer, unreachable=forward_unreachable
    )
    sip = _given(dtmf=dtmf, pickup_group=pickup_group, may_page=may_page, may_alert=may_alert, may_watch=may_watch)
    plain = _given(do_not_disturb=do_not_disturb, ring=ring, ring_seconds=ring_seconds, max_calls=max_calls)
    if max_calls_per_hour is not None:
        plain["max_calls_per_hour"] = int(max_calls_per_hour) if max_calls_per_hour.isdigit() else None
    block = {
        name: [one for one in entries if one]
        for name, entries in (("callers", block_caller), ("targets", block_target))
        if entries
    }
    nested = {"forward": forward, "sip": sip, "block": block}
    changes = {**plain, **{name: given for name, given in nested.items() if given}}
    body = {**_given(password=_asked(password)), **({"offhook": changes} if changes else {})}
    body = laid_over(body, assigned(assignments))
    if not body:
        fail("Nothing to change: see `offhook endpoint set --help` for what there is.")
    row = server.request("PATCH", f"{PATH}/{row['id']}", json=body)
    done(f"changed {row['username']}", row, as_json)


def _asked(password: str | None) -> str | None:
    """What was given, typed out of sight if it is a dash."""
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True)) if password == "-" else password


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; an empty text is null."""
    return {name: None if value == "" else value for name, value in options.items() if value is not None}


@app.command("remove")
def remove(
    context: typer.Context,
    username: str,
    hangup: Annotated[bool, typer.Option(help="End its live calls too.")] = False,
    as_json: Json = False,
) -> None:
    """Delete an endpoint; its devices are unregistered at once."""
    server = Server(settings_of(context))
    row = _find(server, username)
    server.request("DELETE", f"{PATH}/{row['id']}", params={"hangup": hangup})
    done(f"removed {row['username']}", row, as_json)
