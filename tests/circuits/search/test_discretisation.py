"""From a ranking to a circuit: the curve, removals, and paths to an answer."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes, taps
from sparsetx.circuits.measure import ablations, edges, reach
from sparsetx.circuits.search import (
    attribution,
    discretisation,
    judge,
    mask_search,
    pools,
)
from sparsetx.circuits.search.discretisation import Cutter, Point, Ranking
from sparsetx.circuits.search.judge import Judge
from sparsetx.nodes import Node
from tests.circuits import broken, compiled

CONFIG = compiled.CONFIG
PARAMS = jax.tree.map(jnp.asarray, compiled.params())
MEANS = ablations.means(CONFIG, PARAMS, compiled.corpus())
PATTERN = {name: np.asarray(x) for name, x in edges.patterns(CONFIG, PARAMS).items()}
ANSWERS = [compiled.CLOSE_DOUBLE, compiled.CLOSE_SINGLE]
TRUE = nodes.flatten(CONFIG, {s: np.asarray(x) for s, x in compiled.mask().items()}) > 0


def cutter(honest: bool = False) -> Cutter:
    asked = compiled.question(16, 2)
    task = mask_search.Task(asked, ablations.norm_scales(CONFIG, PARAMS, asked))
    return Cutter(Judge(CONFIG, PARAMS, MEANS, task, honest), PATTERN, ANSWERS)


PLAIN = cutter()


def ranking(score: np.ndarray) -> Ranking:
    return Ranking.of(PLAIN, nodes.unflatten(CONFIG, score.astype(np.float32)))


def test_a_judge_computes_the_loss_under_mean_ablation() -> None:
    rng = np.random.default_rng(0)
    masks = np.stack([TRUE, ~TRUE, np.ones_like(TRUE), rng.random(len(TRUE)) < 0.5])
    ask = PLAIN.judge.task.asked
    for mask, loss in zip(masks, PLAIN.judge(masks), strict=True):
        tap = ablations.mean(PLAIN.judge.tree_of(mask), MEANS)
        margin_B = np.asarray(ablations.margins(CONFIG, PARAMS, ask, tap), np.float64)
        loss_P = np.logaddexp(0, -margin_B).reshape(-1, 2).mean(1)
        wanted = loss_P.mean() + loss_P.std(ddof=1) / 4  # of 16 pairs
        assert loss == pytest.approx(wanted, abs=1e-5)


def test_resampled_nodes_take_what_their_donor_computes() -> None:
    """Together and apart, against taps that are put together row by row."""
    asked = compiled.question(16, 2)
    task = pools.with_donors(CONFIG, PARAMS, PLAIN.judge.task, nodes.NODE_SITES)
    own = dataclasses.replace(PLAIN.judge, task=task, honest=True, faithful=True)
    assert task.donors is not None
    donor_B = own._apart.donor_B
    turned = own._given(judge.APART, 0).donors
    assert turned is not None
    mask = TRUE.copy()
    mask[np.flatnonzero(TRUE)[0]] = False
    keep = own.tree_of(mask)
    for kind, given in ((judge.TOGETHER, task.donors), (judge.APART, turned)):
        values = {site: np.asarray(x)[:, donor_B] for site, x in given.items()}
        tap = taps.mix(keep, values)
        margin_B = np.asarray(ablations.margins(CONFIG, PARAMS, asked, tap), np.float64)
        loss_P = np.logaddexp(0, -margin_B).reshape(-1, 2).mean(1)
        wanted = loss_P.mean() + loss_P.std(ddof=1) / 4  # of 16 pairs
        assert own.under(kind, mask[None])[0] == pytest.approx(wanted, abs=1e-5)
    together, apart = (own.under(k, mask[None])[0] for k in judge.RESAMPLED.values())
    assert together != apart


def test_of_equal_losses_that_under_mean_ablation_is_the_worst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Removals follow the worst: by resampling they would begin with what the prompts
    of a task have in common. The kind that rules out most masks is measured first."""
    asked = []

    def under(self: Judge, kind: judge.Kind, masks: np.ndarray) -> np.ndarray:
        asked.append(kind)
        return np.full(len(masks), 0.1, np.float32)

    monkeypatch.setattr(Judge, "under", under)
    faithful = dataclasses.replace(PLAIN.judge, honest=True, faithful=True)
    assert faithful.worst(TRUE) == judge.FROZEN
    asked.clear()
    assert faithful.one(TRUE, 0.05) == pytest.approx(0.1)
    assert asked == [judge.APART]
    asked.clear()
    faithful.one(TRUE, 0.2)
    assert asked[::-1] == list(faithful.kinds)


