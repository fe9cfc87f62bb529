"""Settings as they are given: a file, the environment, flags.

Order of precedence: flags, then `OFFHOOK_*` environment variables, then `offhook.toml`. `group.name` is
`OFFHOOK_GROUP_NAME`; the short names of `SHORT_NAMES` stand beside them. An unknown or wrong setting is a `SettingError`
that names where it stands.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from offhook.server.config import Settings
from offhook.server.setting_faults import PAGE, Place, told


class SettingError(Exception):
    """A setting is unknown or wrong; the text says which, where it stands, and what would be right."""


SHORT_NAMES = {
    "OFFHOOK_DATA": ("data",),
    "OFFHOOK_HOST": ("http", "host"),
    "OFFHOOK_HTTP_PORT": ("http", "port"),
    "OFFHOOK_HTTPS_PORT": ("http", "https_port"),
    "OFFHOOK_SIP_PORT": ("sip", "port"),
    "OFFHOOK_SIPS_PORT": ("sip", "tls_port"),
    "OFFHOOK_MEDIA_PORT": ("media", "port"),
    "OFFHOOK_RTP_PORTS": ("media", "rtp_ports"),
    "OFFHOOK_DOMAIN": ("sip", "domain"),
}
"""Environment variables beside the regular `OFFHOOK_GROUP_NAME`."""

NOT_SETTINGS = frozenset(
    {"OFFHOOK_MEDIA_BINARY", "OFFHOOK_BUILD_PROFILE", "OFFHOOK_TOKEN", "OFFHOOK_PROJECT", "OFFHOOK_PASSWORD"}
)
"""Variables that others of our programs read."""

FLAGS: dict[Place, str] = {
    ("http", "port"): "http_port",
    ("sip", "port"): "sip_port",
    ("sip", "tls_port"): "sips_port",
    ("media", "port"): "media_port",
    ("acme", "domains"): "acme",
    ("log", "level"): "log_level",
}
"""Flags of `offhook serve` that are called otherwise than their setting."""


def load(environment: Mapping[str, str], flags: Mapping[Place, Any], file: Path | None = None) -> Settings:
    """Settings from a TOML file (if given or `offhook.toml` exists), the environment and flags. Raises SettingError."""
    values: dict[Place, Any] = {}
    origins: dict[Place, str] = {}
    path = file or Path("offhook.toml")
    if file is not None or path.exists():
        _from_file(path, values, origins)
    _from_environment(environment, values, origins)
    for place, value in flags.items():
        if value is not None:
            values[place], origins[place] = value, f"flag --{FLAGS.get(place, place[-1]).replace('_', '-')}"
    if values.get(("acme", "domains")):
        # Where the authority looks, and where browsers go.
        values.setdefault(("http", "port"), 80)
        values.setdefault(("http", "https_port"), 443)
    tree: dict[str, Any] = {}
    for place, value in values.items():
        group = tree
        for part in place[:-1]:
            group = group.setdefault(part, {})
            if not isinstance(group, dict):
                raise SettingError(f"{origins[(part,)]}: {part}: is a group: write [{part}] above its settings")
        group[place[-1]] = value
    return _validated(tree, origins)


def _validated(tree: dict[str, Any], origins: Mapping[Place, str]) -> Settings:
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingError(told(error, Settings, origins)) from None
    low, high = settings.rtp_range
    if not 1024 <= low < high <= 65535:
        raise SettingError(f"media.rtp_ports: {settings.media.rtp_ports}: give two ports from 1024 to 65535, low-high")
    if settings.sip.tls_client_certificates != "off" and settings.sip.tls_authorities is None:
        raise SettingError("sip.tls_client_certificates: give sip.tls_authorities, who may issue them")
    if settings.sip.min_se > settings.sip.session_expires:
        raise SettingError("sip.min_se: give at most sip.session_expires, which we propose")
    if (settings.http.certificate is None) != (settings.http.key is None):
        raise SettingError("http.certificate and http.key belong together: give both or neither")
    sources = {"http.certificate": settings.http.certificate, "http.local_authority": settings.http.local_authority,
               "acme.domains": settings.acme.domains}  # fmt: skip
    if len(given := [name for name, value in sources.items() if value]) > 1:
        raise SettingError(f"{' and '.join(given)}: give one of them; each says where the certificate comes from")
    return settings


def _from_file(path: Path, values: dict[Place, Any], origins: dict[Place, str]) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: {error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingError(f"{path} line {line}: no UTF-8, in which the file must be saved") from None
    lines = text.splitlines()

    def line_of(name: str) -> int:
        starts = (number for number, line in enumerate(lines, 1) if line.split("=")[0].strip().strip('"') == name)
        return next(starts, 1)

    for key, value in tree.items():
        inner = value.items() if isinstance(value, dict) else [(None, value)]
        for name, leaf in inner:
            place = (key,) if name is None else (key, name)
            values[place], origins[place] = leaf, f"{path} line {line_of(place[-1])}"


def _from_environment(environment: Mapping[str, str], values: dict[Place, Any], origins: dict[Place, str]) -> None:
    known = dict(SHORT_NAMES)
    for group, model in Settings.model_fields.items():
        kind = model.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name in kind.model_fields:
                known[f"OFFHOOK_{group}_{name}".upper()] = (group, name)
    for variable, text in environment.items():
        if not variable.startswith("OFFHOOK_") or variable in NOT_SETTINGS:
            continue
        place = known.get(variable)
        if place is None:
            raise SettingError(f"environment variable {variable}: no such setting; see {PAGE}")
        values[place] = [one.strip() for one in text.split(",") if one.strip()] if _is_list(place) else text
        origins[place] = f"environment variable {variable}"


def _is_list(place: Place) -> bool:
    model: Any = Settings
    for part in place[:-1]:
        model = model.model_fields[part].annotation
    return "tuple" in str(model.model_fields[place[-1]].annotation)
