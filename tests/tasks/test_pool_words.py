"""Every word is in exactly one pool; every pool has common and rare words."""

from hypothesis import given
from hypothesis import strategies as st

from sparsetx.tasks.pool_words import KINDS, POOL_OF, pool, words_for
from sparsetx.tasks.task import SPLITS


def test_no_word_is_in_two_pools_and_none_is_lost() -> None:
    for kind, every in KINDS.items():
        parts = [set(pool(every, split)) for split in SPLITS]
        assert set.union(*parts) == set(every), kind
        assert sum(map(len, parts)) == len(set(every)), kind


@given(st.lists(st.text(), unique=True, max_size=80))
def test_every_word_is_in_one_pool_in_the_wanted_shares(words: list[str]) -> None:
    parts = [pool(tuple(words), split) for split in SPLITS]
    assert sorted(sum(parts, ())) == sorted(words)
    for kept, share in zip(parts, (12, 3, 5), strict=True):
        assert abs(len(kept) - len(words) * share / 20) <= 2


def test_pools_are_alike_in_frequency() -> None:
    names = KINDS["n"]
    for split in SPLITS:
        kept = pool(names, split)
        middle = sum(map(names.index, kept)) / len(kept)
        assert abs(middle - len(names) / 2) < 0.03 * len(names)


def test_no_word_is_in_two_pools_in_different_roles() -> None:
    seen = [
        {
            word
            for kind, kept in words_for(split).items()
            if kind != "ext"
            for word in kept
        }
        for split in SPLITS
    ]
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_every_pool_has_common_words() -> None:
    assert set(POOL_OF[:5]) == set(SPLITS)
    for split in SPLITS:
        assert set(words_for(split)["n"]) & set(KINDS["n"][:5])


def test_names_are_enough_and_stems_are_twenty_or_more_a_class() -> None:
    assert len(KINDS["n"]) >= 300
    assert len(KINDS["in"]) >= 20
    assert len(KINDS["out"]) >= 20
    assert not set(KINDS["in"]) & set(KINDS["out"])
