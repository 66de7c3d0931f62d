"""The matrix products of a training step and nothing else: what no step can undercut.

Of every matrix of the blocks and of the unembedding: the product of the forward pass,
and the two of the backward pass. The embedding is no product, and attention's products
have no matrix.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sparsetx.config import ModelConfig
from sparsetx.model.block import contract
from sparsetx.model.parameters import FC, PROJ, QKV, O

Weights = Mapping[str, jax.Array]


def of(config: ModelConfig, batch: int) -> Callable[[], Any]:
    """All of them as one compiled program; a call runs it once."""
    tokens = batch * config.context
    key, start, end = jax.random.split(jax.random.key(0), 3)
    layers = [_layer(config, jax.random.fold_in(key, i)) for i in range(config.n_layer)]
    last = jax.random.normal(end, (config.d_model, config.vocab_size)) / 32
    x = jax.random.normal(start, (tokens, config.d_model))
    program = jax.jit(chain).lower(layers, last, x).compile()
    return lambda: program(layers, last, x)


def _layer(config: ModelConfig, key: jax.Array) -> dict[str, jax.Array]:
    d, attn, mlp = config.d_model, config.d_attn, config.d_mlp
    shapes = {QKV: (d, 3 * attn), O: (attn, d), FC: (d, mlp), PROJ: (mlp, d)}
    keys = jax.random.split(key, len(shapes))
    return {
        name: jax.random.normal(one, shape) / shape[0] ** 0.5
        for one, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def chain(layers: list[Weights], last: jax.Array, x: jax.Array) -> Any:
    """Through the layers and back; the gradient of every matrix."""
    inputs = []
    for w in layers:
        qkv = _held(_times(x, w[QKV]))
        values = qkv[:, : w[O].shape[0]]
        written = _times(values, w[O])
        neurons = _times(written, w[FC])
        inputs.append({QKV: x, O: values, FC: written, PROJ: neurons})
        x = _times(neurons, w[PROJ])
    slope = _held(_times(x, last))  # as large as the logits
    gradient = [_slope_of_weights(x, slope)]
    slope = _slope_of_input(slope, last)
    for w, read in zip(reversed(layers), reversed(inputs), strict=True):
        for name in (PROJ, FC, O, QKV):
            if name == QKV:
                slope = _held(jnp.concatenate([slope] * 3, -1))
            gradient.append(_slope_of_weights(read[name], slope))
            slope = _slope_of_input(slope, w[name])
    return gradient, slope


def _held(x: jax.Array) -> jax.Array:
    """So that the compiler computes all of it, though only a part may be needed."""
    held: jax.Array = lax.optimization_barrier(x)
    return held


def _times(x: jax.Array, w: jax.Array) -> jax.Array:
    return contract("ni,io->no", x, w)


def _slope_of_input(slope: jax.Array, w: jax.Array) -> jax.Array:
    return contract("no,io->ni", slope, w)


def _slope_of_weights(x: jax.Array, slope: jax.Array) -> jax.Array:
    return contract("ni,no->io", x, slope)
