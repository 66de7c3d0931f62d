"""A compiled model with its pools and means: searches in it, and measures circuits."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.facts import CircuitKind
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Task
from sparsetx.circuits.search import pools, pruning
from sparsetx.circuits.search.judge import Judge
from sparsetx.circuits.search.pruning import Aim, Case, Effort
from sparsetx.nodes import Node, Nodes
from tests.circuits.compiled_models import (
    base,
    cancelling_loop,
    constant_node,
    either_detector,
    redundant_pair,
    two_algorithms,
)
from tests.circuits.compiled_models.base import CONFIG, TARGET, Compiled

MODELS = {
    made.name: made
    for made in (
        two_algorithms.model(),
        redundant_pair.model(),
        either_detector.model(),
        cancelling_loop.model(),
        constant_node.model(),
    )
}
KINDS: tuple[CircuitKind, ...] = ("plain", "honest", "faithful")
EFFORT = Effort(rounds=((4, 75), (2, 75)), pairs=16, finalists=1)
ANSWERS = [base.CLOSE_DOUBLE, base.CLOSE_SINGLE]
TRAIN, VAL, TEST = 128, 32, 64  # pairs


@dataclass(frozen=True, eq=False)
class Trial:
    made: Compiled

    @functools.cached_property
    def params(self) -> Any:
        return jax.tree.map(jnp.asarray, self.made.weights)

    @functools.cached_property
    def means(self) -> Nodes:
        return ablations.means(CONFIG, self.params, base.text())

    def task(self, pairs: int, seed: int, split: str, donors: bool = True) -> Task:
        """A pool; with donors, as a faithful search has it."""
        asked = base.question(pairs, seed, split)
        task = pools.with_norms(CONFIG, self.params, asked)
        if not donors:
            return task
        return pools.with_donors(CONFIG, self.params, task, nodes.NODE_SITES)

    def search(
        self, kind: CircuitKind, seed: int, effort: Effort = EFFORT
    ) -> frozenset[Node]:
        """The circuit that a search finds; empty, if none reaches the target."""
        faithful = kind == "faithful"
        case = Case(
            self.made.name,
            self.task(TRAIN, 2 * seed, "train", faithful),
            self.task(VAL, 2 * seed + 1, "val", faithful),
            ANSWERS,
        )
        aim = Aim(target=TARGET, seed=seed, effort=effort).of(kind)
        (found,) = pruning.prune(
            CONFIG, self.params, self.means, [case], aim, memory=1e9
        )
        return frozenset(
            nodes.node_at(CONFIG, int(i)) for i in np.flatnonzero(found.chosen.mask)
        )

    @functools.cached_property
    def pools(self) -> dict[str, Judge]:
        """A judge on each pool, all with as many prompts, which share programs."""
        return {
            split: self.judge(self.task(TEST, 100 + place, split))
            for place, split in enumerate(("train", "test"))
        }

    def judge(self, task: Task) -> Judge:
        return Judge(CONFIG, self.params, self.means, task, honest=True, faithful=True)

    def figures(
        self,
        kept: Iterable[Node],
        split: str = "test",
        enough: float = np.inf,
        draws: int = 100,
    ) -> dict[str, float]:
        """F of a circuit on a pool, and the figures it is computed from."""
        keep = base.mask(kept)
        return self.pools[split].figures(keep, draws=draws, enough=enough)
