"""What storing a body costs per codec: insert rate and size, all within one run so that the ratios mean something.

python -m tests.benchmarks.codec postgresql://...         measure (creates and drops tables of its own)
python -m tests.benchmarks.codec train infra/bodies.zdict  make the dictionary anew: a new codec number, always
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import zstandard

from infra import bodies as codecs
from tests.benchmarks.events import bodies

BATCH_ROWS = 128
BATCHES_PER_ROUND = 8
ROUNDS = 6
DICTIONARY_BYTES = 16 * 1024
#: Training and measuring must not see the same events.
TRAINING_SEED, MEASURING_SEED = 1, 2


@dataclass
class Variant:
    """One way to store a body."""

    name: str
    storage: str
    encode: Callable[[bytes], bytes]
    compression: str | None = None
    wall_s: float = 0.0
    client_s: float = 0.0
    size: int = 0
    rows: int = field(default=0)

    @property
    def table(self) -> str:
        """Its own table's name."""
        return "bench_" + "".join(letter if letter.isalnum() else "_" for letter in self.name)


def train(path: Path) -> None:
    """Write a dictionary for bodies like those of `tests.benchmarks.events`."""
    samples: list[bytes | bytearray | memoryview[int]] = list(bodies(2_000, TRAINING_SEED))
    path.write_bytes(zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=3).as_bytes())


def variants(has_lz4: bool) -> list[Variant]:
    """Everything worth comparing; `lz4` where the server was built with it."""
    dictionary = zstandard.ZstdCompressionDict(codecs.DICTIONARY_PATH.read_bytes())
    levels = [Variant(f"zstd {level}", "external", zstandard.ZstdCompressor(level=level).compress) for level in (1, 3)]
    with_dictionary = [
        Variant(
            f"zstd {level} + dictionary", "external", zstandard.ZstdCompressor(level, dict_data=dictionary).compress
        )
        for level in (1, 3, 6)
    ]
    server = [Variant("server pglz", "extended", bytes, "pglz")]
    if has_lz4:
        server.append(Variant("server lz4", "extended", bytes, "lz4"))
    return [*server, Variant("raw", "external", bytes), *levels, *with_dictionary]


def measure(connection: psycopg.Connection) -> list[Variant]:
    """All variants in turn, round after round: what disturbs one round disturbs all of them."""
    measured = variants(_has_lz4(connection))
    for variant in measured:
        _create(connection, variant)
    connection.commit()
    fresh = bodies(ROUNDS * BATCHES_PER_ROUND * BATCH_ROWS, MEASURING_SEED)
    for _ in range(ROUNDS):
        batches = [[next(fresh) for _ in range(BATCH_ROWS)] for _ in range(BATCHES_PER_ROUND)]
        for variant in measured:
            _insert(connection, variant, batches)
    for variant in measured:
        variant.size = connection.execute("select pg_total_relation_size(%s)", (variant.table,)).fetchone()[0]  # type: ignore[index]
        connection.execute(f"drop table {variant.table}")
    connection.commit()
    return measured


def _has_lz4(connection: psycopg.Connection) -> bool:
    query = "select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'"
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def _create(connection: psycopg.Connection, variant: Variant) -> None:
    table = variant.table
    connection.execute(f"drop table if exists {table}")
    connection.execute(f"create table {table} (key text primary key, body bytea) with (toast_tuple_target = 128)")
    connection.execute(f"alter table {table} alter body set storage {variant.storage}")
    if variant.compression:
        connection.execute(f"alter table {table} alter body set compression {variant.compression}")


def _insert(connection: psycopg.Connection, variant: Variant, batches: list[list[bytes]]) -> None:
    statement = f"insert into {variant.table} select * from unnest(%b::text[], %b::bytea[])"
    for batch in batches:
        keys = sorted(os.urandom(12).hex() for _ in batch)
        began_s, cpu_s = time.perf_counter(), time.thread_time()
        connection.execute(statement, (keys, [variant.encode(body) for body in batch]), prepare=True)
        connection.commit()
        variant.wall_s += time.perf_counter() - began_s
        variant.client_s += time.thread_time() - cpu_s
        variant.rows += len(batch)


def main() -> None:
    if sys.argv[1] == "train":
        train(Path(sys.argv[2]))
        return
    with psycopg.connect(sys.argv[1].replace("+psycopg", "")) as connection:
        measured = measure(connection)
    first = measured[0]
    out = [f"{'codec':<22}{'rows/s':>8}{'x pglz':>8}{'client us/row':>15}{'bytes/row':>11}"]
    for each in measured:
        rate = each.rows / each.wall_s
        ratio = rate / (first.rows / first.wall_s)
        client_us = each.client_s / each.rows * 1e6
        out.append(f"{each.name:<22}{rate:>8.0f}{ratio:>8.2f}{client_us:>15.1f}{each.size / each.rows:>11.0f}")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
