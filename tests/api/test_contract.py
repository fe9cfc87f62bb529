"""The paths, verbs and success statuses of API.md stage 1, against the OpenAPI document (15.2.9)."""

import re
from typing import Any

import httpx
import pytest

CONTRACT = """
GET    /api/relay/rest/endpoints/sip 200
POST   /api/relay/rest/endpoints/sip 201
GET    /api/relay/rest/endpoints/sip/{} 200
PUT    /api/relay/rest/endpoints/sip/{} 200
DELETE /api/relay/rest/endpoints/sip/{} 204
GET    /api/fabric/resources/sip_endpoints 200
POST   /api/fabric/resources/sip_endpoints 200
GET    /api/fabric/resources/sip_endpoints/{} 200
PUT    /api/fabric/resources/sip_endpoints/{} 200
DELETE /api/fabric/resources/sip_endpoints/{} 204
GET    /api/fabric/resources/sip_endpoints/{}/addresses 200
POST   /api/fabric/resources/{}/sip_endpoints 200
GET    /api/relay/rest/sip_profile 200
PUT    /api/relay/rest/sip_profile 201
GET    /api/fabric/resources/subscribers 200
POST   /api/fabric/resources/subscribers 201
GET    /api/fabric/resources/subscribers/{} 200
PUT    /api/fabric/resources/subscribers/{} 200
DELETE /api/fabric/resources/subscribers/{} 204
GET    /api/fabric/resources/subscribers/{}/addresses 200
GET    /api/fabric/resources/subscribers/{}/sip_endpoints 200
POST   /api/fabric/resources/subscribers/{}/sip_endpoints 201
GET    /api/fabric/resources/subscribers/{}/sip_endpoints/{} 200
PATCH  /api/fabric/resources/subscribers/{}/sip_endpoints/{} 200
DELETE /api/fabric/resources/subscribers/{}/sip_endpoints/{} 204
POST   /api/fabric/subscribers/tokens 200
POST   /api/fabric/subscribers/tokens/refresh 201
POST   /api/fabric/guests/tokens 201
POST   /api/fabric/subscriber/invites 201
POST   /api/fabric/embeds/tokens 201
GET    /api/offhook/widgets 200
POST   /api/offhook/widgets 201
GET    /api/offhook/widgets/{} 200
PATCH  /api/offhook/widgets/{} 200
DELETE /api/offhook/widgets/{} 204
GET    /api/fabric/addresses 200
GET    /api/fabric/addresses/{} 200
GET    /api/fabric/resources 200
GET    /api/fabric/resources/{} 200
DELETE /api/fabric/resources/{} 204
GET    /api/fabric/resources/{}/addresses 200
GET    /api/relay/rest/phone_numbers 200
POST   /api/relay/rest/phone_numbers 200
GET    /api/relay/rest/phone_numbers/search 200
GET    /api/relay/rest/phone_numbers/{} 200
PUT    /api/relay/rest/phone_numbers/{} 200
DELETE /api/relay/rest/phone_numbers/{} 204
POST   /api/relay/rest/imported_phone_numbers 201
POST   /api/fabric/resources/{}/phone_routes 200
GET    /api/relay/rest/verified_caller_ids 200
POST   /api/relay/rest/verified_caller_ids 201
GET    /api/relay/rest/verified_caller_ids/{} 200
PUT    /api/relay/rest/verified_caller_ids/{} 200
DELETE /api/relay/rest/verified_caller_ids/{} 204
GET    /api/relay/rest/lookup/phone_number/{} 200
GET    /api/relay/rest/short_codes 200
GET    /api/fabric/resources/sip_gateways 200
POST   /api/fabric/resources/sip_gateways 201
GET    /api/fabric/resources/sip_gateways/{} 200
PATCH  /api/fabric/resources/sip_gateways/{} 200
DELETE /api/fabric/resources/sip_gateways/{} 204
GET    /api/fabric/resources/sip_gateways/{}/addresses 200
GET    /api/relay/rest/domain_applications 200
POST   /api/relay/rest/domain_applications 201
GET    /api/relay/rest/domain_applications/{} 200
PUT    /api/relay/rest/domain_applications/{} 200
DELETE /api/relay/rest/domain_applications/{} 204
POST   /api/fabric/resources/{}/domain_applications 200
GET    /api/fabric/sip_addresses 200
POST   /api/fabric/sip_addresses 201
GET    /api/fabric/sip_addresses/{} 200
PATCH  /api/fabric/sip_addresses/{} 200
DELETE /api/fabric/sip_addresses/{} 204
GET    /api/projects 200
POST   /api/projects 201
GET    /api/projects/{} 200
PATCH  /api/projects/{} 200
DELETE /api/projects/{} 204
POST   /api/projects/{}/signing-key/rotate 200
GET    /api/project/tokens 200
POST   /api/project/tokens 200
PATCH  /api/project/tokens/{} 200
DELETE /api/project/tokens/{} 204
GET    /api/calling/calls 200
POST   /api/calling/calls 200
GET    /api/calling/calls/{} 200
GET    /api/voice/logs 200
GET    /api/voice/logs/{} 200
GET    /api/voice/logs/{}/events 200
GET    /api/logs/conferences 200
POST   /api/offhook/provision 200
POST   /api/offhook/login 200
GET    /api/offhook/login 200
DELETE /api/offhook/login 204
GET    /api/offhook/trunks 200
POST   /api/offhook/trunks 201
GET    /api/offhook/trunks/{} 200
PATCH  /api/offhook/trunks/{} 200
DELETE /api/offhook/trunks/{} 204
POST   /api/offhook/trunks/{}/test 200
POST   /api/offhook/trunks/{}/register 202
GET    /api/offhook/registrations 200
GET    /api/offhook/registrations/{} 200
GET    /api/offhook/registrations/summary 200
DELETE /api/offhook/registrations/{} 204
DELETE /api/offhook/registrations 200
GET    /api/offhook/endpoints 200
GET    /api/offhook/endpoints/{} 200
GET    /api/offhook/devices 200
GET    /api/offhook/devices/{} 200
PATCH  /api/offhook/devices/{} 200
DELETE /api/offhook/devices/{} 204
GET    /api/offhook/calls 200
GET    /api/offhook/calls/{} 200
GET    /api/offhook/calls/{}/quality 200
POST   /api/offhook/calls/{}/client_reports 202
GET    /api/offhook/calls/{}/trace 200
GET    /api/offhook/calls/{}/diagnosis 200
GET    /api/offhook/events 200
GET    /api/offhook/events/stream 200
GET    /api/offhook/webhooks 200
POST   /api/offhook/webhooks 201
GET    /api/offhook/webhooks/{} 200
PATCH  /api/offhook/webhooks/{} 200
DELETE /api/offhook/webhooks/{} 204
POST   /api/offhook/webhooks/{}/ping 202
GET    /api/offhook/webhook_deliveries 200
GET    /api/offhook/webhook_deliveries/{} 200
POST   /api/offhook/webhook_deliveries/{}/retry 202
GET    /healthz 200
GET    /readyz 200
GET    /metrics 200
GET    /api/offhook/status 200
GET    /api/fabric/resources/swml_webhooks 200
POST   /api/fabric/resources/swml_webhooks 201
GET    /api/fabric/resources/swml_webhooks/{} 200
PATCH  /api/fabric/resources/swml_webhooks/{} 200
DELETE /api/fabric/resources/swml_webhooks/{} 204
GET    /api/fabric/resources/cxml_webhooks 200
POST   /api/fabric/resources/cxml_webhooks 201
GET    /api/fabric/resources/cxml_webhooks/{} 200
PATCH  /api/fabric/resources/cxml_webhooks/{} 200
DELETE /api/fabric/resources/cxml_webhooks/{} 204
"""
LINES = [line.split() for line in CONTRACT.strip().splitlines()]
PENDING: frozenset[tuple[str, str]] = frozenset()
"""(verb, path) of what is not served yet."""


