"""What callers hear from the server: clock, test of the connection, files and recordings by command."""

from dataclasses import replace

from offhook.calls import commands as please
from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.ports import Quality, RecordedSide, Recording
from offhook.calls.speaking import MEASURED, PAUSE, ROUNDS
from tests.support.house import House, Phone
from tests.support.link import Link


def played(house: House) -> list[do.PlayFiles]:
    return [one for one in house.media.told if isinstance(one, do.PlayFiles)]


def words(effect: do.PlayFiles) -> str:
    return " ".join(name.removeprefix("en/") for name in effect.files)


def tell(house: House, event: did.CallEvent) -> None:
    house.apply(lambda: house.node.tell(event))


def over(house: House, reason: str = "finished", text: str = "") -> None:
    """The last sound is over."""
    last = played(house)[-1]
    tell(house, did.PlayFinished(last.leg, last.play, reason, text, 1_000))


def command(house: House, one: please.CallCommand) -> None:
    """A command of the API."""

    def step():  # type: ignore[no-untyped-def]
        return house.node.command(one)

    house.apply(step)


def happened(house: House, type_: str) -> list[dict[str, str]]:
    return [dict(one.details) for one in house.node.published if one.type == type_]


def dialled(link: Link, name: str) -> tuple[House, Phone]:
    house = House(link)
    alice = house.caller()
    alice.dial(name)
    assert alice.final().status == 200
    return house, alice


def test_clock_tells_the_time_three_times_and_hangs_up(link: Link) -> None:
    house, alice = dialled(link, "Clock")
    # 1. the day and the time, of the place where the server is
    assert words(played(house)[0]) == "today-is wednesday the-time-is 2 oh 5 pm"
    # 2. after a pause the time is asked again: it may be another
    house.node.local_time = (2, 14, 6)
    over(house)
    assert len(played(house)) == 1
    link.run(PAUSE + 0.1)
    assert words(played(house)[1]) == "today-is wednesday the-time-is 2 oh 6 pm"
    # 3. whoever listens on has fallen asleep
    over(house)
    link.run(PAUSE + 0.1)
    over(house)
    link.run(1)
    assert len(played(house)) == ROUNDS
    assert len(alice.got("BYE")) == 1
    house.assert_nothing_left(alice)
    (record,) = house.node.log
    assert dict(record.legs[0][1])["end_code"] == "hangup"


def test_test_lets_one_hear_oneself_and_speaks_the_measures(link: Link) -> None:
    house, alice = dialled(link, "test")
    # 1. what to do
    assert words(played(house)[0]) == "test-begin"
    leg = played(house)[0].leg
    assert house.media.of(do.BridgeMedia) == []
    # 2. then an echo
    over(house)
    assert house.media.of(do.BridgeMedia) == [do.BridgeMedia(leg, leg)]
    quality = Quality(packets_in=500, loss_percent=1.0, jitter_ms=7.4, rtt_ms=20.0, mos=4.2)
    tell(house, did.QualityReported(leg, quality))
    # 3. then what the engine measured last
    link.run(MEASURED + 0.1)
    said = "test-report loss 1 percent jitter 7 milliseconds round-trip 20 milliseconds quality excellent goodbye"
    assert words(played(house)[1]) == said
    # 4. and the end
    over(house)
    link.run(1)
    assert len(alice.got("BYE")) == 1
    house.assert_nothing_left(alice)


