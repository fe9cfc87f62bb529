"""`/api/fabric/resources/sip_gateways` (API.md 6.1)."""

from typing import Any

import httpx
import pytest

from offhook.api.trunk_fields import trunk_fields
from tests.support.platform import House

PATH = "/api/fabric/resources/sip_gateways"
PBX = {"name": "pbx", "uri": "sip:sales@pbx.example.net"}


def codes(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(one["attribute"], one["code"]) for one in answer.json()["errors"]]


async def test_a_gateway_from_first_to_last(client: httpx.AsyncClient) -> None:
    made = await client.post(PATH, json={**PBX, "codecs": ["pcmu"], "encryption": "required"})
    assert made.status_code == 201, made.text
    row = made.json()
    assert (row["type"], row["display_name"]) == ("sip_gateway", "pbx")
    inner = row["sip_gateway"]
    assert (inner["uri"], inner["codecs"], inner["encryption"]) == (PBX["uri"], ["PCMU"], "required")
    assert len(inner["ciphers"]) == 6, "1. [] is shown as what it means"
    assert row["offhook"] == {"trunk_id": None}
    one = f"{PATH}/{row['id']}"
    changed = (await client.patch(one, json={"uri": "sips:pbx.example.net", "codecs": []})).json()["sip_gateway"]
    assert (changed["uri"], changed["encryption"], len(changed["codecs"])) == ("sips:pbx.example.net", "required", 6)
    assert [each["id"] for each in (await client.get(PATH)).json()["data"]] == [row["id"]]
    address = (await client.get(f"{one}/addresses")).json()["data"][0]
    assert (address["type"], address["channels"]["audio"]) == ("call", "/private/pbx?channel=audio")
    assert (await client.delete(one)).status_code == 204
    assert (await client.get(one)).status_code == 404


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("name", "missing_required_parameter"), ("uri", "missing_required_parameter")]),
        ({**PBX, "uri": "mailto:x@example.net"}, [("uri", "invalid_sip_destination")]),
        ({**PBX, "uri": "sip:"}, [("uri", "invalid_sip_destination")]),
        ({**PBX, "uri": 7}, [("uri", "invalid_sip_destination")]),
        ({**PBX, "uri": "sip:bob@offhook.test"}, [("uri", "sip_gateway_uri_must_be_external")]),
        ({**PBX, "name": "x" * 65}, [("name", "invalid_parameter")]),
        ({**PBX, "encryption": "forbidden"}, [("encryption", "invalid_parameter_value")]),
        ({**PBX, "codecs": ["MP3"]}, [("codecs", "list_contains_invalid_entries")]),
        ({**PBX, "ciphers": [1]}, [("ciphers", "invalid_parameter")]),
        ({**PBX, "offhook": {"trunk_id": "gone"}}, [("offhook.trunk_id", "does_not_exist")]),
        ({**PBX, "offhook": 3}, [("offhook", "invalid_parameter")]),
    ],
)
async def test_faults(client: httpx.AsyncClient, body: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    assert codes(await client.post(PATH, json=body)) == faults


async def test_a_gateway_goes_by_a_trunk(house: House, client: httpx.AsyncClient) -> None:
    values, _ = trunk_fields({"name": "acme", "targets": [{"uri": "sip:carrier.example"}]})
    trunk = await house.trunks.create(house.space.project_id, values, None, None)
    assert trunk is not None
    row = (await client.post(PATH, json={**PBX, "offhook": {"trunk_id": trunk.id}})).json()
    assert row["offhook"] == {"trunk_id": trunk.id}
    kept = (await client.patch(f"{PATH}/{row['id']}", json={"name": "other"})).json()
    assert (kept["offhook"], kept["sip_gateway"]["name"]) == ({"trunk_id": trunk.id}, "other")
    cleared = (await client.patch(f"{PATH}/{row['id']}", json={"offhook": {"trunk_id": None}})).json()
    assert cleared["offhook"] == {"trunk_id": None}
