"""Results as JSON, as a table, as plots."""

from pathlib import Path

import pytest

from sparsetx.bench import results
from sparsetx.bench.timing import Row

ROWS = [
    Row(
        "rows", "sparsetx", 2e-3, 1, least=1.5e-3, spread=0.1, rounds=5, elements=10**6,
        plot="rows, float32", size=512, unit="width",
    ),
    Row(
        "rows", "copy", 1e-6, 0.5, least=1e-6, rounds=5, elements=10**6,
        plot="rows, float32", size=1024, unit="width",
    ),
    Row("step", "sparse", 12.0, 1, tokens=2400, rounds=1, memory=3 * 2**20, note="hm"),
]  # fmt: skip
FACTS = {
    "code": "0123456789abcdef",
    "versions": {"jax": "9.9"},
    "machine": "abacus",
    "cores": 2,
}


def test_json_returns_what_was_written(tmp_path: Path) -> None:
    results.write_json(tmp_path / "r.json", FACTS, ROWS)
    assert results.read_json(tmp_path / "r.json") == (FACTS, ROWS)


def test_facts_say_what_was_measured_on_what() -> None:
    found = results.facts()
    assert set(FACTS) < set(found)
    assert found["cores"] >= 1
    assert 0 <= found["others"] <= 1


def test_a_table_for_every_group_without_empty_columns() -> None:
    lines = results.markdown(FACTS, ROWS).splitlines()
    assert "2 cores (abacus), commit 0123456, jax 9.9" in lines[0]
    assert "Others used" not in lines[0]
    assert "Others used 50%" in results.markdown(FACTS | {"others": 0.5}, ROWS)
    assert lines.count("**rows**") == 1
    at = lines.index("**rows**")
    assert lines[at + 2] == "|  | median | least | spread | ratio | rate |"
    assert lines[at + 4] == "| sparsetx | 2 ms | 1.5 ms | 10% | 1.00 x | 2 ns/element |"
    at = lines.index("**step**")
    assert lines[at + 2] == "|  | median | ratio | rate | memory |  |"
    assert lines[at + 4] == "| sparse | 12 s | 1.00 x | 200 tokens/s | 3 MiB | hm |"


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.34, "12.3 s"), (0.01234, "12.3 ms"), (2e-5, "20 µs")]
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert results.duration(seconds) == text


def test_a_plot_needs_two_sizes(tmp_path: Path) -> None:
    assert results.plots(tmp_path, ROWS[:1]) == []
    (path,) = results.plots(tmp_path, ROWS)
    assert path.name == "rows-float32.png"
    assert path.read_bytes().startswith(b"\x89PNG")
