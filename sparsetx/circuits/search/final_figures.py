"""The figures that are recorded of a chosen circuit: all sizes and losses.

Losses are measured on all three pools; those under stochastic ablation, which need a
hundred draws, on some pairs of the test pool. Sizes are the counts, the boundary, and
the fewest edges.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import taps
from sparsetx.circuits import facts
from sparsetx.circuits.measure import (
    ablations,
    adversary,
    calibration,
    edges,
    effective_edges,
    questions,
)
from sparsetx.circuits.measure.calibration import Calibration
from sparsetx.circuits.measure.questions import Task
from sparsetx.circuits.search.judge import RESAMPLED, Judge
from sparsetx.circuits.search.pools import Drawn
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Nodes


@dataclass(frozen=True, eq=False)
class Subject:
    """A model with a mask."""

    config: ModelConfig
    params: Any
    means: Nodes
    keep: Nodes

    @property
    def whole(self) -> "Subject":
        """The unpruned model."""
        everything = {site: np.ones_like(x) for site, x in self.keep.items()}
        return dataclasses.replace(self, keep=everything)

    def margins(self, task: Task, frozen: bool = False) -> npt.NDArray[Any]:
        """[B] margins under mean ablation, computed a few prompts at a time."""
        task = dataclasses.replace(task, donors=None)  # a program less: none are used
        given = self.config, float(frozen), self.params, self.keep, self.means
        count = len(task.asked)
        found = [
            np.asarray(_margins(*given, task.rows(part_B)))
            for part_B in mesh.portions(count, questions.ROWS)
        ]
        return np.concatenate(found)[:count]


def losses(
    subject: Subject, task: Task, pairs: Any, calibration: Calibration, drawn: int
) -> facts.Losses:
    """Losses on one pool. `drawn`: the number of pairs on which stochastic ablation is
    measured; if 0, only figures under mean ablation are."""
    margin_B = subject.margins(task)
    right_P = (margin_B > 0).reshape(-1, 2).mean(1)
    odd_P = pairs.distractor_P
    found = facts.Losses(
        mean=_softplus(margin_B),
        accuracy=float(right_P.mean()),
        distractor_accuracy=float(right_P[odd_P].mean()) if odd_P.any() else None,
        calibrated=_softplus(calibration.margins(task.asked, margin_B)),
    )
    if not drawn:
        return found
    unpruned = whole(subject, task)
    random = ablated(subject, task, pairs.template_P[:drawn])
    frozen = _softplus(subject.margins(task, frozen=True))
    honest = max(found.mean, frozen, random["stochastic"])
    return dataclasses.replace(
        found,
        frozen=frozen,
        H=honest,
        F=max(honest, random["together"], random["apart"]),
        whole_loss=unpruned.whole_loss,
        whole_accuracy=unpruned.whole_accuracy,
        **random,
    )


def whole(subject: Subject, task: Task) -> facts.Losses:
    """The loss and accuracy of the unpruned model."""
    margin_B = subject.whole.margins(task)
    return facts.Losses(
        whole_loss=_softplus(margin_B), whole_accuracy=float((margin_B > 0).mean())
    )


def ablated(
    subject: Subject, task: Task, template_P: npt.NDArray[np.int32]
) -> dict[str, Any]:
    """On the first pairs of a pool, of these templates: the figures over a hundred
    draws of stochastic ablation and of both resamplings, F on each template's prompts
    (a circuit may fail on one while the pool's mean hides it), and the adversary's ε.
    """
    few = task.rows(np.arange(2 * len(template_P)))
    judge = Judge(subject.config, subject.params, subject.means, few, honest=True)
    each = judge.by_pair(subject.keep)
    found: dict[str, Any] = {
        name: _worst_of([each[name]]) for name in ("stochastic", *RESAMPLED)
    }
    found["stochastic_mean"] = float(each["stochastic"].mean())
    found["templates"] = tuple(
        _worst_of([x[:, template_P == template] for x in each.values()])
        for template in np.unique(template_P)
    )
    for name, kind in RESAMPLED.items():
        found[f"{name}_accuracy"] = judge.right(kind, subject.keep)
    epsilon, _ = adversary.epsilon(
        subject.config, subject.params, few.asked, subject.keep, subject.means
    )
    return found | {"epsilon": 1.0 if epsilon is None else epsilon}


def _worst_of(losses: Sequence[npt.NDArray[Any]]) -> float:
    """Of [draw, pair] losses under some ablations: the 95th percentile of the draws,
    under the ablation where it is largest."""
    return max(float(np.percentile(x.mean(1), 95)) for x in losses)


def size(
    subject: Subject,
    pattern: edges.Patterns,
    pools: Drawn,
    fewest: int | None,
) -> facts.Size:
    keep = {site: np.asarray(x) for site, x in subject.keep.items()}
    counts = edges.size(subject.config, pattern, keep)
    tokens = np.concatenate([p.tokens_BL.ravel() for p in pools.values()])
    answers = np.concatenate([p.answers_B2.ravel() for p in pools.values()])
    params = jax.tree.map(np.asarray, subject.params)
    return facts.Size(
        nodes=int(counts.nodes),
        edges=int(counts.edges),
        constants=int(counts.constants),
        edges_plus=int(counts.edges_plus),
        pairs=int(counts.pairs),
        boundary=int(edges.boundary(params, keep, tokens, answers)),
        effective_edges=fewest,
    )


def fewest_edges(subject: Subject, task: Task, target: float, honest: bool) -> int:
    """The fewest edges at the target, under frozen norms if the circuit is honest."""
    scales = task.scales if honest else None
    found = effective_edges.fewest(
        subject.config, subject.params, subject.means, task.asked, subject.keep,
        target, scales,
    )  # fmt: skip
    return len(found.edges)


def fitted(subject: Subject, train: Task, val: Task) -> Calibration:
    """The calibration fitted on one pool and checked on the other."""
    check = val.asked, subject.margins(val)
    return calibration.fit(train.asked, subject.margins(train), check)


@functools.partial(jax.jit, static_argnums=0)
def _margins(
    config: ModelConfig, frozen: Any, params: Any, keep: Nodes, means: Nodes, task: Task
) -> jax.Array:
    frozen_B = jnp.full(len(task.asked), frozen)
    norms = ablations.frozen_where(frozen_B, task.scales)
    tap = taps.compose(ablations.mean(keep, means), norms)
    return ablations.margins(config, params, task.asked, tap)


def _softplus(margin_B: npt.NDArray[Any]) -> float:
    return float(np.mean(np.logaddexp(0.0, -np.float64(margin_B))))
