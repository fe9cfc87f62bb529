"""SIP and tel URIs (RFC 3261 section 19.1, RFC 3966): parse, write, compare.

Lives here: one URI by itself. Never here: resolving a host, or knowing which hosts are ours.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Uri:
    """A parsed URI. Escapes of the user part are kept as received; `unescaped_user` removes them once.

    `scheme` and `host` are lower case; an IPv6 `host` keeps its brackets; `params` maps a lower-case name to its value
    (None for a bare flag) in order; `headers` is what follows `?`, as received. For schemes other than sip, sips and tel
    only `scheme` and `opaque` are filled.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    password: str | None = None
    params: dict[str, str | None] = field(default_factory=dict)
    headers: str = ""
    opaque: str = ""

    @property
    def unescaped_user(self) -> str:
        """The user part with %-escapes decoded once (esc01 of RFC 4475), empty if absent."""
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError


def parse_uri(text: str) -> Uri:
    """Parses one URI without display name or brackets. Raises errors.MalformedMessage naming the place."""
    raise NotImplementedError


def equivalent(a: Uri, b: Uri) -> bool:
    """URI comparison of RFC 3261 section 19.1.4."""
    raise NotImplementedError


def address_of_record(uri: Uri) -> str:
    """`sip:user@host` with user unescaped, host lower case, no port or parameters (REG-5)."""
    raise NotImplementedError
