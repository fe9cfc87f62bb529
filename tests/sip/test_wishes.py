"""LIVE-7: which wish takes the place of which."""

from offhook.sip.message import Headers
from offhook.sip.wishes import Wish, Wishes


def info(digit: str) -> Wish:
    return Wish("INFO", body=digit.encode())


def notify(event: str, state: str) -> Wish:
    return Wish("NOTIFY", Headers([("Event", event)]), state.encode())


def test_live_7_infos_keep_their_order_and_one_media_state_is_left() -> None:
    wishes = Wishes(16)
    for wish in (info("1"), Wish("INVITE", body=b"old"), info("2"), Wish("INVITE", body=b"new"), info("3")):
        assert wishes.add(wish)
    assert wishes.take() == (info("1"), info("2"), info("3"))
    assert wishes.take_media() == Wish("INVITE", body=b"new")
    assert len(wishes) == 0


def test_live_7_the_latest_notify_of_each_subscription() -> None:
    wishes = Wishes(16)
    for wish in (notify("refer;id=1", "100"), notify("refer;id=2", "100"), notify("refer;id=1", "200")):
        assert wishes.add(wish)
    assert wishes.take() == (notify("refer;id=1", "200"), notify("refer;id=2", "100"))


def test_live_7_a_mere_refresh_never_displaces_a_media_state() -> None:
    wishes = Wishes(16)
    wishes.add(Wish("INVITE", body=b"new"))
    wishes.add(Wish("UPDATE"))
    wishes.put_back(Wish("UPDATE"))
    assert wishes.take_media() == Wish("INVITE", body=b"new")
    wishes.add(Wish("UPDATE"))
    wishes.put_back(Wish("INVITE", body=b"in flight"))
    assert wishes.take_media() == Wish("INVITE", body=b"in flight")


def test_live_7_one_bye_drops_all_else() -> None:
    wishes = Wishes(16)
    wishes.add(info("1"))
    wishes.hang_up("first")
    wishes.hang_up("second")
    assert not wishes.add(info("2"))
    wishes.put_back(info("3"))
    assert wishes.take() == ()
    assert wishes.take_bye() == "first"
    assert wishes.take_bye() is None


def test_live_7_the_queue_is_bounded() -> None:
    wishes = Wishes(3)
    assert [wishes.add(info(digit)) for digit in "1234"] == [True, True, True, False]
    assert not wishes.add(Wish("INVITE"))
    wishes.put_back(info("0"))
    assert wishes.take() == (info("1"), info("2"), info("3"))


def test_live_7_what_died_with_the_flow_goes_first() -> None:
    wishes = Wishes(16)
    wishes.add(info("2"))
    wishes.put_back(info("1"))
    assert wishes.take() == (info("1"), info("2"))
