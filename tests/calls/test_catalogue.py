"""One table holds all words: codes that the engine's verdicts lead to, and codes that refuse a REST
request, are rows of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import offhook
from offhook.calls import refusals
from offhook.calls.catalogue import CATALOGUE, FINDING_OF_VERDICT

VERDICTS = Path(__file__).parent.parent.parent / "crates" / "media" / "src" / "verdict.rs"
SOURCES = Path(offhook.__file__).parent
PLACES = {"Fault": 1, "ApiError": 1, "not_found": 0, "unauthorized": 0}
"""Which argument is the code."""
WORDS = {"calls/catalogue.py", "calls/refusals.py"}
PENDING: frozenset[str] = frozenset()
"""Rows that nothing raises yet."""
CONTRACT = (
    (401, "error", "error", "credentials_wrong token_expired token_early token_wrong_key login_locked"),
    (403, "error", "error",
     "token_other_space token_tier_not_allowed endpoint_disabled device_blocked from_not_yours "
     "source_not_allowed tls_required pstn_blocked prefix_not_allowed external_sip_not_allowed "
     "caller_id_not_allowed"),
    (0, "error", "error",
     "kicked ice_failed ice_credentials_stale dtls_failed dtls_fingerprint_mismatch media_timeout "
     "peer_connection_lost session_timer_expired endpoint_deleted"),
    (404, "not_found", "error",
     "domain_unknown destination_unknown number_not_assigned not_routable number_unallocated"),
    (403, "", "error", "too_many_contacts"),
    (503, "", "error", "register_too_often"),
    (0, "", "error", "client_too_slow flow_idle webhook_undeliverable srtp_keys_missing srtp_auth_failed"),
    (400, "error", "error", "request_malformed"),
    (513, "error", "error", "request_too_large"),
    (480, "noAnswer", "error", "not_registered flow_lost device_silent"),
    (486, "busy", "error", "endpoint_at_call_limit"),
    (480, "busy", "info", "do_not_disturb"),
    (403, "decline", "error", "address_locked"),
    (484, "error", "error", "number_format_invalid"),
    (503, "error", "error",
     "emergency_not_configured handler_unavailable calls_per_second_exceeded node_overloaded node_draining "
     "document_fetch_failed document_loop document_invalid document_verb_unsupported media_ports_exhausted "
     "media_engine_lost node_stopped"),
    (483, "error", "error", "loop_detected"),
    (480, "error", "error", "forward_refused"),
    (486, "busy", "info", "callee_busy"),
    (603, "decline", "info", "callee_declined"),
    (480, "noAnswer", "info", "callee_no_answer"),
    (487, "abandoned", "info", "caller_canceled"),
    (0, "cancel", "info", "answered_elsewhere"),
    (502, "error", "error",
     "trunk_auth_failed trunk_registration_failed trunk_unreachable trunk_timeout trunk_dns_failed "
     "trunk_tls_failed trunk_rejected trunk_full trunk_rate_exceeded trunk_quota_used trunks_exhausted "
     "bad_answer"),
    (488, "error", "error", "codec_mismatch encryption_required encryption_forbidden cipher_mismatch sdp_invalid"),
    (0, "", "info", "udp_blocked silence_expected path_changed transcoding reports_missing"),
    (0, "", "warning",
     "no_media_from_device no_media_to_device one_way_audio media_stopped sdp_address_private sip_alg_suspected "
     "ice_not_agreed media_refused "
     "media_source_unexpected payload_type_unexpected microphone_silent microphone_denied playback_blocked "
     "high_loss high_jitter high_rtt low_mos late_packets clock_drift dtmf_not_negotiated client_overloaded"),
    (0, "hangup", "info", "hangup api_hangup"),
    (487, "hangup", "info", "transferred"),
    (403, "error", "error", "transfer_failed"),
    (0, "max_duration", "info", "max_duration"),
    (500, "error", "error", "internal_error"),
)  # fmt: skip
"""API.md section 14: SIP status, end reason, severity, codes. Where a cell there has a dash, a row may yet have one: what a
device gets whose INVITE waits when that happens (`media_engine_lost node_stopped transferred transfer_failed`); the last
has an end reason, too, for a party that is left alone by a transfer that fails."""


def test_every_verdict_of_the_engine_has_words() -> None:
    text = VERDICTS.read_text()
    named = set(re.findall(r'Verdict::new\("([a-z_]+)"\)', text)) | set(re.findall('"(rtcp_[a-z_]+)"', text))
    assert len(named) > 15
    # A leg without a source tells of the other leg's finding.
    assert named - {"no_source"} <= set(FINDING_OF_VERDICT)
    assert set(FINDING_OF_VERDICT.values()) <= set(CATALOGUE)


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCES.rglob("*.py")):
        yield path.relative_to(SOURCES).as_posix(), ast.parse(path.read_text())


def _refused(tree: ast.Module) -> Iterator[str]:
    """The codes that a file's own calls of the constructors of refusals name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        place = PLACES.get(name)
        if place is None or len(node.args) <= place:
            continue
        given = node.args[place]
        for one in (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,):
            # A Fault of SIP names a slug, with hyphens.
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and re.fullmatch("[a-z_]+", one.value):
                yield one.value


def test_every_code_of_a_refused_request_is_a_row() -> None:
    named = {(file, code) for file, tree in _trees() for code in _refused(tree)}
    assert len({code for _, code in named}) > 50
    assert {one for one in named if one[1] not in CATALOGUE} == set(), "add a row to calls/refusals.py"


def test_every_row_is_raised_somewhere() -> None:
    said: set[str] = set()
    for file, tree in _trees():
        if file not in WORDS:
            constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            said |= {one.replace("-", "_") for one in constants if isinstance(one, str)}
    # The routing layer's own refusals are named after their status.
    said |= {"bad_request", "not_found", "method_not_allowed"}
    # Of two kinds of row that one file serves.
    said |= {f"{kind}_not_found" for kind in ("domain_application", "sip_address")}
    # A slug may begin a longer text, and verdicts are the engine's words.
    openings = {one.partition(" ")[0] for one in said}
    unsaid = set(CATALOGUE) - said - openings - set(FINDING_OF_VERDICT.values())
    assert unsaid <= PENDING, f"nothing raises {sorted(unsaid - PENDING)}"


def test_codes_are_told_apart() -> None:
    rows = [*CATALOGUE.values()]
    assert len(rows) == len({row.slug for row in rows})
    numbers = [number for number, _, _ in refusals.COMPAT]
    assert len(numbers) == len(set(numbers))
    for row in rows:
        assert re.fullmatch("[a-z][a-z_]+", row.code), row
        assert row.cause, row
        assert row.remedy, row
        assert not (row.cause + row.remedy).endswith("."), row
        assert row.severity in ("info", "warning", "error"), row


@pytest.mark.parametrize(("sip", "end", "severity", "codes"), CONTRACT)
def test_rows_are_those_of_the_contract(sip: int, end: str, severity: str, codes: str) -> None:
    for code in codes.split():
        row = CATALOGUE[code]
        assert (row.sip, row.end, row.severity) == (sip, end, severity), code
