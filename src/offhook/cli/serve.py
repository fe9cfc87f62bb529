"""`offhook serve`: the server in the foreground."""

import os
from pathlib import Path
from typing import Annotated

import typer

from offhook.cli.server import fail
from offhook.server.data_directory import held
from offhook.server.ears import Ears
from offhook.server.errors import StartError
from offhook.server.setting_sources import SettingError, load


def serve(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Data directory.")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; 127.0.0.1 until given, 0.0.0.0 for the network, :: for IPv6 too."),
    ] = None,
    http_port: Annotated[int | None, typer.Option(help="Page, REST and SIP over WebSocket.")] = None,
    https_port: Annotated[int | None, typer.Option(help="The same over TLS.")] = None,
    sip_port: Annotated[int | None, typer.Option(help="SIP over UDP and TCP.")] = None,
    sips_port: Annotated[int | None, typer.Option(help="SIP over TLS.")] = None,
    media_port: Annotated[int | None, typer.Option(help="UDP port for browsers' media.")] = None,
    rtp_ports: Annotated[str | None, typer.Option(help="Ports for phones' media, from-to.")] = None,
    domain: Annotated[str | None, typer.Option(help="SIP domain; fixed at the first start.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file; with --key serves HTTPS, WSS and SIP/TLS.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the private key.")] = None,
    acme: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Public names, with commas: a certificate is ordered and kept fresh."),
    ] = None,
    local_authority: Annotated[
        bool | None, typer.Option(help="Make an authority for this network; its page /ca installs it on devices.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run the telephone system. Needs no configuration; the first start makes two demo endpoints."""
    options = context.obj or {}
    flags = {
        ("data",): data or options.get("data"),
        ("http", "host"): host,
        ("http", "port"): http_port,
        ("http", "https_port"): https_port,
        ("http", "certificate"): certificate,
        ("http", "key"): key,
        ("http", "local_authority"): local_authority,
        ("acme", "domains"): [one.strip() for one in acme.split(",")] if acme else None,
        ("sip", "port"): sip_port,
        ("sip", "tls_port"): sips_port,
        ("sip", "domain"): domain,
        ("media", "port"): media_port,
        ("media", "rtp_ports"): rtp_ports,
        ("log", "level"): log_level,
    }
    try:
        settings = load(os.environ, flags, options.get("config"))
    except SettingError as error:
        fail(str(error))
    try:
        with held(settings.data):
            ears = Ears(settings).open()  # before the rest is loaded, which takes a second
            from offhook.server.lifecycle import run  # uvloop, FastAPI and the database load only when serving

            code = run(settings, ears)
    except StartError as error:
        fail(str(error))
    raise typer.Exit(code)