def test_an_honest_judge_has_no_lower_losses() -> None:
    rng = np.random.default_rng(1)
    masks = TRUE[None] | (rng.random((6, len(TRUE))) < 0.2)
    masks[0] = False
    assert (cutter(honest=True).judge(masks) >= PLAIN.judge(masks) - 1e-4).all()


def test_losses_above_what_is_asked_for_are_lower_bounds() -> None:
    rng = np.random.default_rng(2)
    masks = TRUE[None] ^ (rng.random((8, len(TRUE))) < 0.05)
    own = cutter(honest=True).judge
    whole = own(masks)
    enough = float(np.median(whole))
    bounds = own(masks, enough)
    below = whole <= enough
    np.testing.assert_array_equal(bounds[below], whole[below])
    assert ((bounds > enough) & (bounds <= whole))[~below].all()
    assert own.one(masks[0], enough) == pytest.approx(bounds[0])


@pytest.mark.slow
def test_figures_are_those_of_the_definition() -> None:
    found = PLAIN.judge.figures(compiled.mask(), draws=12)
    keys = jnp.stack([jax.random.fold_in(jax.random.key(0), n) for n in range(12)])
    task = PLAIN.judge.task
    wanted = ablations.honest_losses(
        CONFIG, PARAMS, task.asked, compiled.mask(), MEANS, task.scales, keys
    )
    for name, value in wanted.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4, abs=1e-6)
    assert found["H"] == max(found["mean"], found["frozen"], found["stochastic"])
    assert judge.DRAWS >= 100
    upper = PLAIN.judge.figures(compiled.mask(), draws=12, errors=2.0)
    assert all(upper[name] > found[name] for name in upper)


def test_drawing_stops_once_h_is_above_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = np.arange(100) / 100

    def measured(_: judge.Judge, kind: Any, *__: Any) -> Any:
        if len(kind) < judge.AT_ONCE:
            return np.zeros((len(kind), 2))
        seen.append(len(seen))
        first = seen[-1] * judge.AT_ONCE
        part = losses[first : first + judge.AT_ONCE]
        return np.stack([part, part], 1)

    monkeypatch.setattr(judge.Judge, "_measured", measured)
    for enough, groups in ((0.985, 13), (0.5, 8), (0.0, 1)):
        seen: list[int] = []
        found = PLAIN.judge.figures(compiled.mask(), enough=enough)
        assert len(seen) == groups
        assert (found["stochastic"] <= enough) == (enough > 0.95)
    assert "stochastic" not in PLAIN.judge.figures(compiled.mask(), enough=-1.0)


def test_the_first_nodes_of_a_true_ranking_are_the_circuit() -> None:
    rng = np.random.default_rng(0)
    score = np.where(TRUE, 0.5, -0.5) + 0.1 * rng.random(len(TRUE))
    chosen = discretisation.choose(PLAIN, ranking(score), 0.15)
    np.testing.assert_array_equal(chosen.mask, TRUE)
    assert chosen.reached
    assert chosen.loss < 0.15
    assert [p.nodes for p in chosen.curve] == sorted({p.nodes for p in chosen.curve})
    exact = [p for p in chosen.curve if p.nodes == TRUE.sum()]
    assert [p.edges_plus for p in exact] in ([], [compiled.EDGES])


def test_a_wide_start_is_a_larger_point_that_reaches_the_target() -> None:
    own = ranking(np.where(TRUE, 0.5, 0.1))  # the search kept everything
    narrow = discretisation.start(PLAIN, own, 0.15)
    broad = discretisation.wide(PLAIN, own, 0.15)
    assert narrow is not None
    assert broad is not None
    most = max(discretisation.SINGLES, discretisation.WIDER * narrow.nodes)
    fitting = [p for p in own.curve if p.loss <= 0.15 and p.nodes <= most]
    assert broad.nodes == max(p.nodes for p in fitting)
    assert broad.nodes > narrow.nodes
    found = discretisation.choose(PLAIN, own, 0.15, begin=discretisation.wide)
    np.testing.assert_array_equal(found.mask, TRUE)
    assert discretisation.wide(PLAIN, own, 1e-6) is None