def test_test_says_that_nobody_was_heard(link: Link) -> None:
    house, alice = dialled(link, "test")
    leg = played(house)[0].leg
    tell(house, did.SilenceFound(leg, "in", "no_packets", {}))
    over(house)
    link.run(MEASURED + 0.1)
    assert words(played(house)[1]).endswith("not-heard goodbye")
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_a_sound_that_is_missing_ends_no_call_of_the_test(link: Link) -> None:
    house, alice = dialled(link, "test")
    over(house, "failed", "there is no sound 'en/test-begin'")
    assert len(house.media.of(do.BridgeMedia)) == 1
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_the_first_of_a_conference_is_told_so_and_the_second_is_not(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.caller("bob")
    alice.dial("conference-sales")
    bob.dial("conference-sales")
    assert [words(one) for one in played(house)] == ["conference-first"]
    over(house)
    assert happened(house, "play.finished") == []
    for phone in (alice, bob):
        phone.hang_up()
    house.assert_nothing_left(alice, bob)


def test_files_are_played_to_a_leg_by_command_and_stopped(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    leg = house.call().caller
    assert leg.media is not None
    # 1. nothing plays, nothing is stopped: the bridge stays as it is
    command(house, please.StopSounds(leg.ref))
    assert house.media.of(do.StopMedia) == []
    # 2. the engine is asked, and the end is told with its reason
    command(house, please.PlaySounds(leg.ref, "p1", ("own/hello", "en/goodbye"), 2, True))
    assert played(house) == [do.PlayFiles(leg.media.leg, "p1", ("own/hello", "en/goodbye"), 2, True)]
    command(house, please.StopSounds(leg.ref))
    assert house.media.of(do.StopMedia) == [do.StopMedia(leg.media.leg)]
    over(house, "stopped")
    assert happened(house, "play.started") == [{"play": "p1"}]
    assert happened(house, "play.finished") == [{"play": "p1", "reason": "stopped", "played_ms": "1000"}]
    # 3. a bad file is named
    command(house, please.PlaySounds(leg.ref, "p2", ("own/bad",)))
    over(house, "failed", "own/bad: no WAV file")
    assert happened(house, "play.finished")[-1]["text"] == "own/bad: no WAV file"
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


SPEC = Recording("r1", "2026/r1.wav", RecordedSide.BOTH)


def test_a_leg_is_recorded_by_command_and_the_end_is_told_after_the_call(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    leg = house.call().caller
    assert leg.media is not None
    media = leg.media.leg
    command(house, please.StartRecording(leg.ref, SPEC))
    # 1. a second one of that name is refused with an event, the first goes on
    command(house, please.StartRecording(leg.ref, replace(SPEC, file="other.wav")))
    assert house.media.of(do.RecordMedia) == [do.RecordMedia(media, SPEC)]
    (refused,) = happened(house, "recording.finished")
    assert (refused["reason"], refused["file"]) == ("failed", "other.wav")
    # 2. pause and resume
    command(house, please.PauseRecording(leg.ref, "r1"))
    command(house, please.ResumeRecording(leg.ref, "r1"))
    changes = [one.change for one in house.media.told if isinstance(one, do.ChangeRecording)]
    assert changes == ["pause", "resume"]
    # 3. the engine ends it with the leg, after the call is over here
    alice.hang_up()
    link.run(5)
    tell(house, did.RecordingFinished(media, "r1", SPEC.file, "ended", "", 4_000, 256_044, ((1_000, 2_000, "pause"),)))
    assert happened(house, "recording.started") == [{"recording": "r1"}]
    assert happened(house, "recording.finished")[-1] == {
        "recording": "r1",
        "file": "2026/r1.wav",
        "reason": "ended",
        "duration_ms": "4000",
        "bytes": "256044",
        "marks": "1000-2000:pause",
    }
    assert [one.call_ref for one in house.node.published if one.type == "recording.finished"][-1] == house.call().ref
    assert house.node.switchboard.index.recordings == {}
    house.assert_nothing_left(alice, bob)


def test_a_lost_engine_ends_recordings(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    command(house, please.StartRecording(house.call().caller.ref, SPEC))
    house.media.open.clear()
    tell(house, did.EngineLost())
    (told,) = happened(house, "recording.finished")
    assert (told["recording"], told["reason"]) == ("r1", "engine_lost")
    assert ".part" in told["text"]
    link.run(120)
    house.assert_nothing_left(alice, bob)
