"""Whose certificate is it: RFC 5922 section 7, for the TLS peers that we connect to.

Lives here: the comparison of a verified certificate's names with a SIP domain. Never here: chains and dates, which are
OpenSSL's matter.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

Certificate = Mapping[str, Any]
"""As `ssl.SSLObject.getpeercert()` returns it."""


def identities(certificate: Certificate) -> list[str]:
    """The SIP domains a certificate speaks for (RFC 5922 section 7.1): sip: URIs; without these DNS names and addresses;
    without any subjectAltName the common name."""
    names: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    uris = [_domain(value) for kind, value in names if kind == "URI"]
    if found := [one for one in uris if one]:
        return found
    if found := [value.lower() for kind, value in names if kind in ("DNS", "IP Address")]:
        return found
    if names:
        return []
    subject = certificate.get("subject", ())
    return [value.lower() for part in subject for kind, value in part if kind == "commonName"][:1]


def _domain(uri: str) -> str:
    """The host of a `sip:` URI; "" for one with a user part, which names a person and no server (section 7.1)."""
    scheme, _, rest = uri.partition(":")
    host = rest.partition(";")[0].partition("?")[0]
    return host.lower() if scheme.lower() == "sip" and "@" not in host else ""


def proves(certificate: Certificate, domain: str, wildcards: bool = False) -> bool:
    """True if the certificate speaks for the domain or address. Wildcards count by setting only (section 7.2)."""
    wanted = _plain(domain)
    for name in identities(certificate):
        if _plain(name) == wanted:
            return True
        if wildcards and name.startswith("*.") and wanted.partition(".")[2] == name[2:]:
            return True
    return False


def _plain(name: str) -> str:
    name = name.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name
