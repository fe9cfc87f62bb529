"""`/docs`, `/docs/errors` and the links that errors give (API.md 1.5, 12.6, 14)."""

import re

import httpx
import pytest

from offhook.calls.catalogue import CATALOGUE
from offhook.calls.refusals import COMPAT


async def test_every_code_has_an_anchor(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs/errors")
    assert page.headers["content-type"].startswith("text/html")
    anchors = re.findall(r'id="([a-z_0-9]+)"', page.text)
    assert anchors == [*CATALOGUE, *(str(number) for number, _, _ in COMPAT)]


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
async def test_pages_run_no_script_and_need_no_credentials(client: httpx.AsyncClient, path: str) -> None:
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    page = await bare.get(path)
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_the_docs_name_every_path(client: httpx.AsyncClient) -> None:
    page, schema = (await client.get("/docs")).text, (await client.get("/openapi.json")).json()
    assert len(schema["paths"]) > 30
    for path in schema["paths"]:
        assert f"<code>{path}</code>" in page


async def test_the_link_of_an_error_leads_to_its_row(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs/errors")).text
    refused = (await client.post("/api/offhook/provision", json={"colour": 1})).json()["errors"][0]
    path, _, anchor = refused["url"].removeprefix("http://test").partition("#")
    assert path == "/docs/errors"
    assert f'id="{anchor}"' in page
    assert refused["remedy"] == CATALOGUE["unknown_parameter"].remedy
    compat = (await client.get("/2010-04-01/nothing")).json()
    assert f'id="{compat["code"]}"' in page


async def test_every_path_declares_its_parameters(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    for path, operations in schema["paths"].items():
        named = re.findall(r"\{([^}]+)\}", path)
        for verb, operation in operations.items():
            declared = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
            assert sorted(declared) == sorted(named), f"{verb} {path}"
