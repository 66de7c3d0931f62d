"""Calibration: what a small circuit says softly, said as loudly as it should be.

Ablation leaves a circuit's answers right in order but off in size. Before a circuit is
reported, its logits are multiplied by one scale; where every pair of a task has the
same two answers, a shift between these two tokens is added as well (appendix). A shift
by role, right or wrong, would be cheating, and a common one changes nothing. Both are
fitted on the training pool, from answers computed once, by L-BFGS.

The scale is printed: far above 1 it hides a circuit that hardly speaks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from sparsetx.circuits.question import Question

STEPS = 16


@dataclass(frozen=True)
class Calibration:
    """logit of token t ← scale · logit + shift[t]."""

    scale: float = 1.0
    shift: Mapping[int, float] | None = None  # by token, nats; others are not moved

    def shifts(self, tokens: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        moved = np.zeros(np.shape(tokens), np.float32)
        for token, nats in (self.shift or {}).items():
            moved[np.asarray(tokens) == token] = nats
        return moved

    def margins(
        self, asked: Question, margin_B: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """The calibrated lead of the right answer, from the uncalibrated one."""
        side_B = np.asarray(_sides(asked), np.float32)
        between = sum((self.shift or {}).values(), start=0.0)
        if not float(asked.open):
            answer_B2 = self.shifts(np.asarray(asked.answers_B2))
            moved_B = answer_B2[:, 0] - answer_B2[:, 1]
        else:
            moved_B = side_B * np.float32(between)
        return (self.scale * margin_B + moved_B).astype(np.float32)


def fit(asked: Question, margin_B: npt.NDArray[np.floating]) -> Calibration:
    """The scale and shift with the least loss on these margins, after 16 steps."""
    side_B = _sides(asked)
    tied = bool(np.any(side_B))

    log_scale, shift = map(float, _least(jnp.asarray(margin_B), jnp.asarray(side_B)))
    scale = float(np.exp(log_scale))
    if not tied:
        return Calibration(scale)
    first = int(asked.answers_B2[0, 0])
    if float(asked.open):
        return Calibration(scale, {first: shift})
    other = int(asked.answers_B2[0, 1])
    return Calibration(scale, {first: shift / 2, other: -shift / 2})


@jax.jit
def _least(margin_B: jax.Array, side_B: jax.Array) -> jax.Array:
    """(log scale, shift) by L-BFGS from (0, 0), keeping the best point seen."""

    def loss(x: jax.Array) -> jax.Array:
        calibrated_B = jnp.exp(x[0]) * margin_B + x[1] * side_B
        return jnp.mean(jax.nn.softplus(-calibrated_B))

    solver = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(loss)

    def step(carry: Any, _: None) -> tuple[Any, None]:
        x, state, best, least = carry
        value, gradient = value_and_gradient(x, state=state)
        better = value < least
        best, least = jnp.where(better, x, best), jnp.where(better, value, least)
        updates, state = solver.update(
            gradient, state, x, value=value, grad=gradient, value_fn=loss
        )
        return (optax.apply_updates(x, updates), state, best, least), None

    start = jnp.zeros(2)
    first = (start, solver.init(start), start, jnp.float32(jnp.inf))
    (x, _, best, least), _ = jax.lax.scan(step, first, None, STEPS)
    found: jax.Array = jnp.where(loss(x) < least, x, best)
    return found


def _sides(asked: Question) -> npt.NDArray[np.float32]:
    """+1 where the first row's answer is right, -1 where it is wrong; all 0 where pairs
    do not share their answers, so that no shift belongs to a token."""
    answer_B2 = np.asarray(asked.answers_B2)
    if float(asked.open):
        shared = bool((answer_B2 == answer_B2[0, 0]).all())
        return np.asarray(asked.sign_B, np.float32) * shared
    same = (np.sort(answer_B2, 1) == np.sort(answer_B2[0])).all()
    side_B = np.where(answer_B2[:, 0] == answer_B2[0, 0], 1.0, -1.0)
    return (side_B * bool(same)).astype(np.float32)
