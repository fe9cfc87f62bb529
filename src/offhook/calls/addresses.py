"""Callable addresses (API.md 1.8): what a command or a document names as a destination, as a URI."""

from offhook.calls.routing import ADDRESS, PREFIXES
from offhook.sip.errors import PeerError
from offhook.sip.uri import Uri, parse_uri


def uri_of(text: str, domain: str) -> Uri | None:
    """The URI of a number, a name, an extension, an address or a SIP or tel URI; None for what is none of them."""
    text = text.strip()
    for prefix in PREFIXES:
        if text.lower().startswith(prefix):
            text = text[len(prefix) :]
    if not text or (text.startswith("/") and ADDRESS.fullmatch(text) is None):
        return None
    named = text if text.lower().startswith(("sip:", "sips:", "tel:")) else f"sip:{_escaped(text)}@{domain}"
    try:
        uri = parse_uri(named)
    except PeerError:
        return None
    return uri if uri.scheme == "tel" or uri.user else None


def _escaped(text: str) -> str:
    """Separators in a number are no part of a URI."""
    return text.replace(" ", "").replace("#", "%23").replace("@", "%40")


def shown(uri: Uri) -> str:
    """A destination as the API shows it: a number as such, else the URI without its parameters."""
    if uri.scheme == "tel":
        return uri.user or ""
    user = uri.unescaped_user
    if user.startswith("+") and user[1:].isdigit():
        return user
    port = f":{uri.port}" if uri.port is not None else ""
    return f"{uri.scheme}:{user}@{uri.host}{port}"
