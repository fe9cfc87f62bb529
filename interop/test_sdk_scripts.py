"""The example scripts of the SignalWire SDK for Python, unmodified, against a running server (API.md 15.1)."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytest_asyncio
from signalwire.rest import RestClient

from interop.support.kamailio import ADDRESS, WAITED_FOR, Carrier
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

TRUNK = {
    "name": "acme",
    "targets": [{"uri": "sip:127.0.0.1:9"}],
    "allowed_prefixes": ["+1"],
    "did_ranges": ["+15125550100-+15125550149"],
    "health": {"options_interval": 0},
}


def example(name: str) -> Path:
    """A script as it is shipped."""
    found = find_spec("signalwire")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "_docs/rest/examples" / name


async def run(server: Offhook, name: str, **environment: str) -> str:
    """What the script prints; it must end without a traceback."""
    own = {
        "SIGNALWIRE_PROJECT_ID": server.project,
        "SIGNALWIRE_API_TOKEN": server.token,
        "SIGNALWIRE_SPACE": server.running["http_url"].removeprefix("http://"),
        **environment,
    }
    script = await asyncio.create_subprocess_exec(
        sys.executable, str(example(name)), env={**os.environ, "NO_PROXY": "*", **own},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        out, _ = await script.communicate()
    printed = out.decode()
    assert script.returncode == 0, printed
    assert "Traceback" not in printed, printed
    return printed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Offhook]:
    """One server for all scripts of this file."""
    async with Offhook(tmp_path_factory.mktemp("sdk")) as server:
        answer = await server.http.post("/api/offhook/trunks", json=TRUNK)
        assert answer.status_code == 201, answer.text
        yield server


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_number_is_searched_claimed_changed_and_released(shared: Offhook) -> None:
    printed = await run(shared, "rest_phone_number_management.py")
    for said in ("  - +15125550100", "Purchased:", "Detail: +15125550100", "Updated name", "Carrier: unknown",
                 "Updated SIP codecs", "Released number"):  # fmt: skip
        assert said in printed, printed
    assert "Created verified caller" in printed
    assert "Verified caller failed (expected in demo): 422" in printed, "the made-up code is refused"
    failed = [line.strip() for line in printed.splitlines() if "failed" in line]
    assert [line.split(" failed")[0] for line in failed] == ["Group creation", "Verified caller", "Address creation"], (
        "groups and addresses come later; nothing else fails"
    )
    left = (await shared.http.get("/api/relay/rest/phone_numbers")).json()["data"]
    assert left == [], "what was claimed was released"


@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_subscriber_with_a_sip_endpoint_comes_and_goes(shared: Offhook, time: str) -> None:
    printed = await run(shared, "rest_fabric_subscribers_and_sip.py")
    for said in ("Created subscriber:", "alice_sip", "Created SIP gateway:", "Address detail:", "  Token: ",
                 "Deleted SIP endpoint", "Deleted subscriber", "Deleted SIP gateway"):  # fmt: skip
        assert said in printed, printed
    assert "failed" not in printed, printed
    left = (await shared.http.get("/api/fabric/resources")).json()["data"]
    assert {one["type"] for one in left} == {"sip_endpoint"}, f"only alice and bob of the first start, the {time} time"


async def test_pages_yield_each_row_once(shared: Offhook) -> None:
    """API.md 15.2 item 1, with the SDK's own paginator."""
    for number in range(5):
        body = {"username": f"page{number}"}
        assert (await shared.http.post("/api/fabric/resources/sip_endpoints", json=body)).status_code == 200
        body = {"email": f"page{number}@example.com"}
        assert (await shared.http.post("/api/fabric/resources/subscribers", json=body)).status_code == 201
        body = {"number": f"+1512555920{number}"}
        assert (await shared.http.post("/api/relay/rest/imported_phone_numbers", json=body)).status_code == 201
    client = RestClient(
        project=shared.project, token=shared.token, host=shared.running["http_url"].removeprefix("http://")
    )

    def every() -> tuple[list[str], list[str], list[str]]:
        endpoints = [one["username"] for one in client.fabric.sip_endpoints.paginate(page_size=2)]
        emails = [one["subscriber"]["email"] for one in client.fabric.subscribers.paginate(page_size=2)]
        return endpoints, emails, [one["number"] for one in client.phone_numbers.paginate(page_size=2)]

    endpoints, subscribers, numbers = await asyncio.to_thread(every)
    assert [one for one in numbers if "920" in one] == [f"+1512555920{number}" for number in (4, 3, 2, 1, 0)]
    assert len(numbers) == len(set(numbers))
    assert endpoints == [f"page{number}" for number in (4, 3, 2, 1, 0)] + ["bob", "alice"]
    assert subscribers == [f"page{number}@example.com" for number in (4, 3, 2, 1, 0)]


async def test_a_number_is_bound_to_a_webhook(shared: Offhook) -> None:
    made = await shared.http.post("/api/relay/rest/imported_phone_numbers", json={"number": "+15125559000"})
    id_ = made.json()["id"]
    printed = await run(
        shared, "rest_bind_phone_to_swml_webhook.py", PHONE_NUMBER_SID=id_, SWML_WEBHOOK_URL="https://example.com/swml"
    )
    assert "call_handler = 'relay_script'" in printed
    assert "call_relay_script_url = 'https://example.com/swml'" in printed
    row = (await shared.http.get(f"/api/relay/rest/phone_numbers/{id_}")).json()
    assert row["calling_handler_resource_id"] in printed
    resource = await shared.http.get(f"/api/fabric/resources/{row['calling_handler_resource_id']}")
    assert (resource.status_code, resource.json()["type"]) == (200, "swml_webhook")


async def test_calls_of_a_server_without_calls_are_refused_one_by_one(shared: Offhook) -> None:
    printed = await run(shared, "rest_calling_ivr_and_ai.py")
    failed = [line.strip() for line in printed.splitlines() if "failed" in line]
    assert failed, printed
    assert all(line.endswith(("(404)", "(422)")) or "(404)" in line or "(422)" in line for line in failed), printed


async def test_a_call_is_placed_by_the_play_and_record_script(shared: Offhook, tmp_path: Path) -> None:
    """The telephone rings for a while, so that the commands after `dial` come before the answer. What plays and records is
    refused or taken, but never a failure of ours."""
    async with Carrier(tmp_path, shared.sip) as carrier:
        target = [{"uri": f"sip:{ADDRESS}:{carrier.port}"}]
        fields = {"name": "ringing", "targets": target, "allowed_prefixes": ["+1555"], **WAITED_FOR,
                  "username": "line1", "password": "zanzibar"}  # fmt: skip
        trunk = await shared.http.post("/api/offhook/trunks", json=fields)
        assert trunk.status_code == 201, trunk.text
        number = await shared.http.post("/api/relay/rest/imported_phone_numbers", json={"number": "+15559876543"})
        assert number.status_code == 201, number.text
        await carrier.telephone("callee_ringing")
        printed = await run(shared, "rest_calling_play_and_record.py")
        assert "Call initiated: " in printed, printed
        assert "failed (5" not in printed, printed
        assert "demo): 5" not in printed, printed
        await shared.until_idle()
        id_ = printed.partition("Call initiated: ")[2].split()[0]
        leg = (await shared.http.get(f"/api/calling/calls/{id_}")).json()
        assert (leg["from"], leg["to"], leg["status"]) == ("+15559876543", "+15551234567", "completed"), leg
