"""Is the server well, and where does a page connect (API.md 12.6)."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from offhook.api.auth import Monitor
from offhook.api.ports import Platform

router = APIRouter(tags=["Health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """503 until every part stands that a call needs."""
    platform: Platform = request.app.state.platform
    checks = platform.readiness()
    ready = all(checks.values())
    body = {"status": "ok" if ready else "unavailable", "checks": checks}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/api/offhook/status")
async def status(request: Request, token: Monitor) -> dict[str, Any]:
    """Version, listeners, counts and warnings."""
    platform: Platform = request.app.state.platform
    return platform.status()


@router.get("/api/offhook/public")
async def public(request: Request, response: Response) -> dict[str, str]:
    """What the web phone needs before anyone has signed in: the SIP domain. Tells a stranger nothing about endpoints."""
    platform: Platform = request.app.state.platform
    response.headers["Access-Control-Allow-Origin"] = "*"
    return {"domain": platform.domain, "version": platform.version}
