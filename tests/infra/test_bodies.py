"""Bodies at rest: exact, bounded, and readable for ever."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Unreadable
from infra.bodies import DICTIONARY_PATH, RAW, ZSTD_DICTIONARY_1, decode, encode
from tests.benchmarks.events import bodies


@given(st.binary(max_size=5_000) | st.integers(0, 50_000).map(lambda count: b"a" * count))
def test_every_body_comes_back_exactly(body: bytes) -> None:
    """What was encoded decodes to the same bytes."""
    codec, stored = encode(body)
    assert decode(codec, stored, len(body)) == body
    assert len(stored) <= len(body)


def test_events_shrink_to_a_fifth() -> None:
    """Events of the kind the dictionary was made for take less than a fifth of their size."""
    events = list(bodies(50, seed=99))
    assert sum(len(encode(event)[1]) for event in events) * 5 < sum(map(len, events))


def test_the_dictionary_never_changes() -> None:
    """The bytes that stored rows depend on are the bytes that are shipped; another dictionary needs another codec."""
    digest = hashlib.sha256(DICTIONARY_PATH.read_bytes()).hexdigest()
    assert digest == "f16b7dc11c9779bae052e1474bee533d7a9e97ca1160051b43502ec23898f63c"


def test_a_row_of_the_first_day_is_readable() -> None:
    """Bytes stored with codec 1 when it was new still decode."""
    stored = bytes.fromhex("28b52ffd23cc0162013cc50000283136330a7d05fc7eb6012f84bfc529b332f0f517908d04")
    assert decode(ZSTD_DICTIONARY_1, stored, 60) == b'{\n  "id": "evt_1",\n  "object": "event",\n  "created": 17763\n}'


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """A frame that announces more than the row says is unreadable, whether it announces the truth or not."""
    bomb = zstandard.ZstdCompressor().compress(b"\0" * 50_000_000)
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * 50_000_000)
    for stored in (bomb, silent):
        with pytest.raises(Unreadable):
            decode(ZSTD_DICTIONARY_1, stored, 6_000)


@pytest.mark.parametrize(
    ("codec", "stored", "size"),
    [
        (RAW, b"abc", 2),
        (RAW, b"abc", 4),
        (ZSTD_DICTIONARY_1, b"", 0),
        (ZSTD_DICTIONARY_1, b"not a frame", 11),
        (ZSTD_DICTIONARY_1, encode(b"a" * 1000)[1][:-1], 1000),
        (ZSTD_DICTIONARY_1, encode(b"a" * 1000)[1] + b"x", 1000),
        (ZSTD_DICTIONARY_1, encode(b"a" * 1000)[1], 999),
        (2, b"abc", 3),
    ],
    ids=["longer", "shorter", "empty", "no frame", "cut off", "trailing bytes", "other size", "unknown codec"],
)
def test_what_is_damaged_is_unreadable(codec: int, stored: bytes, size: int) -> None:
    """Damage is told as `Unreadable`, never as something else and never as other bytes."""
    with pytest.raises(Unreadable):
        decode(codec, stored, size)


@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_no_stored_bytes_raise_anything_but_unreadable(stored: bytes, size: int) -> None:
    """Any bytes either decode to the size asked for or are unreadable."""
    try:
        assert len(decode(ZSTD_DICTIONARY_1, stored, size)) == size
    except Unreadable as error:
        assert "body" in str(error)  # noqa: PT017 - either outcome is right


def test_threads_do_not_disturb_each_other() -> None:
    """Many threads encoding and decoding at once all get their own bytes back."""
    events = list(bodies(400, seed=7))
    with ThreadPoolExecutor(8) as threads:
        stored = list(threads.map(encode, events))
        codecs, kept = zip(*stored, strict=True)
        back = list(threads.map(decode, codecs, kept, map(len, events)))
    assert back == events
