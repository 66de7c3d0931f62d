"""Random draws for one document, reproducible from (seed, index) on every machine.

Python guarantees the same numbers everywhere only for `Random.random()` with an integer
seed, so all draws use it. There is no hash() and no shared state: document 7 is the
same whether it is generated first, last, alone or by another process.
"""

import random
from bisect import bisect
from collections.abc import Sequence
from typing import TypeVar

from sparsetx.data.words import frequencies

T = TypeVar("T")
LAST_INDEX = 2**64  # documents per seed


class Table:
    """Things to draw from, each with a weight."""

    def __init__(
        self, weights: dict[str, float] | None = None, words: Sequence[str] = ()
    ):
        """{thing: weight}, or words in the order of their frequency."""
        if weights is None:
            self.things: tuple[str, ...] = tuple(words)
            self.reached = frequencies(words)[:-1]
            return
        self.things = tuple(weights)
        total, self.reached = sum(weights.values()), []
        for weight in [*weights.values()][:-1]:
            before = self.reached[-1] if self.reached else 0.0
            self.reached.append(before + weight / total)


class Dice:
    __slots__ = ("random",)

    def __init__(self, seed: int, index: int):
        self.random = random.Random(seed * LAST_INDEX + index).random

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def between(self, low: int, high: int) -> int:
        """Both ends included."""
        return low + int(self.random() * (high - low + 1))

    def chance(self, p: float) -> bool:
        return self.random() < p

    def pick(self, things: Sequence[T]) -> T:
        return things[int(self.random() * len(things))]

    def recent(self, things: Sequence[T]) -> T:
        """One of the things, more often one of the last: programs use recent names."""
        r = self.random()
        return things[-1 - int(r * r * len(things))]

    def draw(self, table: Table) -> str:
        return table.things[bisect(table.reached, self.random())]

    def shuffled(self, things: Sequence[T]) -> list[T]:
        left = list(things)
        return [left.pop(self.below(len(left))) for _ in range(len(left))]
