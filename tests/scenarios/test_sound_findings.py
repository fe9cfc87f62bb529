"""API.md 12.3, 12.4: thresholds over two samples, one direction that flows while the other does not, both paths named."""

import pytest

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.call import Call
from offhook.calls.commands import HoldLeg
from offhook.calls.leg import Leg
from offhook.calls.ports import LegFacts, Quality
from offhook.server.views import call_view, diagnosis_of
from tests.support.house import House
from tests.support.link import Link


def open_codes(leg: Leg) -> list[str]:
    return [one.code for one in leg.findings if one.until is None]


def media(leg: Leg) -> int:
    assert leg.media is not None
    return leg.media.leg


def talking(link: Link) -> tuple[House, Call, Leg, Leg]:
    """Alice and Bob talk, and both are heard."""
    house = House(link)
    house.talking()
    call = house.call()
    alice, bob = call.parties
    for leg in (alice, bob):
        house.apply(lambda leg=leg: house.node.tell(did.FirstMedia(media(leg), 20)))
    return house, call, alice, bob


def sample(house: House, leg: Leg, **figures: float) -> None:
    house.apply(lambda: house.node.tell(did.QualityReported(media(leg), Quality(**figures))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "bad", "good"),
    [
        ("high_rtt", {"rtt_ms": 450.0}, {"rtt_ms": 399.0}),
        ("high_jitter", {"jitter_ms": 31.0}, {"jitter_ms": 30.0}),
        ("high_loss", {"loss_percent": 3.5}, {"loss_percent": 2.0}),
        ("low_mos", {"mos": 2.9}, {"mos": 4.0}),
    ],
)
def test_two_samples_over_a_threshold_are_a_finding(
    link: Link, code: str, bad: dict[str, float], good: dict[str, float]
) -> None:
    house, _, alice, _ = talking(link)
    # 1. one bad sample is none
    sample(house, alice, **bad)
    sample(house, alice, **good)
    sample(house, alice, **bad)
    assert open_codes(alice) == []
    # 2. two in a row are one, told once
    sample(house, alice, **bad)
    sample(house, alice, **bad)
    assert open_codes(alice) == [code]
    raised = [one for one in house.node.published if one.type == "call.finding_raised"]
    assert [dict(one.details)["code"] for one in raised] == [code]
    # 3. a good one ends it
    sample(house, alice, **good)
    assert open_codes(alice) == []
    assert house.node.published[-1].type == "call.finding_cleared"
    # 4. every sample is kept, with its time
    assert [figures for _, figures in alice.samples] == [
        Quality(**one)
        for one in (bad, good, bad, bad, bad, good)  # type: ignore[arg-type]
    ]


def test_a_loss_that_happened_here_says_so(link: Link) -> None:
    house, _, alice, bob = talking(link)
    for _ in range(2):
        sample(house, alice, loss_percent=3.5, unread_in=70)
        sample(house, bob, loss_percent=3.5)
    assert (open_codes(alice), open_codes(bob)) == (["high_loss"], ["high_loss"])
    assert [leg.findings[-1].evidence.get("dropped_by_server") for leg in (alice, bob)] == ["70", None]


def test_samples_of_a_long_call_are_thinned_out(link: Link) -> None:
    house, _, alice, _ = talking(link)
    for at in range(1_000):
        sample(house, alice, rtt_ms=float(at))
    assert 360 <= len(alice.samples) <= 720
    assert alice.samples[-1][1].rtt_ms == 999


def test_one_way_audio_names_both_directions(link: Link) -> None:
    house, call, alice, bob = talking(link)
    house.apply(lambda: house.node.tell(did.SilenceFound(media(alice), "in", "stopped", {"silent_ms": "5000"})))
    # 1. beside the silence itself, because the other direction flows
    assert open_codes(alice) == ["media_stopped", "one_way_audio"]
    found = next(one for one in alice.findings if one.code == "one_way_audio")
    assert found.evidence["silent"] == f"{alice.ref} to {bob.ref}"
    assert found.evidence["flows"] == f"{bob.ref} to {alice.ref}"
    # 2. the diagnosis says where each direction stops
    silent = facts(media(alice), verdict_in="stopped", packets_in=100, packets_out=900)
    other = facts(media(bob), packets_in=900, packets_out=100)
    now = link.now
    diagnosis = diagnosis_of(call_view(call, {alice.ref: silent, bob.ref: other}, now))
    assert diagnosis["verdict"] == "degraded"
    assert [(one["from"], one["to"], one["state"], one["blocked_at"]) for one in diagnosis["paths"]] == [
        (alice.ref, bob.ref, "silent", "before_offhook"),
        (bob.ref, alice.ref, "flowing", None),
    ]
    assert diagnosis["paths"][0]["expected_since"] is not None
    # 3. heard again, both end
    house.apply(lambda: house.node.tell(did.Heard(media(alice), "in")))
    assert open_codes(alice) == []


