"""One small model for many tests, with every optional part switched on."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from sparsetx import model, nodes
from sparsetx.config import ModelConfig

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
TOKENS = jax.random.randint(jax.random.key(1), (2, 12), 0, SMALL.vocab_size)


@functools.cache
def params_of(config: ModelConfig) -> dict[str, Any]:
    """Weights large enough for every part of the network to matter."""
    initial = model.init(config, jax.random.key(0))
    leaves, tree = jax.tree.flatten(initial)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    return jax.tree.unflatten(
        tree,
        [
            leaf + 0.3 * jax.random.normal(key, leaf.shape)
            for key, leaf in zip(keys, leaves, strict=True)
        ],
    )


def random_nodes(config: ModelConfig, seed: Any, masks: bool = False) -> dict[str, Any]:
    """A Nodes tree of normal values, or of zeros and ones."""
    shapes = nodes.shapes(config)
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    values = {
        site: jax.random.normal(key, shape)
        for key, (site, shape) in zip(keys, shapes.items(), strict=True)
    }
    return {s: jnp.float32(x > 0) for s, x in values.items()} if masks else values
