"""Secrets of the descriptions that cross the control socket."""

from tests.support.media_samples import LOCAL, REMOTE


def test_ice_passwords_stay_out_of_logs() -> None:
    for secret in (LOCAL, REMOTE):
        assert secret.password
        assert secret.password not in repr(secret)
