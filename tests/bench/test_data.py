"""The benchmark of data at its smallest: what it times, and how that is printed."""

import pytest

from sparsetx.bench import data
from sparsetx.bench.timing import Row
from sparsetx.data import prepare as prep


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prep, "SAMPLE", 60_000)
        return data.run(tokens=30_000, steps=3, texts=20)


def test_preparing_its_parts_and_the_loader_are_timed(rows: list[Row]) -> None:
    assert [row.name for row in rows] == [
        "all of it",
        "grammar",
        "tokenizer",
        "one shard",
        "four",
        "copy",
    ]
    assert all(row.seconds > 0 for row in rows)
    assert rows[0].tokens == 30_000
    assert rows[1].tokens == rows[2].tokens > 20 * 30
    assert {row.tokens for row in rows[3:]} == {3 * data.BATCH * data.CONTEXT}


def test_ratios_are_to_the_first_of_their_group(rows: list[Row]) -> None:
    for row in rows:
        first = next(one for one in rows if one.group == row.group)
        assert row.ratio == row.seconds / first.seconds
