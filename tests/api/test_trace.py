"""`GET /api/offhook/calls/{id}/trace`: forms and scopes; the documents themselves are tests/server/test_trace.py's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from offhook.api.app import ApiSettings, create
from offhook.sip.digest import both_ha1

PATH = "/api/offhook/calls"
ROW = {"at": "2026-01-01T00:00:00+00:00", "seq": 1, "kind": "sip", "summary": "BYE sip:bob@x", "raw": "BYE sip:bob@x"}


@dataclass
class Token:
    """What a token opens."""

    permissions: frozenset[str]
    project_id: str = "project"


@dataclass
class House:
    """The platform, as far as traces go."""

    permissions: frozenset[str] = frozenset({"management"})
    version: str = "0"
    answers: Any = None
    session_key: bytes = b""
    asked: list[str] = field(default_factory=list)

    def token(self, project: str, text: str) -> Token:
        return Token(self.permissions)

    def project_of_call(self, ref: str) -> str | None:
        return None

    async def trace(self, ref: str, project: str) -> dict[str, Any] | None:
        self.asked.append(ref)
        return {"call_ref": "call-1", "data": [ROW]} if ref == "call-1" else None

    def ladder(self, document: dict[str, Any]) -> str:
        return f"ladder of {document['call_ref']}\n"

    def capture(self, document: dict[str, Any]) -> bytes:
        return b"\xd4\xc3\xb2\xa1"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    settings = ApiSettings(body_bytes=1000, login_failures_per_minute=20, password_min_length=8)
    app = create(house, both_ha1, settings, lambda: 0.0, None)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://offhook", auth=("p", "t")) as one:
        yield one


async def test_json_is_whole_only_when_asked_for(client: httpx.AsyncClient) -> None:
    short = (await client.get(f"{PATH}/call-1/trace")).json()
    assert short["data"] == [{key: value for key, value in ROW.items() if key != "raw"}]
    whole = (await client.get(f"{PATH}/call-1/trace?raw=true")).json()
    assert whole["data"] == [ROW]


async def test_ladder_and_capture_file(client: httpx.AsyncClient) -> None:
    ladder = await client.get(f"{PATH}/call-1/trace?format=ladder")
    assert (ladder.text, ladder.headers["content-type"]) == ("ladder of call-1\n", "text/plain; charset=utf-8")
    capture = await client.get(f"{PATH}/call-1/trace?format=pcap")
    assert capture.content == b"\xd4\xc3\xb2\xa1"
    assert 'filename="call-1.pcap"' in capture.headers["content-disposition"]


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    gone = await client.get(f"{PATH}/other/trace")
    assert (gone.status_code, gone.json()["code"]) == (404, "call_not_found")
    assert (await client.get(f"{PATH}/call-1/trace?format=song")).status_code == 422


@pytest.mark.parametrize("query", ["raw=true", "format=pcap"])
async def test_whole_messages_need_the_right_to_manage(client: httpx.AsyncClient, house: House, query: str) -> None:
    house.permissions = frozenset({"monitor"})
    refused = await client.get(f"{PATH}/call-1/trace?{query}")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert (await client.get(f"{PATH}/call-1/trace?format=ladder")).status_code == 200
