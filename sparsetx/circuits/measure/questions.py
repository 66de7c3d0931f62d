"""A pool of prompts as arrays, and the margins and loss of a model on it (section 2.3).

The margin of a row says how far the right answer is ahead, in nats: between two
candidates the difference of their logits; in a one-token contrast the log odds of the
token against all others, negated where the token would be wrong. The task's loss is
softplus(-margin), averaged over both prompts of every pair.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import model, nodes
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap
from sparsetx.tasks.pairs import Pairs

Scales = Mapping[str, jax.Array]  # {norm site: [layer, B, L, 1]}, [B, L, 1] at the end
ROWS = 128  # prompts in a call, so that pools of all sizes share a program


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Question:
    """A pool: rows 2i and 2i + 1 are a pair. `open` is 1 in a one-token contrast."""

    tokens_BL: jax.Array
    position_B: jax.Array
    answers_B2: jax.Array
    sign_B: jax.Array
    open: jax.Array

    def __len__(self) -> int:
        return int(self.tokens_BL.shape[0])

    def rows(self, chosen_B: Any) -> "Question":
        """Some of the rows; the indices may be traced."""
        parts = {
            field.name: getattr(self, field.name)[chosen_B]
            for field in dataclasses.fields(self)
            if field.name != "open"
        }
        return dataclasses.replace(self, **parts)


def of(pairs: Pairs, length: int | None = None) -> Question:
    """A pool as arrays, as long as its longest prompt, or padded to `length` tokens."""
    longest = int(pairs.position_B.max()) + 1
    length = length or longest
    if longest > length:
        raise ValueError(f"prompts of {longest} tokens do not fit {length}")
    eot = pairs.tokens_BL[0, 0]  # every prompt begins with it; it is the padding too
    room = max(0, length - pairs.tokens_BL.shape[1])
    tokens_BL = np.pad(
        pairs.tokens_BL[:, :length], ((0, 0), (0, room)), constant_values=eot
    )
    return Question(
        jnp.asarray(tokens_BL),
        jnp.asarray(pairs.position_B),
        jnp.asarray(pairs.answers_B2),
        jnp.asarray(pairs.sign_B),
        jnp.float32(pairs.one_token),
    )


def margins(config: ModelConfig, params: Any, asked: Question, tap: Tap) -> jax.Array:
    """[B] margins of a model under a tap."""
    margin_B: jax.Array = _margins(config, params, asked, tap)
    return margin_B


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _margins(config: ModelConfig, params: Any, asked: Question, tap: Tap) -> jax.Array:
    logits_BV = model.logits_at(config, params, asked.tokens_BL, asked.position_B, tap)
    return margin_of(asked, logits_BV)


def margin_of(asked: Question, logits_BV: jax.Array) -> jax.Array:
    """Margins from the logits at the last token of each prompt."""
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


def pair_losses_of(margin_B: jax.Array) -> jax.Array:
    """[pair], each the mean of its two prompts."""
    return jnp.mean(jax.nn.softplus(-margin_B).reshape(-1, 2), -1)


def upper_loss_of(margin_B: jax.Array, errors: Any = 1.0) -> jax.Array:
    """The mean loss over pairs plus `errors` standard errors: a likely upper bound of
    the loss on other pairs. By the mean alone, the smallest of many circuits would
    often be one that does well on these pairs by chance."""
    loss_P = pair_losses_of(margin_B)
    mean = jnp.mean(loss_P)
    # Not jnp.std: where all pairs are equal its slope is not a number.
    variance = jnp.sum(jnp.square(loss_P - mean)) / max(len(loss_P) - 1, 1)
    upper: jax.Array = mean + errors * jnp.sqrt((variance + 1e-12) / len(loss_P))
    return upper


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Task:
    """A pool and the whole model's norms on it; several tasks have a leading axis."""

    asked: Question
    scales: Scales  # of the whole model's norms on these prompts
    donors: Nodes | None = None  # activations on other prompts (donors.py)

    def rows(self, chosen_B: Any) -> "Task":
        """Some of the rows."""
        scales = {
            site: x[chosen_B] if site in nodes.END_SITES else x[:, chosen_B]
            for site, x in self.scales.items()
        }
        return Task(self.asked.rows(chosen_B), scales, self.donors)
