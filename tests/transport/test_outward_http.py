"""HTTP to the outside goes to addresses that were judged (API.md 10.3), against real receivers and a real DNS server."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from offhook.sip.address_policy import AddressPolicy
from offhook.transport.http_url import HttpUrl, NotAnHttpUrl, host_of, parse_url
from offhook.transport.outward_http import Headers, HttpAnswer, HttpFailed, HttpSettings, OutwardHttp
from offhook.transport.records import Records, RecordSettings
from tests.support.authority import Authority
from tests.support.dns_server import DnsServer
from tests.support.patience import PATIENCE
from tests.support.receiver import Receiver

LOOPBACK = AddressPolicy((ip_network("127.0.0.0/8"), ip_network("::1/128")))
CLOSED = AddressPolicy()


def plain(_: HttpUrl) -> Headers:
    return [("X-Test", "1")]


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer("good.test. 60 IN A 127.0.0.1", "evil.test. 0 IN A 169.254.169.254") as one:
        yield one


def client(dns: DnsServer, policy: AddressPolicy, total: float = PATIENCE, **more: object) -> OutwardHttp:
    records = Records(RecordSettings(servers=(dns.address,), hosts=None), asyncio.get_running_loop().time)
    settings = HttpSettings(connect=total, total=total)
    return OutwardHttp(records, policy, asyncio.get_running_loop().time, settings, **more)  # type: ignore[arg-type]


async def refused(http: OutwardHttp, url: str) -> tuple[str, str]:
    with pytest.raises(HttpFailed) as error:
        await http.send("POST", url, plain)
    return error.value.code, str(error.value)


async def test_what_is_sent_is_what_stands_in_the_url(dns: DnsServer) -> None:
    async with Receiver() as receiver:
        http = client(dns, LOOPBACK)
        url = f"http://user:p%40ss@good.test:{receiver.port}/a/%7e/./b?x=1&y=%C3%BC&&z#part"
        answer = await http.send("POST", url, plain, b"body")
        assert answer == HttpAnswer(
            200, {"content-length": "2"}, b"ok", url.replace("user:p%40ss@", "").partition("#")[0]
        )
        got = receiver.got[0]
        # 1. path and query byte for byte, no fragment; the port in Host; user information as Basic
        assert (got.method, got.target, got.body) == ("POST", "/a/%7e/./b?x=1&y=%C3%BC&&z", b"body")
        assert got.headers["host"] == f"good.test:{receiver.port}"
        assert got.headers["authorization"] == "Basic dXNlcjpwQHNz"
        # 2. the connection is used again
        await http.send("GET", url, plain)
        assert (receiver.connections, receiver.got[1].headers.get("content-length")) == (1, None)
        await http.close()


FORMS = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.0.0.1", "[::1]", "[::ffff:127.0.0.1]"]
FORMS += [
    "localhost",
    "LOCALHOST.",
    "x.localhost",
    "127.0.0.1.",
    "\uff11\uff12\uff17.0.0.1",
    "169.254.169.254",
    "10.0.0.1",
    "[fd00::1]",
]
FORMS += ["[fe80::1%25eth0]", "[64:ff9b::7f00:1]", "[::127.0.0.1]", "0.0.0.0", "[::]", "100.100.100.200", "evil.test"]


@pytest.mark.parametrize("host", FORMS)
async def test_inner_addresses_are_refused_in_every_disguise(dns: DnsServer, host: str) -> None:
    async with Receiver() as receiver:
        http = client(dns, CLOSED)
        url = f"http://{host}:{receiver.port}/"
        code, text = await refused(http, url)
        assert (code, receiver.connections) == ("url_is_unsafe", 0), text
        # the same is said when the URL is configured
        told = await http.refusal(url)
        assert told is not None
        assert told.code == "url_is_unsafe"
        await http.close()


async def test_the_address_that_was_judged_is_the_one_connected(dns: DnsServer) -> None:
    """DNS rebinding: a name that answers with another address on the second question is not asked a second time."""
    async with Receiver() as receiver:
        dns.zone("rebind.test. 0 IN A 127.0.0.2")
        http = client(dns, AddressPolicy((ip_network("127.0.0.2/32"),)))
        sent = asyncio.create_task(refused(http, f"http://rebind.test:{receiver.port}/"))
        while ("rebind.test", "A") not in dns.asked:
            await asyncio.sleep(0)
        dns.zone("rebind.test. 0 IN A 127.0.0.1")
        # 127.0.0.2 was judged and is connected, where nobody listens; 127.0.0.1, where somebody does, never is.
        assert (await sent)[0] == "unreachable"
        assert receiver.connections == 0
        assert dns.asked.count(("rebind.test", "A")) == 1
        await http.close()


async def test_of_several_addresses_those_that_may_be_are_tried(dns: DnsServer) -> None:
    async with Receiver() as receiver:
        dns.zone("both.test. 60 IN A 10.0.0.1", "both.test. 60 IN A 127.0.0.1")
        http = client(dns, LOOPBACK)
        assert (await http.send("GET", f"http://both.test:{receiver.port}/", plain)).status == 200
        await http.close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_keep_the_body_and_are_judged_anew(dns: DnsServer, status: int) -> None:
    async with Receiver() as receiver, Receiver() as inner:
        http = client(dns, AddressPolicy((ip_network("127.0.0.1/32"),)))
        seen: list[str] = []

        def headers(url: HttpUrl) -> Headers:
            seen.append(url.written)
            return []

        receiver.answers, receiver.extra = [status], ["Location: /there?x=1"]
        answer = await http.send("POST", receiver.url("/here").replace("//", "//u:p@"), headers, b"body")
        # 1. followed with method, body and user information; headers are made for the new URL
        assert (answer.status, [one.body for one in receiver.got]) == (200, [b"body", b"body"])
        assert "authorization" in receiver.got[1].headers
        assert seen == [receiver.url("/here"), receiver.url("/there?x=1")]
        # 2. into a network that is closed it is not followed
        receiver.answers, receiver.extra = [status], [f"Location: http://127.0.0.3:{inner.port}/"]
        assert (await refused(http, receiver.url()))[0] == "url_is_unsafe"
        assert inner.connections == 0
        # 3. other origins never see the user information
        receiver.answers, receiver.extra = [status], [f"Location: {inner.url()}"]
        await http.send("POST", receiver.url().replace("//", "//u:p@"), plain)
        assert "authorization" not in inner.got[0].headers
        # 4. and not for ever
        receiver.answers, receiver.extra = [status] * 9, ["Location: /again"]
        assert "more than 5 times" in (await refused(http, receiver.url()))[1]
        await http.close()


async def test_a_303_is_an_answer(dns: DnsServer) -> None:
    async with Receiver(status=303, extra=["Location: /x"]) as receiver:
        http = client(dns, LOOPBACK)
        assert (await http.send("POST", receiver.url(), plain, b"x")).status == 303
        assert len(receiver.got) == 1
        await http.close()


async def test_failures_have_words(dns: DnsServer) -> None:
    async with Receiver(silent=True) as silent, Receiver(body=b"x" * 70_000) as long:
        http, hasty = client(dns, LOOPBACK), client(dns, LOOPBACK, total=0.3)
        assert await refused(hasty, silent.url()) == ("unreachable", "no answer within 0.3 s")
        assert await refused(http, long.url()) == ("unreachable", "the answer has more than 65536 octets")
        await long.stop()
        assert await refused(http, long.url()) == ("unreachable", "connection refused")
        assert await refused(http, "http://nowhere.test/") == ("unreachable", "nowhere.test has no address in DNS")
        # a name that cannot be looked up now may be configured all the same
        assert await http.refusal("http://nowhere.test/") is None
        await hasty.close()
        await http.close()


async def test_tls_proves_the_name_that_was_written(dns: DnsServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.server("dns:good.test")
    dns.zone("good.test. 60 IN A 127.0.0.1", "other.test. 60 IN A 127.0.0.1")
    async with Receiver(context=server) as receiver:
        ours = ssl.create_default_context(cafile=authority.file)
        http, strangers = client(dns, LOOPBACK, context=ours), client(dns, LOOPBACK)
        assert (await http.send("GET", receiver.url(host="good.test"), plain)).status == 200
        _, text = await refused(http, receiver.url(host="other.test"))
        assert "certificate is refused" in text
        assert "certificate is refused" in (await refused(strangers, receiver.url(host="good.test")))[1]
        await http.close()
        await strangers.close()


async def test_https_is_not_left_by_a_redirect(dns: DnsServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.server("dns:good.test")
    async with Receiver(context=server) as receiver, Receiver() as clear:
        receiver.answers, receiver.extra = [307], [f"Location: {clear.url()}"]
        http = client(dns, LOOPBACK, context=ssl.create_default_context(cafile=authority.file))
        assert "from https to http" in (await refused(http, receiver.url(host="good.test")))[1]
        assert clear.connections == 0
        await http.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ftp://a.test/",
        "http:/a.test",
        "http://",
        "http:///x",
        "http://a b/",
        "http://a.test/\n",
        "http://a.test:x/",
        "http://a.test:70000/",
        "http://[::1",
        "http://a_%00b/",
        "http://a..b/",
        "http://256.1.1.1/",
        "javascript:alert(1)",
        "http://" + "a" * 300 + ".test/",
        "http://a.test/" + "x" * 2100,
        "file:///etc/passwd",
        "http://a\u202e.test/",
    ],
)
async def test_what_is_no_http_url(dns: DnsServer, text: str) -> None:
    http = client(dns, LOOPBACK)
    told = await http.refusal(text)
    if text != "http://a..b/":
        assert told is not None
        assert told.code == "not_an_http_url"
        with pytest.raises(NotAnHttpUrl):
            parse_url(text)
    await http.close()


def test_hosts_in_their_usual_form() -> None:
    assert [host_of(one) for one in ("Bücher.test", "A.TEST", "0300.0250.1", "::FFFF:10.0.0.1")] == [
        "xn--bcher-kva.test",
        "a.test",
        "192.168.0.1",
        "::ffff:a00:1",
    ]
    url = parse_url("https://bücher.test:8443/grüße?n=ß#x")
    assert url.written == "https://xn--bcher-kva.test:8443/gr%C3%BC%C3%9Fe?n=%C3%9F", "what is signed is what is sent"
    assert parse_url("http://a.test?x").written == "http://a.test/?x"
