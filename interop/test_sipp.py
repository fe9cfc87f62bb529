"""Dialogs against SIPp: reliable answers, early UPDATE, glare, session timers, late offers, CANCEL, forks, loss."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.server import Offhook
from interop.support.sipp import Sipp

Maker = Callable[[str, str], Sipp]


@pytest.fixture
async def sipp(server: Offhook, tmp_path: Path) -> AsyncIterator[Maker]:
    """`sipp(scenario, username)`; what still runs at the end is ended."""
    made: list[Sipp] = []

    def make(scenario: str, user: str) -> Sipp:
        made.append(Sipp(tmp_path, scenario, user, server.passwords[user], server.domain, server.sip))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def both(sipp: Maker, caller: str, device: str, pause: int = 300) -> None:
    """Alice's scenario calls bob's; both must come to their end."""
    bob, alice = sipp(device, "bob"), sipp(caller, "alice")
    await bob.register()
    await bob.start()
    await alice.start("bob", pause=pause)
    await alice.done()
    await bob.done()


@pytest.mark.parametrize(
    ("caller", "device"),
    [
        ("uac_basic", "uas_basic"),
        # CALL-5: reliable on one leg, and on both
        ("uac_basic", "uas_100rel"),
        ("uac_100rel", "uas_100rel"),
        # RFC 3311: the device moves before it answers
        ("uac_basic", "uas_early_update"),
        # 4.1 row 2: late offers, with and without reliable answers
        ("uac_late_offer", "uas_basic"),
        ("uac_late_offer_100rel", "uas_basic"),
        # 4.1 row 5: two early dialogs behind one device
        ("uac_basic", "uas_forks"),
        # CALL-22: numbers that go back, a method nobody knows
        ("uac_hung_up", "uas_wrong_cseq"),
        # CALL-11: 422 obeyed
        ("uac_basic", "uas_422"),
        ("uac_hung_up", "uas_timer_dead"),
    ],
)
async def test_dialogs(sipp: Maker, caller: str, device: str) -> None:
    await both(sipp, caller, device)


@pytest.mark.parametrize("device", ["uas_timer_update", "uas_timer_reinvite"])
async def test_we_refresh_in_time(sipp: Maker, device: str) -> None:
    """CALL-11: by UPDATE at half of the interval, without UPDATE by re-INVITE at a third; then the device hangs up."""
    await both(sipp, "uac_hung_up", device)


@pytest.mark.parametrize("device", ["uas_glare", "uas_glare_own"])
async def test_glare(serve: ServerMaker, tmp_path: Path, device: str) -> None:
    """CALL-8: our offer meets 491; it comes again after a pause, unless theirs has settled the matter meanwhile."""
    async with serve(OFFHOOK_SIP_HOLD="pass") as server:
        bob = Sipp(tmp_path, device, "bob", server.passwords["bob"], server.domain, server.sip)
        alice = Sipp(tmp_path, "uac_hold", "alice", server.passwords["alice"], server.domain, server.sip)
        try:
            await bob.register()
            await bob.start()
            await alice.start("bob", pause=10_000)
            await alice.done()
            await bob.done()
        finally:
            await alice.stop()
            await bob.stop()


async def test_a_device_that_never_ends_its_invite(serve: ServerMaker, tmp_path: Path) -> None:
    """CALL-12: the caller has its 487 at once, the leg is freed after 64*T1 (shortened here)."""
    async with serve(OFFHOOK_SIP_T1="0.1") as server:
        bob = Sipp(tmp_path, "uas_deaf_to_cancel", "bob", server.passwords["bob"], server.domain, server.sip)
        alice = Sipp(tmp_path, "uac_cancel", "alice", server.passwords["alice"], server.domain, server.sip)
        try:
            await bob.register()
            await bob.start()
            await alice.start("bob")
            await alice.done()
            await bob.done()
            await server.until_idle()
        finally:
            await alice.stop()
            await bob.stop()


async def test_calls_over_a_network_that_loses_a_fifth(sipp: Maker) -> None:
    """Every call is set up, talks and ends by repetitions alone. SIPp loses a tenth of what it sends and a tenth of what it
    gets, so that of what is asked a fifth is not answered."""
    alice = sipp("uac_basic", "alice")
    await alice.start(
        "echo", "-m", "20", "-r", "5", "-lost", "10", "-max_invite_retrans", "9", "-max_non_invite_retrans", "12"
    )
    await alice.done()
