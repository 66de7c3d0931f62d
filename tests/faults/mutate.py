"""Hostile versions of good input: JSON, text and bytes, each by a seeded generator."""

import copy
import json
import random
from typing import Any

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), "", "0", "None", "nan", "../../etc/passwd", "\x00",
    "\ud800", "é" * 50, "x" * 5000, "__import__('os').system('touch PWNED')",
    "!!python/object/apply:os.system ['touch PWNED']", [], {}, [[]], [{}], {"": {}},
    [None] * 100, {"__class__": "os"}, {"a": {"b": {"c": []}}},
]  # fmt: skip


def tree(value: Any, rng: random.Random) -> Any:
    """A copy with one to three places changed, removed, doubled or swapped."""
    found = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        found = _changed(found, rng)
    return found


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.15:
            del value[key]
        elif kind < 0.25:
            value[str(rng.choice(ODD))[:40]] = value[key]
        else:
            value[key] = _changed(value[key], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        kind = rng.random()
        if kind < 0.2:
            del value[place]
        elif kind < 0.3:
            value.insert(place, copy.deepcopy(value[place]))
        else:
            value[place] = _changed(value[place], rng)
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and rng.random() < 0.5:
        return rng.choice([value + 1, -value, value * 10, value * 2**40, 0.3])
    if isinstance(value, str) and value and rng.random() < 0.5:
        return text(value, rng)
    return copy.deepcopy(rng.choice(ODD))


def dumped(value: Any, rng: random.Random) -> str:
    """As JSON, now and then broken as JSON."""
    whole = json.dumps(value)
    kind = rng.random()
    if kind < 0.85:
        return whole
    if kind < 0.9:
        return "[" * rng.randint(1, 100_000)
    return text(whole, rng)


def text(value: str, rng: random.Random) -> str:
    place = rng.randrange(len(value) + 1)
    kind = rng.random()
    if kind < 0.3:
        return value[:place]
    if kind < 0.6:
        return value[:place] + str(rng.choice(ODD)) + value[place:]
    return value[:place] + chr(rng.randrange(0x2FFF)) + value[place + 1 :]


def data(value: bytes, rng: random.Random) -> bytes:
    """Bits flipped, cut short, or a piece put in place of another."""
    found = bytearray(value)
    kind = rng.random()
    if kind < 0.2 or not found:
        return bytes(found[: rng.randrange(len(found) + 1)])
    if kind < 0.4:
        place = rng.randrange(len(found))
        found[place:place] = rng.randbytes(rng.randint(1, 64))
        return bytes(found)
    for _ in range(rng.choice([1, 1, 4, 64])):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)
