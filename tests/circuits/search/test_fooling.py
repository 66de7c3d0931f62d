"""What each model that is built to fool a search states about its circuits is true, and
faithful searches find them."""

import functools
import itertools
from collections.abc import Iterator

import pytest

from sparsetx.nodes import Node
from tests.circuits.compiled_models.base import TARGET
from tests.circuits.compiled_models.constant_node import CONSTANT
from tests.circuits.compiled_models.trial import KINDS, MODELS, Trial

NAMES = sorted(MODELS)
# Two that fool a search in different ways; the others in slow tests.
QUICK = [
    name if name in ("cancelling loop", "constant node")
    else pytest.param(name, marks=pytest.mark.slow)
    for name in NAMES
]  # fmt: skip
SEEDS = 2
FEW = 16  # draws, where all subsets are measured
# What is low of the fooled circuit on the train pool, and what is high there.
SEEMS, SHOWS = ("mean",), ("together", "apart")
OF_ITS_OWN = {"cancelling loop": (("mean", "together"), ("stochastic", "apart"))}


@functools.cache
def trial(name: str) -> Trial:
    return Trial(MODELS[name])


def without_one(kept: frozenset[Node]) -> Iterator[frozenset[Node]]:
    return (kept - {node} for node in sorted(kept))


def subsets(parts: frozenset[Node]) -> Iterator[frozenset[Node]]:
    order = sorted(parts)
    for size in range(len(order) + 1):
        yield from map(frozenset, itertools.combinations(order, size))


@pytest.mark.parametrize("name", QUICK)
def test_smallest_circuits_are_faithful_and_need_every_node(name: str) -> None:
    own = trial(name)
    for kept in own.made.smallest:
        assert own.made.accepts(kept)
        assert own.figures(kept)["F"] <= TARGET
        for fewer in without_one(kept):
            assert not own.made.accepts(fewer)
            assert own.figures(fewer, enough=TARGET, draws=FEW)["F"] > TARGET


@pytest.mark.parametrize("name", QUICK)
def test_the_fooled_circuit_only_seems_to_be_good(name: str) -> None:
    own = trial(name)
    kept = own.made.fooled
    assert not own.made.accepts(kept)
    seems, shows = OF_ITS_OWN.get(name, (SEEMS, SHOWS))
    found = own.figures(kept, "train")
    assert max(found[figure] for figure in seems) < TARGET / 2
    assert min(found[figure] for figure in shows) > 1.25 * TARGET
    assert own.figures(kept, "test")["F"] > 2 * TARGET


def test_resampling_alone_would_leave_out_the_constant() -> None:
    own = trial("constant node")
    (right,) = own.made.smallest
    found = own.figures(right - CONSTANT)
    assert max(found["together"], found["apart"]) < TARGET / 2
    assert found["mean"] > 2 * TARGET


def test_what_is_accepted() -> None:
    """Neither an unknown node, nor a circuit without a part of it."""
    for made in MODELS.values():
        assert made.accepts(made.parts)
        stranger = Node("mlp_in", 0, 0)
        assert stranger not in made.parts
        assert not made.accepts(made.parts | {stranger})
        assert not made.accepts(frozenset())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["redundant pair", "either detector"])  # of the few
def test_of_all_subsets_those_accepted_are_faithful(name: str) -> None:
    own = trial(name)
    for kept in subsets(own.made.parts):
        found = own.figures(kept, enough=TARGET, draws=FEW)["F"]
        assert (found <= TARGET) == own.made.accepts(kept), (found, sorted(kept))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_faithful_searches_return_an_acceptable_circuit(name: str) -> None:
    own = trial(name)
    for seed in range(SEEDS):
        kept = own.search(KINDS[-1], seed)
        assert own.made.accepts(kept), sorted(kept)
