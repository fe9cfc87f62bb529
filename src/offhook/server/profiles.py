"""SIP profiles at work (API.md section 3): who we are called, which pages may connect, and what endpoints have by default.

The hosts and origins of all projects are two sets that SIP, call control and the listeners read; they change in place, so
that the next message obeys.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from offhook.calls.commands import UseTrunk
from offhook.calls.entry import Permits
from offhook.calls.trunk import Trunk, read_trunk
from offhook.server.observe import log
from offhook.server.reach import websocket_urls
from offhook.sip.domains import Domains
from offhook.store.addresses import slug
from offhook.store.profiles import Profile, read

if TYPE_CHECKING:
    from offhook.api.ports import TrunkRow
    from offhook.server.app import App
    from offhook.server.directory import Store


LABEL = 58
"""Characters of a name that go into a label of the DNS, which has 63; a number may follow."""


class Profiles:
    """`hosts` are those that mean us whatever the profiles say, `suffix` is sip.domain_suffix, `country` sip.country,
    `aliases` sip.project_aliases, `private_media` media.private_addresses_of_trunks."""

    def __init__(
        self,
        store: "Store",
        hosts: Iterable[str],
        origins: Iterable[str],
        suffix: str,
        country: str = "",
        aliases: Iterable[str] = (),
        private_media: bool = False,
    ) -> None:
        self._store, self._suffix, self._country = store, suffix, country
        self._allowed, self._private_media = tuple(one.lower() for one in aliases), private_media
        self.domains = Domains()
        self._fixed_hosts, self._fixed_origins = frozenset(hosts), frozenset(origins)
        self.hosts = set(self._fixed_hosts)
        self.origins = set(self._fixed_origins)
        for one in store.projects:
            self._use(one.id)
        self._gather()

    def of(self, project_id: str) -> Profile:
        """The profile of a project."""
        row = self._store.projects.get(project_id)
        return read(row.profile) if row is not None else Profile()

    def domain(self, project_id: str) -> str:
        """Where the devices of a project register."""
        return self._under_suffix(project_id) or self._store.space.domain

    def _under_suffix(self, project_id: str) -> str:
        identifier = self.of(project_id).domain_identifier
        return f"{identifier}.{self._suffix}" if identifier and self._suffix else ""

    def _own(self, project_id: str) -> str:
        """The domain that a project has for itself. The root project is the one whose names are in the canonical domain: its
        label under the suffix is another name of that."""
        return self._under_suffix(project_id) if project_id != self._store.space.project_id else ""

    def country(self, project_id: str) -> str:
        """Whose numbers and tones its endpoints use; the root's, then the setting's, where it says nothing."""
        root = self._store.space.project_id
        return self.of(project_id).country or self.of(root).country or self._country

    def trunk(self, row: "TrunkRow") -> Trunk:
        """A trunk of the store; its numbers are those of its project's country where it names none."""
        plain = read_trunk(row.id, row.settings, row.password, row.digest_password)
        trunk = replace(plain, private_media=self._private_media)
        own = self.of(row.project_id).country if self._own(row.project_id) else None
        if trunk.numbers.country or not own:
            return trunk
        return replace(trunk, numbers=replace(trunk.numbers, country=own))

    def moved(self) -> set[str]:
        """Projects whose endpoints are not, or no longer, in their domain."""
        rows = self._store.endpoints
        return {one.project_id for one in rows if one.domain != rows.domain_of(one.project_id)}

    def made_for(self, name: str) -> dict[str, Any]:
        """The profile that a new project begins with. Under a suffix it has a label made of its name, and the realm of
        its domain for good: HA1 values are made with it."""
        if not self._suffix:
            return {}
        taken = {read(one.profile).domain_identifier for one in self._store.projects}
        taken |= {one.identifier for one in self._store.applications}
        stem, number = slug(name)[:LABEL].strip("-") or "project", 1
        label = stem
        while label in taken:
            number += 1
            label = f"{stem}-{number}"
        return {"domain_identifier": label, "realm": f"{label}.{self._suffix}"}

    def alias_refusal(self, project_id: str, host: str) -> tuple[str, str] | None:
        """Why a host may not mean a project's domain. What means it does so for every caller on the server: without leave of
        whoever runs it a project could take the calls of others to a foreign host."""
        means = self.domains.of(host)
        root = project_id == self._store.space.project_id
        if means != self._own(project_id) and (means or root):
            return "value_not_unique", "means another project's domain"
        if root:
            return None
        own, theirs = self._own(project_id), self.of(self._store.space.project_id).aliases
        if host in self._fixed_hosts or host in {one.lower() for one in theirs} or host == self._suffix:
            return "value_not_unique", "means the server itself"
        if host.endswith(f".{own}") or any(_fits(host, one) for one in self._allowed):
            return None
        return "invalid_parameter", f"must lie under {own}, or be allowed by sip.project_aliases"

    def changed(self, project_id: str) -> None:
        """Takes a new, changed or deleted profile into service."""
        self._use(project_id)
        self._gather()

    def _use(self, project_id: str) -> None:
        self._store.endpoints.use_profile(project_id, self.of(project_id), self._own(project_id))

    def changed_hosts(self) -> None:
        """Applications have hosts of their own under the suffix."""
        self._gather()

    def widgets_changed(self) -> None:
        """Pages with a widget may connect from its origins."""
        self._gather()

    def _gather(self) -> None:
        hosts, origins = set(self._fixed_hosts), set(self._fixed_origins)
        if self._suffix:
            hosts |= {f"{one.identifier}.{self._suffix}" for one in self._store.applications}
        of_host: dict[str, str] = {}
        realms: dict[str, str] = {}
        countries: dict[str, str] = {}
        for one in self._store.projects:
            profile, own = read(one.profile), self._own(one.id)
            theirs = {alias.lower() for alias in profile.aliases} | {self.domain(one.id)}
            if own:
                # An alias of the server's own is nobody else's; of two projects the older keeps it.
                of_host |= {host: own for host in theirs - self._fixed_hosts if host not in of_host}
                realms[own] = profile.realm or self._store.space.realm
                countries[own] = profile.country or ""
            hosts |= theirs
            origins |= set(profile.origins)
        self.domains.use(of_host, realms, countries)
        origins |= {one for row in self._store.resources if row.type == "widget" for one in row.settings["origins"]}
        _become(self.hosts, hosts)
        _become(self.origins, origins)

    def permits(self, username: str, project: str = "") -> Permits:
        """What an endpoint may reach outside: its own policy, else the profile's, under the profile's switches. A number
        that falls back to the outside, and calls that a project places (""), are held to the switches alone; a name that
        is nobody's reaches nothing."""
        number, endpoint = self._store.numbers.find(username), self._store.endpoints.named(username)
        owner = number or endpoint
        of = owner.project_id if owner is not None else project or self._store.space.project_id
        profile = self.of(of)
        if endpoint is not None:
            policy = endpoint.handler.get("policy", "default")
        else:
            policy = "passthrough" if number is not None or not username else "block-pstn"
        if policy == "default":
            policy = profile.outbound_policy
        allowed = policy != "block-pstn"
        return Permits(allowed, profile.pstn_enabled, profile.external_sip, self._trunks(of))

    def _trunks(self, project_id: str) -> frozenset[str] | None:
        """The trunks that a subproject may use: its own and the root's. None, all, while there is but one project."""
        store = self._store
        if len(list(store.projects)) < 2:
            return None
        return frozenset(one.id for one in store.trunks if one.project_id in (project_id, store.space.project_id))


