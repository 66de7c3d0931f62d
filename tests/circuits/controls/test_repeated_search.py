"""Controls that repeat the search: their verdicts, and that results are stored."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sparsetx.circuits.controls import (
    nonsense,
    random_weights,
    repeated_search,
    seeds,
    thresholds,
)
from sparsetx.circuits.controls.evidence import Evidence
from sparsetx.circuits.controls.repeated_search import Searches
from sparsetx.circuits.facts import Search
from sparsetx.circuits.search.pruning import Aim, Effort
from tests.circuits import broken, compiled, trials

QUICK = Search(honest=0.0, rounds=("1 x 100",), pairs=16, finalists=1)


@pytest.fixture(scope="module")
def known() -> Evidence:
    return dataclasses.replace(trials.made(trials.KNOWN), search=QUICK)


@pytest.mark.slow
def test_random_weights_have_no_circuit(known: Evidence, tmp_path: Path) -> None:
    path = tmp_path / "searches.json"
    own = random_weights.random_weights(known, Searches(path, "abc"), 1)
    assert own.verdict == thresholds.PASS
    assert "found no circuit for shuffled weights (1 tried)" in own.words
    (one,) = own.data["found"]
    assert one["whole loss"] > known.target  # else it would be shuffled again
    before = path.read_bytes()

    def search(*_: object) -> None:
        raise AssertionError("it was searched again")

    kept = Searches(path, "abc")
    kept.of = search  # type: ignore[assignment,method-assign]
    assert random_weights.random_weights(known, kept, 1).data == own.data
    assert path.read_bytes() == before
    assert Searches(path, "another circuit").found == {}
    kept.forget([thresholds.RANDOM_WEIGHTS])
    assert kept.found == {}


def test_a_shuffled_model_that_does_the_task_is_not_compared(
    known: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = lambda config, params, seed: params  # noqa: E731
    monkeypatch.setattr(random_weights.shuffled_weights, "shuffled", same)
    own = random_weights.random_weights(known, Searches(), 1)
    assert own.verdict == thresholds.INCONCLUSIVE
    assert "did the task without being pruned" in own.words


def test_random_weights_need_text_for_means(known: Evidence) -> None:
    without = dataclasses.replace(known, remeasure=None)
    own = random_weights.random_weights(without, Searches(), 1)
    assert own.verdict == thresholds.NOT_RUN


@pytest.mark.slow
def test_no_circuit_for_arbitrary_answers_is_inconclusive(known: Evidence) -> None:
    own = nonsense.nonsense(known, Searches(), 1)
    assert own.verdict == thresholds.INCONCLUSIVE
    swapped = nonsense.renamed(known, 0)
    np.testing.assert_array_equal(
        swapped.train.asked.answers_B2,
        np.asarray(known.train.asked.answers_B2)[:, ::-1],
    )


def test_arbitrary_answers_have_as_many_unembedding_weights(known: Evidence) -> None:
    params = compiled.params()
    params["unembed"]["w"][3, 5:9] = 1
    params["unembed"]["w"][4, 5:7] = 1
    own = trials.evidence(params, known.keep)
    true = np.array(trials.ANSWERS)
    assert set(nonsense.arbitrary(own, true, 0)) <= {5, 6, 7, 8}
    drawn = {tuple(nonsense.arbitrary(own, true, number)) for number in range(20)}
    assert len(drawn) > 3


@pytest.mark.slow
def test_other_seeds_find_the_same(known: Evidence) -> None:
    own = seeds.seeds(known, Searches(), 2)
    assert own.data["not reached"] + len(own.data["edges_plus"]) == 2
    assert own.verdict == thresholds.PASS
    assert own.figure["median Jaccard"] == 1
    ranked = dataclasses.replace(QUICK, rank="attribution")
    other = seeds.seeds(dataclasses.replace(known, search=ranked), Searches(), 2)
    assert other.verdict == thresholds.NOT_RUN


@pytest.mark.parametrize(
    ("sizes", "verdict"),
    [([27], "pass"), ([26, 90], "weak"), ([8], "fail"), ([], "pass")],
)
def test_verdicts_on_sizes(known: Evidence, sizes: list[int], verdict: str) -> None:
    found = [{"reached": True, "edges_plus": n, "edges": n} for n in sizes]
    found.append({"reached": False, "edges_plus": 0, "edges": 0})
    own = repeated_search.compared(known, thresholds.RANDOM_WEIGHTS, found, "models")
    assert (own.verdict, known.size.edges_plus) == (verdict, compiled.EDGES)


def test_a_circuit_that_misses_its_target_fails(known: Evidence) -> None:
    lost = trials.evidence(broken.permuted(2), known.keep)
    own = repeated_search.compared(lost, thresholds.RANDOM_WEIGHTS, [], "models")
    assert own.verdict == thresholds.FAIL


def test_the_settings_are_those_of_the_circuits_search() -> None:
    told = Search(
        target=0.2, honest=0.5, seed=3, rounds=("2 x 100", "1 x 50"), pairs=8,
        finalists=1, final=True, tied=True,
    )  # fmt: skip
    effort = Effort(((2, 100), (1, 50)), 8, 1)
    assert repeated_search.aim_of(told) == Aim(0.2, 0.5, 3, True, True, effort)
