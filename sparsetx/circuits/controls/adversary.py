"""Control: the worst mixture of other nodes with their means, by gradient ascent.

Each other node has an amount a in [0, ε] of its own value, the same for the whole
batch. With ε = 1 every circuit fails, so there is no verdict: the figure is the ε at
which the worst loss exceeds that of guessing.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import GUESS, Evidence, loss_of
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes

EPSILONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
STEPS, STRIDE = 12, 0.25  # of projected sign ascent; the stride in units of ε
PAIRS = 16  # few, since every ascent takes long


def adversary(evidence: Evidence) -> Entry:
    worst: list[float] = []
    few = evidence.few.asked.rows(np.arange(min(2 * PAIRS, len(evidence.few.asked))))
    for i, epsilon in enumerate(EPSILONS):
        if worst and worst[-1] > GUESS:
            break  # the figure is known
        evidence.tell(thresholds.ADVERSARY, i, len(EPSILONS), "bounds")
        loss = _worst(
            evidence.config, evidence.params, few, evidence.keep,
            evidence.means, jnp.float32(epsilon),
        )  # fmt: skip
        worst.append(float(loss))
    evidence.tell(thresholds.ADVERSARY, len(EPSILONS), len(EPSILONS), "bounds")
    found = crossing(EPSILONS, worst, GUESS)
    words = (
        "No mixture of other nodes found by gradient ascent reduces the circuit to "
        "guessing."
        if found is None
        else f"With up to {100 * found:.0f}% of other nodes' values mixed in, gradient "
        "ascent reduces the circuit to guessing."
    )
    return Entry(
        thresholds.ADVERSARY,
        thresholds.NONE,
        words,
        {"epsilon": found},
        {"mean ablation": loss_of(evidence.cut)},
        {"epsilons": EPSILONS[: len(worst)], "loss": worst},
    )


def crossing(at: tuple[float, ...], values: list[float], bound: float) -> float | None:
    """Where a curve first exceeds a bound, linearly interpolated."""
    over = np.flatnonzero(np.asarray(values) > bound)
    if not len(over):
        return None
    i = int(over[0])
    if i == 0:
        return at[0]
    part = (bound - values[i - 1]) / (values[i] - values[i - 1])
    return float(at[i - 1] + part * (at[i] - at[i - 1]))


@functools.partial(jax.jit, static_argnums=0)
def _worst(
    config: ModelConfig,
    params: Any,
    asked: Question,
    keep: Nodes,
    means: Nodes,
    epsilon: jax.Array,
) -> jax.Array:
    def loss(amount: Nodes) -> jax.Array:
        return ablations.loss(
            config, params, asked, ablations.stochastic(keep, means, amount)
        )

    def step(carry: tuple[Nodes, jax.Array], _: None) -> tuple[Any, None]:
        amount, most = carry
        value, slope = jax.value_and_grad(loss)(amount)
        moved = {
            site: jnp.clip(x + STRIDE * epsilon * jnp.sign(slope[site]), 0, epsilon)
            for site, x in amount.items()
        }
        return (moved, jnp.maximum(most, value)), None

    start = {site: jnp.full_like(x, epsilon / 2) for site, x in keep.items()}
    (last, most), _ = jax.lax.scan(step, (start, jnp.float32(0)), None, STEPS)
    return jnp.maximum(most, loss(last))
