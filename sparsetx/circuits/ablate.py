"""What a mask is worth: a task's loss when all other nodes are ablated (section 2.3).

Each kind of ablation is a tap. Masks, means and amounts are Nodes trees, so that one
program runs many masks at once under vmap; the search, the artefact and the controls
all ask here.

mean        other nodes are their mean over the pretraining distribution
zero        they are zero
resample    they are what they are on another prompt
stochastic  they are a mixture of themselves and their mean, drawn node by node
frozen      besides, every norm divides by what it does in the whole model: a circuit
            that lives off the norms of what it ablates does not survive this
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sparsetx import model, nodes, taps
from sparsetx.circuits import question
from sparsetx.circuits.question import Question
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap

Scales = Mapping[str, jax.Array]  # {norm site: [layer, B, L, 1]}, [B, L, 1] at the end


def means(config: ModelConfig, params: Any, tokens_NBL: jax.Array) -> Nodes:
    """Of every node, over all tokens and positions of these batches."""

    def add(total: Any, tokens_BL: jax.Array) -> tuple[Any, None]:
        _, taken = model.trace(
            config, params, tokens_BL, taps.capture(nodes.NODE_SITES)
        )
        here = {s: jnp.sum(x.astype(jnp.float32), (1, 2)) for s, x in taken.items()}
        return jax.tree.map(jnp.add, total, here), None

    shapes = nodes.shapes(config)
    zero = {site: jnp.zeros(shape) for site, shape in shapes.items()}
    total, _ = jax.lax.scan(add, zero, tokens_NBL)
    count = float(tokens_NBL.size)
    found: Nodes = jax.tree.map(lambda x: x / count, total)
    return found


def norm_scales(config: ModelConfig, params: Any, asked: Question) -> Scales:
    """What every norm of the whole model multiplies by, on these prompts."""
    tap = taps.capture(nodes.NORM_SITES)
    return model.trace(config, params, asked.tokens_BL, tap)[1]


def mean(keep: Nodes, means: Nodes) -> Tap:
    return taps.ablate(keep, means)


def zero(keep: Nodes) -> Tap:
    return taps.ablate(keep, {site: jnp.zeros_like(x) for site, x in keep.items()})


def resample(
    config: ModelConfig, params: Any, keep: Nodes, asked: Question, order_B: jax.Array
) -> Tap:
    """Other nodes take their activations on the prompts in another order."""
    other = asked.tokens_BL[order_B]
    _, taken = model.trace(config, params, other, taps.capture(tuple(keep)))
    wide = {site: x[:, None, None, :] for site, x in keep.items()}
    return taps.mix(wide, taken)


def stochastic(keep: Nodes, means: Nodes, amount: Nodes) -> Tap:
    """Other nodes are amount · themselves + (1 - amount) · their mean."""
    return taps.mix(amount, means, keep)


def drawn_amounts(keep: Nodes, key: jax.Array) -> Nodes:
    """One draw, shared by a batch: of half the nodes an amount uniform in [0, 1], of
    the others all or nothing, at a rate drawn for each site and layer."""
    found = {}
    for i, (site, x) in enumerate(sorted(keep.items())):
        half, uniform, rate, coin = jax.random.split(jax.random.fold_in(key, i), 4)
        smooth = jax.random.uniform(uniform, x.shape)
        rho = jax.random.uniform(rate, (*x.shape[:-1], 1))
        whole = (jax.random.uniform(coin, x.shape) < rho).astype(jnp.float32)
        pick = jax.random.bernoulli(half, 0.5, x.shape)
        found[site] = jnp.where(pick, smooth, whole)
    return found


def frozen(scales: Scales) -> Tap:
    """Norms inside the stack as in the whole model; for the last, see `loss`."""
    return taps.substitute(
        {site: x for site, x in scales.items() if site != nodes.FINAL_NORM}
    )


def final_scale(scales: Scales, asked: Question) -> jax.Array:
    """[B]: the last norm's scale where the answer is read."""
    place_B1 = asked.position_B[:, None]
    return jnp.take_along_axis(scales[nodes.FINAL_NORM][..., 0], place_B1, 1)[:, 0]


def loss(
    config: ModelConfig,
    params: Any,
    asked: Question,
    tap: Tap,
    scales: Scales | None = None,
) -> jax.Array:
    """The task's loss under a tap; with `scales`, under frozen norms too."""
    return question.loss_of(margins(config, params, asked, tap, scales))


def margins(
    config: ModelConfig,
    params: Any,
    asked: Question,
    tap: Tap,
    scales: Scales | None = None,
) -> jax.Array:
    if scales is None:
        return question.margins(config, params, asked, tap)
    both = taps.compose(tap, frozen(scales))
    last_B = final_scale(scales, asked)
    return question.margins(
        config, params, asked, both, (jnp.ones_like(last_B), last_B)
    )


def honest_losses(
    config: ModelConfig,
    params: Any,
    asked: Question,
    keep: Nodes,
    means: Nodes,
    scales: Scales,
    keys_N: jax.Array,
) -> dict[str, jax.Array]:
    """The figures of which H is the largest: under mean ablation, under it with frozen
    norms, and the 95th percentile of stochastic draws with frozen norms."""

    def drawn(key: jax.Array) -> jax.Array:
        amount = drawn_amounts(keep, key)
        tap = stochastic(keep, means, amount)
        return loss(config, params, asked, tap, scales)

    losses_N = jax.lax.map(drawn, keys_N)
    return {
        "mean": loss(config, params, asked, mean(keep, means)),
        "frozen": loss(config, params, asked, mean(keep, means), scales),
        "stochastic": jnp.percentile(losses_N, 95),
        "stochastic_mean": jnp.mean(losses_N),
    }


def honest_loss(figures: Mapping[str, Any]) -> Any:
    """H of a circuit: at most 0.15 nats is honest, at most 0.30 weak."""
    worst = jnp.maximum(figures["mean"], figures["frozen"])
    return jnp.maximum(worst, figures["stochastic"])
