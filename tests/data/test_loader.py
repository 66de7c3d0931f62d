"""Batches as a pure function of (seed, step)."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.data.loader import Loader, in_order, permuted, prefetched
from sparsetx.data.token_files import Stream
from sparsetx.system.errors import Refusal


def stream(tokens: int, shards: int = 1) -> Stream:
    parts = np.array_split(np.arange(tokens, dtype=np.uint32), shards)
    return Stream("the train split of somewhere", parts)


@given(
    count=st.integers(1, 3000),
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 2**40),
)
def test_permuted_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    index = np.arange(count, dtype=np.uint64)
    order = permuted(index, count, seed, np.full(count, epoch, np.uint64))
    assert sorted(order.tolist()) == list(range(count))


def test_orders_differ_by_seed_and_epoch_and_scatter() -> None:
    index = np.arange(1000, dtype=np.uint64)
    orders = [
        permuted(index, 1000, seed, np.full(1000, epoch, np.uint64)).astype(float)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    for i, one in enumerate(orders):
        assert abs(np.corrcoef(index, one)[0, 1]) < 0.1
        for other in orders[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_an_epoch_visits_every_row_once_then_goes_on() -> None:
    loader = Loader(stream(10 * 7 + 1), context=7, batch=5)
    assert loader.count == 10
    first, second, third = (
        np.concatenate([loader.numbers(2 * e), loader.numbers(2 * e + 1)])
        for e in range(3)
    )
    for epoch in (first, second, third):
        assert sorted(epoch.tolist()) == list(range(10))
    assert first.tolist() != second.tolist()


def test_a_batch_may_span_two_epochs() -> None:
    loader = Loader(stream(7 * 4 + 1), context=4, batch=5)
    seen = np.concatenate([loader.numbers(step) for step in range(7)])
    assert [sorted(seen[i : i + 7].tolist()) for i in range(0, 35, 7)] == [
        list(range(7))
    ] * 5


def test_rows_are_windows_of_the_stream() -> None:
    for shards in (1, 3):
        loader = Loader(stream(101, shards), context=10, batch=4, seed=3)
        rows = loader.rows(0)
        assert rows.shape == (4, 11)
        assert rows.dtype == np.int32
        starts = loader.numbers(0).astype(int) * 10
        np.testing.assert_array_equal(rows, starts[:, None] + np.arange(11))


@given(step=st.integers(0, 10**9), seed=st.integers(0, 9))
def test_hosts_share_the_same_batch(step: int, seed: int) -> None:
    source = stream(12_345)
    whole = Loader(source, 16, 8, seed).rows(step)
    for hosts in (2, 4):
        parts = [Loader(source, 16, 8, seed, h, hosts).rows(step) for h in range(hosts)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_resuming_reads_the_batch_of_the_step() -> None:
    loader = Loader(stream(5000), 8, 4, seed=1)
    began = list(prefetched(loader.rows, 0, 20))
    resumed = list(prefetched(loader.rows, 13, 20))
    for one, other in zip(began[13:], resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(began[13], loader.rows(13))


def test_forty_million_rows_need_no_table() -> None:
    long = np.broadcast_to(np.uint16(7), (40_000_000 * 256 + 1,))
    loader = Loader(Stream("long", [long]), 256, 512)
    assert loader.count == 40_000_000
    tracemalloc.start()
    for step in (0, 1, 10**6):
        assert loader.rows(step).shape == (512, 257)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6  # bytes; a table would take 160 MB


def test_evaluation_reads_the_same_rows_in_order() -> None:
    source = stream(101)
    found = list(in_order(Loader(source, 10, 3, seed=5), batches=2))
    np.testing.assert_array_equal(np.concatenate(found)[:, 0], np.arange(0, 60, 10))
    assert len(list(in_order(Loader(source, 10, 3), batches=99))) == 3
    halves = [
        np.concatenate(list(in_order(Loader(source, 10, 4, 0, h, 2), 2)))
        for h in (0, 1)
    ]
    rows = np.stack([h.reshape(2, 2, 11) for h in halves], 1).reshape(8, 11)
    np.testing.assert_array_equal(rows[:, 0], np.arange(0, 80, 10))


def test_an_error_of_the_thread_comes_in_its_turn() -> None:
    def rows_at(step: int) -> np.ndarray:
        if step == 2:
            raise Refusal("the disk is gone")
        return np.array([step])

    batches = prefetched(rows_at, 0, 5)
    assert next(batches)[0] == 0
    assert next(batches)[0] == 1
    with pytest.raises(Refusal, match="the disk is gone"):
        next(batches)


def test_closing_ends_the_thread() -> None:
    read: list[int] = []

    def rows_at(step: int) -> Any:
        read.append(step)
        return np.array([step])

    batches = prefetched(rows_at, 0, 10**9)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(read) < 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 20}, "10 rows of 10: too few for one batch of 20"),
        ({"batch": 3, "hosts": 2}, "batch of 3 rows cannot be shared by 2 hosts"),
        ({"batch": 2, "hosts": 2, "host": 2}, r"this is number 2"),
    ],
)
def test_refusals(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        Loader(stream(101), 10, **arguments)
