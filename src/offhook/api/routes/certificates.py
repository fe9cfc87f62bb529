"""Proofs for an ACME authority, and the page by which devices of a LAN learn to trust ours."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from offhook.api.errors import not_found
from offhook.api.ports import Platform

router = APIRouter(include_in_schema=False)
FILE = "/ca/offhook-authority.crt"

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trust this telephone system</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}}
code{{word-break:break-all}}
a.button{{display:inline-block;padding:.6rem 1rem;background:#155;color:#fff;border-radius:.4rem;
text-decoration:none}}</style>
<h1>Trust this telephone system</h1>
<p>Browsers give a page the microphone only over a connection they trust. This server made its own certificate authority, for
this network alone. Install it once on each device; then open <a href="{page}">{page}</a>.</p>
<p><a class="button" href="{file}">Download the authority</a></p>
<p>Compare its SHA-256 fingerprint with the one that <code>offhook doctor</code> prints on the server:<br>
<code>{fingerprint}</code></p>
<ul>
<li><b>Windows</b>: open the file, <i>Install certificate</i>, <i>Local machine</i>, <i>Trusted root certification
authorities</i>. Chrome and Edge use it at once.</li>
<li><b>macOS</b>: open the file, add it to the <i>System</i> keychain, open it there and set <i>Always trust</i>.</li>
<li><b>iPhone, iPad</b>: allow the download, then <i>Settings, General, VPN &amp; Device Management</i>, install; then
<i>General, About, Certificate Trust Settings</i>, switch it on.</li>
<li><b>Android</b>: <i>Settings, Security, Encryption &amp; credentials, Install a certificate, CA certificate</i>.</li>
<li><b>Linux</b>: Chrome: <i>Settings, Privacy and security, Security, Manage certificates, Authorities, Import</i>.</li>
<li><b>Firefox</b>, everywhere: <i>Settings, Privacy &amp; Security, View certificates, Authorities, Import</i>.</li>
</ul>
</html>
"""


@router.get("/.well-known/acme-challenge/{token}")
async def proof(token: str, request: Request) -> Response:
    """HTTP-01 of RFC 8555 section 8.3."""
    platform: Platform = request.app.state.platform
    text = platform.certificates.proof(token)
    if text is None:
        raise not_found("proof_not_found", "No certificate is being ordered with this token")
    return PlainTextResponse(text, media_type="application/octet-stream")


@router.get("/ca")
async def page(request: Request) -> Response:
    """How to install our own authority, step by step."""
    platform: Platform = request.app.state.platform
    authority = platform.certificates.authority()
    if authority is None:
        text = "This server has no authority of its own (http.local_authority): its certificate needs no installing"
        raise not_found("authority_not_found", text)
    here = platform.certificates.secure_url(request.url.netloc) or str(request.base_url).rstrip("/")
    return HTMLResponse(_PAGE.format(page=escape(here), file=FILE, fingerprint=authority[1]))


@router.get(FILE)
async def file(request: Request) -> Response:
    """The authority's certificate, in the form that devices install."""
    platform: Platform = request.app.state.platform
    authority = platform.certificates.authority()
    if authority is None:
        raise not_found("authority_not_found", "This server has no authority of its own (http.local_authority)")
    return Response(authority[0], media_type="application/x-x509-ca-cert")
