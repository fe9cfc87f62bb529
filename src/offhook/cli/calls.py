"""`offhook call`: live calls and why one is silent; placing, ending and transferring calls; the log."""

from typing import Annotated, Any

import typer

from offhook.cli.server import Json, Server, done, echo, print_json, settings_of, table

PATH, CALLING, LOGS = "/api/offhook/calls", "/api/calling/calls", "/api/voice/logs"
app = typer.Typer(help="Live calls and why one is silent; placing and steering calls; the log.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    ended: Annotated[bool, typer.Option("--ended", help="Those that ended last, and why.")] = False,
    as_json: Json = False,
) -> None:
    """Live calls."""
    if ended:
        rows = Server(settings_of(context)).rows(f"{PATH}?state=ended&page_size=1000")
        if as_json:
            print_json(rows)
            return
        shown = [
            (row["call_ref"], row["from"], row["to"], row["ended_at"], row["end_code"], row["explanation"] or "")
            for row in rows
        ]
        table(("CALL", "FROM", "TO", "ENDED", "AS", "WHY"), shown)
        return
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")
    if as_json:
        print_json(rows)
        return
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
    as_json: Json = False,
) -> None:
    """One call: its legs, their media, and what is wrong in which direction."""
    server = Server(settings_of(context))
    call = server.request("GET", f"{PATH}/{call_ref}")
    if as_json:
        print_json(call)
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
def hangup(context: typer.Context, call_ref: str, as_json: Json = False) -> None:
    """End a live call."""
    server = Server(settings_of(context))
    server.request("DELETE", f"{PATH}/{call_ref}")
    done(f"ended {call_ref}", {"call_ref": call_ref}, as_json)


@app.command("dial")
def dial(
    context: typer.Context,
    to: Annotated[str, typer.Argument(help="Whom to call: a name, an extension, a number, a sip: URI.")],
    from_: Annotated[str, typer.Option("--from", help="What is shown: a number of ours, or a name.")],
    connect: Annotated[str, typer.Option(help="Whom to connect whoever answers with.")] = "",
    url: Annotated[str, typer.Option(help="SWML or cXML that runs at the answer.")] = "",
    timeout: Annotated[int, typer.Option(help="Seconds of ringing, 1 to 600.")] = 60,
    as_json: Json = False,
) -> None:
    """Place a call. Whoever answers is connected with somebody, or runs a document."""
    params: dict[str, Any] = {"to": to, "from": from_, "timeout": timeout}
    if url:
        params["url"] = url
    if connect:
        params["swml"] = {"sections": {"main": ["answer", {"connect": {"to": connect}}]}}
    leg = _command(context, {"command": "dial", "params": params})
    done(leg["id"], leg, as_json)


@app.command("end")
def end(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(help="Any id of the leg or call.")],
    reason: Annotated[str, typer.Option(help="hangup, cancel, busy, noAnswer, decline or error.")] = "hangup",
    as_json: Json = False,
) -> None:
    """End a leg, with a reason."""
    leg = _command(context, {"command": "calling.end", "id": call_id, "params": {"reason": reason}})
    if as_json:
        print_json(leg)


@app.command("transfer")
def transfer(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(help="Any id of the leg.")],
    to: Annotated[str, typer.Argument(help="A name, a number, a sip: URI, or the URL of a document.")],
    as_json: Json = False,
) -> None:
    """Connect a leg with somebody else. Its partner is released when that one answers."""
    leg = _command(context, {"command": "calling.transfer", "id": call_id, "params": {"dest": to}})
    if as_json:
        print_json(leg)


@app.command("record")
def record(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(help="Any id of the leg.")],
    stop: Annotated[str, typer.Option(help="End this recording: the id that its beginning showed.")] = "",
    direction: Annotated[str, typer.Option(help="speak (what the leg says), listen (what it hears) or both.")] = "both",
    mono: Annotated[bool, typer.Option("--mono", help="Both in one channel.")] = False,
    as_json: Json = False,
) -> None:
    """Record a live call into a WAV file, or stop doing so. It ends with the leg."""
    if stop:
        leg = _command(context, {"command": "calling.record.stop", "id": call_id, "params": {"control_id": stop}})
        shown = f"stopped {stop}"
    else:
        audio = {"direction": direction, "stereo": direction == "both" and not mono}
        leg = _command(context, {"command": "calling.record", "id": call_id, "params": {"audio": audio}})
        shown = leg["offhook"]["control_id"]
    done(shown, leg, as_json)


@app.command("log")
def log(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(help="One leg, with what happened on it; all without.")] = "",
    with_: Annotated[str, typer.Option("--with", help="Only legs from or to whoever has this in the name.")] = "",
    most: Annotated[int, typer.Option(help="Rows, 1 to 1000.")] = 50,
    as_json: Json = False,
) -> None:
    """Calls that have ended, newest first."""
    server = Server(settings_of(context))
    if call_id:
        _one_log(server, call_id, as_json)
        return
    rows = _logged(server, with_, most)
    if as_json:
        print_json(rows)
        return
    shown = [
        (row["id"], row["created_at"], row["direction"], row["from"], row["to"], row["status"],
         _seconds(row["duration_ms"]), row["offhook"]["end_code"])
        for row in rows
    ]  # fmt: skip
    table(("LEG", "BEGAN", "DIRECTION", "FROM", "TO", "STATUS", "TIME", "END"), shown)


def _logged(server: Server, with_: str, most: int) -> list[dict[str, Any]]:
    """Rows that match one side or the other, newest first."""
    found: dict[str, dict[str, Any]] = {}
    for side in ("from", "to") if with_ else ("",):
        query = {"page_size": str(most), **({side: with_} if side else {})}
        found |= {row["id"]: row for row in server.request("GET", LOGS, params=query)["data"]}
    return [found[id_] for id_ in sorted(found, reverse=True)][:most]


def _one_log(server: Server, call_id: str, as_json: bool) -> None:
    row = server.request("GET", f"{LOGS}/{call_id}")
    events = server.rows(f"{LOGS}/{call_id}/events?page_size=1000")
    if as_json:
        print_json({**row, "events": events})
        return
    own = row["offhook"]
    echo(f"{row['from']} -> {row['to']}: {row['status']} ({own['end_code']}), {_seconds(row['duration_ms'])}")
    for event in events:
        details = ", ".join(f"{name} {value}" for name, value in event["details"].items())
        echo(f"  {event['event_at']} {event['name']} {details}".rstrip())


def _command(context: typer.Context, body: dict[str, Any]) -> dict[str, Any]:
    leg: dict[str, Any] = Server(settings_of(context)).request("POST", CALLING, json=body)
    return leg


def _leg(leg: dict[str, Any]) -> None:
    media, quality = leg.get("media") or {}, leg.get("quality") or {}
    path = media.get("path") or {}
    echo(
        f"  {leg['role']} {leg['type']} {leg['state']}: {media.get('codec') or '-'}"
        f" {media.get('encryption') or 'in clear'} {path.get('local', '-')} <-> {path.get('remote', '-')}"
    )
    echo(
        f"    in {quality.get('packets_in', 0)} packets, out {quality.get('packets_out', 0)},"
        f" lost {quality.get('loss_percent', 0):.1f} %, jitter {quality.get('jitter_ms', 0):.0f} ms,"
        f" MOS {quality.get('mos', 0):.1f}"
    )


def _seconds(milliseconds: int | None) -> str:
    seconds = (milliseconds or 0) // 1000
    return f"{seconds // 60}:{seconds % 60:02d}"
