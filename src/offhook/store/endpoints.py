"""SIP endpoints: every row in memory for the call path, every write through the database first.

Passwords are never here: the caller hands in HA1 values (offhook.sip.digest makes them).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.domains import qualified
from offhook.sip.location import Account, Forward
from offhook.sip.secret import Secret
from offhook.store.addresses import Addresses
from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.store.mirror import written
from offhook.store.profiles import DEFAULT_CODECS, Profile
from offhook.store.tables import endpoints
from offhook.turns import Turns

DEFAULT_RING_SECONDS = 60
DEFAULT_MAX_CALLS = 10


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row. `handler` holds the call_* fields, `offhook` our own ones (API.md 2.2), both as given. `domain` is its
    project's, "" the canonical one."""

    id: str
    project_id: str
    username: str
    ha1_md5: Secret
    ha1_sha256: Secret
    created_at: datetime
    updated_at: datetime
    credential_version: int = 1
    caller_id: str | None = None
    send_as: str = "random"
    codecs: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    encryption: str = "default"
    handler: dict[str, Any] = field(default_factory=dict)
    offhook: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True
    subscriber_id: str | None = None
    domain: str = ""

    @property
    def name(self) -> str:
        """What it is called on this server (offhook.sip.domains)."""
        return qualified(self.username, self.domain)

    def account(self, realm: str, profile: Profile = Profile()) -> Account:  # noqa: B008 - it is frozen
        """What SIP needs to know of the endpoint; `profile` says what it leaves open."""
        sip, block = self.offhook.get("sip", {}), self.offhook.get("block", {})
        return Account(
            id=self.id,
            username=self.name,
            realm=realm,
            ha1_md5=self.ha1_md5,
            ha1_sha256=self.ha1_sha256,
            credential_version=self.credential_version,
            caller_id=self.caller_id,
            enabled=self.enabled,
            max_calls=self.offhook.get("max_calls", DEFAULT_MAX_CALLS),
            max_calls_per_hour=self.offhook.get("max_calls_per_hour"),
            ring_seconds=self.offhook.get("ring_seconds", DEFAULT_RING_SECONDS),
            codecs=self.codecs or profile.codecs or DEFAULT_CODECS,
            encryption=profile.encryption if self.encryption == "default" else self.encryption,
            ciphers=self.ciphers or profile.ciphers,
            do_not_disturb=self.offhook.get("do_not_disturb", False),
            forward=Forward(**{name: to or "" for name, to in self.offhook.get("forward", {}).items()}),
            ring=self.offhook.get("ring", "parallel"),
            dtmf=sip.get("dtmf") or "auto",
            unsolicited_mwi=sip.get("unsolicited_mwi", False),
            early_media=sip.get("early_media", True),
            single_provisional=sip.get("single_provisional", False),
            force_rport=sip.get("force_rport", False),
            # Groups of two projects that have the same name are two groups.
            pickup_group=f"{self.project_id} {sip['pickup_group']}" if sip.get("pickup_group") else "",
            challenge_every_invite=sip.get("challenge_every_invite", False),
            block_callers=tuple(block.get("callers", ())),
            block_targets=tuple(block.get("targets", ())),
            rights=frozenset(name for name in ("page", "alert", "watch") if sip.get(f"may_{name}")),
        )


