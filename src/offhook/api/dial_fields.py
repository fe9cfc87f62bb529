"""The parameters of `dial` and of the other commands, checked (API.md 8.1, 8.2).

Lives here: field by field, each fault in its own words. Never here: what is known of the destination (the desk's).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from offhook.api.call_ports import CallDesk
from offhook.api.errors import Fault
from offhook.calls.addresses import uri_of
from offhook.calls.commands import Place
from offhook.calls.document import Broken, Document, Link, StatusWish
from offhook.calls.reports import STATES
from offhook.calls.swml import checked_header
from offhook.sip.grammar import CONTROL
from offhook.sip.secret import Secret
from offhook.sip.uri import Uri

DIAL = frozenset(
    {
        "to", "from", "url", "swml", "url_method", "fallback_url", "caller_id", "username", "password", "status_url",
        "status_events", "codecs", "timeout", "max_price_per_minute", "region", "send_digits", "custom_variables", "offhook",
        "to_script",
    }
)  # fmt: skip
CODECS = ("OPUS", "G722", "PCMU", "PCMA", "G729", "VP8", "H264")
SPEECH = ("OPUS", "G722", "PCMU", "PCMA")
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
RESERVED = ("signalwire_", "sw_", "rtc_", "internal_")
DIGITS = re.compile(r"[0-9A-Da-d*#w,]{1,256}")
MOST_HEADERS = 20


class Reader:
    """One body of parameters; `faults` in field order."""

    def __init__(
        self, desk: CallDesk, project: str, domain: str, params: Mapping[str, Any], new_id: Callable[[], str]
    ) -> None:
        self._desk, self.project, self._domain, self._params = desk, project, domain, params
        self.new_id = new_id
        self.faults: list[Fault] = []

    def fault(self, field: str, code: str, message: str) -> None:
        """Notes one."""
        self.faults.append(Fault(field, code, message))

    def uri(self, text: str) -> Uri | None:
        """What a callable address stands for; None for what is none."""
        return uri_of(text, self._domain)

    def words(self, name: str, most: int = 256) -> str:
        """Text without control characters, "" when absent."""
        value = self._params.get(name)
        if value is None or value == "":
            return ""
        if not isinstance(value, str) or len(value) > most or CONTROL.search(value):
            rule = f"{name.capitalize()} must be text of at most {most} characters"
            self.fault(name, "invalid_parameter", rule)
            return ""
        return value

    async def url(self, name: str) -> str:
        """An address to send to or fetch from, "" when absent."""
        value = self._params.get(name)
        if value is None or value == "":
            return ""
        if not isinstance(value, str):
            self.fault(name, "not_an_http_url", f"{name.capitalize()} must be an http or https URL")
            return ""
        wrong = await self._desk.url_refusal(self.project, value)
        if wrong is not None:
            self.fault(name, *wrong)
        return value

    async def stream_address(self, url: object) -> str:
        """Where a stream's `url` leads, checked; "" when it may not be used."""
        if not isinstance(url, str):
            self.fault("url", "not_an_http_url", "Url must be a ws or wss URL")
            return ""
        found = await self._desk.stream_address(self.project, url)
        if isinstance(found, str):
            return found
        self.fault("url", *found)
        return ""

    def method(self, name: str) -> str:
        """GET or POST."""
        value = self._params.get(name) or "POST"
        if not isinstance(value, str) or value.upper() not in ("GET", "POST"):
            self.fault(name, "invalid_parameter_value", f"{name} must be one of: GET, POST")
            return "POST"
        return value.upper()

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._params.get(name)
        if value is None:
            return default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fault(name, "invalid_parameter", f"{name.capitalize()} must be a whole number from {low} to {high}")
            return default
        return value

    async def document(self, required: bool) -> tuple[Document | None, Link | None]:
        """`swml` or `url`, exactly one of them."""
        inline, url = self._params.get("swml"), await self.url("url")
        method, fallback = self.method("url_method"), await self.url("fallback_url")
        if (inline is None) == (url == ""):
            if required or inline is not None:
                text = "url or swml must be present"
                self.fault("url", "inline_swml_or_swml_webhook_required", text)
            return None, None
        if inline is None:
            return None, Link(url, method, fallback, "POST")
        return self.swml("swml", inline), None

    def swml(self, name: str, value: object) -> Document | None:
        """A document that stands in the request."""
        try:
            return self._desk.read_swml(value)
        except Broken as broken:
            self.fault(name, broken.code, broken.text)
        return None

    async def wish(self, default: tuple[str, ...]) -> StatusWish | None:
        """`status_url` and `status_events`."""
        url, events = await self.url("status_url"), self._params.get("status_events")
        if events is None:
            chosen = default
        elif isinstance(events, list):
            chosen = tuple(one for one in events if isinstance(one, str))
            for one in events:
                if one not in STATES:
                    text = f"Status_events contains an invalid entry: {str(one)[:64]}"
                    self.fault("status_events", "list_contains_invalid_entries", text)
        else:
            chosen = ()
            self.fault("status_events", "invalid_parameter", f"Status_events must be a list of: {', '.join(STATES)}")
        return StatusWish(url, chosen) if url else None

    def codecs(self) -> tuple[str, ...]:
        """A list, or its text with commas."""
        value = self._params.get("codecs")
        if value is None or value == "" or value == []:
            return ()
        parts = value.split(",") if isinstance(value, str) else value
        good = isinstance(parts, list) and all(isinstance(one, str) for one in parts)
        names = tuple(one.strip().upper().partition("@")[0] for one in parts) if good else ()
        if not names or any(one not in CODECS for one in names) or not any(one in SPEECH for one in names):
            self.fault(
                "codecs", "invalid_codecs_format", f"Codecs must be a list or comma string of: {', '.join(CODECS)}"
            )
            return ()
        return names

    def digits(self, name: str) -> str:
        """Digits and pauses."""
        value = self._params.get(name)
        if value is None or value == "":
            return ""
        if not isinstance(value, str) or not DIGITS.fullmatch(value):
            self.fault(name, "invalid_parameter", f"{name.capitalize()} must be digits 0-9, A-D, *, #, w or ,")
            return ""
        return "".join(one if one == "w" else one.upper() for one in value)

    def variables(self, most: int) -> tuple[tuple[str, str], ...]:
        """`custom_variables`."""
        given = self._params.get("custom_variables")
        if given is None:
            return ()
        if not isinstance(given, dict):
            self.fault("custom_variables", "invalid_parameter", "Custom_variables must be an object")
            return ()
        if len(given) > most:
            self.fault("custom_variables", "too_many_custom_variables", f"Custom_variables may have {most} pairs")
        for name, value in given.items():
            if not VARIABLE.fullmatch(name) or len(name) > 128:
                text = "Custom_variables must have names of letters, digits and _"
                self.fault("custom_variables", "invalid_custom_variable_name", text)
            elif name.lower().startswith(RESERVED):
                text = f"Custom_variables must not begin with {', '.join(RESERVED)}"
                self.fault("custom_variables", "reserved_custom_variable_name", text)
            if not isinstance(value, str) or not 1 <= len(value.encode()) <= 1024:
                text = "Custom_variables must have values of 1 to 1024 bytes"
                self.fault("custom_variables", "invalid_custom_variable_value", text)
        return tuple((name, value) for name, value in given.items() if isinstance(value, str))

    def headers(self) -> tuple[tuple[str, str], ...]:
        """`offhook.headers`: fields for the INVITE."""
        own = self._params.get("offhook")
        given = own.get("headers") if isinstance(own, dict) else None
        if given is None:
            return ()
        if not isinstance(given, dict) or len(given) > MOST_HEADERS:
            self.fault("offhook.headers", "invalid_header_name", f"Headers must be an object of at most {MOST_HEADERS}")
            return ()
        fields = []
        for name, value in given.items():
            try:
                fields.append(checked_header("offhook.headers", name, value))
            except Broken as broken:
                code = "invalid_header_name" if "is named" in broken.text else "invalid_header_value"
                self.fault("offhook.headers", code, broken.text)
        return tuple(fields)

    def destination(self, name: str = "to") -> str:
        """A callable address."""
        value = self._params.get(name)
        if value is None or value == "":
            self.fault(name, "missing_required_parameter", f"{name} is required")
            return ""
        if not isinstance(value, str) or len(value) > 512 or uri_of(value, self._domain) is None:
            self.fault(name, "invalid_sip_destination", f"{name.capitalize()} must be a callable address")
            return ""
        return value.strip()

    def sender(self) -> str:
        """`from`."""
        value = self.words("from", 512)
        if not value:
            if not any(one.attribute == "from" for one in self.faults):
                self.fault("from", "missing_required_parameter", "from is required")
            return ""
        if uri_of(value, self._domain) is None:
            self.fault("from", "not_valid_for_caller_id", "From must be a number, a name or a sip: URI")
        return value.strip()

    async def dial(self, call_ref: str, most_variables: int) -> Place:
        """The whole command; it counts only when there are no faults."""
        if self._params.get("to_script") is not None:
            text = "to_script is not available; run a document at the near end by url or swml"
            self.fault("to_script", "feature_not_available", text)
        to, from_ = self.destination() if self._params.get("to_script") is None else "", self.sender()
        document, link = await self.document(required=True)
        return Place(
            call_ref=call_ref,
            to=to,
            from_=from_,
            document=document,
            link=link,
            wish=await self.wish(("ended",)),
            name=self.words("caller_id", 64),
            username=self.words("username"),
            password=Secret(self.words("password")),
            codecs=self.codecs(),
            seconds=float(self.whole("timeout", 60, 1, 600)),
            digits=self.digits("send_digits"),
            variables=self.variables(most_variables),
            fields=self.headers(),
            project=self.project,
            domain=self._domain,
        )
