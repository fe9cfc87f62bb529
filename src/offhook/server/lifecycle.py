"""Start, signals, drain, stop."""

import asyncio
import gc
import signal

import uvloop

from offhook.server import observe
from offhook.server.app import FIRST_RUN, App, StartError
from offhook.server.config import Settings
from offhook.server.ears import Ears
from offhook.server.reach import page_url
from offhook.store.database import StoreError

__all__ = ["StartError", "run"]

DRAIN = 3600.0
"""Seconds that calls may go on after SIGTERM."""

COLLECTIONS = (10_000, 10, 1_000)
"""Thresholds of the cycle collector. Calls and registrations leave no cycles behind (tests/scenarios/test_growth.py), yet
whatever stands is walked through at each full collection: with the usual thresholds that was a quarter of a busy node's
time, and pauses of half a second."""


def run(settings: Settings, ears: Ears) -> int:
    """Serves until SIGTERM or SIGINT, or until SIGUSR2, which leaves the calls to the next start; returns the exit code.

    Raises StartError.
    """
    observe.set_up(settings.log.level, settings.log.format)
    return uvloop.run(_serve(settings, ears))


async def _serve(settings: Settings, ears: Ears) -> int:
    app = App(settings, ears)
    try:
        await app.start()
    except (StartError, StoreError) as error:
        await app.stop()
        raise StartError(str(error)) from error
    _spare_collections()
    first, second, upgrade = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (second if first.is_set() else first).set()

    def hand_over() -> None:
        for one in (upgrade, first, second):
            one.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGUSR2, hand_over)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    print(_welcome(app), flush=True)
    await first.wait()
    if app.driver.switchboard.calls() and not upgrade.is_set():
        print("Stopping once the calls have ended; a second signal stops at once.", flush=True)
    if not upgrade.is_set():
        await _drained(app, second)
    await app.stop(keep_calls=upgrade.is_set())
    return 0


def _spare_collections() -> None:
    """What a start has made stays for good and need never be walked through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)


async def _drained(app: App, second: asyncio.Event) -> None:
    """Until the drain is over, its time is up, or a second signal comes."""
    tasks = [asyncio.create_task(app.drain()), asyncio.create_task(second.wait())]
    await asyncio.wait(tasks, timeout=DRAIN, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _listeners(app: App) -> str:
    labels = {"http": "HTTP+WS", "https": "HTTPS+WSS", "sip": "SIP (UDP, TCP)", "sips": "SIP (TLS)"}
    return " · ".join(f"{label} {app.listeners[name]}" for name, label in labels.items() if name in app.listeners)


def _welcome(app: App) -> str:
    """What a person needs next."""
    media = ", ".join(str(port) for port in app.media.engine.webrtc_ports)
    secure = f" and {page_url(app)}" if "https" in app.listeners else ""
    lines = [
        "",
        f"Offhook is up. Open  {app.http_url}{secure}",
        "",
        f"  listens   {_listeners(app)} · browser media UDP {media} · phone media UDP {app.settings.media.rtp_ports}",
    ]
    if app.first_run is not None:
        for one in app.first_run["endpoints"]:
            lines.append(f"  endpoint  {one['username']:<6} password {one['password']}")
        lines.append(f"            (shown once; kept in {app.settings.data / FIRST_RUN})")
    else:
        lines.append(
            f"  endpoints {len(app.store.endpoints)} known; the first ones stand in {app.settings.data / FIRST_RUN}"
        )
    lines += ["", "  Sign in on the page and call  echo  to hear yourself, or  bob  from a second window.", ""]
    return "\n".join(lines)
