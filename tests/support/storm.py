"""Many clients that write the same few objects at once: whatever the order, no answer may be a failure of ours.

A storm is so many requests, not so many seconds. What it asks is drawn from a seed; what comes first is up to the machine.
"""

import asyncio
import random
import re
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import httpx

GOOD = ("a long enough secret", "another good secret")
NAMES = ("ann", "ben", "cat")
UUIDS = tuple(f"0199aa11-0000-7000-8000-0000000000{at:02d}" for at in range(6))
"""Ids that clients bring, so that they bring the same ones."""
LEFT_OUT = re.compile(r"/(test|stream|ping|metrics|healthz|readyz|docs.*|openapi.json)$")
"""They send to where they are told, never end, or are no part of what is written."""
WEIGHTS = {"get": 1, "post": 4, "put": 3, "patch": 2, "delete": 2}


def _body(path: str, draw: random.Random, id_: str) -> dict[str, Any]:
    """What a request to a path says; `id_` is that of something that was made a moment ago, whatever it is."""
    name, note, url = draw.choice(NAMES), str(draw.random()), "https://example.com/document"
    own = {"id": draw.choice(UUIDS)}
    number = {"number": f"+1512555010{draw.randrange(3)}"}
    handlers: list[dict[str, Any]] = [
        {},
        {"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": id_},
        {"call_handler": "relay_script", "call_relay_script_url": url},
        {"call_handler": None},
    ]
    endpoint = {"username": name, "password": draw.choice(GOOD), "caller_id": note}
    swml = {"sections": {"main": ["answer", {"connect": {"to": "music"}}]}}
    bodies: dict[str, dict[str, Any]] = {
        "rest/endpoints/sip": {**endpoint, "offhook": {"extension": draw.choice(["101", "102"])}},
        "resources/sip_endpoints": {**own, **endpoint, "calling_handler_resource_id": draw.choice([None, id_])},
        "subscribers/*/sip_endpoints": {**own, **endpoint},
        "resources/*/sip_endpoints": {"sip_endpoint_id": id_},
        "rest/phone_numbers": {**number, "name": note, **draw.choice(handlers)},
        "imported_phone_numbers": {**number, "number_type": "longcode"},
        "phone_routes": {"phone_route_id": id_},
        "verified_caller_ids": {**number, "name": note, "offhook": {"verified": True}},
        "verification": {"verification_code": "123456"},
        "sip_gateways": {**own, "name": name, "uri": "sip:gateway.example"},
        "rest/domain_applications": {
            "name": note,
            "identifier": name,
            "call_handler": "relay_script",
            "call_relay_script_url": url,
        },
        "resources/*/domain_applications": {"domain_application_id": id_},
        "sip_addresses": {"name": name, "calling_handler_resource_id": id_},
        "trunks": {"name": name, "targets": [{"uri": "sip:127.0.0.1:9"}], "description": note},
        "calling/calls": {"command": "dial", "params": {"to": name, "from": name, "swml": swml, "timeout": 1}},
        "devices/*": {"name": note, "ring": draw.random() < 0.5, "blocked": draw.random() < 0.2},
        "provision": {"endpoint": name, "device": {"instance_id": draw.choice(UUIDS), "name": note}},
        "provision*": {"reference": name},
        "sip_profile": {"offhook": {"country": draw.choice(["US", "DE"])}},
        "projects": {"name": name},
        "project/tokens": {"name": note, "permissions": ["calling"], "subproject_id": draw.choice([None, id_])},
        "resources/subscribers": {**own, "email": f"{name}@example.com", "first_name": note},
        "fabric/addresses": {"locked": draw.random() < 0.5},
        "subscribers/tokens": {"reference": name},
        "guests/tokens": {"allowed_addresses": [id_]},
        "invites": {"address_id": id_},
        "widgets": {"name": note, "address_id": id_, "origins": []},
        "swml_webhooks": {**own, "name": name, "used_for": "calling", "primary_request_url": url},
        "cxml_webhooks": {**own, "name": name, "used_for": "calling", "primary_request_url": url},
        "offhook/webhooks": {"name": name, "url": url, "types": ["call.*"]},
    }
    plain = re.sub(r"\{[^}]+\}", "*", path)
    fitting = [one for one in bodies if plain.endswith((f"/{one}", f"/{one}/*"))]
    return bodies[max(fitting, key=len)] if fitting else {}


class Storm:
    """`await storm.blow(clients, requests, at_once)`; then `answers` counts (verb, path, status), `failed` has what must not
    be: status 500 and above."""

    def __init__(self, document: dict[str, Any], seed: int) -> None:
        self._seed = seed
        self._operations = [
            (verb, path)
            for path, operations in document["paths"].items()
            for verb, one in operations.items()
            if verb in WEIGHTS and "Not yet" not in one["tags"] and not LEFT_OUT.search(path)
            for _ in range(WEIGHTS[verb])
        ]
        self._made: deque[str] = deque(UUIDS, maxlen=40)
        self._seen: dict[str, deque[str]] = {}
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self.failed: list[str] = []

    async def blow(self, clients: Sequence[httpx.AsyncClient], requests: int, at_once: int) -> None:
        """So many requests by so many writers, each of whom speaks to all clients' servers."""
        left = iter(range(requests))
        await asyncio.gather(*[self._write(clients, left, random.Random(self._seed + at)) for at in range(at_once)])

    async def _write(self, clients: Sequence[httpx.AsyncClient], left: Any, draw: random.Random) -> None:
        for _ in left:
            verb, path = draw.choice(self._operations)
            target = self._target(path, draw)
            more: dict[str, Any] = {}
            if verb in ("post", "put", "patch"):
                more["json"] = _body(path, draw, draw.choice(self._made))
            if verb == "post" and draw.random() < 0.3:
                more["headers"] = {"Idempotency-Key": f"key-{draw.randrange(3)}"}
            if (verb, path) == ("delete", "/api/offhook/registrations"):
                more["params"] = {"endpoint_id": draw.choice(self._made)}
            answer = await draw.choice(clients).request(verb, target, **more)
            self.answers[verb, path, answer.status_code] += 1
            if answer.status_code >= 500:
                self.failed.append(f"{verb} {path} {answer.status_code} {answer.text[:300]}")
            self._note(path, answer)

    def _target(self, path: str, draw: random.Random) -> str:
        return re.sub(r"\{[^}]+\}", lambda _: self._id(path, draw), path)

    def _id(self, path: str, draw: random.Random) -> str:
        """Mostly of what stands in the list of the path."""
        theirs = self._seen.get(path.partition("/{")[0])
        return draw.choice(theirs if theirs and draw.random() < 0.8 else self._made)

    def _note(self, path: str, answer: httpx.Response) -> None:
        found = answer.json() if answer.content and answer.headers.get("content-type") == "application/json" else None
        if not isinstance(found, dict) or answer.status_code >= 300:
            return
        for row in found["data"] if isinstance(found.get("data"), list) else [found]:
            if isinstance(row, dict) and isinstance(row.get("id"), str):
                self._made.append(row["id"])
                self._seen.setdefault(path.partition("/{")[0], deque(maxlen=6)).append(row["id"])

    def done(self) -> set[tuple[str, str]]:
        """Operations that have succeeded at least once."""
        return {(verb, path) for verb, path, status in self.answers if status < 300}