def test_one_way_audio_begins_and_ends_with_the_other_direction(link: Link) -> None:
    house, _, alice, bob = talking(link)
    # 1. it ends when nothing flows either way, and begins anew when one of them is heard
    for leg in (alice, bob):
        house.apply(lambda leg=leg: house.node.tell(did.MediaStopped(media(leg), 5000)))
        house.apply(lambda leg=leg: house.node.tell(did.SilenceFound(media(leg), "in", "stopped", {})))
    assert "one_way_audio" not in [*open_codes(alice), *open_codes(bob)]
    house.apply(lambda: house.node.tell(did.MediaResumed(media(bob))))
    house.apply(lambda: house.node.tell(did.Heard(media(bob), "in")))
    assert (open_codes(alice), open_codes(bob)) == (["media_stopped", "one_way_audio"], [])
    # 2. he falls silent again: it is none any more, and each change is told
    house.apply(lambda: house.node.tell(did.SilenceFound(media(bob), "in", "stopped", {})))
    assert (open_codes(alice), open_codes(bob)) == (["media_stopped"], ["media_stopped"])
    told = [one.type for one in house.node.published if dict(one.details).get("code") == "one_way_audio"]
    assert told == ["call.finding_raised", "call.finding_cleared"] * 2


def test_one_way_audio_is_named_though_the_other_is_heard_late(link: Link) -> None:
    """Nobody was heard when Alice's silence was judged; Bob's first packet makes it one way, however bad his sound is."""
    house = House(link)
    house.talking()
    alice, bob = house.call().parties
    for _ in range(2):
        sample(house, bob, loss_percent=3.5)
    house.apply(lambda: house.node.tell(did.SilenceFound(media(alice), "in", "no_packets", {})))
    assert open_codes(alice) == ["no_media_from_device"]
    house.apply(lambda: house.node.tell(did.FirstMedia(media(bob), 20)))
    assert (open_codes(alice), open_codes(bob)) == (["no_media_from_device", "one_way_audio"], ["high_loss"])


def test_silence_both_ways_is_not_one_way_audio(link: Link) -> None:
    house, _, alice, bob = talking(link)
    house.apply(lambda: house.node.tell(did.MediaStopped(media(bob), 5000)))
    house.apply(lambda: house.node.tell(did.SilenceFound(media(alice), "in", "stopped", {})))
    assert "one_way_audio" not in open_codes(alice)


def test_a_hold_is_not_one_way_audio(link: Link) -> None:
    house, _, alice, _ = talking(link)
    house.apply(lambda: house.node.tell(did.SilenceFound(media(alice), "in", "on_hold", {})))
    assert open_codes(alice) == ["silence_expected"]


def test_a_mute_by_command_is_no_fault(link: Link) -> None:
    """API.md section 14: `silence_expected`; it ends with the mute."""
    house, _, alice, bob = talking(link)
    # 1. who is muted is not heard: the engine knows that this is meant
    house.apply(lambda: house.node.command(HoldLeg(alice.ref, muted=True)))
    assert house.media.told[-1] == do.HushMedia(media(bob))
    house.apply(lambda: house.node.tell(did.SilenceFound(media(bob), "out", "muted", {})))
    assert (open_codes(alice), open_codes(bob)) == ([], ["silence_expected"])
    # 2. and it is over with the mute
    house.apply(lambda: house.node.command(HoldLeg(alice.ref, muted=False)))
    house.apply(lambda: house.node.tell(did.Heard(media(bob), "out")))
    assert open_codes(bob) == []


def test_what_we_send_and_nobody_gets_is_blocked_behind_us(link: Link) -> None:
    _, call, alice, bob = talking(link)
    heard = facts(media(alice), packets_in=900, packets_out=100)
    lost = facts(media(bob), verdict_out="not_acknowledged", packets_in=100, packets_out=900)
    paths = diagnosis_of(call_view(call, {alice.ref: heard, bob.ref: lost}, link.now))["paths"]
    assert (paths[0]["from"], paths[0]["blocked_at"]) == (alice.ref, "after_offhook")
    stuck = facts(media(bob), packets_in=100, packets_out=0)
    paths = diagnosis_of(call_view(call, {alice.ref: heard, bob.ref: stuck}, link.now))["paths"]
    assert (paths[0]["from"], paths[0]["blocked_at"]) == (alice.ref, "inside_offhook")


def test_a_path_on_which_nothing_came_yet_does_not_flow(link: Link) -> None:
    house, call, alice, bob = talking(link)

    def first_path() -> tuple[str, str | None]:
        sides = {alice.ref: facts(media(alice)), bob.ref: facts(media(bob), packets_in=100)}
        one = diagnosis_of(call_view(call, sides, link.now))["paths"][0]
        return one["state"], one["blocked_at"]

    assert first_path() == ("silent", "unknown"), "1. before there is a verdict it is not known where"
    house.apply(lambda: house.node.tell(did.SilenceFound(media(alice), "in", "no_packets", {})))
    assert first_path() == ("silent", "before_offhook"), "2. and then it is, also when the engine is not asked any more"


def facts(leg: int, verdict_in: str = "", verdict_out: str = "", packets_in: int = 0, packets_out: int = 0) -> LegFacts:
    quality = Quality(packets_in=packets_in, packets_out=packets_out)
    return LegFacts(
        leg, "", "", "", "", "", "PCMU", "PCMU", False, "", "", 20, 20, 20, 20, verdict_in, verdict_out, {}, quality
    )
