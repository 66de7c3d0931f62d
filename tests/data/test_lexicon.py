"""The words: enough of them, usable as identifiers, told apart where it matters."""

import builtins
import itertools
import keyword

import pytest

from sparsetx.data import lexicon

LISTS = ["ONE", "MANY", "FUNCTIONS", "CLASSES", "WORDS", "READ_STEMS", "WRITE_STEMS"]


@pytest.mark.parametrize("name", LISTS)
def test_no_word_stands_twice(name: str) -> None:
    words = getattr(lexicon, name)
    assert len(set(words)) == len(words)


def test_there_are_enough() -> None:
    assert len(lexicon.NAMES) >= 300
    assert len(lexicon.READ_STEMS) >= 20
    assert len(lexicon.WRITE_STEMS) >= 20


def test_names_shadow_nothing() -> None:
    for name in (*lexicon.NAMES, *lexicon.FUNCTIONS, *lexicon.CLASSES):
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not hasattr(builtins, name)


def test_a_word_has_one_role() -> None:
    """Else a name of the train pool might be a function of the test pool."""
    kinds = [lexicon.NAMES, lexicon.FUNCTIONS, lexicon.CLASSES, lexicon.WORDS]
    for a, b in itertools.combinations(kinds, 2):
        assert not set(a) & set(b)
    assert not set(lexicon.READ_STEMS) & set(lexicon.WRITE_STEMS)


def test_every_name_is_in_names() -> None:
    assert set(lexicon.NAMES) == {*lexicon.ONE, *lexicon.MANY}
    assert "current" in lexicon.NAMES


def test_frequencies_fall_and_end_at_one() -> None:
    reached = lexicon.frequencies(lexicon.NAMES)
    steps = [b - a for a, b in itertools.pairwise([0.0, *reached])]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 10 * steps[-1]
    assert abs(reached[-1] - 1) < 1e-12
