"""What is not served yet says so (API.md section 13): empty lists, refusals in words, never a false success or a 5xx."""

import re

import httpx
import pytest
from fastapi.routing import APIRoute

from offhook.api.app import _SERVED, ROUTERS
from offhook.api.routes import later, resources
from tests.support.platform import House

OURS = {
    (route.path, verb): route
    for route in later.routes((*_SERVED, resources.router)).routes
    if isinstance(route, APIRoute)
    for verb in route.methods or ()
}
PATHS = sorted((path, verb) for path, verb in OURS if "{rest" not in path)


async def test_every_row_answers_honestly(client: httpx.AsyncClient) -> None:
    for path, verb in PATHS:
        answer = await client.request(verb, path.replace("{id}", "0199-x"), json={} if verb != "GET" else None)
        if verb != "GET":
            assert answer.status_code == 422, (verb, path, answer.text)
            assert {one["code"] for one in answer.json()["errors"]} == {"feature_not_available"}, (verb, path)
        elif "{id}" in path:
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        else:
            assert (answer.status_code, answer.json()["data"]) == (200, []), path
            assert set(answer.json()["links"]) == {"self", "first"}, path


async def test_strangers_learn_nothing(client: httpx.AsyncClient) -> None:
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    for path, verb in PATHS:
        assert (await bare.request(verb, path.replace("{id}", "x"))).status_code == 401, (verb, path)


def test_no_row_stands_before_a_route_that_is_served() -> None:
    def shape(path: str) -> str:
        return re.sub(r"\{[^}]*\}", "{}", path)

    served = {
        (shape(route.path), verb)
        for router in (*_SERVED, resources.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for verb in route.methods or ()
    }
    assert {(shape(path), verb) for path, verb in OURS} & served == set()
    assert ROUTERS[-1] is resources.router


@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE"])
async def test_families_that_are_not_served(client: httpx.AsyncClient, verb: str) -> None:
    for family in later.ABSENT:
        for path in (family, f"{family}/rooms/1"):
            answer = await client.request(verb, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "feature_not_available"), path


@pytest.mark.parametrize("prefix", ["/2010-04-01", "/api/laml/2010-04-01"])
@pytest.mark.parametrize("ending", ["", ".json"])
async def test_the_compat_family(client: httpx.AsyncClient, house: House, prefix: str, ending: str) -> None:
    account = "AC" + house.space.project_id.replace("-", "")
    for name, key in later.COMPAT_LISTS.items():
        path = f"{prefix}/Accounts/{account}/{name}{ending}"
        answer = await client.get(path)
        assert (answer.status_code, answer.json()[key], answer.json()["uri"]) == (200, [], path)
        made = await client.post(path, data={"To": "+15125550100"})
        assert (made.status_code, made.json()["code"]) == (403, 10001)
    one = await client.get(f"{prefix}/Accounts/{account}/Calls/CA{'0' * 32}{ending}")
    assert (one.status_code, one.json()["code"]) == (404, 20404)
    other = await client.get(f"{prefix}/Accounts/AC{'0' * 32}/Calls{ending}")
    assert (other.status_code, other.json()["code"]) == (404, 20404)
    stranger = await client.get(f"{prefix}/Accounts/{account}/Calls{ending}", auth=("x", "y"))
    assert (stranger.status_code, stranger.json()["code"]) == (401, 20003)
