"""`offhook call`: live calls, and why one is silent."""

import json
from typing import Annotated, Any

import typer

from offhook.cli.server import Server, echo, settings_of, table

PATH = "/api/offhook/calls"
app = typer.Typer(help="Live calls, and why one is silent.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    ended: Annotated[bool, typer.Option("--ended", help="Those that ended last, and why.")] = False,
) -> None:
    """Live calls."""
    if ended:
        rows = Server(settings_of(context)).rows(f"{PATH}?state=ended&page_size=1000")
        shown = [
            (row["call_ref"], row["from"], row["to"], row["ended_at"], row["end_code"], row["explanation"] or "")
            for row in rows
        ]
        table(("CALL", "FROM", "TO", "ENDED", "AS", "WHY"), shown)
        return
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")
    shown = [
        (
            row["call_ref"],
            row["from"],
            row["to"],
            row["state"],
            _seconds(row["duration_ms"]),
            ", ".join(row["findings"]) or "good",
        )
        for row in rows
    ]
    table(("CALL", "FROM", "TO", "STATE", "TIME", "SOUND"), shown)


@app.command("show")
def show(
    context: typer.Context,
    call_ref: str,
    as_json: Annotated[bool, typer.Option("--json", help="The API's object.")] = False,
) -> None:
    """One call: its legs, their media, and what is wrong in which direction."""
    server = Server(settings_of(context))
    call = server.request("GET", f"{PATH}/{call_ref}")
    if as_json:
        typer.echo(json.dumps(call, indent=2))
        return
    diagnosis = server.request("GET", f"{PATH}/{call_ref}/diagnosis")
    end = f", ended: {call['end_code']}" if call.get("end_code") else ""
    echo(f"{call['from']} -> {call['to']}: {call['state']}{end}, {_seconds(call['duration_ms'])}")
    for leg in call["legs"]:
        _leg(leg)
    echo(diagnosis["summary"])
    for finding in diagnosis["findings"]:
        echo(f"  {finding['code']} ({finding['direction']}): {finding['cause']}. {finding['remedy']}")


@app.command("hangup")
def hangup(context: typer.Context, call_ref: str) -> None:
    """End a live call."""
    Server(settings_of(context)).request("DELETE", f"{PATH}/{call_ref}")


def _leg(leg: dict[str, Any]) -> None:
    media, quality = leg.get("media") or {}, leg.get("quality") or {}
    path = media.get("path") or {}
    echo(
        f"  {leg['role']} {leg['type']} {leg['state']}: {media.get('codec') or '-'}"
        f" {media.get('encryption') or 'in clear'} {path.get('local', '-')} <-> {path.get('remote', '-')}"
    )
    echo(
        f"    in {quality.get('packets_in', 0)} packets, out {quality.get('packets_out', 0)},"
        f" lost {quality.get('loss_percent', 0)} %, jitter {quality.get('jitter_ms', 0)} ms,"
        f" MOS {quality.get('mos', 0)}"
    )


def _seconds(milliseconds: int | None) -> str:
    seconds = (milliseconds or 0) // 1000
    return f"{seconds // 60}:{seconds % 60:02d}"
