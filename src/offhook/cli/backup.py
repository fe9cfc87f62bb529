"""`offhook backup FILE` and `offhook restore FILE`."""

from pathlib import Path
from typing import Annotated

import typer

from offhook.cli.server import Json, echo, fail, print_json, settings_of


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it (a ZIP file, readable by you alone).")],
    as_json: Json = False,
) -> None:
    """Save everything that must not be lost, while the server runs or not."""
    from offhook.server.archive import ArchiveError, make  # the database is loaded only when it is needed

    settings = settings_of(context)
    try:
        contents = make(settings, file)
    except ArchiveError as error:
        fail(str(error))
    outside = [one for one in (settings.http.certificate, settings.http.key) if one is not None]
    if as_json:
        print_json({"file": str(file), "holds": str(contents), "not_in_it": [str(one) for one in outside]})
        return
    echo(f"{file} holds {contents}. Whoever has it has your keys and credentials: keep it as you keep those.")
    if outside:
        echo(f"Not in it, because they stand elsewhere: {', '.join(map(str, outside))} and the settings file.")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `offhook backup` has written.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what is there. All of it is lost.")] = False,
    as_json: Json = False,
) -> None:
    """Put a backup into an empty data directory, and into the database that `store.url` names."""
    from offhook.server.archive import ArchiveError
    from offhook.server.archive import restore as restore_from

    settings = settings_of(context)
    try:
        contents = restore_from(settings, file, force)
    except ArchiveError as error:
        fail(str(error))
    if as_json:
        print_json({"data": str(settings.data), "made_at": str(contents.made_at), "holds": str(contents)})
        return
    echo(f"{settings.data} is as it was on {contents.made_at}: {contents}. Start it with `offhook serve`.")
