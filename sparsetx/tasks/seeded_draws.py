"""Seeded random draws, the same on every machine and Python version.

Python guarantees reproducibility only for `Random.random()`, so all draws use it. A
text seed is hashed by SHA-512, which does not depend on PYTHONHASHSEED.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sparsetx.system.errors import Refusal

T = TypeVar("T")


class Draw:
    """Random draws for one pair; never draws the same word twice."""

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
        """A word of this kind that was not drawn yet, more often a common one.

        Pools are ordered by frequency: because of the square, three draws of ten are
        from the first tenth of a pool, so that a model knows most names well.
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
