"""The events of the corpus, and those recorded where they are, and ways to spoil one of them."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.conftest import REPOSITORY
from tests.corpus.cases import cases

RECORDED = REPOSITORY.parent / "shared" / "payloads" / "stripe"

Json = dict[str, Any]
Place = tuple[Any, Any]

EVENTS: list[Json] = [case.event for case in cases("stripe")] + [
    json.loads(file.read_bytes()) for file in sorted(RECORDED.glob("*.json")) if file.name != "manifest.json"
]


def places(node: Any) -> Iterator[Place]:
    """Every (container, key) below a node."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


def lists(node: Any) -> list[list[Any]]:
    """Every list of several entries below a node."""
    return [v for holder, key in places(node) if isinstance(v := holder[key], list) and len(v) > 1]


# --- mutations that take something away or move it: what is left of the event is no more than it was


def drop(random: random.Random, event: Json) -> None:
    """Without some field or entry."""
    holder, key = random.choice(list(places(event["data"])))
    del holder[key]


def null(random: random.Random, event: Json) -> None:
    """With null for some value."""
    holder, key = random.choice(list(places(event["data"])))
    holder[key] = None


def reorder(random: random.Random, event: Json) -> None:
    """With its lists and its keys in another order."""
    for entries in lists(event):
        random.shuffle(entries)
    content = event["data"].get("object")
    if isinstance(content, dict):
        event["data"]["object"] = dict(random.sample(list(content.items()), len(content)))


# --- mutations that put something else there


def retype(random: random.Random, event: Json) -> None:
    """With a value of another kind."""
    holder, key = random.choice(list(places(event["data"])))
    holder[key] = random.choice(["x", "", 0, -1, 1.5, True, [], {}, [[]], {"id": "x_1"}, "2026-04-01", [None]])


def huge(random: random.Random, event: Json) -> None:
    """With a number beyond every bound in place of one."""
    numbers = [(h, k) for h, k in places(event["data"]) if isinstance(h[k], int) and not isinstance(h[k], bool)]
    if numbers:
        holder, key = random.choice(numbers)
        holder[key] = random.choice([2**31, 10**15 + 1, 2**63, -(2**63) - 1, 10**40, -(10**400)])


def deep(random: random.Random, event: Json) -> None:
    """With something nested beyond every parser's patience."""
    holder, key = random.choice(list(places(event["data"])))
    holder[key] = json.loads("[" * 400 + "]" * 400)


LESS: list[Callable[[random.Random, Json], None]] = [drop, null, reorder]
OTHER: list[Callable[[random.Random, Json], None]] = [retype, huge, deep]


# --- mutations of the bytes


def repeat_a_key(random: random.Random, body: bytes) -> bytes:
    """The same key twice, with two values."""
    return body.replace(b'"amount":', b'"amount": 999999999, "amount":', 1).replace(b'"id":', b'"id": "x", "id":', 1)


def surrogate(random: random.Random, body: bytes) -> bytes:
    """Half of a character."""
    return body.replace(b'"usd"', b'"\\ud800"', 1).replace(b'"cus_1"', b'"\\udfffcus"', 1)


def cut(random: random.Random, body: bytes) -> bytes:
    """Only its beginning."""
    return body[: random.randrange(len(body))]


def flip(random: random.Random, body: bytes) -> bytes:
    """With some bytes overwritten."""
    broken = bytearray(body)
    for _ in range(random.randint(1, 8)):
        broken[random.randrange(len(broken))] = random.randrange(256)
    return bytes(broken)


BYTES: list[Callable[[random.Random, bytes], bytes]] = [repeat_a_key, surrogate, cut, flip]
