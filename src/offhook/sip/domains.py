"""Domains of a server that serves several: which one a host means, and what an endpoint is called in it (API.md section 3).

Inside, an endpoint of the canonical domain goes by its user name, `bob`; one of another domain by `bob@acme.example.com`. So
two may have the same user name, and neither is ever mistaken for the other. User names hold no @.

Lives here: hosts, names and realms. Never here: whose domains they are (server/profiles.py).
"""

from collections.abc import Iterable, Mapping

from offhook.sip.uri import Uri


class Domains:
    """The domains beside the canonical one. They may change while we run; whoever reads them sees it at the next message."""

    def __init__(self) -> None:
        self._of_host: dict[str, str] = {}
        self._realms: dict[str, str] = {}
        self._countries: dict[str, str] = {}

    def use(self, of_host: Mapping[str, str], realms: Mapping[str, str], countries: Mapping[str, str]) -> None:
        """`of_host`: the domain that a host means, lower case, for each that does not mean the canonical one; a domain means
        itself. `realms` and `countries` (ISO 3166): by domain."""
        self._of_host, self._realms, self._countries = dict(of_host), dict(realms), dict(countries)

    def __bool__(self) -> bool:
        return bool(self._of_host)

    def of(self, host: str) -> str:
        """The domain that a host means, "" for the canonical one; a host that is not ours means that too."""
        return self._of_host.get(host, "")

    def name(self, uri: Uri) -> str:
        """What we call whom a URI of ours means."""
        return qualified(uri.unescaped_user, self.of(uri.host))

    def realm(self, domain: str) -> str | None:
        """The realm of a domain; None for the canonical one, and for one that is gone."""
        return self._realms.get(domain)

    def country(self, domain: str) -> str:
        """The country by whose rules numbers are read there, "" where the domain says nothing of its own."""
        return self._countries.get(domain, "")

    def of_realm(self, realms: Iterable[str]) -> str:
        """The first domain that has one of these realms for itself; "" if none has."""
        wanted = frozenset(realms)
        return next((domain for domain, realm in self._realms.items() if realm in wanted), "")


def qualified(user: str, domain: str) -> str:
    """A user name at a domain, "" the canonical one. An @ in it is written so that it cannot name a domain."""
    plain = user.replace("@", "%40") if "@" in user else user
    return f"{plain}@{domain}" if domain else plain


def parted(name: str) -> tuple[str, str]:
    """User name and domain of a name; "" is the canonical domain."""
    user, at, domain = name.rpartition("@")
    return (user, domain) if at else (name, "")


def aor_of(name: str, canonical: str) -> str:
    """The address of record of a name."""
    return f"sip:{name}" if "@" in name else f"sip:{name}@{canonical}"


def uri_of_name(name: str, canonical: str) -> Uri:
    """The same as a URI."""
    user, domain = parted(name)
    return Uri("sip", user, domain or canonical)


def name_of(aor: str, canonical: str) -> str:
    """The name that an address of record belongs to."""
    return aor.removeprefix("sip:").removesuffix(f"@{canonical}")
