"""The benchmark of data at its smallest: what it times, and how that is printed."""

import pytest

from sparsetx.bench import data
from sparsetx.bench.timing import Row
from sparsetx.cli.main import main
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


def test_the_command_prints_rates(
    rows: list[Row], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "run", lambda: rows)
    assert main(["bench", "data"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("tokens/s") for line in said) == len(rows)
    assert said.count(rows[-1].group) == 1


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "dta"]) == 2
    assert "no such benchmark" in capsys.readouterr().err
