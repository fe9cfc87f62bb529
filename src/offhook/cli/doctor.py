"""`offhook doctor`: what listens, which address browsers are told for media, what is wrong and how to mend it."""

import errno
import os
import socket
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated

import httpx
import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from offhook.cli.certificates import Check, check_chain, system_roots
from offhook.cli.outside import from_here
from offhook.cli.server import FIRST_RUN, Json, echo, print_json, read_json, settings_of
from offhook.media.process import find_binary
from offhook.server.addresses import host_addresses
from offhook.server.certificates.local import LocalAuthority
from offhook.server.config import Settings
from offhook.server.data_directory import RUNNING
from offhook.transport.sockets import DATAGRAM, STREAM, addresses_of, bind_all

FILES_NEEDED = 4096
"""Open files below which a server with many connections stumbles."""
REACH = 2.0
"""Seconds in which a port of this very machine answers."""
NOT_OUTSIDE = ("127.", "[::1", "[fe80", "169.254.")
"""Addresses that nobody else reaches."""
PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
PRIVILEGE = (
    "Choose a {setting} above 1023, or let the program have it: setcap cap_net_bind_service=+ep, or systemd's unit"
)


def doctor(
    context: typer.Context,
    as_json: Json = False,
    from_: Annotated[
        str, typer.Option("--from", metavar="URL", help="On another machine: what is reached there.")
    ] = "",
    as_: Annotated[str, typer.Option("--as", metavar="NAME", help="The endpoint that asks, with --from.")] = "alice",
) -> None:
    """Say what listens, which address browsers get for media, what is wrong and how to mend it.

    No server sees from inside which ports a router or a firewall before it lets through. With --from, on a machine where
    browsers are, a call to `echo` is set up and every address for media is asked; OFFHOOK_PASSWORD may have the password.
    """
    _say(from_here(from_, as_) if from_ else _of_this_machine(settings_of(context)), as_json)


def _of_this_machine(settings: Settings) -> list[Check]:
    running = _running(settings)
    if running is not None:
        # What it was started with, flags included, and not what this shell would start it with.
        settings = Settings.model_validate(running["settings"])
    return [*(_of_running(settings, running) if running else _of_ports(settings)),
            *_of_media(settings), *_of_certificate(settings), *_of_machine()]  # fmt: skip


def _say(checks: list[Check], as_json: bool) -> None:
    if as_json:
        print_json([asdict(check) for check in checks])
    for check in [] if as_json else checks:
        echo(f"{'ok   ' if check.well else 'WRONG'}  {check.text}")
        if not check.well:
            echo(f"       {check.remedy}")
    if any(not check.well for check in checks):
        raise typer.Exit(1)


def _running(settings: Settings) -> dict[str, object] | None:
    """What running.json says, if that server answers."""
    facts = read_json(settings.data / RUNNING)
    if facts is None:
        return None
    try:
        httpx.get(f"{facts['http_url']}/healthz", timeout=3, trust_env=False)
    except httpx.TransportError:
        return None
    return facts


def _of_running(settings: Settings, running: dict[str, object]) -> list[Check]:
    checks = [Check(True, f"the server runs (pid {running['pid']}), page and API at {running['http_url']}")]
    answer = httpx.get(f"{running['http_url']}/readyz", timeout=3, trust_env=False).json()["checks"]
    for part, well in answer.items():
        checks.append(Check(well, f"{part} is {'ready' if well else 'not ready'}", "The server's log says why"))
    media = str(running["webrtc_ports"]).strip("[]")
    checks.append(Check(True, f"SIP (UDP, TCP) at {running['sip']}, browser media on UDP {media}"))
    if not settings.http.loopback:
        checks += _reached(running)
    first = settings.data / FIRST_RUN
    if first.exists():
        private = not first.stat().st_mode & 0o077
        checks.append(Check(private, f"{first} is readable by its owner only", f"chmod 600 {first}"))
    return checks


def _of_ports(settings: Settings) -> list[Check]:
    checks = [Check(True, f"no server runs in {settings.data}; looking whether one could")]
    host = settings.http.host
    wanted = (
        ("http.port", settings.http.port, STREAM),
        ("sip.port", settings.sip.port, STREAM),
        ("sip.port", settings.sip.port, DATAGRAM),
        ("media.port", settings.media.port, DATAGRAM),
        *_secure(settings),
    )
    for name, port, kind in wanted:
        protocol = "TCP" if kind == STREAM else "UDP"
        checks.append(
            _port("0.0.0.0" if name == "media.port" else host, port, kind, f"{protocol} {port} ({name})", name)
        )
    try:
        checks.append(Check(True, f"the media engine is {find_binary()}"))
    except OSError as error:
        checks.append(Check(False, "the media engine is missing", str(error)))
    return checks


def _secure(settings: Settings) -> tuple[tuple[str, int, int], ...]:
    if not settings.secure:
        return ()
    return ("http.https_port", settings.http.https_port, STREAM), ("sip.tls_port", settings.sip.tls_port, STREAM)


