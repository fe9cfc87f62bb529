"""The command `offhook`: serve | endpoint | trunk | number | call | recording | registration | device | token | project |
event | webhook | trace | doctor | backup | restore."""

from pathlib import Path
from typing import Annotated

import typer

from offhook import __version__
from offhook.cli import (
    calls,
    devices,
    endpoints,
    events,
    numbers,
    projects,
    recordings,
    registrations,
    tokens,
    trunks,
    webhooks,
)
from offhook.cli.backup import backup, restore
from offhook.cli.doctor import doctor
from offhook.cli.serve import serve
from offhook.cli.trace import trace

app = typer.Typer(
    name="offhook",
    help="A self-hosted telephone system for web browsers.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(endpoints.app, name="endpoint")
app.add_typer(trunks.app, name="trunk")
app.add_typer(numbers.app, name="number")
app.add_typer(calls.app, name="call")
app.add_typer(recordings.app, name="recording")
app.add_typer(registrations.app, name="registration")
app.add_typer(devices.app, name="device")
app.add_typer(tokens.app, name="token")
app.add_typer(projects.app, name="project")
app.add_typer(events.app, name="event")
app.add_typer(webhooks.app, name="webhook")
app.command()(serve)
app.command()(trace)
app.command()(doctor)
app.command()(backup)
app.command()(restore)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"offhook {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Data directory (default ./offhook-data, or OFFHOOK_DATA).")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (default ./offhook.toml if it is there).")] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = {"data": data, "config": config}


def main() -> None:
    """Entry point of the console script."""
    app()
