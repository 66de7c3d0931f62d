"""The deal: every word in exactly one pool, common and rare ones in each."""

from sparsetx.tasks.task import SPLITS
from sparsetx.tasks.words import DEAL, KINDS, pool, words


def test_no_word_is_in_two_pools_and_none_is_lost() -> None:
    for kind, every in KINDS.items():
        dealt = [set(pool(every, split)) for split in SPLITS]
        assert set.union(*dealt) == set(every), kind
        assert sum(map(len, dealt)) == len(set(every)), kind


def test_every_pool_has_common_words() -> None:
    assert set(DEAL[:5]) == set(SPLITS)
    for split in SPLITS:
        assert set(words(split)["n"]) & set(KINDS["n"][:5])


def test_names_are_enough_and_stems_are_twenty_or_more_a_class() -> None:
    assert len(KINDS["n"]) >= 300
    assert len(KINDS["in"]) >= 20
    assert len(KINDS["out"]) >= 20
    assert not set(KINDS["in"]) & set(KINDS["out"])
