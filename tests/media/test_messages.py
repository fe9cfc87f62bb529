"""The control protocol against the shared samples (the Rust side reads the same files)."""

from typing import get_args

import msgspec
import pytest

from offhook.media import messages as wire
from tests.support.media_samples import FOLDER, SAMPLES

KINDS = {
    kind.__name__: kind for kind in (wire.Hello, *get_args(wire.Command), *get_args(wire.Reply), *get_args(wire.Event))
}
ANY = msgspec.msgpack.Decoder(wire.Hello | wire.Command | wire.Reply | wire.Event)


def test_there_is_a_sample_of_every_message() -> None:
    assert {type(sample).__name__ for sample in SAMPLES} == set(KINDS)
    assert {path.stem for path in FOLDER.glob("*.hex")} == set(KINDS)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_sample_decodes_and_encodes_to_the_same_bytes(sample: wire.Message) -> None:
    data = bytes.fromhex((FOLDER / f"{type(sample).__name__}.hex").read_text())
    assert ANY.decode(data) == sample
    assert msgspec.msgpack.encode(ANY.decode(data)) == data


def test_unknown_fields_are_ignored() -> None:
    data = msgspec.msgpack.encode({"t": "Done", "n": 3, "colour": "red"})
    assert ANY.decode(data) == wire.Done(3)
