"""Bodies at rest: compressed here, because the server's own compression takes four fifths of the insert rate.

A codec's number means one algorithm and one dictionary for ever: rows outlive code. A better dictionary gets a file
and a number of its own, and the old ones stay readable. See decision 0005.
"""

import functools
import threading
from pathlib import Path

import zstandard

from domain.errors import Unreadable

#: The bytes themselves; what does not shrink is stored so.
RAW = 0
#: One zstd frame made with `bodies.zdict`.
ZSTD_DICTIONARY_1 = 1

DICTIONARY_PATH = Path(__file__).with_name("bodies.zdict")

_LEVEL = 1


class _Codec(threading.local):
    """One thread's compressor and decompressor: neither may be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_dictionary())
        self.decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary())


@functools.cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    dictionary = zstandard.ZstdCompressionDict(DICTIONARY_PATH.read_bytes())
    dictionary.precompute_compress(level=_LEVEL)
    return dictionary


@functools.cache
def _codec() -> _Codec:
    return _Codec()


def encode(body: bytes) -> tuple[int, bytes]:
    """(codec, stored) for a body; safe from any thread."""
    stored = _codec().compressor.compress(body)
    return (ZSTD_DICTIONARY_1, stored) if len(stored) < len(body) else (RAW, body)


def decode(codec: int, stored: bytes, size: int) -> bytes:
    """The exact bytes that were encoded, `size` of them. Never allocates more; raises `Unreadable`."""
    if codec == RAW:
        body = stored
    elif codec == ZSTD_DICTIONARY_1:
        body = _decompress(stored, size)
    else:
        raise Unreadable(f"body: codec {codec} is not known to this version")
    if len(body) != size:
        raise Unreadable("body: not of the size it was stored with")
    return body


def _decompress(stored: bytes, size: int) -> bytes:
    try:
        # The size a frame announces is what would be allocated, whatever the output is limited to.
        if zstandard.get_frame_parameters(stored).content_size != size:
            raise Unreadable("body: not of the size it was stored with")
        return _codec().decompressor.decompress(stored, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        raise Unreadable("body: not a readable frame") from None
