"""Top-k and projections at their smallest: who races, and that all keep the same."""

import jax
import numpy as np
import pytest

from sparsetx import topk as selection
from sparsetx.bench import opponent, projection, topk, training
from sparsetx.bench.timing import Asked
from tests.bench import test_training


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opponent, "python", lambda: None)


def test_rows_race_by_width(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"ROWS": 4, "WIDTHS": (8, 16), "NARROW": (2, 8), "DTYPES": ("bfloat16",)}
    for name, value in (small | {"SHORTEST": 0}).items():
        monkeypatch.setattr(topk, name, value)
    rows = list(topk.run(Asked(rounds=1)))
    assert [row.name for row in rows[:3]] == [
        "sparsetx",
        "lax.top_k, threshold",
        "copy",
    ]
    assert [row.size for row in rows] == [0] * 3 + [8] * 3 + [16] * 3
    assert [row.elements for row in rows[::3]] == [16, 32, 64]
    assert {row.plot for row in rows[3:]} == {"keep 1/4 of each row, bfloat16"}


def test_every_way_keeps_the_same_rows() -> None:
    x = jax.random.normal(jax.random.key(0), (4, 16))
    wanted = selection.keep_largest(x, 4, axis=-1)
    np.testing.assert_array_equal(topk.rows_by_top_k(x, 4), wanted)


def test_every_way_keeps_the_same_of_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "KEEP", 8)
    w = jax.random.normal(jax.random.key(0), (8, 4))
    wanted = selection.keep_largest(w, 8)
    for way in (projection.by_top_k, projection.by_sort, projection.by_partition):
        np.testing.assert_array_equal(way(np.asarray(w)), wanted)


def test_projections_of_a_matrix_race(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"MATRIX": (16, 8), "KEEP": 64, "SHORTEST": 0}
    for name, value in small.items():
        monkeypatch.setattr(projection, name, value)
    rows = projection.matrix(Asked(rounds=1))
    assert rows[0].name == "sparsetx"
    assert len(rows) == 6
    assert {row.elements for row in rows} == {128}


@pytest.mark.slow
def test_a_models_projection_is_a_part_of_its_step() -> None:
    rows = projection.whole_model(test_training.SMALL, Asked(rounds=1))
    assert [row.name for row in rows] == ["sparsetx", "the sparse step"]
    assert rows[0].note.endswith("% of the step")
    assert training.shape_of(test_training.SMALL) in rows[0].group