def _fits(host: str, entry: str) -> bool:
    """An entry is a host, or `.example.com` for all that lie below."""
    return host.endswith(entry) if entry.startswith(".") else host == entry


def _become(place: set[str], wanted: set[str]) -> None:
    """The same set with other members, never empty on the way."""
    place |= wanted
    place &= wanted


def view(app: "App", project_id: str) -> dict[str, Any]:
    """What of a profile only the server knows."""
    return {
        "domain": app.profiles.domain(project_id),
        "realm": app.store.realm_of(project_id),
        "websocket_urls": websocket_urls(app),
        "country": app.profiles.country(project_id),
    }


async def apply(app: "App", project_id: str) -> None:
    """A profile was written: everybody reads it from now on. The root project's country is the numbering plan's. Devices
    of a project that has moved to another domain register there."""
    app.profiles.changed(project_id)
    moved, stay = await app.store.endpoints.move(project_id)
    for one in stay:
        log.warning(
            "an endpoint cannot move to its project's domain", endpoint=one.name, remedy="another there has its name"
        )
    for one in moved:
        await app.platform.unbind(one.name)
    gateway = app.driver.switchboard.gateway
    if project_id == app.store.space.project_id and gateway is not None:
        country = app.profiles.of(project_id).country or app.settings.sip.country
        gateway.outbound.settings = replace(gateway.outbound.settings, country=country)
    for row in [one for one in app.store.trunks if one.project_id == project_id]:
        trunk, state = app.profiles.trunk(row), gateway.outbound.trunks.get(row.id) if gateway is not None else None
        if state is not None and state.trunk != trunk:
            app.driver.command(UseTrunk(trunk))
