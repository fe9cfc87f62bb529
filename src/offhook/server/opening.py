"""Opening the store: the database, brought up to date, and every row that is held in memory.

Lives here: what is loaded, in which order, and what the first start makes. Never here: what rows mean (store/).
"""

import secrets
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.server.config import Settings
from offhook.server.directory import Store
from offhook.server.errors import StartError
from offhook.server.nodes import node_id, reach
from offhook.server.observe import log
from offhook.sip.digest import both_ha1
from offhook.store.addresses import Addresses
from offhook.store.answers import Answers
from offhook.store.applications import ApplicationRows
from offhook.store.bindings import Bindings
from offhook.store.caller_ids import CallerIdRows
from offhook.store.database import alone, migrate
from offhook.store.devices import Devices
from offhook.store.endpoints import Endpoints
from offhook.store.numbers import NumberRows
from offhook.store.projects import Projects
from offhook.store.resources import Resources
from offhook.store.space import Space, Spaces
from offhook.store.spool import FILE as SPOOL
from offhook.store.spool import Spool
from offhook.store.tables import metadata
from offhook.store.texts import Texts
from offhook.store.traces import Traces
from offhook.store.trunks import TrunkRows
from offhook.store.vault import Vault
from offhook.store.writer import Writer


async def opened(settings: Settings, engine: AsyncEngine) -> tuple[Store, dict[str, Any] | None]:
    """The store, and what `first-run.json` tells if this is the first start. Raises StartError, StoreError."""
    await reach(engine, settings.store.start_wait)
    async with alone(engine):
        return await _loaded(settings, engine)


async def _loaded(settings: Settings, engine: AsyncEngine) -> tuple[Store, dict[str, Any] | None]:
    data = settings.data
    await migrate(engine)
    addresses = Addresses(engine)
    await addresses.load()
    spaces, endpoints = Spaces(engine), Endpoints(engine, addresses)
    resources = Resources(engine, addresses)
    spool = Spool(data / SPOOL, metadata, settings.store.waiting_rows)
    writer = Writer(engine, spool, lambda event, facts: log.warning(event, **facts))
    writer.start()
    bindings = Bindings(engine, writer, node_id(data))
    await endpoints.load()
    await resources.load()
    space = await spaces.load()
    first: dict[str, Any] | None = None
    if space is None:
        space, token = await spaces.create(settings.sip.domain)
        first = await _first_endpoints(space, token, endpoints)
    elif settings.sip.domain not in ("localhost", space.domain):
        # The realm is in every stored HA1: another domain would lock every device out without a word.
        raise StartError(
            f"sip.domain is {settings.sip.domain}, but this installation was made for {space.domain}."
            " Give the new name in sip.aliases, or start with another data directory."
        )
    traces = Traces(engine, writer)
    limits = settings.limits
    texts = Texts(engine, writer, limits.texts_kept, limits.text_days)
    await texts.load()
    vault = Vault(space.secret)
    projects = Projects(engine, vault)
    await projects.load()
    trunks, numbers = TrunkRows(engine, vault), NumberRows(engine, writer)
    await trunks.load()
    await numbers.load()
    caller_ids, applications = CallerIdRows(engine), ApplicationRows(engine)
    await caller_ids.load()
    await applications.load()
    answers = Answers(engine, limits.idempotency_keys)
    await answers.load()
    devices = Devices(engine, writer, limits.devices_kept)
    await devices.load()
    return Store(
        space,
        spaces,
        endpoints,
        bindings,
        traces,
        texts,
        writer,
        trunks,
        numbers,
        addresses,
        resources,
        projects,
        caller_ids,
        applications,
        answers,
        devices,
    ), first


async def _first_endpoints(space: Space, token: str, endpoints: Endpoints) -> dict[str, Any]:
    made = []
    for username in ("alice", "bob"):
        password = secrets.token_urlsafe(9)
        md5, sha256 = both_ha1(username, space.realm, password)
        await endpoints.create(
            project_id=space.project_id,
            username=username,
            caller_id=username.capitalize(),
            ha1_md5=md5,
            ha1_sha256=sha256,
        )
        uri = f"sip:{username}@{space.domain}"
        made.append({"username": username, "password": password, "uri": uri})
    return {"project_id": space.project_id, "api_token": token, "domain": space.domain, "endpoints": made}
