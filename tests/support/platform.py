"""The platform without SIP, for tests of the API: every store is real, nothing is ever registered, no call is live."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.api.app import ApiSettings, create
from offhook.api.paging import page
from offhook.server.guests import Guests
from offhook.server.profiles import Profiles
from offhook.server.token_office import ServerTokenOffice
from offhook.server.tokens import Tokens
from offhook.sip.digest import both_ha1
from offhook.store.addresses import Addresses
from offhook.store.answers import Answers
from offhook.store.applications import ApplicationRows
from offhook.store.caller_ids import CallerIdRows
from offhook.store.database import migrate, open_database
from offhook.store.endpoints import Endpoints
from offhook.store.numbers import NumberRows
from offhook.store.projects import Projects
from offhook.store.resources import Resources
from offhook.store.space import Space, Spaces
from offhook.store.trunks import TrunkRows
from offhook.store.vault import Vault
from tests.support.databases import Database


class Desk:
    """Caller ids and applications; `codes` were read out, `told` are the applications that changed."""

    def __init__(self, engine: AsyncEngine, domain: str) -> None:
        self.caller_ids, self.applications = CallerIdRows(engine), ApplicationRows(engine)
        self.domain, self.codes, self.told, self.ip_auth_entries = domain, [], [], 256
        self.refuses: tuple[str, str] | None = None

    def country(self, project_id: str) -> str:
        return "US"

    def is_ours(self, host: str) -> bool:
        return host == self.domain

    async def read_code(self, row: Any, code: str) -> tuple[str, str] | None:
        self.codes.append(code)
        return self.refuses

    def uri_of(self, row: Any) -> str:
        return f"sip:{row.identifier}@{self.domain}"

    def application_changed(self, id_: str) -> None:
        self.told.append(id_)


class Heard:
    """Notes what is told of changes."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []

    def config_changed(self, project_id: str, data: dict[str, Any], request_id: str) -> None:
        self.changes.append({"project_id": project_id, "request_id": request_id, **data})


class Urls:
    """What is not judged by looking names up: 10.0.0.0/8 is forbidden."""

    async def url_refusal(self, project: str, url: str) -> tuple[str, str] | None:
        return ("url_is_unsafe", "Url must not point to 10.0.0.1") if "//10." in url else None


class Nothing:
    """No call is live, and none was recorded."""

    async def page(self, project: str, path: str, query: Any) -> dict[str, Any]:
        return page([], str, dict, path, query)

    async def get(self, project: str, id_: str) -> None:
        return None

    async def media(self, id_: str) -> None:
        return None

    def protected(self, project: str) -> bool:
        return True


class House:
    """Notes whose bindings are dropped and whose calls are ended."""

    version = "0"
    draining = False
    profiles: Profiles
    realm = domain = "offhook.test"

    has_domain_suffix = False

    def __init__(self, engine: AsyncEngine, spaces: Spaces, space: Space, token: str) -> None:
        self.engine, self._spaces, self.space, self.text = engine, spaces, space, token
        self.addresses = Addresses(engine)
        self.endpoints = Endpoints(engine, self.addresses)
        self.resources = Resources(engine, self.addresses)
        self.numbers = NumberRows(engine)
        self.trunks = TrunkRows(engine, Vault(space.secret))
        self.projects = Projects(engine, Vault(space.secret))
        self.api_tokens = spaces.tokens
        self.events: Any = Heard()
        self.reception = Desk(engine, self.domain)
        self.applications = self.reception.applications
        self.call_desk = Urls()
        self.recordings = Nothing()
        self.answers = Answers(engine, 1000)
        self.tokens = Tokens(self.realm, b"a key of 32 octets for the tests")
        store = SimpleNamespace(
            space=space, endpoints=self.endpoints, addresses=self.addresses, resources=self.resources,
            answers=self.answers,
        )  # fmt: skip
        store.guests = Guests(store)  # type: ignore[arg-type]
        store.account = lambda name: self.endpoints.account(name, self.realm) or store.guests.account(name)
        store.domain_of, store.realm_of = self.endpoints.domain_of, self.realm_of
        self.authenticator = SimpleNamespace(read=self.tokens.read, realm_of=lambda domain: self.realm)
        self.store = store
        self.token_office = ServerTokenOffice(self)  # type: ignore[arg-type]
        self.session_key = b"key of cookies"
        self.unbound: list[str] = []
        self.now = 0.0

    @classmethod
    async def opened(cls, where: Path | Database) -> Any:
        """A fresh database with its space; in a directory it is SQLite."""
        engine = where.open() if isinstance(where, Database) else open_database(where / "offhook.sqlite")
        await migrate(engine)
        spaces = Spaces(engine)
        space, token = await spaces.create("offhook.test")
        one = cls(engine, spaces, space, token)
        await one.projects.load()
        one.profiles = Profiles(one, {"offhook.test"}, {"https://settings.example"}, "", "US")  # type: ignore[arg-type]
        return one

    def client(self, **settings: Any) -> httpx.AsyncClient:
        """Speaks to the application with the token of the first run."""
        given = ApiSettings(4096, 20, 8, **settings)
        app = create(self, both_ha1, given, lambda: self.now, None)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        auth = (self.space.project_id, self.text)
        return httpx.AsyncClient(transport=transport, base_url="http://test", auth=auth)

    def token(self, project: str, text: str) -> Any:
        return self._spaces.token(project, text)

    def profile(self, project_id: str) -> dict[str, Any]:
        return {
            "domain": self.profiles.domain(project_id),
            "realm": self.realm_of(project_id),
            "websocket_urls": [],
            "country": self.profiles.country(project_id),
        }

    def domain_of(self, project_id: str) -> str:
        return self.endpoints.domain_of(project_id) or self.domain

    def domain_at(self, host: str) -> str:
        return self.profiles.domains.of(host) or self.domain

    def provision(self, username: str, seconds: int, origin: str, asked: str) -> dict[str, Any]:
        return {
            "sip": {"uri": username},
            "jssip": {"ttl": seconds},
            "token": {"value": self.tokens.mint(username, 60)[0]},
        }

    def realm_of(self, project_id: str | None) -> str:
        return (self.endpoints.realm_of(project_id) if project_id else None) or self.realm

    def alias_refusal(self, project_id: str, host: str) -> tuple[str, str] | None:
        return self.profiles.alias_refusal(project_id, host)

    def new_profile(self, name: str) -> dict[str, Any]:
        return self.profiles.made_for(name)

    async def profile_changed(self, project_id: str) -> None:
        self.profiles.changed(project_id)
        await self.endpoints.move(project_id)

    async def remove_project(self, id_: str) -> None:
        for token in [one for one in self.api_tokens if one.project_id == id_]:
            await self.api_tokens.remove(token.id)
        await self.projects.remove(id_)

    def widgets_changed(self) -> None:
        self.profiles.widgets_changed()

    def registered(self, username: str) -> bool:
        return False

    def under(self, suffix: str, *allowed: str) -> None:
        """From now on projects have domains of their own."""
        self.profiles = Profiles(self, {"offhook.test"}, (), suffix, "US", allowed)  # type: ignore[arg-type]
        self.has_domain_suffix = True

    async def unbind(self, username: str) -> None:
        self.unbound.append(username)

    async def hang_up_all(self, username: str, code: str) -> None:
        self.unbound.append(f"{username} {code}")

    def calls(self) -> list[dict[str, Any]]:
        return []

    async def call(self, ref: str) -> None:
        return None

    def readiness(self) -> dict[str, bool]:
        return {"store": True, "media": False}
