"""sparsetx's model, run from a released config and state dict. Needs no torch."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import model, openai_format
from sparsetx.config import ModelConfig

Arrays = dict[str, np.ndarray]


class Outcome(NamedTuple):
    """What the twin's `loss_and_gradients` returns, from our side."""

    logits: np.ndarray  # [B, L, V]
    loss: float  # mean next-token cross-entropy, nats
    gradients: Arrays  # in the released names and shapes


def loss_and_gradients(
    released: dict[str, Any], state: Arrays, tokens_BL: np.ndarray
) -> Outcome:
    config, params = openai_format.from_state(released, state)

    @jax.jit
    def outcome(params, tokens_BL):
        def loss(params):
            logits_BLV = model.apply(config, params, tokens_BL)
            nats_BLV = jax.nn.log_softmax(logits_BLV[:, :-1])
            picked = jnp.take_along_axis(nats_BLV, tokens_BL[:, 1:, None], axis=-1)
            return -picked.mean(), logits_BLV

        return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, logits_BLV), grads = outcome(params, jnp.asarray(tokens_BL, jnp.int32))
    # The layout of a state dict is linear in the weights: gradients travel alike.
    _, gradients = openai_format.to_state(config, grads)
    if config.positions == "none":  # the format has a table of zeros nevertheless
        del gradients["transformer.wpe.weight"]
    return Outcome(np.asarray(logits_BLV), float(loss), gradients)


def run(config: ModelConfig, params: Mapping[str, Any], tokens_BL: np.ndarray):
    logits = jax.jit(lambda params, tokens: model.apply(config, params, tokens))
    return np.asarray(logits(params, jnp.asarray(tokens_BL, jnp.int32)))


def farthest(found: Arrays, wanted: Arrays) -> tuple[float, str]:
    """The largest difference, relative to its tensor's largest entry, and its name."""
    return max(
        (np.abs(x - wanted[name]).max() / max(np.abs(wanted[name]).max(), 1e-30), name)
        for name, x in found.items()
    )
