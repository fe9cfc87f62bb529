"""The error catalogue: one row per code that call control can raise (API.md section 14).

`sip` is what the caller's device gets (0: never on the wire), `end` the end reason of the API. The slug on the wire is the
code with hyphens. Causes and remedies are sentences for people, without a final stop.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One code."""

    code: str
    sip: int
    end: str
    severity: str
    cause: str
    remedy: str
    q850: int = 0

    @property
    def slug(self) -> str:
        """The code as it stands in a Warning field."""
        return self.code.replace("_", "-")


_ROWS = (
    # registrations and logins
    Row("credentials_wrong", 401, "error", "error", "User unknown or password wrong; it is not told which",
        "Set the password anew; the authorization user is the endpoint's user name", 21),
    Row("token_expired", 401, "error", "error", "The token or the password that came with it is past its time",
        "Get a new one before it ends", 21),
    Row("token_early", 401, "error", "error", "The token is not valid yet: its issuer's clock is more than a minute ahead",
        "Set the clocks by NTP", 21),
    Row("token_wrong_key", 401, "error", "error", "The token is not signed by this server or its key set, or was altered",
        "Get a token with `offhook token`, or see sip.token_jwks", 21),
    Row("token_other_space", 403, "error", "error", "The token is for another domain, or for pages of another origin",
        "Get a token for this domain and origin", 21),
    Row("token_tier_not_allowed", 403, "error", "error", "A token of this tier may not do that", "Get a member token", 21),
    Row("login_locked", 401, "error", "error",
        "Too many wrong passwords from this address; it is answered like one more of them",
        "Correct the device, then wait ten minutes", 21),
    Row("login_attacked", 0, "", "warning", "Wrong passwords for one user come from many addresses; the user is not locked",
        "Choose a long password; see which addresses the log names", 0),
    Row("not_your_address", 403, "error", "error", "The endpoint may not register this address",
        "Register the endpoint's own", 21),
    Row("bad_address", 400, "error", "error", "The address to register is no SIP address", "Repair the client", 21),
    Row("bad_contact", 400, "error", "error", "The Contact of a registration cannot be called", "Repair the client", 21),
    Row("out_of_order", 500, "error", "error", "A registration came after a later one of the same device",
        "Nothing to mend: the later one counts", 21),
    Row("too_many_contacts", 403, "", "error", "All devices of the endpoint are alive and in use",
        "Remove some with `offhook registration remove`, or raise limits.contacts_per_aor", 0),
    Row("register_too_often", 503, "", "error", "A device, an address or all of them together register too often",
        "See Retry-After; find the device that loops", 0),
    Row("first_hop_lacks_outbound", 439, "", "error", "The proxy between keeps no flows, and sip.outbound_strict is on",
        "Switch sip.outbound_strict off, or configure RFC 5626 in the proxy", 0),
    Row("kicked", 0, "", "info", "An operator took the registration away", "Register again", 0),
    Row("from_not_yours", 403, "error", "error", "From is neither the endpoint's own address nor anonymous",
        "Use the endpoint's own URI as From", 21),
    Row("domain_unknown", 404, "not_found", "error", "The host in the request is not ours",
        "Use the domain named in the text, or add an alias", 1),
    Row("endpoint_disabled", 403, "error", "error", "The endpoint is switched off", "Enable the endpoint", 21),
    Row("destination_unknown", 404, "not_found", "error", "No endpoint and no built-in destination has this name",
        "Check the name; `offhook endpoint list` shows all", 1),
    Row("not_registered", 480, "noAnswer", "error", "No device of the callee is registered",
        "Open the phone or the page and sign in", 20),
    Row("flow_lost", 480, "noAnswer", "error", "The connection to the device broke and it did not come back in time",
        "Look at the device's network", 20),
    Row("device_silent", 480, "noAnswer", "error", "The device does not answer", "Look at the device and its network", 18),
    Row("endpoint_at_call_limit", 486, "busy", "error", "The endpoint has as many calls as it may", "Raise max_calls", 17),
    Row("calls_per_second_exceeded", 503, "error", "error", "More new calls per second than limits.call_rate allows",
        "Slow down", 42),
    Row("do_not_disturb", 480, "busy", "info", "The callee takes no calls now", "Nothing to mend", 17),
    Row("forward_refused", 480, "error", "error", "The callee's calls are forwarded to where they may not go",
        "Change the forwarding", 21),
    Row("privacy_not_available", 500, "error", "error", "The caller demands a kind of privacy that is not known here",
        "Ask for id, header, user or none", 63),
    Row("loop_detected", 483, "error", "error", "Max-Forwards is used up", "Break the circle of forwardings", 25),
    Row("callee_busy", 486, "busy", "info", "The callee is busy", "Call again later", 17),
    Row("callee_declined", 603, "decline", "info", "The callee declined the call", "Nothing to mend", 21),
    Row("callee_no_answer", 480, "noAnswer", "info", "The callee rang for the whole time", "Call again later", 19),
    Row("caller_canceled", 487, "abandoned", "info", "The caller gave up before an answer", "Nothing to mend", 16),
    Row("answered_elsewhere", 0, "cancel", "info", "Another device of the callee answered", "Nothing to mend", 26),
    Row("codec_mismatch", 488, "error", "error", "The two sides share no codec",
        "Allow OPUS, G722, PCMU or PCMA on the device", 88),
    Row("encryption_required", 488, "error", "error", "The offer is without SRTP, which the settings require",
        "Switch SRTP on at the device, or set encryption to optional", 88),
    Row("encryption_forbidden", 488, "error", "error", "The offer demands SRTP, which the settings forbid",
        "Switch SRTP off at the device, or set encryption to optional", 88),
    Row("cipher_mismatch", 488, "error", "error", "The offer has no SRTP suite that the settings allow",
        "Allow AES_CM_128_HMAC_SHA1_80, or change the device", 88),
    Row("tls_required", 403, "error", "error", "Encryption is required, and the signalling came in the clear",
        "Use TLS or WSS", 21),
    Row("sdp_invalid", 488, "error", "error", "The session description breaks its rules", "Update the client", 88),
    Row("bad_answer", 502, "error", "error", "The callee's answer is missing or breaks its rules", "Update the client", 38),
    Row("media_ports_exhausted", 503, "error", "error", "Every port for phones' media is in use",
        "Widen media.rtp_ports", 34),
    Row("media_engine_lost", 503, "error", "error", "The media engine is gone",
        "Call again; the log says what happened", 41),
    Row("callee_refused", 0, "error", "error", "The callee's device refused the call", "See its status and text", 21),
    Row("ack_missing", 0, "error", "error", "The caller's device never confirmed the answer",
        "Its Contact or network is wrong", 102),
    Row("prack_missing", 504, "error", "error", "The caller's device asked for reliable answers and did not confirm one",
        "Update the client, or switch 100rel off in it", 102),
    Row("session_timer_expired", 0, "error", "error", "Nobody refreshed the session in time",
        "The device died or does not refresh", 102),
    Row("dialog_lost", 0, "error", "error", "The device no longer knows the call", "Nothing to mend", 41),
    Row("trunk_unreachable", 502, "error", "error", "There is no way to the trunk's address, or nothing answers there",
        "Check address, port, transport and firewall", 38),
    Row("trunk_dns_failed", 502, "error", "error", "The trunk's name leads to no address", "Correct the name, or DNS", 38),
    Row("trunk_tls_failed", 502, "error", "error", "The trunk's certificate or TLS handshake is refused",
        "Check its certificate's names and dates, and sip.tls_authorities", 38),
    Row("hangup", 0, "hangup", "info", "A party hung up", "Nothing to mend", 16),
    Row("api_hangup", 0, "hangup", "info", "A command ended the call", "Nothing to mend", 16),
    Row("transferred", 487, "hangup", "info", "A transfer joined the two other parties", "Nothing to mend", 16),
    Row("replaces_refused", 481, "error", "error", "The dialog to take over is not there, or not this endpoint's to take",
        "Name a dialog of the endpoint itself or of its pickup group", 21),
    Row("replaced", 0, "hangup", "info", "Another leg has taken this one's place", "Nothing to mend", 16),
    Row("transfer_failed", 403, "error", "warning", "The target did not answer, the call is kept", "See the target's code"),
    Row("transfer_not_allowed", 403, "", "error", "This call may not be transferred so",
        "Transfer inside the call, from an endpoint of ours", 21),
    Row("endpoint_deleted", 0, "hangup", "info", "The endpoint was deleted", "Nothing to mend", 16),
    # findings: the words for the engine's verdicts
    Row("no_media_from_device", 0, "", "warning", "The call is up, but nothing ever arrived from the device",
        "Look for a firewall or a wrong address at the device", 0),
    Row("ice_failed", 0, "", "warning", "The device's checks are answered, but it never chose a path",
        "Open the media UDP port towards the device", 0),
    Row("ice_credentials_stale", 0, "", "warning", "The device sends checks with old or wrong credentials",
        "The client must signal its ICE restart; reload the page", 0),
    Row("dtls_failed", 0, "", "warning", "The DTLS handshake was never finished", "A middlebox or the client blocks it", 0),
    Row("dtls_fingerprint_mismatch", 0, "", "warning", "The device shows another certificate than it announced",
        "Nothing on the way may rewrite the session description", 0),
    Row("srtp_keys_missing", 0, "", "warning", "There are no keys for the device's media yet",
        "The handshake must finish first; see the other findings", 0),
    Row("srtp_auth_failed", 0, "", "warning", "Packets arrive, but none can be verified", "Update the client", 0),
    Row("media_source_unexpected", 0, "", "warning", "Packets come from an address that was not agreed, and are dropped",
        "A NAT, or somebody injects; the address is in the evidence", 0),
    Row("payload_type_unexpected", 0, "", "warning", "The device sends a payload type that was not agreed",
        "Update the client; the number is in the evidence", 0),
    Row("media_stopped", 0, "", "warning", "The device was heard, then its packets stopped",
        "Look at the device's network", 0),
    Row("microphone_silent", 0, "", "warning", "The device's packets carry no sound",
        "Unmute, or choose another microphone", 0),
    Row("no_media_to_device", 0, "", "warning", "What we send does not reach the device",
        "A firewall between; the evidence names the place", 0),
    Row("one_way_audio", 0, "", "warning", "One direction flows, the other does not", "See the silent side's finding", 0),
    Row("node_overloaded", 0, "", "warning", "The server has no processor time left for the codecs", "Add cores", 0),
    Row("silence_expected", 0, "", "info", "On hold or muted, no fault", "Resume the call", 0),
)  # fmt: skip

CATALOGUE: dict[str, Row] = {row.code: row for row in _ROWS}
"""Every row by its code."""

FINDING_OF_VERDICT: dict[str, str] = {
    "ice_no_checks": "no_media_from_device",
    "no_packets": "no_media_from_device",
    "ice_bad_credentials": "ice_credentials_stale",
    "ice_not_selected": "ice_failed",
    "dtls_no_hello": "dtls_failed",
    "dtls_failed": "dtls_failed",
    "dtls_fingerprint": "dtls_fingerprint_mismatch",
    "no_keys": "srtp_keys_missing",
    "srtp_auth": "srtp_auth_failed",
    "source_refused": "media_source_unexpected",
    "wrong_payload_type": "payload_type_unexpected",
    "stopped": "media_stopped",
    "digital_silence": "microphone_silent",
    "comfort_noise_only": "microphone_silent",
    "on_hold": "silence_expected",
    "muted": "silence_expected",
    "no_address": "no_media_to_device",
    "send_error": "no_media_to_device",
    "unreachable": "no_media_to_device",
    "not_acknowledged": "no_media_to_device",
    "overloaded": "node_overloaded",
}
"""The engine's verdicts to codes. `no_source` is missing on purpose: it is the other leg's finding."""
