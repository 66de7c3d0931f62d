"""The whole search finds the known circuit, and reports progress."""

import dataclasses
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import nodes
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.search import mask_search, pruning, verification
from sparsetx.circuits.search.discretisation import Chosen
from sparsetx.circuits.search.pruning import Aim, Case, Effort
from sparsetx.system.progress import Progress
from tests.circuits import compiled

CONFIG = compiled.CONFIG
PARAMS = jax.tree.map(jnp.asarray, compiled.params())
MEANS = ablations.means(CONFIG, PARAMS, compiled.corpus())
TRUE = nodes.flatten(CONFIG, {s: np.asarray(x) for s, x in compiled.mask().items()}) > 0
EFFORT = Effort(rounds=((4, 75), (2, 75)), pairs=16, finalists=1)
MEMORY = 1e9
NOTHING = pruning.Found(Chosen(np.zeros(6, bool), np.inf), [])


def case(name: str, seed: int) -> Case:
    def pool(pairs: int, seed: int) -> mask_search.Task:
        asked = compiled.question(pairs, seed)
        return mask_search.Task(asked, ablations.norm_scales(CONFIG, PARAMS, asked))

    answers = [compiled.CLOSE_DOUBLE, compiled.CLOSE_SINGLE]
    return Case(name, pool(128, seed), pool(32, seed + 50), answers)


def run(aim: Aim, cases: list[Case], report: object = None) -> list[pruning.Found]:
    reports = [] if report is None else report
    assert isinstance(reports, list)
    return pruning.prune(CONFIG, PARAMS, MEANS, cases, aim, MEMORY, reports.append)


@pytest.mark.slow
def test_two_cases_at_once_are_the_known_circuit() -> None:
    seen: list[Progress] = []
    cases = [case("one", 1), case("two", 2)]
    found = run(Aim(effort=EFFORT), cases, seen)
    for one in found:
        np.testing.assert_array_equal(one.chosen.mask, TRUE)
        assert one.chosen.loss <= 0.15
        assert len(one.history) == 6
        assert len(one.best) == 2
        assert one.best[1] == compiled.EDGES
        rounds = [(t.round, t.steps) for t in one.history]
        assert rounds == [(0, 75)] * 4 + [(1, 75)] * 2
        best = min(t.edges_plus for t in one.history if t.edges_plus is not None)
        assert best >= compiled.EDGES  # before nodes are removed
    steps = [p for p in seen if p.unit == "mask steps"][-1]
    assert steps.stage == "2 tasks, honest"
    assert steps.done == steps.total == 2 * (4 * 75 + 2 * 75)
    assert steps.figures["round"] == "2/2"
    assert seen[-1].done == seen[-1].total
    assert seen[-1].figures == {"nodes": 11, "edges+": 9}
    assert seen[-1].stage == "two, honest, removing nodes"


@pytest.mark.slow
def test_a_round_never_loses_what_earlier_ones_found() -> None:
    """A search with a round more begins with the same rounds."""
    few = dataclasses.replace(EFFORT, rounds=((1, 50),))
    more = dataclasses.replace(EFFORT, rounds=((1, 50), (1, 25), (1, 50)))
    short, long = (
        run(Aim(honest=0.0, effort=effort), [case("one", 1)])[0]
        for effort in (few, more)
    )
    assert long.best[:1] == short.best
    sizes = [np.inf if size is None else size for size in long.best]
    assert sizes == sorted(sizes, reverse=True)
    assert [t.seed for t in long.history] == [0, 1000, 2000]


@pytest.mark.slow
def test_a_target_out_of_reach() -> None:
    effort = dataclasses.replace(EFFORT, rounds=((1, 25),))
    (found,) = run(Aim(target=1e-5, honest=0.0, effort=effort), [case("one", 1)])
    assert not found.chosen.reached
    assert found.history[0].edges_plus is None
    assert found.history[0].settings.honest == 0  # the paper's procedure
    assert len(found.chosen.curve) > 10


@pytest.mark.slow
def test_where_lower_targets_do_not_help_more_nodes_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verification, "TRIES", 0)
    effort = dataclasses.replace(EFFORT, rounds=((1, 25),))
    (found,) = run(Aim(effort=effort), [case("one", 1)])
    assert found.chosen.reached
    assert TRUE[found.chosen.mask].sum() >= 8  # no circuit has fewer
    assert found.chosen.loss <= 0.15


