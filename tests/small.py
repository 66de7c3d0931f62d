"""One small model for many tests, with every optional part switched on."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.config import ModelConfig
from sparsetx.model import parameters

SMALL = ModelConfig(
    vocab_size=37,
    context=12,
    n_layer=3,
    d_model=24,
    n_head=3,
    d_head=6,
    d_mlp=40,
    afrac=0.5,
    sink=True,
    bigram="random",
    positions="concatenated",
    d_pos=5,
    final_bias=True,
)
# The same with AbsTopK at two sites: every selection takes time to trace and compile.
FEW = dataclasses.replace(SMALL, afrac_sites=(nodes.ATTN_IN, nodes.MLP_NEURON))
TOKENS = jnp.asarray(np.random.default_rng(1).integers(0, SMALL.vocab_size, (2, 12)))


@functools.cache
def params_of(config: ModelConfig) -> dict[str, Any]:
    """Weights large enough for every part of the network to matter."""
    rng = np.random.default_rng(0)
    params: dict[str, Any] = {}
    for parameter in parameters.table(config):
        inner = params
        for key in parameter.path[:-1]:
            inner = inner.setdefault(key, {})
        shape = parameters.full_shape(config, parameter)
        center = 1.0 if parameter.kind == "gain" else 0.0
        inner[parameter.path[-1]] = jnp.asarray(
            rng.normal(center, 0.3, shape), jnp.float32
        )
    return params


def random_nodes(config: ModelConfig, seed: int, masks: bool = False) -> dict[str, Any]:
    """A Nodes tree of normal values, or of zeros and ones."""
    rng = np.random.default_rng(seed)
    values = {
        site: jnp.asarray(rng.normal(size=shape), jnp.float32)
        for site, shape in nodes.shapes(config).items()
    }
    return {s: jnp.float32(x > 0) for s, x in values.items()} if masks else values
