"""Who is in most calls: alice's page, bob's and carol's phones, each with a tone of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from interop.support.baresip import Baresip
from interop.support.browser import Browser, Page
from interop.support.linphone import Linphone
from interop.support.server import Offhook

ALICE, BOB, CAROL = 1000, 700, 440
"""Hz of each party's tone."""
SECRET = "carols-own-long-secret"


async def signed_in(browser: Browser, server: Offhook, username: str, name: str = "", library: str = "jssip") -> Page:
    """A page that is registered."""
    page = await browser.open(name or username, server.http_url, library)
    await page.start(server.websocket_url, server.uri(username), server.passwords[username])
    await page.expect("registered")
    return page


def phone(
    server: Offhook, home: Path, username: str, tone: int, password: str = "", codec: str = "PCMU/8000/1"
) -> Baresip:
    """A baresip that registers as the endpoint."""
    secret = password or server.passwords[username]
    return Baresip(home, username, secret, server.domain, server.sip, "udp", codec, tone)


async def with_carol(server: Offhook, home: Path, codec: str = "PCMU/8000/1") -> Baresip:
    """Carol's phone, whose endpoint is made."""
    await server.add_endpoint("carol", SECRET)
    return phone(server, home, "carol", CAROL, SECRET, codec)


async def talk(page: Page, server: Offhook, callee: Baresip, name: str = "bob") -> None:
    """The page calls the phone, which answers."""
    await page.call(server.uri(name))
    await callee.expect("CALL_INCOMING")
    await callee.answer()
    await page.expect("confirmed")


async def meet(caller: Page, callee: Page, uri: str) -> None:
    """One page calls the other, which answers."""
    await caller.call(uri)
    await callee.expect("incoming")
    await callee.answer()
    await caller.expect("confirmed")
    await callee.expect("confirmed")


async def consult(page: Page, server: Offhook, carol: Baresip) -> None:
    """The page puts its call on hold, and talks to carol."""
    await page.consult(server.uri("carol"))
    await carol.expect("CALL_INCOMING")
    await carol.answer()
    await page.expect("confirmed")


@asynccontextmanager
async def three(
    server: Offhook, folder: Path, bob: Baresip | Linphone, library: str = "jssip", program: str = "chromium",
    codec: str = "PCMU/8000/1",
) -> AsyncIterator[tuple[Page, Baresip]]:  # fmt: skip
    """Alice's page and carol's phone beside bob's, all of them registered; `codec` is carol's."""
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(Browser(program, folder, tone=ALICE))
        await stack.enter_async_context(bob)
        carol = await stack.enter_async_context(await with_carol(server, folder, codec))
        await bob.registered()
        await carol.registered()
        yield await signed_in(browser, server, "alice", library=library), carol
