"""What changes with progress through a run: the kept fraction and the learning rate.

Progress t runs from 0 to 1; update number n of `steps` (counting from 1) has t =
n/steps, for its learning rate and for the projection that follows it. All functions
take and return traced scalars, so one program serves the whole run (section 2.2).
"""

import jax
import jax.numpy as jnp

from sparsetx.config import OptimConfig, SparsityConfig

Scalar = jax.Array | float


def kept_fraction(sparsity: SparsityConfig, final: float, t: Scalar) -> jax.Array:
    """From 1 at `anneal_start` to `final` at `anneal_end`, and there it stays."""
    start, end = sparsity.anneal_start, sparsity.anneal_end
    u = jnp.clip((t - start) / (end - start), 0.0, 1.0)
    if sparsity.anneal == "linear":
        return 1.0 + (final - 1.0) * u
    if sparsity.anneal == "exponential":
        return jnp.asarray(final**u)
    return jnp.asarray(final + (1.0 - final) * (1.0 - u) ** sparsity.anneal_power)


def kept_embedding_fraction(
    sparsity: SparsityConfig, final: float, t: Scalar
) -> jax.Array:
    """The same, or all at once where the annealing starts (as the paper's runs did)."""
    if sparsity.embed_schedule == "gradual":
        return kept_fraction(sparsity, final, t)
    return jnp.where(jnp.asarray(t) > sparsity.anneal_start, final, 1.0)


def learning_rate(
    optim: OptimConfig, sparsity: SparsityConfig, final: float, t: Scalar
) -> jax.Array:
    """Warm-up and linear decay, times the sharkfin: √(final / current kept fraction).

    Sparser matrices take larger steps; the peak is where the annealing ends.
    """
    warm = jnp.asarray(t) / optim.warmup if optim.warmup else jnp.float32(1.0)
    decay = 1.0 - (t - optim.warmup) / (1.0 - optim.warmup)
    rate = optim.lr * jnp.clip(jnp.minimum(warm, decay), 0.0, 1.0)
    if optim.sharkfin:
        rate = rate * jnp.sqrt(final / kept_fraction(sparsity, final, t))
    return rate
