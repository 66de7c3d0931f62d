"""Margins computed a few prompts at a time are those computed at once, and figures of
templates those of their prompts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes
from sparsetx.circuits.measure import ablations, questions
from sparsetx.circuits.search import final_figures, pools
from sparsetx.circuits.search.final_figures import Subject
from sparsetx.circuits.search.judge import DRAWS, Judge
from sparsetx.model import mesh
from sparsetx.taps import IDENTITY
from tests.circuits import broken, compiled

CONFIG = compiled.CONFIG
PARAMS = jax.tree.map(jnp.asarray, broken.norm_crutch())
MEANS = ablations.means(CONFIG, PARAMS, compiled.corpus())
ASKED = compiled.question(questions.ROWS // 2 + 3, 1)  # a whole part and another
TASK = pools.with_norms(CONFIG, PARAMS, ASKED)
SUBJECT = Subject(CONFIG, PARAMS, MEANS, compiled.mask())


@pytest.mark.parametrize("count", [1, questions.ROWS, questions.ROWS + 1, 300])
def test_parts_are_equally_long_and_hold_every_row_once(count: int) -> None:
    parts = list(mesh.portions(count, questions.ROWS))
    assert {len(part) for part in parts} == {questions.ROWS}
    rows = np.concatenate(parts)
    np.testing.assert_array_equal(rows[:count], np.arange(count))
    assert (rows[count:] == count - 1).all()
    assert len(rows) < count + questions.ROWS


def test_norms_are_those_of_all_prompts_at_once() -> None:
    wanted = ablations.norm_scales(CONFIG, PARAMS, ASKED)
    assert TASK.scales.keys() == wanted.keys()
    for site, x in wanted.items():
        np.testing.assert_allclose(TASK.scales[site], x, rtol=1e-6)


def test_circuit_frozen_norms_and_whole_model_differ() -> None:
    own, frozen = SUBJECT.margins(TASK), SUBJECT.margins(TASK, frozen=True)
    assert np.abs(own - frozen).min() > 0.1
    assert np.abs(own - SUBJECT.whole.margins(TASK)).min() > 0.1


@pytest.mark.parametrize("frozen", [False, True])
def test_margins_are_those_of_mean_ablation(frozen: bool) -> None:
    wanted = ablations.margins(
        CONFIG, PARAMS, ASKED, ablations.mean(SUBJECT.keep, MEANS),
        TASK.scales if frozen else None,
    )  # fmt: skip
    found = SUBJECT.margins(TASK, frozen)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_whole_model_is_the_circuit_of_all_nodes() -> None:
    wanted = questions.margins(CONFIG, PARAMS, ASKED, IDENTITY)
    found = SUBJECT.whole.margins(TASK)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_figures_of_templates_are_those_of_their_prompts_alone() -> None:
    """All from the same draws: of one template, the pool's; of two, each one's own."""
    task = pools.with_donors(CONFIG, PARAMS, TASK.rows(np.arange(16)), nodes.NODE_SITES)
    one = final_figures.ablated(SUBJECT, task, np.zeros(8, np.int32))
    judge = Judge(CONFIG, PARAMS, MEANS, task, honest=True)
    figures = judge.figures(SUBJECT.keep)
    for name in ("stochastic", "stochastic_mean", "together", "apart"):
        assert one[name] == pytest.approx(figures[name], rel=1e-5)
    assert one["templates"] == (pytest.approx(figures["F"], rel=1e-5),)
    template_P = np.array([0, 0, 1, 1, 1, 0, 0, 1], np.int32)
    two = final_figures.ablated(SUBJECT, task, template_P)
    assert two["together"] == one["together"]
    each = judge.by_pair(SUBJECT.keep)
    assert {len(x) for x in each.values()} == {1, DRAWS}
    worst = [
        max(np.percentile(x[:, template_P == n].mean(1), 95) for x in each.values())
        for n in range(2)
    ]
    assert two["templates"] == pytest.approx(worst, rel=1e-6)
    assert worst[0] != pytest.approx(worst[1], rel=1e-3)
