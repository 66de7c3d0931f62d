"""The word lists: long enough, valid identifiers, one role per word."""

import builtins
import itertools
import keyword

import pytest

from sparsetx.data import words

LISTS = ["ONE", "MANY", "FUNCTIONS", "CLASSES", "WORDS", "READ_STEMS", "WRITE_STEMS"]


@pytest.mark.parametrize("name", LISTS)
def test_no_word_stands_twice(name: str) -> None:
    listed = getattr(words, name)
    assert len(set(listed)) == len(listed)


def test_there_are_enough() -> None:
    assert len(words.NAMES) >= 300
    assert len(words.READ_STEMS) >= 20
    assert len(words.WRITE_STEMS) >= 20


def test_names_shadow_nothing() -> None:
    for name in (*words.NAMES, *words.FUNCTIONS, *words.CLASSES):
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not hasattr(builtins, name)


def test_a_word_has_one_role() -> None:
    """Else a name of the train pool might be a function of the test pool."""
    kinds = [words.NAMES, words.FUNCTIONS, words.CLASSES, words.WORDS]
    for a, b in itertools.combinations(kinds, 2):
        assert not set(a) & set(b)
    assert not set(words.READ_STEMS) & set(words.WRITE_STEMS)


def test_every_name_is_in_names() -> None:
    assert set(words.NAMES) == {*words.ONE, *words.MANY}
    assert "current" in words.NAMES


def test_frequencies_fall_and_end_at_one() -> None:
    reached = words.frequencies(words.NAMES)
    steps = [b - a for a, b in itertools.pairwise([0.0, *reached])]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 10 * steps[-1]
    assert abs(reached[-1] - 1) < 1e-12
