"""From gradients to updates: one optax chain (section 2.2 and the training appendix).

The gradient's scale is taken out first, over all parameters together, then Adam, then
the learning rate. Weight decay is not here: it follows the projection (train.py).
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from sparsetx.config import RunConfig
from sparsetx.model import parameters
from sparsetx.projection import schedules

# Keeps a vanishing gradient from being blown up to unit size.
RMS_FLOOR = 1e-5


def make_optimiser(run: RunConfig) -> optax.GradientTransformation:
    """The whole chain; its state holds Adam's moments and the count of updates."""
    optim = run.optim
    chain = [
        normalise() if optim.gradient == "normalise" else clip(),
        optax.scale_by_adam(b1=optim.beta1, b2=optim.beta2, eps=optim.eps),
        optax.scale_by_learning_rate(lambda done: rate(run, done + 1)),
    ]
    if run.model.bigram != "none" and not run.model.bigram_learned:
        chain.append(optax.masked(optax.set_to_zero(), _is_bigram))
    return optax.chain(*chain)


def rate(run: RunConfig, update: jax.Array | int) -> jax.Array:
    """Learning rate of an update, counted from 1."""
    final = run.sparsity.kept_block(run.model.d_model)
    t = jnp.asarray(update, jnp.float32) / run.train.steps
    return schedules.learning_rate(run.optim, run.sparsity, final, t)


def gradient_rms(gradient: Any) -> jax.Array:
    """Root mean square over all parameters together."""
    leaves = jax.tree.leaves(gradient)
    # A float: the count of a large model does not fit the integers of a program.
    size = float(sum(leaf.size for leaf in leaves))
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in leaves) / size)


def normalise() -> optax.GradientTransformation:
    """Divide by the RMS, always (the authors' script)."""
    return _scaled(lambda rms: 1.0 / (rms + RMS_FLOOR))


def clip() -> optax.GradientTransformation:
    """Divide by the RMS where it exceeds 1 (the paper)."""
    return _scaled(lambda rms: 1.0 / jnp.maximum(rms, 1.0))


def _scaled(factor: Any) -> optax.GradientTransformation:
    def update(gradient: Any, params: Any = None) -> Any:
        scale = factor(gradient_rms(gradient))
        return jax.tree.map(lambda g: g * scale, gradient)

    return optax.stateless(update)


def _is_bigram(tree: Any) -> Any:
    return {
        name: jax.tree.map(lambda _, hit=name == parameters.BIGRAM: hit, branch)
        for name, branch in tree.items()
    }
