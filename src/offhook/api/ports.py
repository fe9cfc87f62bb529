"""What the API needs of the rest of the house; `server/app.py` hands it in. Shell siblings never import each other."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from offhook.api.call_ports import CallDesk
from offhook.api.certificate_ports import CertificateDesk
from offhook.api.device_ports import DeviceDesk
from offhook.api.event_ports import EventDesk, WebhookDesk
from offhook.api.fabric_ports import AddressRows, ResourceRows
from offhook.api.idempotency import KeptAnswers
from offhook.api.number_ports import Reception
from offhook.api.project_ports import ApiTokenRows, ProjectRows
from offhook.api.recording_ports import RecordingDesk
from offhook.api.rows import Changing, PlainRows, Rows
from offhook.api.sessions import GivenBack
from offhook.api.token_ports import TokenOffice
from offhook.sip.secret import Secret


@runtime_checkable
class EndpointRow(Changing, Protocol):
    """A SIP endpoint as stored (API.md section 2)."""

    @property
    def username(self) -> str: ...
    @property
    def name(self) -> str:
        """What it is called on this server: the user name, with its domain where that is not the canonical one."""
        ...

    @property
    def caller_id(self) -> str | None: ...
    @property
    def send_as(self) -> str: ...
    @property
    def codecs(self) -> tuple[str, ...]: ...
    @property
    def ciphers(self) -> tuple[str, ...]: ...
    @property
    def encryption(self) -> str: ...
    @property
    def handler(self) -> dict[str, Any]: ...
    @property
    def offhook(self) -> dict[str, Any]: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def credential_version(self) -> int: ...
    @property
    def subscriber_id(self) -> str | None: ...


class EndpointRows(PlainRows[EndpointRow], Protocol):
    """The endpoints. `create` and `change` commit before they return, and return None when the name is taken."""

    def named(self, username: str) -> EndpointRow | None: ...
    def in_project(self, project_id: str, username: str) -> EndpointRow | None: ...
    def with_extension(self, project_id: str, extension: str) -> EndpointRow | None: ...
    def of_subscriber(self, subscriber_id: str) -> Sequence[EndpointRow]: ...


class TrunkRow(Changing, Protocol):
    """A trunk as stored (API.md 12.1)."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def password(self) -> Secret | None: ...
    @property
    def digest_password(self) -> Secret | None: ...


class TrunkRows(Rows[TrunkRow], Protocol):
    """The trunks. `create` and `change` commit before they return, and return None when the name is taken."""

    def named(self, name: str) -> TrunkRow | None: ...
    async def create(
        self, project_id: str, settings: dict[str, Any], password: str | None, digest_password: str | None
    ) -> TrunkRow | None: ...
    async def change(self, id_: str, settings: dict[str, Any], **secrets: str | None) -> TrunkRow | None: ...
    async def remove(self, id_: str) -> None: ...


