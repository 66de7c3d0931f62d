"""Means and slopes of the frontier, against values computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.config import RunConfig
from sparsetx.study import Study, frontier, frontier_plot
from sparsetx.study.frontier import Point, panel, slope

SEEDS = ("0", "1")


def point(line: str, loss: float, edges: dict, model: str = "sparse") -> Point:
    """Both seeds have the same loss and sizes."""
    given = {(s, task): size for s in SEEDS for task, size in edges.items()}
    return Point(model, line, f"{loss}", SEEDS, dict.fromkeys(SEEDS, loss), given)


NARROW = [
    point("64", 2.0, {"a": 100, "b": 400}),
    point("64", 3.0, {"a": 10, "b": 40}),
]
WIDE = [
    point("128", 2.0, {"a": 50, "b": 200, "c": 8}),
    point("128", 2.5, {"a": 25, "b": 100, "c": None}),
]


def test_means_are_over_the_tasks_that_all_reach() -> None:
    failed = point("64", 4.0, {"a": 7, "b": None, "c": None, "d": None})
    found = panel("plain", [*NARROW, *WIDE, failed])
    assert found.tasks == ("a", "b")
    sizes = [one.size.value for one in found.placed if one.size]
    assert sizes == pytest.approx([200, 20, 100, 50, 7])
    assert [one.compared for one in found.placed] == [True] * 4 + [False]
    assert (found.failures, found.circuits) == (2 + 6, 8 + 12 + 8)
    told = "\n".join(frontier_plot.caption(found))
    assert "all compared models reach: a, b" in told
    assert "8 of 28 circuits do not reach" in told
    assert "1 of 5 points" in told


def test_a_point_that_reaches_nothing_has_no_size_and_is_shown() -> None:
    nothing = point("64", 4.0, {"a": None, "b": None})
    found = panel("plain", [*NARROW, nothing])
    assert found.placed[-1].size is None
    assert not found.placed[-1].compared
    assert frontier_plot.drawn([found]).axes[0].get_lines()


def test_shuffled_models_are_compared_over_tasks_of_the_same_set() -> None:
    other = point("64", 2.0, {"a": 1000, "b": None, "c": 5}, "shuffled-0")
    found = panel("plain", [*NARROW, other])
    assert found.tasks == ("a", "b")
    assert found.shuffled_tasks == ("a",)
    assert found.placed[-1].size is not None
    assert found.placed[-1].size.value == pytest.approx(1000)


def test_slopes_by_hand() -> None:
    """log(10) less per nat in the narrow line; half per half nat in the wide one."""
    found = slope("narrow", NARROW, ["a", "b"])
    assert found is not None
    assert found.value == pytest.approx(-math.log(10))
    assert (found.low, found.high) == pytest.approx((found.value, found.value))
    wide = slope("wide", WIDE, ["a", "b"])
    assert wide is not None
    assert wide.value == pytest.approx(-math.log(2) / 0.5)
    both = slope("both", [*NARROW, *WIDE], ["a", "b"])
    # Weighted by the squared distances from each line's mean: 2 x 0.5 and 2 x 0.125.
    by_hand = (-math.log(10) * 1.0 - 2 * math.log(2) * 0.25) / 1.25
    assert both is not None
    assert both.value == pytest.approx(by_hand)
    assert slope("one", NARROW[:1], ["a"]) is None
    assert slope("none", NARROW, []) is None


@given(st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_spread_of_tasks(seed: int) -> None:
    """Sizes of two tasks with different slopes: the interval reaches from one to the
    other, and the value is their mean."""
    one, other = np.random.default_rng(seed).uniform(0.5, 3, 2)
    points = [
        point("64", x, {"a": math.exp(9 - one * x), "b": math.exp(9 - other * x)})
        for x in (1.0, 2.0)
    ]
    found = slope("x", points, ["a", "b"], draws=60)
    assert found is not None
    assert found.value == pytest.approx(-(one + other) / 2, rel=1e-6)
    assert found.low == pytest.approx(-max(one, other), rel=1e-6)
    assert found.high == pytest.approx(-min(one, other), rel=1e-6)


def test_points_pool_seeds_and_leave_out_what_a_bigram_solves() -> None:
    axes = {"width": {"64": []}, "density": {"1-4": []}, "seed": {"0": [], "1": []}}
    study = Study(RunConfig(), axes, ["a"], ["plain"])
    table = [
        {"width": "64", "density": "1-4", "seed": seed, "model": "sparse", "task": task,
         "circuit": "plain", "validation_loss": 2.0 + int(seed), "edges": 9}
        for seed in SEEDS for task in ("a", "else_elif")
    ]  # fmt: skip
    (found,) = frontier.panels(study, table)
    (one,) = found.placed
    assert (one.point.line, one.point.marker, one.point.seeds) == ("64", "1-4", SEEDS)
    assert one.point.mean_loss == 2.5
    assert one.point.tasks == ["a"]
