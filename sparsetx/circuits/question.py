"""A pool of prompts as arrays, and what a model answers to them (section 2.3).

The margin of a row is how far the right answer is ahead, in nats of log odds: between
two candidates the difference of their logits, in a one-token contrast the log odds of
the token against all others, its sign turned where it should not come. The task's loss
is softplus(-margin), averaged over both prompts of every pair.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sparsetx import model, nodes, taps
from sparsetx.config import ModelConfig
from sparsetx.taps import Tap
from sparsetx.tasks.pairs import Pairs


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Question:
    """Rows 2i and 2i + 1 are a pair. `open` is 1 in a one-token contrast, else 0."""

    tokens_BL: jax.Array
    position_B: jax.Array
    answers_B2: jax.Array
    sign_B: jax.Array
    open: jax.Array

    def __len__(self) -> int:
        return int(self.tokens_BL.shape[0])

    def rows(self, chosen_B: Any) -> "Question":
        """Some of the rows; traced indices will do."""
        parts = {
            field.name: getattr(self, field.name)[chosen_B]
            for field in dataclasses.fields(self)
            if field.name != "open"
        }
        return dataclasses.replace(self, **parts)


def of(pairs: Pairs, length: int | None = None) -> Question:
    """A pool, cut to its longest prompt (or to `length` tokens)."""
    longest = int(pairs.position_B.max()) + 1
    if length is not None and longest > length:
        raise ValueError(f"prompts of {longest} tokens do not fit {length}")
    return Question(
        jnp.asarray(pairs.tokens_BL[:, : length or longest]),
        jnp.asarray(pairs.position_B),
        jnp.asarray(pairs.answers_B2),
        jnp.asarray(pairs.sign_B),
        jnp.float32(pairs.one_token),
    )


def margins(
    config: ModelConfig,
    params: Any,
    asked: Question,
    tap: Tap,
    frozen: tuple[jax.Array, jax.Array] | None = None,
) -> jax.Array:
    """[B]: how far the right answer is ahead. Only the last place is unembedded.

    `frozen` is (1 where a row's last norm is frozen, the scale that it then has).
    """
    last = taps.compose(tap, taps.capture([nodes.FINAL]))
    _, taken = model.trace(config, params, asked.tokens_BL, last)
    place_B11 = asked.position_B[:, None, None]
    x_B1D = jnp.take_along_axis(taken[nodes.FINAL], place_B11, 1)
    token_B1 = jnp.take_along_axis(asked.tokens_BL, asked.position_B[:, None], 1)

    def visit(site: str, x: jax.Array) -> jax.Array:
        if site != nodes.FINAL_NORM or frozen is None:
            return x
        which_B11, scale_B11 = (part[:, None, None] for part in frozen)
        return which_B11 * scale_B11 + (1 - which_B11) * x

    logits_BV = model.unembed(config, params, x_B1D, token_B1, visit)[:, 0]
    return margin_of(asked, logits_BV)


def margin_of(asked: Question, logits_BV: jax.Array) -> jax.Array:
    """From the logits at the last place."""
    answer_B2 = jnp.take_along_axis(logits_BV, asked.answers_B2, -1)
    between_B = answer_B2[:, 0] - answer_B2[:, 1]
    token_1V = jnp.arange(logits_BV.shape[-1])[None]
    chosen_BV = token_1V == asked.answers_B2[:, :1]
    others_BV = jnp.where(chosen_BV, -jnp.inf, logits_BV)
    odds_B = answer_B2[:, 0] - jax.nn.logsumexp(others_BV, -1)
    return jnp.where(asked.open > 0, asked.sign_B * odds_B, between_B)


def loss_of(margin_B: jax.Array) -> jax.Array:
    """Mean cross-entropy in nats: log 2 for a model that guesses."""
    return jnp.mean(jax.nn.softplus(-margin_B))
