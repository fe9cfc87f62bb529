"""The SIP profile of a project, read from its row (API.md section 3): what its endpoints have unless they say otherwise.

Lives here: fields to values, with their defaults. Never here: who obeys them (server/profiles.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_CODECS = ("OPUS", "G722", "PCMU", "PCMA", "VP8", "H264")
"""What an endpoint may use, in order of preference, unless it or the profile has a list of its own."""
OWN_DEFAULTS: dict[str, Any] = {
    "outbound_policy": "passthrough",
    "pstn_enabled": True,
    "external_sip": "all",
    "aliases": [],
    "origins": [],
    "country": None,
}
"""The part under `offhook`, as it is stored."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Empty lists and None mean what the server does by itself."""

    codecs: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    encryption: str = "optional"
    send_as: str | None = None
    outbound_policy: str = "passthrough"
    pstn_enabled: bool = True
    external_sip: str = "all"
    aliases: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    country: str | None = None
    domain_identifier: str | None = None
    realm: str | None = None
    """Fixed when the profile was made; None is the canonical domain's."""


def read(stored: Mapping[str, Any]) -> Profile:
    """The profile of a project's row."""
    own = {**OWN_DEFAULTS, **stored.get("offhook", {})}
    return Profile(
        codecs=tuple(stored.get("default_codecs") or ()),
        ciphers=tuple(stored.get("default_ciphers") or ()),
        encryption=stored.get("default_encryption") or "optional",
        send_as=stored.get("default_send_as"),
        outbound_policy=own["outbound_policy"],
        pstn_enabled=own["pstn_enabled"],
        external_sip=own["external_sip"],
        aliases=tuple(own["aliases"]),
        origins=tuple(own["origins"]),
        country=own["country"],
        domain_identifier=stored.get("domain_identifier"),
        realm=stored.get("realm"),
    )
