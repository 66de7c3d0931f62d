"""Calibration: one scale on a circuit's margins, and where possible one shift.

Ablation keeps the order of a circuit's answers, but not the size of its margins. Before
a circuit is reported, its logits are multiplied by one scale; where every pair of a
task has the same two answers, a shift between these two tokens is added as well
(appendix). A shift towards the right answer, whichever token it is, would be cheating,
and one of both tokens alike changes nothing. Scale and shift are fitted by L-BFGS on
the training pool, whose margins are computed once.

Departures from the paper. Where every answer of the pool is right, the loss keeps
falling as the scale grows, and one wrong answer among other prompts then costs tens of
nats. So one additional answer counts as wrong; and where the val pool has a lower loss
without the calibration, or with a part of it, that is what is used.

The scale is printed: one far above 1 means that the circuit's margins were small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from sparsetx.circuits.measure.questions import Question

STEPS = 16
WRONG = 1.0  # additional answers that count as wrong
BACK = (0.0, 0.25, 0.5, 0.75, 1.0)  # from no calibration to the fitted one
Margins = npt.NDArray[np.floating]
Pool = tuple[Question, Margins]


@dataclass(frozen=True)
class Calibration:
    """logit of token t ← scale · logit + shift[t]."""

    scale: float = 1.0
    shift: Mapping[int, float] | None = None  # by token, nats; other tokens have none

    def shifts(self, tokens: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        moved = np.zeros(np.shape(tokens), np.float32)
        for token, nats in (self.shift or {}).items():
            moved[np.asarray(tokens) == token] = nats
        return moved

    def margins(
        self, asked: Question, margin_B: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """Calibrated margins from uncalibrated ones."""
        side_B = np.asarray(_sides(asked), np.float32)
        between = sum((self.shift or {}).values(), start=0.0)
        if not float(asked.open):
            answer_B2 = self.shifts(np.asarray(asked.answers_B2))
            moved_B = answer_B2[:, 0] - answer_B2[:, 1]
        else:
            moved_B = side_B * np.float32(between)
        return (self.scale * margin_B + moved_B).astype(np.float32)


def fit(asked: Question, margin_B: Margins, check: Pool | None = None) -> Calibration:
    """The scale and shift with the least loss on these margins, after 16 steps; of the
    points in BACK towards no calibration, the best on the `check` pool."""
    side_B = _sides(asked)
    log_scale, shift = map(float, _least(jnp.asarray(margin_B), jnp.asarray(side_B)))
    found = [_calibration(asked, t * log_scale, t * shift) for t in BACK]
    if check is None:
        return found[-1]
    own, other_B = check
    losses = [smoothed_loss(one.margins(own, other_B)) for one in found]
    return found[int(np.argmin(losses))]


def smoothed_loss(margin_B: Margins) -> float:
    """The mean loss with one additional wrong answer, of average margin: that every
    answer of a pool is right does not show that all others would be."""
    wide_B = np.asarray(margin_B, np.float64)
    right, wrong = np.logaddexp(0, -wide_B), np.logaddexp(0, wide_B)
    return float((right.sum() + WRONG * wrong.mean()) / (len(wide_B) + WRONG))


def _calibration(asked: Question, log_scale: float, shift: float) -> Calibration:
    scale = float(np.exp(log_scale))
    if not np.any(_sides(asked)):
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
        right = jnp.sum(jax.nn.softplus(-calibrated_B))
        wrong = jnp.mean(jax.nn.softplus(calibrated_B))
        return (right + WRONG * wrong) / (len(margin_B) + WRONG)

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
    have different answers, so that no shift of a token fits all."""
    answer_B2 = np.asarray(asked.answers_B2)
    if float(asked.open):
        shared = bool((answer_B2 == answer_B2[0, 0]).all())
        return np.asarray(asked.sign_B, np.float32) * shared
    same = (np.sort(answer_B2, 1) == np.sort(answer_B2[0])).all()
    side_B = np.where(answer_B2[:, 0] == answer_B2[0, 0], 1.0, -1.0)
    return (side_B * bool(same)).astype(np.float32)
