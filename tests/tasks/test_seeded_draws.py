"""Draws: reproducible, distinct, and an empty pool is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.system.errors import Refusal
from sparsetx.tasks.seeded_draws import Draw

POOLS = {"n": ("a", "b", "c"), "w": ("a", "d")}


def test_draws_are_the_same_everywhere() -> None:
    # Golden: these may change only together with every pair of every task.
    draw = Draw("a/b/0", {"n": tuple("abcdefghij")})
    assert [draw.word("n") for _ in range(6)] == ["c", "a", "f", "j", "b", "g"]
    assert [draw.number(2, 99) for _ in range(4)] == [95, 5, 64, 54]


@given(st.text(max_size=8))
def test_a_pair_never_holds_a_word_twice(seed: str) -> None:
    draw = Draw(seed, POOLS)
    assert sorted(draw.word("n") for _ in range(3)) == ["a", "b", "c"]
    assert draw.word("w") == "d"


def test_a_pool_that_is_used_up_is_refused() -> None:
    draw = Draw("seed", POOLS)
    for _ in range(2):
        draw.word("w")
    with pytest.raises(Refusal, match="one more w than the pool's 2"):
        draw.word("w")


@given(st.text(max_size=8), st.integers(-5, 5), st.integers(0, 9))
def test_numbers_stay_within_both_ends(seed: str, low: int, span: int) -> None:
    draw = Draw(seed, POOLS)
    drawn = {draw.number(low, low + span) for _ in range(20)}
    assert low <= min(drawn) <= max(drawn) <= low + span


def test_every_number_comes_up() -> None:
    draw = Draw("all", POOLS)
    assert {draw.number(1, 6) for _ in range(200)} == {1, 2, 3, 4, 5, 6}
    assert {draw.pick("xyz") for _ in range(100)} == {"x", "y", "z"}