@pytest.mark.slow
def test_hard_concrete_gates_find_it_too() -> None:
    effort = dataclasses.replace(EFFORT, rounds=((2, 150),))
    aim = Aim(effort=effort, gates="hard-concrete")
    (found,) = run(aim, [case("one", 1)])
    assert found.chosen.reached
    assert TRUE[found.chosen.mask].mean() > 0.7


def test_settings_are_drawn_around_the_defaults() -> None:
    aim = Aim(seed=3, effort=EFFORT)
    first = pruning.proposals(aim, 0, 8, NOTHING, 1e-3)
    assert first == pruning.proposals(aim, 0, 8, NOTHING, 1e-3)
    assert first[0][1] == mask_search.Settings(honest=1.0)
    assert first[1][1] == mask_search.Settings(1e-3, follows=1.0, honest=1.0)
    assert [settings.follows for _, settings in first] == [0.0, 1.0] * 4
    faithful = pruning.proposals(aim.of("faithful"), 0, 4, NOTHING, 1e-4)
    drawn = [settings for _, settings in faithful]
    assert drawn[0].k_coef == 1e-4
    assert all(settings.follows for settings in drawn)
    assert mask_search.first_price({"q": np.zeros((2, 7_000))}) == pytest.approx(1e-4)
    few = mask_search.first_price({"q": np.zeros((2, 100))})
    assert few == mask_search.Settings.k_coef
    assert len({seed for seed, _ in first}) == 8
    assert len({settings.k_coef for _, settings in first}) == 8


def test_a_round_after_a_circuit_begins_from_it() -> None:
    """Settings then have a price that follows, and scores with more noise; without a
    circuit the next round is like the first, of other seeds."""
    aim = Aim(seed=3, effort=EFFORT)
    chosen = Chosen(np.arange(6) < 2, 0.1)
    again = pruning.proposals(aim, 1, 4, pruning.Found(chosen, []), 1e-3)
    assert again[0][1].k_coef == 1e-3
    assert all(settings.follows for _, settings in again)
    assert {settings.init_scale for _, settings in again} == {pruning.NOISE}
    assert len({settings.lr for _, settings in again}) == 4
    other = pruning.proposals(aim, 1, 4, NOTHING, 1e-3)
    first = pruning.proposals(aim, 0, 4, NOTHING, 1e-3)
    assert other[:2] != first[:2]
    assert [s for _, s in other[:2]] == [s for _, s in first[:2]]
    np.testing.assert_array_equal(pruning._kept(chosen), chosen.mask)
    assert pruning._kept(NOTHING.chosen).all()


@pytest.mark.parametrize("holds", range(9))
def test_bisection_finds_the_last_mask_at_the_target(
    holds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H rises along the masks: the last of eight at the target is found, or none."""
    way = [np.arange(8) >= n for n in range(8)]
    asked: list[int] = []

    def figure(cutter: object, mask: np.ndarray, errors: float, enough: float) -> float:
        asked.append(8 - int(mask.sum()))
        return 0.1 if asked[-1] < holds else 0.2

    monkeypatch.setattr(verification, "_figure", figure)
    cutter: Any = None
    found = verification._smallest_reaching(cutter, way, 0.15, 2.0)
    if holds == 0:
        assert found is None
    else:
        assert found is not None
        np.testing.assert_array_equal(found[0], way[holds - 1])
    assert len(asked) <= 1 + 3  # the last, then a bisection of seven
    assert len(set(asked)) == len(asked)


def test_h_is_that_of_the_worse_pool() -> None:
    """The second pool is left out if H is above `enough` on the first."""

    class Judge:
        def __init__(self, level: float) -> None:
            self.level, self.asked, self.honest = level, 0, True

        def tree_of(self, mask: np.ndarray) -> np.ndarray:
            return mask

        def figures(
            self, keep: object, draws: int, errors: float, enough: float
        ) -> dict[str, float]:
            self.asked += 1
            return {"worst": self.level + errors}

    first, second = Judge(0.1), Judge(0.3)
    cutter: Any = types.SimpleNamespace(judge=first, second=second)
    mask = np.ones(3, bool)
    assert verification._figure(cutter, mask, 0.0) == 0.3
    assert verification._figure(cutter, mask, 1.0) == 1.3
    assert verification._figure(cutter, mask, 1.0, enough=0.5) == 1.1
    assert (first.asked, second.asked) == (3, 2)
