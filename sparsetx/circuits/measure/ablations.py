"""A task's loss when all nodes outside a mask are ablated (section 2.3).

Each kind of ablation is a tap. Masks, means and amounts are Nodes trees, so that one
program runs many masks at once under vmap. The search, saved circuits and the controls
all use these functions.

mean        other nodes have their mean over the pretraining distribution
zero        other nodes are zero
resample    other nodes have their value on another prompt, at the same position
stochastic  other nodes are a mixture of their value and their mean, drawn for each
frozen      in addition, every norm divides by what it does in the whole model: this
            finds circuits that depend on how ablation changes the norms

H, the honest loss, is the worst of mean ablation, of mean ablation with frozen norms,
and of the 95th percentile of stochastic ablation with frozen norms.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from sparsetx import model, nodes, taps
from sparsetx.circuits.measure import questions
from sparsetx.circuits.measure.questions import Question, Scales
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap


def means(
    config: ModelConfig,
    params: Any,
    tokens_NBL: jax.Array,
    sites: Sequence[str] = nodes.NODE_SITES,
) -> Nodes:
    """The mean of every node over all tokens and positions of these batches."""
    found: Nodes = _means(config, tuple(sites), params, jnp.asarray(tokens_NBL))
    return found


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _means(
    config: ModelConfig, sites: tuple[str, ...], params: Any, tokens_NBL: jax.Array
) -> Nodes:
    def add(total: Any, tokens_BL: jax.Array) -> tuple[Any, None]:
        _, taken = model.trace(config, params, tokens_BL, taps.capture(sites))
        here = {s: jnp.mean(x.astype(jnp.float32), (-3, -2)) for s, x in taken.items()}
        return jax.tree.map(jnp.add, total, here), None

    shapes = nodes.shapes(config, sites)
    zero = {site: jnp.zeros(shape) for site, shape in shapes.items()}
    total, _ = jax.lax.scan(add, zero, tokens_NBL)
    found: Nodes = jax.tree.map(lambda x: x / tokens_NBL.shape[0], total)
    return found


def norm_scales(config: ModelConfig, params: Any, asked: Question) -> Scales:
    """The factors by which the whole model's norms multiply, on these prompts."""
    return activations(config, params, asked.tokens_BL, nodes.NORM_SITES)


def activations(
    config: ModelConfig,
    params: Any,
    tokens_BL: jax.Array,
    sites: Sequence[str] = nodes.NODE_SITES,
) -> Nodes:
    """Activations of the whole model, {site: [layer, B, L, width]}."""
    config = dataclasses.replace(config, unroll=False)  # less to compile
    return model.trace(config, params, tokens_BL, taps.capture(sites))[1]


def mean(keep: Nodes, means: Nodes) -> Tap:
    return taps.ablate(keep, means)


def zero(keep: Nodes) -> Tap:
    return taps.ablate(keep, {site: jnp.zeros_like(x) for site, x in keep.items()})


def resample(
    config: ModelConfig, params: Any, keep: Nodes, asked: Question, order_B: jax.Array
) -> Tap:
    """Other nodes take their activations on other prompts, in the order given."""
    other = activations(config, params, asked.tokens_BL[order_B], tuple(keep))
    return taps.mix(keep, other)


def stochastic(keep: Nodes, means: Nodes, amount: Nodes) -> Tap:
    """Other nodes are amount · themselves + (1 - amount) · their mean."""
    return taps.mix(amount, means, keep)


def drawn_amounts(
    keep: Nodes, key: jax.Array, smooth: jax.Array | None = None
) -> Nodes:
    """One draw of amounts, shared by a batch. If `smooth`, each node has an amount in
    [0, 1]; if not, each has 0 or 1, with a probability drawn for each site and layer;
    if None, one of the two kinds at random.

    A draw is of one kind throughout, so that some draws leave a site nearly whole, and
    some nearly constant: with both kinds in a draw every site would be in between.
    """
    coin, key = jax.random.split(key)
    if smooth is None:
        smooth = jax.random.bernoulli(coin)
    found = {}
    for i, (site, x) in enumerate(sorted(keep.items())):
        amount, rate = jax.random.split(jax.random.fold_in(key, i))
        u = jax.random.uniform(amount, x.shape)
        rho = jax.random.uniform(rate, (*x.shape[:-1], 1))
        found[site] = jnp.where(smooth, u, (u < rho).astype(u.dtype))
    return found


def by_row(keep: Nodes, amount: Nodes, drawn_B: jax.Array) -> Nodes:
    """How much of each node is left in each row: after stochastic ablation where
    `drawn_B` is 1, after mean ablation where it is 0. `amount` may itself have rows:
    [layer, B, 1, width]."""
    found = {}
    for site, x in keep.items():
        part = amount[site]
        if part.ndim == x.ndim:
            part = part[..., None, None, :]
        kept = x[..., None, None, :]
        drawn = drawn_B.reshape((1,) * (x.ndim - 1) + (-1, 1, 1))
        found[site] = kept + (1 - kept) * part * drawn
    return found


