"""SIP profiles at work (API.md section 3): who we are called, which pages may connect, and what endpoints have by default.

The hosts and origins of all projects are two sets that SIP, call control and the listeners read; they change in place, so
that the next message obeys.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from offhook.calls.entry import Permits
from offhook.server.reach import websocket_urls
from offhook.store.profiles import Profile, read

if TYPE_CHECKING:
    from offhook.server.app import App
    from offhook.server.directory import Store


class Profiles:
    """`hosts` are those that mean us whatever the profiles say, `suffix` is sip.domain_suffix."""

    def __init__(self, store: "Store", hosts: Iterable[str], origins: Iterable[str], suffix: str) -> None:
        self._store, self._suffix = store, suffix
        self._fixed_hosts, self._fixed_origins = frozenset(hosts), frozenset(origins)
        self.hosts = set(self._fixed_hosts)
        self.origins = set(self._fixed_origins)
        for one in store.projects:
            store.endpoints.use_profile(one.id, read(one.profile))
        self._gather()

    def of(self, project_id: str) -> Profile:
        """The profile of a project."""
        row = self._store.projects.get(project_id)
        return read(row.profile) if row is not None else Profile()

    def domain(self, project_id: str) -> str:
        """Where the devices of a project register."""
        identifier = self.of(project_id).domain_identifier
        return f"{identifier}.{self._suffix}" if identifier and self._suffix else self._store.space.domain

    def changed(self, project_id: str) -> None:
        """Takes a new, changed or deleted profile into service."""
        self._store.endpoints.use_profile(project_id, self.of(project_id))
        self._gather()

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
        for one in self._store.projects:
            profile = read(one.profile)
            hosts |= {alias.lower() for alias in profile.aliases} | {self.domain(one.id).lower()}
            origins |= set(profile.origins)
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


def _become(place: set[str], wanted: set[str]) -> None:
    """The same set with other members, never empty on the way."""
    place |= wanted
    place &= wanted


def view(app: "App", project_id: str) -> dict[str, Any]:
    """What of a profile only the server knows."""
    profile = app.profiles.of(project_id)
    return {
        "domain": app.profiles.domain(project_id),
        "realm": app.store.space.realm,
        "websocket_urls": websocket_urls(app),
        "country": profile.country or app.settings.sip.country,
    }


def apply(app: "App", project_id: str) -> None:
    """A profile was written: everybody reads it from now on. The root project's country is that of the numbering plan."""
    app.profiles.changed(project_id)
    gateway = app.driver.switchboard.gateway
    if project_id == app.store.space.project_id and gateway is not None:
        country = app.profiles.of(project_id).country or app.settings.sip.country
        gateway.outbound.settings = replace(gateway.outbound.settings, country=country)
