"""Is the server well, and where does a page connect (API.md 12.6)."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from offhook.api.auth import Monitor, authenticate, need, source_of
from offhook.api.describe import described, flag, list_of, loose, nullable, one_of, record, text, whole
from offhook.api.ports import Platform

router = APIRouter(tags=["Health"])
LOOPBACK = ("127.0.0.1", "::1")
METRICS_KIND = "text/plain; version=0.0.4; charset=utf-8"
CHECKS = ("store", "media", "sip", "certificate")
READINESS = record(
    "Readiness", "status", "checks",
    status=one_of("ok", "unavailable", "draining"), checks=record("", *CHECKS, **dict.fromkeys(CHECKS, flag())),
)  # fmt: skip
STATUS = record(
    "Status", "version", "node", "nodes", "uptime_seconds", "listeners", "domain", "certificate", "counts", "limits",
    "warnings", version=text(), node=text(), nodes=list_of(text()), uptime_seconds=whole(0), listeners=list_of(loose()),
    domain=text(), certificate=nullable(loose()), counts=loose(), limits=loose(), warnings=list_of(text()),
)  # fmt: skip


@router.get("/healthz", **described(gives=record("Health", "status", status=one_of("ok"))))
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", **described(gives=READINESS, errors=(503,)))
async def readyz(request: Request) -> JSONResponse:
    """503 while a part is missing that a call needs, and while the server stops."""
    platform: Platform = request.app.state.platform
    checks = platform.readiness()
    ready = all(checks.values())
    status = "draining" if platform.draining else "ok" if ready else "unavailable"
    headers = {} if status == "ok" else {"Retry-After": "5"}
    return JSONResponse({"status": status, "checks": checks}, 200 if status == "ok" else 503, headers)


@router.get("/metrics", response_class=PlainTextResponse, **described(errors=(401, 403)))
async def metrics(request: Request) -> PlainTextResponse:
    """Prometheus text; free from this machine, else with an API token that has `monitor`."""
    platform: Platform = request.app.state.platform
    if source_of(request) not in LOOPBACK:
        need(await authenticate(request, None), "monitor")
    return PlainTextResponse(await platform.metrics(), media_type=METRICS_KIND)


@router.get("/api/offhook/status", **described(gives=STATUS))
async def status(request: Request, token: Monitor) -> dict[str, Any]:
    """Version, listeners, counts, limits and warnings."""
    platform: Platform = request.app.state.platform
    return platform.status()


@router.get("/api/offhook/public")
async def public(request: Request, response: Response) -> dict[str, str]:
    """What the web phone needs before anyone has signed in: the SIP domain. Tells a stranger nothing about endpoints."""
    platform: Platform = request.app.state.platform
    response.headers["Access-Control-Allow-Origin"] = "*"
    return {"domain": platform.domain_at((request.url.hostname or "").lower()), "version": platform.version}
