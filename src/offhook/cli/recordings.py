"""`offhook recording`: recordings of calls; `offhook call record` makes one."""

from pathlib import Path
from typing import Annotated

import typer

from offhook.cli.server import Json, Server, done, fail, print_json, settings_of, table

PATH = "/api/relay/rest/recordings"
app = typer.Typer(help="Recordings of calls.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The id of a recording.")]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """All of them, newest first."""
    rows = Server(settings_of(context)).rows(f"{PATH}?page_size=1000")
    if as_json:
        print_json(rows)
        return
    shown = [
        (row["id"], row["created_at"], row["status"], f"{row['duration']} s", row["byte_size"], row["track"])
        for row in rows
    ]
    table(("RECORDING", "BEGAN", "STATUS", "TIME", "OCTETS", "SOUND"), shown)


@app.command("save")
def save(
    context: typer.Context, id_: Id, file: Annotated[Path, typer.Argument(help="Where to; it must not exist.")]
) -> None:
    """Save the sound as a WAV file."""
    sound = Server(settings_of(context)).content(f"{PATH}/{id_}/media", {})
    try:
        with file.open("xb") as out:
            out.write(sound)
    except OSError as error:
        fail(f"{file}: {error.strerror}")


@app.command("remove")
def remove(context: typer.Context, id_: Id, as_json: Json = False) -> None:
    """Delete it, with its file."""
    Server(settings_of(context)).request("DELETE", f"{PATH}/{id_}")
    done(f"removed {id_}", {"id": id_}, as_json)
