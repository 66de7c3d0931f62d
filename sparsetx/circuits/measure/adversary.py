"""The adversary: the worst mixture of other nodes with their means.

One amount a in [0, ε] for each node outside the circuit, the same for the whole batch:
x <- a·x + (1 - a)·mean, found by projected sign ascent from ε/2. Over [0, 1] it breaks
every circuit, so it gives no verdict: the figure is the ε at which the worst loss
passes that of guessing.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes

EPSILONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
STEPS, STRIDE = 12, 0.25  # of projected sign ascent; the stride in units of ε
PAIRS = 16  # few, since every ascent takes long
GUESS = math.log(2)  # nats


def epsilon(
    config: ModelConfig,
    params: Any,
    asked: Question,
    keep: Nodes,
    means: Nodes,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[float | None, list[float]]:
    """The ε at which the worst loss passes guessing, None if at none; and the worst
    loss at each ε until then."""
    few = asked.rows(np.arange(min(2 * PAIRS, len(asked))))
    worst: list[float] = []
    for i, bound in enumerate(EPSILONS):
        if worst and worst[-1] > GUESS:
            break  # the figure is known
        tell(i, len(EPSILONS))
        loss = _worst(config, params, few, keep, means, jnp.float32(bound))
        worst.append(float(loss))
    tell(len(EPSILONS), len(EPSILONS))
    return crossing(EPSILONS, worst, GUESS), worst


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