class Endpoints:
    """All endpoints of the installation. Reads never wait; a write is committed before it is seen and returned."""

    def __init__(self, engine: AsyncEngine, addresses: Addresses | None = None) -> None:
        self._engine = engine
        self._addresses = addresses or Addresses(engine)
        self._by_id: dict[str, Endpoint] = {}
        self._by_name: dict[str, Endpoint] = {}
        self._by_extension: dict[tuple[str, str], Endpoint] = {}
        self._of_subscriber: dict[str, dict[str, Endpoint]] = {}
        self._accounts: dict[str, Account] = {}
        self._profiles: dict[str, Profile] = {}
        self._domains: dict[str, str] = {}
        self._turns = Turns()

    def use_profile(self, project_id: str, profile: Profile, domain: str = "") -> None:
        """What the endpoints of a project have unless they say otherwise, from now on, and where new ones are called."""
        self._profiles[project_id], self._domains[project_id] = profile, domain
        for one in self:
            if one.project_id == project_id:
                self._accounts.pop(one.name.casefold(), None)

    async def move(self, project_id: str) -> tuple[list[Endpoint], list[Endpoint]]:
        """The endpoints of a project are of its domain from now on, committed; they keep their realm. Returns them as they
        were, and those that stay where they are because another there has the name."""
        domain = self._domains.get(project_id, "")
        rows = [one for one in self if one.project_id == project_id and one.domain != domain]
        whole = update(endpoints).where(endpoints.c.project_id == project_id).values(domain=domain)
        if not rows:
            return [], []
        if await written(self._engine, whole) is not None:
            moved = rows
        else:
            each = [(one, update(endpoints).where(endpoints.c.id == one.id).values(domain=domain)) for one in rows]
            moved = [one for one, statement in each if await written(self._engine, statement)]
        for one in moved:
            self._forget(one)
            self._remember(replace(one, domain=domain))
        return moved, [one for one in rows if one not in moved]

    def domain_of(self, project_id: str) -> str:
        """The domain of a project; "" is the canonical one."""
        return self._domains.get(project_id, "")

    def project_at(self, domain: str) -> str | None:
        """Whose domain that is; None for the canonical one, which several may share."""
        return next((id_ for id_, known in self._domains.items() if domain and known == domain), None)

    def realm_of(self, project_id: str) -> str | None:
        """The realm of a project; None is the canonical domain's."""
        profile = self._profiles.get(project_id)
        return profile.realm if profile is not None else None

    async def load(self) -> None:
        """Reads every row, and mends what is without an address yet."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(endpoints).order_by(endpoints.c.id))).mappings().all()
        for row in rows:
            self._remember(_from_row(dict(row)))
        for one in self:
            await self._addresses.ensure(one.project_id, one.id, one.username)

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, endpoints, ids)
        for id_ in set(self._by_id).union(found) if ids is None else ids:
            known = self._by_id.get(id_)
            fresh = _from_row(found[id_]) if id_ in found else None
            if known is not None and fresh is not None and fresh.updated_at < known.updated_at:
                continue  # written by us since it was read
            if known is not None:
                self._forget(known)
            if fresh is not None:
                self._remember(fresh)

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id_: str) -> Endpoint | None:
        """By id."""
        return self._by_id.get(id_)

    def named(self, username: str) -> Endpoint | None:
        """By its name on this server (offhook.sip.domains), without regard to case."""
        return self._by_name.get(username.casefold())

    def in_project(self, project_id: str, username: str) -> Endpoint | None:
        """Who is called so where the names of the project are, which may be one of another project's."""
        return self.named(qualified(username, self._domains.get(project_id, "")))

    def account(self, username: str, realm: str) -> Account | None:
        """What SIP needs to know of the endpoint of that name; made once for each version of the row. `realm` is the
        canonical domain's."""
        folded = username.casefold()
        known = self._accounts.get(folded)
        if known is None and (endpoint := self._by_name.get(folded)) is not None:
            profile = self._profiles.get(endpoint.project_id, Profile())
            known = self._accounts[folded] = endpoint.account(profile.realm or realm, profile)
        return known

    def with_extension(self, project_id: str, extension: str) -> Endpoint | None:
        """By extension."""
        return self._by_extension.get((project_id, extension))

    def of_subscriber(self, subscriber_id: str) -> list[Endpoint]:
        """The endpoints that ring when a subscriber is called, the oldest first."""
        return list(self._of_subscriber.get(subscriber_id, {}).values())

    async def create(self, **fields: Any) -> Endpoint | None:
        """A new row with its address, committed; None when the name is taken, without regard to case, or the id is."""
        now = datetime.now(UTC)
        domain = self._domains.get(fields["project_id"], "")
        endpoint = Endpoint(**{"id": new_id(), "created_at": now, "updated_at": now, "domain": domain, **fields})
        async with self._turns.of(endpoint.id):
            if not await written(self._engine, insert(endpoints).values(**_to_row(endpoint))):
                return None
            self._remember(endpoint)
            await self._addresses.ensure(endpoint.project_id, endpoint.id, endpoint.username)
        return endpoint

    async def change(self, id_: str, **fields: Any) -> Endpoint | None:
        """The row with those fields changed, committed; None when the new name is taken or the row is gone."""
        async with self._turns.of(id_):
            endpoint = self._by_id.get(id_)
            if endpoint is None:
                return None
            changed = replace(endpoint, updated_at=datetime.now(UTC), **fields)
            rows = await written(
                self._engine, update(endpoints).where(endpoints.c.id == id_).values(**_to_row(changed))
            )
            if rows is None:
                return None
            self._forget(endpoint)
            if rows == 0:
                return None  # another node has deleted it
            self._remember(changed)
            return changed

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing."""
        async with self._turns.of(id_):
            await written(self._engine, delete(endpoints).where(endpoints.c.id == id_))
            if id_ in self._by_id:
                self._forget(self._by_id[id_])
            await self._addresses.remove_of(id_)

    def _remember(self, endpoint: Endpoint) -> None:
        self._by_id[endpoint.id] = endpoint
        self._by_name[endpoint.name.casefold()] = endpoint
        if extension := endpoint.offhook.get("extension"):
            self._by_extension[endpoint.project_id, extension] = endpoint
        if endpoint.subscriber_id is not None:
            self._of_subscriber.setdefault(endpoint.subscriber_id, {})[endpoint.id] = endpoint
        self._accounts.pop(endpoint.name.casefold(), None)

    def _forget(self, endpoint: Endpoint) -> None:
        self._by_id.pop(endpoint.id, None)
        # Its name and its extension may be another's since.
        name, extension = endpoint.name.casefold(), (endpoint.project_id, endpoint.offhook.get("extension") or "")
        if (named := self._by_name.get(name)) is not None and named.id == endpoint.id:
            del self._by_name[name]
        if (holder := self._by_extension.get(extension)) is not None and holder.id == endpoint.id:
            del self._by_extension[extension]
        if endpoint.subscriber_id is not None:
            self._of_subscriber.get(endpoint.subscriber_id, {}).pop(endpoint.id, None)
        self._accounts.pop(endpoint.name.casefold(), None)


_PLAIN = (
    "id",
    "project_id",
    "username",
    "credential_version",
    "caller_id",
    "send_as",
    "encryption",
    "handler",
    "offhook",
    "enabled",
    "subscriber_id",
    "domain",
    "created_at",
    "updated_at",
)


def _to_row(endpoint: Endpoint) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(endpoint, name) for name in _PLAIN}
    row["username_folded"] = endpoint.username.casefold()
    row["ha1_md5"] = endpoint.ha1_md5.reveal()
    row["ha1_sha256"] = endpoint.ha1_sha256.reveal()
    row["codecs"] = list(endpoint.codecs)
    row["ciphers"] = list(endpoint.ciphers)
    return row


def _from_row(row: dict[str, Any]) -> Endpoint:
    plain = {name: row[name] for name in _PLAIN}
    for name in ("created_at", "updated_at"):
        plain[name] = row[name].replace(tzinfo=UTC)
    return Endpoint(
        **plain,
        ha1_md5=Secret(row["ha1_md5"]),
        ha1_sha256=Secret(row["ha1_sha256"]),
        codecs=tuple(row["codecs"]),
        ciphers=tuple(row["ciphers"]),
    )
