"""The OpenAPI document against the server: schemathesis makes requests from it, and no answer may be a failure of ours or
something that the document does not say (API.md 15.2.9)."""

import asyncio
import sys
from pathlib import Path

import pytest

from interop.support.server import Offhook

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
LEFT_OUT = (
    # They never end, or send to the address they are given.
    "--exclude-path=/api/offhook/events/stream",
    "--exclude-path-regex=/trunks/.*/(test|register)",
    # One table of refusals (tests/api/test_later.py), four times as many paths as all others.
    "--exclude-tag=Not yet",
)
SEED = "20261125"


async def fuzzed(server: Offhook, folder: Path, examples: int, seconds: int) -> tuple[int | None, str]:
    """Exit status and report of a run."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.running['http_url']}/openapi.json",
        f"--auth={server.project}:{server.token}", f"--checks={CHECKS}", *LEFT_OUT, "--phases=fuzzing",
        f"--max-examples={examples}", f"--max-time={seconds}", "--continue-on-failure", "--no-shrink", "--no-color",
        "--generation-with-security-parameters=false", "--generation-database=none", f"--seed={SEED}",
        "--request-timeout=60", "--warnings=off", "--workers=1",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode(errors="replace")


async def test_every_answer_is_in_the_document(tmp_path: Path) -> None:
    async with Offhook(tmp_path, {"OFFHOOK_LOG_LEVEL": "info"}) as server:
        status, report = await fuzzed(server, tmp_path, examples=2, seconds=50)
        assert status == 0, report
        assert "request failed" not in server.log()


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_every_answer_is_in_the_document_at_length(tmp_path: Path) -> None:
    async with Offhook(tmp_path, {"OFFHOOK_LOG_LEVEL": "info"}) as server:
        status, report = await fuzzed(server, tmp_path, examples=100, seconds=900)
        assert status == 0, report
        assert "request failed" not in server.log()
