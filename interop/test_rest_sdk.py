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
        options = RequestOptions(retries=3, retry_on_status=frozenset({429}))
        client = RestClient(project=server.project, token=server.token, host=host, request_options=options)
        body = {"name": "one", "permissions": ["calling"]}
        made = await asyncio.to_thread(client.project.tokens.create, **body)
        assert made["token"].startswith("PT"), "2."
        assert server.log().count("path='/api/project/tokens' status=429") >= 1, "2. it was refused before"
        rows = (await server.http.get("/api/project/tokens")).json()["data"]
        assert [row["name"] for row in rows] == ["one", "first run"], "3."
        try:
            await asyncio.to_thread(client.fabric.sip_endpoints.get, "0199aaaa-0000-7000-8000-000000000000")
        except SignalWireRestError as error:
            said = str(error.request_id)
        assert len(said) == 36, "4."
        assert f"request_id='{said}'" in server.log(), "4."