def _port(host: str, port: int, kind: int, label: str, setting: str) -> Check:
    """Whether a server could listen there."""
    try:
        for one in bind_all([(address, kind) for address in addresses_of(host)], port):
            one.close()
    except OSError as error:
        if error.errno == errno.EACCES:
            return Check(False, f"{label} is for privileged programs", PRIVILEGE.format(setting=setting))
        if error.errno == errno.EADDRNOTAVAIL:
            text = f"{host} is no address of this machine"
            return Check(False, text, "Set http.host to one of its addresses, or to 0.0.0.0 for all")
        return Check(False, f"{label} is in use", f"Stop the other program, or choose another {setting}")
    return Check(True, f"{label} is free")


def _reached(running: dict[str, object]) -> list[Check]:
    """Whether what listens on the network is reached at this machine's own addresses: a firewall of its own would show."""
    wanted = (("http_url", "pages"), ("https_url", "pages and WSS"), ("sip", "SIP over TCP"), ("sips", "SIP over TLS"))
    ports = [(int(str(running[name]).rpartition(":")[2]), label) for name, label in wanted if name in running]
    outside = [one.strip("[]") for one in host_addresses() if not one.startswith(NOT_OUTSIDE)]
    checks = []
    for address in outside:
        blocked = [f"{port} ({label})" for port, label in ports if not _answers(address, port)]
        if blocked:
            text = f"TCP {', '.join(blocked)} is not reached at {address}"
            checks.append(
                Check(False, text, "Let it through the firewall of this machine (nft list ruleset, ufw status)")
            )
    return checks or [Check(True, f"TCP ports are reached at {', '.join(outside)}")] if outside else []


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=REACH).close()
    except OSError:
        return False
    return True


def _of_media(settings: Settings) -> list[Check]:
    usable = [one for one in host_addresses() if not one.startswith(NOT_OUTSIDE)]
    told = [*settings.media.public_address, *usable]
    loopback = settings.http.loopback
    if told:
        text = f"browsers are told {', '.join(told)} for media"
        checks = [Check(True, text + (", and 127.0.0.1" if loopback and settings.media.offer_loopback else ""))]
    else:
        remedy = "Firefox never uses loopback for media: give the machine a network interface, or use Chromium"
        checks = [Check(False, "browsers are told 127.0.0.1 only for media", remedy)]
    if not loopback and usable and not settings.media.public_address and all(map(_private, usable)):
        # A public name promises that strangers come; on a LAN a private address is what is wanted.
        remedy = "If browsers come from the internet, set media.public_address to the address they reach you at"
        text = "every address that browsers are told for media is private"
        checks.append(Check(not settings.acme.domains, text if settings.acme.domains else f"{text}. {remedy}", remedy))
    return checks


def _private(address: str) -> bool:
    """RFC 1918, RFC 6598 and RFC 4193; not the networks of documentation."""
    one = ip_address(address.strip("[]"))
    return any(one in network for network in PRIVATE if network.version == one.version)


def _of_certificate(settings: Settings) -> list[Check]:
    folder, now = settings.data / "certificates", datetime.now(UTC)
    if settings.http.certificate is not None and settings.http.key is not None:
        name = settings.sip.domain if settings.sip.domain != "localhost" else settings.http.host.partition(",")[0]
        return check_chain(settings.http.certificate, settings.http.key, name, now, system_roots())
    if settings.acme.domains:
        return _of_ordered(settings, folder / "certificate.pem", now)
    if settings.http.local_authority:
        return [_of_authority(LocalAuthority(folder), now)]
    if settings.http.loopback:
        return [Check(True, "no certificate; none is needed on this machine (localhost)")]
    remedy = (
        "Browsers give no microphone to a plain http page on another machine: set acme.domains, http.certificate or"
    )
    text = "no certificate, but the server faces the network"
    return [Check(False, text, f"{remedy} http.local_authority (docs/help/certificates.md says which)")]


def _of_ordered(settings: Settings, kept: Path, now: datetime) -> list[Check]:
    acme = settings.acme
    roots = [*system_roots(), *_authorities(acme.directory_ca)]
    checks = [one for name in acme.domains for one in _of_public_name(settings, name)]
    if not kept.exists():
        return [
            *checks,
            Check(False, f"no certificate from {acme.directory} yet", "Start the server; its log says why"),
        ]
    return [*checks, *check_chain(kept, kept, acme.domains[0], now, roots)]


def _authorities(path: Path | None) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes()) if path is not None and path.exists() else []


def _of_public_name(settings: Settings, name: str) -> list[Check]:
    """Whether a name leads here, as far as one can see from inside."""
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        return [Check(False, f"{name} does not resolve: {error.strerror}", "Make an A or AAAA record for it")]
    ours = {one.strip("[]") for one in (*host_addresses(), *settings.media.public_address)}
    text = f"{name} is {', '.join(sorted(found))}"
    if found & ours:
        return [Check(True, text)]
    remedy = "If this machine is behind a router, give its outer address in media.public_address and forward the ports"
    return [Check(False, f"{text}, which is no address of this machine", remedy)]


def _of_authority(authority: LocalAuthority, now: datetime) -> Check:
    try:
        digest = authority.certificate(now).certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    except (OSError, ValueError) as error:
        return Check(False, f"our own authority cannot be read: {error}", "Move its file away: a new one is made")
    return Check(True, f"our own authority (devices install it from the page /ca) has the SHA-256 {digest}")


def _of_machine() -> list[Check]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = Check(max(soft, hard) >= FILES_NEEDED, f"{hard} files may be open", "Raise the limit: ulimit -n 65536")
    return [files, Check(True, f"{os.cpu_count()} processors")]
