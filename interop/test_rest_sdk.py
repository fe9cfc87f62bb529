"""The SignalWire SDK for Python against the frame: it waits as it is told, and names the request (API.md 15.2.3)."""

import asyncio
from pathlib import Path

from signalwire.rest import RequestOptions, RestClient, SignalWireRestError

from interop.support.server import Offhook


async def test_a_post_that_meets_429_waits_and_is_done_once(tmp_path: Path) -> None:
    """1. Beyond the rate a POST is refused with whole seconds; 2. the SDK sends it again; 3. it is done once; 4. an error
    names the request."""
    async with Offhook(tmp_path, {"OFFHOOK_LIMITS_API_WRITES_PER_SECOND": "1"}) as server:
        path = "/api/relay/rest/endpoints/sip"
        answers = await asyncio.gather(*(server.http.post(path, json={}) for _ in range(8)))
        refused = next(one for one in answers if one.status_code != 422)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1"), "1."
        host = server.running["http_url"].removeprefix("http://")
        options = RequestOptions(retries=20, retry_on_status=frozenset({429}))
        client = RestClient(project=server.project, token=server.token, host=host, request_options=options)

        def create(name: str) -> str:
            one = RestClient(project=server.project, token=server.token, host=host, request_options=options)
            return str(one.project.tokens.create(name=name, permissions=["calling"])["token"])

        names = [f"number {number}" for number in range(6)]
        made = await asyncio.gather(*(asyncio.to_thread(create, name) for name in names))
        assert all(one.startswith("PT") for one in made), "2."
        await server.until_logged("path='/api/project/tokens' status=429")  # 2. some were refused before
        rows = (await server.http.get("/api/project/tokens")).json()["data"]
        assert sorted(row["name"] for row in rows) == ["first run", *names], "3."
        try:
            await asyncio.to_thread(client.fabric.sip_endpoints.get, "0199aaaa-0000-7000-8000-000000000000")
        except SignalWireRestError as error:
            said = str(error.request_id)
        assert len(said) == 36, "4."
        await server.until_logged(f"request_id='{said}'")  # 4.
