"""`offhook trace`: what happened in one call, as a ladder, as JSON, or as a capture file for Wireshark."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from offhook.cli.calls import PATH
from offhook.cli.server import Server, fail, plain, settings_of


class Format(StrEnum):
    """How a trace is shown."""

    LADDER = "ladder"
    JSON = "json"
    PCAP = "pcap"


def trace(
    context: typer.Context,
    call_ref: Annotated[
        str, typer.Argument(help="A call's id, or that of any of its legs (`offhook call list`); the last that ended.")
    ] = "",
    format_: Annotated[Format, typer.Option("--format", help="ladder, json or pcap.")] = Format.LADDER,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="JSON with whole messages.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of the terminal; pcap needs one.")] = None,
) -> None:
    """What happened in a call: every message, media event and decision. Passwords, tokens and keys are hidden."""
    if as_json or raw:
        format_ = Format.JSON
    if format_ is Format.PCAP and output is None:
        fail("A capture file does not belong on a terminal: name one by --output call.pcap.")
    server = Server(settings_of(context))
    if not call_ref:
        ended = server.rows(f"{PATH}?state=ended&page_size=1000")
        if not ended:
            fail("No call has ended yet; `offhook call list` shows those that live.")
        call_ref = str(ended[0]["call_ref"])
    query = {"format": format_.value, **({"raw": "true"} if raw else {})}
    content = server.content(f"{PATH}/{call_ref}/trace", query)
    if format_ is Format.JSON:
        content = json.dumps(json.loads(content), indent=2).encode() + b"\n"
    if output is None:
        typer.echo(plain(content.decode()), nl=False)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
