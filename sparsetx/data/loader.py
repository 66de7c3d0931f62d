"""The data loader: the batch of a step is a pure function of (seed, step).

Rows are consecutive windows of context + 1 tokens of a split's stream (the last token
of a row, a target, is the first input of the next row). Each epoch visits every row
once, in an order that a keyed permutation computes when needed. So there is no table
and nothing to checkpoint, any batch can be replayed, and each host reads only its own
rows, whatever the number of hosts.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sparsetx.data.token_files import Stream
from sparsetx.system.errors import Refusal

ROUNDS = 6  # of the Feistel network


@dataclass(frozen=True)
class Loader:
    """Batches of a split; `rows(step)` is this host's part, [rows, context + 1]."""

    stream: Stream
    context: int
    batch: int
    seed: int = 0
    host: int = 0
    hosts: int = 1

    def __post_init__(self) -> None:
        if self.batch % self.hosts or not 0 <= self.host < self.hosts:
            raise Refusal(
                f"a batch of {self.batch} rows cannot be shared by {self.hosts} hosts "
                f"(this is number {self.host}): wanted a multiple"
            )
        if self.count < self.batch:
            raise Refusal(
                f"{self.stream.name} has {len(self.stream):,} tokens, {self.count:,} "
                f"rows of {self.context}: too few for one batch of {self.batch}. "
                "Prepare more tokens, or lower train.batch or model.context"
            )

    @property
    def count(self) -> int:
        """Rows of an epoch."""
        return max(len(self.stream) - 1, 0) // self.context

    def numbers(self, step: int) -> np.ndarray:
        """Indices of the rows that make up this host's part of the batch."""
        share = self.batch // self.hosts
        first = step * self.batch + self.host * share
        place = np.arange(first, first + share, dtype=np.uint64)
        epoch, within = np.divmod(place, np.uint64(self.count))
        return permuted(within, self.count, self.seed, epoch)

    def rows(self, step: int) -> np.ndarray:
        """Tokens of the batch, int32."""
        starts = self.numbers(step).astype(np.int64) * self.context
        return self.stream.windows(starts, self.context + 1).astype(np.int32)


def in_order(loader: Loader, batches: int) -> Iterator[np.ndarray]:
    """The first rows of a split in order, for evaluation: the same every time."""
    share = loader.batch // loader.hosts
    for n in range(min(batches, loader.count // loader.batch)):
        first = n * loader.batch + loader.host * share
        starts = np.arange(first, first + share, dtype=np.int64) * loader.context
        yield loader.stream.windows(starts, loader.context + 1).astype(np.int32)


def permuted(index: np.ndarray, count: int, seed: int, epoch: np.ndarray) -> np.ndarray:
    """A keyed permutation of range(count), elementwise: a Feistel network on an even
    number of bits, applied again until the result is below count."""
    half = max(1, -(-max(count - 1, 1).bit_length() // 2))
    key = _mix(_mix(np.array([seed], np.uint64)) ^ epoch.astype(np.uint64))
    out = _feistel(index.astype(np.uint64), half, key)
    outside = out >= count
    while outside.any():
        out[outside] = _feistel(out[outside], half, key[outside])
        outside = out >= count
    return out


def _feistel(x: np.ndarray, half: int, key: np.ndarray) -> np.ndarray:
    mask = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    left, right = x >> shift, x & mask
    for n in range(ROUNDS):
        left, right = right, left ^ (_mix(right ^ _mix(key + np.uint64(n))) & mask)
    return (left << shift) | right


def _mix(x: np.ndarray) -> np.ndarray:
    """Hash 64-bit integers, as splitmix64 does."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def prefetched(
    rows_at: Callable[[int], np.ndarray], first: int, last: int, ahead: int = 2
) -> Iterator[np.ndarray]:
    """rows_at(first), …, rows_at(last - 1), read by a thread `ahead` steps early.

    An error in the thread is raised here for the step that it is of. Closing the
    iterator ends the thread.
    """
    ready: queue.Queue[np.ndarray | BaseException] = queue.Queue(ahead)
    closed = threading.Event()

    def offer(item: np.ndarray | BaseException) -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        for step in range(first, last):
            try:
                item: np.ndarray | BaseException = rows_at(step)
            except BaseException as error:  # raised where this batch is asked for
                item = error
            if not offer(item) or isinstance(item, BaseException):
                return

    thread = threading.Thread(target=read, name="loader", daemon=True)
    thread.start()
    try:
        for _ in range(first, last):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()