class NumberRow(Changing, Protocol):
    """A phone number as stored (API.md section 5)."""

    @property
    def number(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def number_type(self) -> str: ...
    @property
    def endpoint_id(self) -> str | None: ...
    @property
    def settings(self) -> dict[str, Any]: ...


class NumberRows(PlainRows[NumberRow], Protocol):
    """The phone numbers. `create` returns None when the number is taken, `change` when it is gone."""

    def find(self, number: str) -> NumberRow | None: ...


class TokenRow(Protocol):
    """An API token that was found right."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def permissions(self) -> frozenset[str]: ...


class KeptThings(KeptAnswers, GivenBack, Protocol):
    """Answers that are given again, and cookies that were given back."""


class Platform(Protocol):
    """The running server as the API sees it."""

    events: EventDesk
    webhooks: WebhookDesk
    version: str
    domain: str
    realm: str
    """Those of the canonical domain; a project may have its own."""
    endpoints: EndpointRows
    trunks: TrunkRows
    numbers: NumberRows
    reception: Reception
    resources: ResourceRows
    addresses: AddressRows
    token_office: TokenOffice

    def widgets_changed(self) -> None:
        """Pages with a widget may connect from its origins from now on."""
        ...

    certificates: CertificateDesk
    answers: KeptThings
    session_key: bytes
    """Signs the dashboard's cookies."""
    projects: ProjectRows
    api_tokens: ApiTokenRows
    call_desk: CallDesk
    devices: DeviceDesk
    recordings: RecordingDesk
    custom_variables: int
    """Variables that one call may be placed with."""

    def new_id(self) -> str:
        """A fresh id."""
        ...

    @property
    def has_domain_suffix(self) -> bool:
        """True if projects have domains of their own (sip.domain_suffix)."""
        ...

    def domain_of(self, project_id: str) -> str:
        """Where the names of a project are meant."""
        ...

    def domain_at(self, host: str) -> str:
        """The domain that a host of ours means; the canonical one for any other."""
        ...

    def realm_of(self, project_id: str) -> str:
        """The realm in which the endpoints of a project prove themselves; it never changes."""
        ...

    def alias_refusal(self, project_id: str, host: str) -> tuple[str, str] | None:
        """Why a host cannot mean the domain of a project: code and words; None where it can."""
        ...

    def new_profile(self, name: str) -> dict[str, Any]:
        """What the SIP profile of a new project of that name begins with."""
        ...

    def profile(self, project_id: str) -> dict[str, Any]:
        """What of a project's SIP profile the server knows: `domain`, `realm`, `websocket_urls`, `country`."""
        ...

    async def profile_changed(self, project_id: str) -> None:
        """Lets calls, registrations and listeners obey the profile that was just written."""
        ...

    async def remove_project(self, id_: str) -> None:
        """Deletes a subproject and everything that is its own; live calls of its endpoints go on."""
        ...

    def trunk_status(self, id_: str) -> dict[str, Any]:
        """What a trunk does now (`status` of API.md 12.1)."""
        ...

    async def trunk_changed(self, id_: str) -> None:
        """Takes a new or changed trunk into service."""
        ...

    async def remove_trunk(self, id_: str) -> None:
        """Takes a trunk out of service and deletes it; its live calls go on."""
        ...

    async def register_trunk(self, id_: str) -> None:
        """Registers it at once."""
        ...

    async def test_trunk(self, id_: str, to: str | None = None) -> dict[str, Any]:
        """Tries each step of reaching it, and a call to a number."""
        ...

    def token(self, project: str, text: str) -> TokenRow | None: ...

    def registered(self, username: str) -> bool:
        """True while the endpoint has a live binding."""
        ...

    async def unbind(self, username: str) -> None:
        """Drops the endpoint's bindings and the trust of its flows, and closes nothing else."""
        ...

    def endpoint_state(self, username: str) -> dict[str, Any]:
        """What an endpoint does now, as API.md 12.2 shows it."""
        ...

    def registrations(self) -> list[dict[str, Any]]:
        """Every live binding, as API.md 12.2 shows them."""
        ...

    async def kick(self, id_: str, hang_up: bool) -> bool:
        """Takes one binding away, with the calls of its flow if wanted; False if there is none."""
        ...

    def provision(self, username: str, seconds: int, origin: str, asked: str) -> dict[str, Any] | None:
        """Credentials for a page, as API.md section 11 shows them; `asked` is our URL as the one who asks has it."""
        ...

    async def hang_up_all(self, username: str, code: str) -> None:
        """Ends the endpoint's live calls with an end code."""
        ...

    def calls(self) -> list[dict[str, Any]]:
        """Live calls, newest first, as API.md 12.3 shows them."""
        ...

    def ended_calls(self) -> list[dict[str, Any]]:
        """Calls that ended last, newest first, each with why it failed."""
        ...

    def project_of_call(self, ref: str) -> str | None:
        """Whose call it is, live or among the last that ended; None for any other."""
        ...

    async def call(self, ref: str) -> dict[str, Any] | None:
        """One call by the id of any of its legs, live with fresh facts, or after its end."""
        ...

    async def trace(self, ref: str, project: str) -> dict[str, Any] | None:
        """Everything that happened in a call of the project, live or ended, by the id of any of its legs; no secrets."""
        ...

    def ladder(self, document: dict[str, Any]) -> str:
        """A trace as text."""
        ...

    def capture(self, document: dict[str, Any]) -> bytes:
        """A trace's SIP as a capture file."""
        ...

    def diagnosis(self, call: dict[str, Any]) -> dict[str, Any]:
        """What the findings of a call say, in sentences (API.md 12.4)."""
        ...

    async def hang_up(self, ref: str) -> bool:
        """Ends a live call; False if there is none."""
        ...

    def status(self) -> dict[str, Any]:
        """Listeners, counts and warnings (API.md 12.6)."""
        ...

    def readiness(self) -> dict[str, bool]:
        """Each part that must stand before calls can be made."""
        ...

    @property
    def draining(self) -> bool:
        """True while the server stops: no new calls."""
        ...

    async def metrics(self) -> bytes:
        """What Prometheus reads."""
        ...


class Ha1(Protocol):
    """Computes HA1 of (username, realm, password) for MD5 and SHA-256."""

    def __call__(self, username: str, realm: str, password: str) -> tuple[Secret, Secret]: ...