async def served(client: httpx.AsyncClient) -> dict[tuple[str, str], dict[str, Any]]:
    document = (await client.get("/openapi.json")).json()
    return {
        (verb.upper(), re.sub(r"\{[^}]*\}", "{}", path)): operation
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
    }


async def test_every_path_verb_and_success_status_agrees(client: httpx.AsyncClient) -> None:
    operations = await served(client)
    wrong = []
    for verb, path, status in LINES:
        operation = operations.get((verb, path))
        found = sorted(one for one in operation["responses"] if one.startswith("2")) if operation else None
        if found != [status] and (verb, path) not in PENDING:
            wrong.append((verb, path, status, found))
    assert wrong == []


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
async def test_the_other_verb_of_a_change_is_served_too(client: httpx.AsyncClient, verb: str) -> None:
    operations = await served(client)
    changes = [path for one, path, _ in LINES if one in ("PUT", "PATCH") and (one, path) not in PENDING]
    assert [path for path in changes if (verb, path) not in operations] == []


async def test_every_body_and_answer_is_described(client: httpx.AsyncClient) -> None:
    """A body without a schema would be a path that nobody can use from the document alone."""
    without = []
    for (verb, path), operation in (await served(client)).items():
        if "Not yet" in operation["tags"] or (verb, path) in PENDING:
            continue
        if verb in ("PUT", "PATCH") and "requestBody" not in operation:
            without.append((verb, path))
    assert without == []
