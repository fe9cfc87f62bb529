"""HTTP to the outside: webhooks, documents, prompts. Every connection goes to an address that the policy was asked about.

A name is looked up once; its addresses are judged, and one of those judged is connected: a name that changes its mind
meanwhile (DNS rebinding) is not asked again. A redirect is a new URL, judged anew. TLS verifies the name that was written.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import httpcore

from offhook.record import record
from offhook.sip.address_policy import AddressPolicy
from offhook.transport.http_url import HttpUrl, NotAnHttpUrl, parse_url
from offhook.transport.records import LookUpFailed, Records

Headers = list[tuple[str, str]]


class HttpFailed(Exception):
    """There is no answer. `code` is `not_an_http_url`, `url_is_unsafe` or `unreachable`, the text a sentence for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@record
class HttpAnswer:
    """What came back from `url`, where redirects led."""

    status: int
    headers: dict[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Seconds, octets and counts."""

    connect: float = 5.0
    """Looking the name up and connecting (API.md 10.3)."""
    total: float = 15.0
    """Everything, redirects included."""
    most: int = 65_536
    """Octets of an answer that are read: what a receiver of webhooks says is not needed."""
    connections: int = 200
    idle: float = 15.0
    """A connection without use is kept this long."""


class OutwardHttp:
    """`send` from anywhere on the loop; `close` at the end."""

    def __init__(
        self,
        records: Records,
        policy: AddressPolicy,
        clock: Callable[[], float],
        settings: HttpSettings = HttpSettings(),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._way = _CheckedWay(records, policy, clock, settings.connect)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context or ssl.create_default_context(),
            max_connections=settings.connections,
            max_keepalive_connections=settings.connections // 4,
            keepalive_expiry=settings.idle,
            network_backend=self._way,
        )

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.aclose()

    async def refusal(self, text: str) -> HttpFailed | None:
        """Why a URL may not be used, as far as is known now; a name that cannot be looked up may yet be."""
        try:
            url = parse_url(text)
            await self._way.addresses(url.host)
        except NotAnHttpUrl as error:
            return HttpFailed("not_an_http_url", str(error))
        except LookUpFailed:
            return None
        except HttpFailed as error:
            return error
        return None

    async def socket_address(self, text: str) -> str:
        """Address and port that a ws:// or wss:// URL may be connected at, judged as every other. Raises HttpFailed."""
        scheme, separator, rest = text.partition("://")
        as_http = {"ws": "http", "wss": "https"}.get(scheme.lower())
        if not separator or as_http is None:
            raise HttpFailed("not_an_http_url", "it does not begin with ws:// or wss://")
        try:
            url = parse_url(f"{as_http}://{rest}")
            if url.authorization is not None:
                raise HttpFailed("not_an_http_url", "it has a user name in it; use authorization_bearer_token")
            found = (await self._way.addresses(url.host))[0]
        except NotAnHttpUrl as error:
            raise HttpFailed("not_an_http_url", str(error)) from None
        except LookUpFailed as error:
            raise HttpFailed("unreachable", str(error)) from None
        return f"[{found}]:{url.port}" if ":" in found else f"{found}:{url.port}"

    async def send(
        self,
        method: str,
        url: str,
        headers: Callable[[HttpUrl], Headers],
        content: bytes = b"",
        *,
        redirects: int = 5,
        total: float | None = None,
        most: int | None = None,
    ) -> HttpAnswer:
        """One request and its answer. `headers` are asked for at each redirect anew, because signatures name the URL;
        method and body stay as they are. Raises HttpFailed."""
        try:
            async with asyncio.timeout(total or self._settings.total):
                return await self._follow(
                    method, parse_url(url), headers, content, redirects, most or self._settings.most
                )
        except TimeoutError:
            raise HttpFailed("unreachable", f"no answer within {total or self._settings.total:g} s") from None
        except NotAnHttpUrl as error:
            raise HttpFailed("not_an_http_url", f"not an http or https URL: {error}") from None

    async def _follow(
        self,
        method: str,
        url: HttpUrl,
        headers: Callable[[HttpUrl], Headers],
        content: bytes,
        redirects: int,
        most: int,
    ) -> HttpAnswer:
        for _ in range(redirects + 1):
            answer = await self._once(method, url, headers(url), content, most)
            location = answer.headers.get("location")
            if answer.status not in (301, 302, 307, 308) or location is None:
                return answer
            onward = url.joined(location)
            if (url.scheme.lower(), onward.scheme.lower()) == ("https", "http"):
                raise HttpFailed("unreachable", "redirected from https to http, which is not followed")
            url = onward
        raise HttpFailed("unreachable", f"redirected more than {redirects} times")

    async def _once(self, method: str, url: HttpUrl, headers: Headers, content: bytes, most: int) -> HttpAnswer:
        sent = [("Host", url.authority), ("Accept-Encoding", "identity"), *headers]
        if url.authorization is not None:
            sent.append(("Authorization", url.authorization))
        if content or method != "GET":
            sent.append(("Content-Length", str(len(content))))
        request = httpcore.Request(
            method,
            httpcore.URL(
                scheme=url.scheme.lower().encode(), host=url.host.encode(), port=url.port, target=url.target.encode()
            ),
            headers=[(name.encode(), value.encode("utf-8")) for name, value in sent],
            content=content,
            extensions={"timeout": {"connect": self._settings.connect, "pool": self._settings.total}},
        )
        try:
            response = await self._pool.handle_async_request(request)
            try:
                body = await _read(response, most)
            finally:
                await response.aclose()
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise HttpFailed("unreachable", self._words(error)) from None
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return HttpAnswer(response.status, found, body, url.written)

    def _words(self, error: Exception) -> str:
        """Why there is no answer, in words."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return f"its certificate is refused: {cause.verify_message}"
            if isinstance(cause, ssl.SSLError):
                return f"the TLS handshake failed: {cause.reason or cause}"
            if isinstance(cause, OSError) and cause.errno:
                return os.strerror(cause.errno).lower()
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpcore.ConnectTimeout):
            return f"no connection within {self._settings.connect:g} s"
        return str(error) or "the connection was closed before the answer"


async def _read(response: httpcore.Response, most: int) -> bytes:
    """The body, and no more than `most` octets of it: one that is longer is a failure, so nothing is read in part."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > most:
            raise HttpFailed("unreachable", f"the answer has more than {most} octets")
        parts.append(part)
    return b"".join(parts)


class _CheckedWay(httpcore.AsyncNetworkBackend):
    """How the library connects: a host becomes addresses here and nowhere else."""

    def __init__(self, records: Records, policy: AddressPolicy, clock: Callable[[], float], patience: float) -> None:
        self._records, self._policy, self._clock, self._patience = records, policy, clock, patience
        self._plain = httpcore.AnyIOBackend()

    async def addresses(self, host: str) -> list[str]:
        """Those behind a host that we may connect to, at least one. Raises HttpFailed and LookUpFailed."""
        found = await self._look_up(host)
        refused = next((one for one in found if self._policy.refusal(one) is not None), None)
        open_ = [one for one in found if self._policy.refusal(one) is None]
        if open_:
            return open_
        raise HttpFailed("url_is_unsafe", refused or host)

    async def _look_up(self, host: str) -> list[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        if host == "localhost" or host.endswith(".localhost"):
            return ["127.0.0.1", "::1"]  # RFC 6761 section 6.3
        deadline = self._clock() + self._patience
        answers = await asyncio.gather(
            *(self._records.find(host, kind, deadline) for kind in ("A", "AAAA")), return_exceptions=True
        )
        found = [str(one) for answer in answers if isinstance(answer, tuple) for one in answer]
        if not found:
            failed = next((one for one in answers if isinstance(one, BaseException)), None)
            raise failed or LookUpFailed(f"{host} has no address in DNS")
        return found

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's name
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        deadline = self._clock() + (timeout or self._patience)
        try:
            addresses = await self.addresses(host)
        except HttpFailed as error:
            raise HttpFailed(error.code, f"it must not point to {error}") from None
        except LookUpFailed as error:
            raise HttpFailed("unreachable", str(error)) from None
        for number, address in enumerate(addresses, 1):
            left = (deadline - self._clock()) / (len(addresses) - number + 1)
            try:
                return await self._plain.connect_tcp(address, port, max(left, 0.05), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise AssertionError("addresses are never empty")