def test_a_target_out_of_reach_is_reported_as_such() -> None:
    score = np.where(TRUE, 0.5, -0.5)
    chosen = discretisation.choose(PLAIN, ranking(score), 1e-6)
    assert not chosen.reached
    assert not chosen.mask.any()
    assert chosen.loss > 1e-6
    assert chosen.curve[-1].nodes == len(TRUE)  # the whole model was tried too


def test_the_loss_is_not_monotone_and_the_smallest_that_passes_is_taken() -> None:
    curve = [Point(4, 3, 0.7), Point(9, 8, 0.12), Point(12, 9, 0.3), Point(20, 18, 0.1)]
    assert discretisation.smallest(curve, 0.15) == Point(9, 8, 0.12)
    assert discretisation.smallest(curve, 0.05) is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cleaning_removes_what_is_not_needed(seed: int) -> None:
    padded = TRUE | (np.random.default_rng(seed).random(len(TRUE)) < 0.3)
    *larger, (mask, loss) = discretisation.clean(PLAIN, padded, 0.15)
    for before, after in itertools.pairwise([*(m for m, _ in larger), mask]):
        assert not (after & ~before).any()  # only ever smaller
    np.testing.assert_array_equal(mask, TRUE)
    assert loss < 0.15


def test_attribution_ranks_by_the_size_of_the_slope() -> None:
    found = attribution.scores(PLAIN.judge)
    assert all((x > 0).all() for x in found.values())
    slope, loss = PLAIN.judge.slopes(np.ones_like(TRUE))
    assert loss < 0.01
    order = np.argsort(-nodes.flatten(CONFIG, found), kind="stable")
    np.testing.assert_array_equal(order, np.argsort(-np.abs(slope), kind="stable"))
    assert TRUE[order[:8]].all()


def test_integrated_gradients_add_up_to_what_the_loss_changes() -> None:
    own = cutter(honest=True).judge
    ends = np.stack([np.ones_like(TRUE), np.zeros_like(TRUE)])
    for kind in own.kinds:
        whole, empty = own.under(kind, ends)
        slopes = attribution.mean_slopes(own, kind, steps=64)
        assert slopes.sum() == pytest.approx(whole - empty, rel=0.02)
    found = nodes.flatten(CONFIG, attribution.integrated(own))
    order = np.argsort(-found, kind="stable")
    assert TRUE[order[: TRUE.sum()]].mean() > 0.7
    assert (found > 0).all()


def joined(
    kept: set[Node], config: object = CONFIG, params: object = None
) -> set[Node]:
    params = compiled.params() if params is None else params
    pattern = {k: np.asarray(x) for k, x in edges.patterns(config, params).items()}
    mask = {s: np.asarray(x) for s, x in compiled.mask(kept).items()}
    found = reach.joined(config, params, pattern, mask, ANSWERS)
    flat = nodes.flatten(config, found)
    return {nodes.node_at(config, int(i)) for i in np.flatnonzero(flat)}


def test_all_nodes_of_the_circuit_are_connected() -> None:
    assert joined(compiled.CIRCUIT) == compiled.CIRCUIT


def test_nodes_that_are_connected_to_no_answer_are_removed() -> None:
    """Without the head's write nothing is left; without its value, only the write."""
    assert joined(compiled.CIRCUIT - {Node(nodes.ATTN_OUT, 1, 5)}) == set()
    assert joined(compiled.CIRCUIT - {Node(nodes.V, 1, 0)}) == {
        Node(nodes.ATTN_OUT, 1, 5)  # a constant with weights to the answers
    }


def test_a_node_outside_all_paths_is_removed() -> None:
    strange = {Node(nodes.MLP_NEURON, 1, 3), Node(nodes.Q, 0, 1), Node(nodes.V, 1, 9)}
    assert joined(compiled.CIRCUIT | strange) == compiled.CIRCUIT


def test_with_a_sink_attention_alone_connects_a_head() -> None:
    params = broken.sink_head()
    kept = broken.SINK_CIRCUIT
    assert joined(kept, broken.SINK_CONFIG, params) == kept
