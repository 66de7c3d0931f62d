"""Seeded draws that are the same on every machine and Python version.

Only `Random.random()` is promised by the language to be reproducible, so everything
is made from it; a text seed is hashed by SHA-512 and not by PYTHONHASHSEED.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sparsetx.system.errors import Refusal

T = TypeVar("T")


class Draw:
    """One pair's randomness: words of each kind, never the same one twice."""

    def __init__(self, seed: str, pools: Mapping[str, Sequence[str]]):
        self.random = random.Random(seed).random
        self.pools = pools
        self.taken: set[str] = set()

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def word(self, kind: str) -> str:
        """A word of this kind that the pair does not hold yet, more often a common one.

        Pools are ordered by frequency: the square makes the first tenth of a pool come
        up three times in ten, so that most names are ones that a model knows well.
        """
        pool = self.pools[kind]
        if self.taken.issuperset(pool):
            raise Refusal(
                f"wanted one more {kind} than the pool's {len(pool)}: "
                "a template uses too many"
            )
        while (word := pool[int(self.random() ** 2 * len(pool))]) in self.taken:
            pass
        self.taken.add(word)
        return word