def by_kind(
    keep: Nodes,
    means: Nodes,
    scales: Scales,
    amount: Nodes,
    frozen_B: jax.Array,
    drawn_B: jax.Array,
    resampled: tuple[jax.Array, Nodes] | None = None,
) -> Tap:
    """A kind of ablation for each row, in one program: mean ablation; with frozen norms
    where `frozen_B` is 1; stochastic where `drawn_B` is 1. `resampled` = (moved_B,
    values): where `moved_B` is 1, nodes go to these values instead of their mean."""
    values = means if resampled is None else _moved(means, *resampled)
    mixed = taps.mix(by_row(keep, amount, drawn_B), values)
    return taps.compose(mixed, frozen_where(frozen_B, scales))


def _moved(means: Nodes, moved_B: jax.Array, values: Nodes) -> Nodes:
    """Each row's values or the means, [layer, B, L, width]."""
    moved_B11 = moved_B[:, None, None] > 0
    return {
        site: jnp.where(moved_B11[(None,) * (x.ndim - 3)], x, _wide(means[site]))
        for site, x in values.items()
    }


def _wide(x: jax.Array) -> jax.Array:
    """A number for each node, against its activations."""
    return x[..., None, None, :]


def frozen(scales: Scales) -> Tap:
    """Every norm multiplies by what it does in the whole model."""
    return taps.substitute(scales)


def frozen_where(frozen_B: jax.Array, scales: Scales) -> Tap:
    """Frozen norms where `frozen_B` is 1; in the other rows norms are computed."""
    along, ends = {}, {}
    for site, x in scales.items():
        if site in nodes.END_SITES:
            ends[site] = frozen_B, x
        else:
            along[site] = jnp.broadcast_to(frozen_B, (x.shape[0], len(frozen_B))), x
    return Tap(_choose_scale, along, ends, frozenset(scales))


def _choose_scale(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
    if site not in here:
        return x, None
    frozen_B, value = here[site]
    frozen_B11 = frozen_B[:, None, None]
    return frozen_B11 * value + (1 - frozen_B11) * x, None


def loss(
    config: ModelConfig,
    params: Any,
    asked: Question,
    tap: Tap,
    scales: Scales | None = None,
) -> jax.Array:
    """The task's loss under a tap; with `scales`, under frozen norms too."""
    return questions.loss_of(margins(config, params, asked, tap, scales))


def margins(
    config: ModelConfig,
    params: Any,
    asked: Question,
    tap: Tap,
    scales: Scales | None = None,
) -> jax.Array:
    both = tap if scales is None else taps.compose(tap, frozen(scales))
    return questions.margins(config, params, asked, both)


def losses(
    config: ModelConfig,
    params: Any,
    asked: Question,
    masks: Nodes,
    kind: Callable[[Nodes], Tap],
    scales: Scales | None = None,
    at_once: int = 1,
) -> jax.Array:
    """[N] losses of masks [N, layer, width] under one kind of ablation, for example
    `functools.partial(ablations.mean, means=means)`; `at_once` of them in parallel."""

    def one(keep: Nodes) -> jax.Array:
        return loss(config, params, asked, kind(keep), scales)

    return jnp.asarray(jax.lax.map(one, masks, batch_size=at_once))


def honest_losses(
    config: ModelConfig,
    params: Any,
    asked: Question,
    keep: Nodes,
    means: Nodes,
    scales: Scales,
    keys_N: jax.Array,
    at_once: int = 1,
) -> dict[str, jax.Array]:
    """The three losses of which H is the largest, and the mean over the draws.

    Every other draw is smooth. A verdict needs at least 100 draws.
    """

    def drawn(which: tuple[jax.Array, jax.Array]) -> jax.Array:
        amount = drawn_amounts(keep, *which)
        tap = stochastic(keep, means, amount)
        return loss(config, params, asked, tap, scales)

    smooth_N = jnp.arange(len(keys_N)) % 2 == 0
    losses_N = jax.lax.map(drawn, (keys_N, smooth_N), batch_size=at_once)
    return {
        "mean": loss(config, params, asked, mean(keep, means)),
        "frozen": loss(config, params, asked, mean(keep, means), scales),
        "stochastic": jnp.percentile(losses_N, 95),
        "stochastic_mean": jnp.mean(losses_N),
    }


def honest_loss(figures: Mapping[str, Any]) -> Any:
    """H of a circuit. At the default target, up to 0.15 is honest, up to 0.30 weak."""
    worst = jnp.maximum(figures["mean"], figures["frozen"])
    return jnp.maximum(worst, figures["stochastic"])
