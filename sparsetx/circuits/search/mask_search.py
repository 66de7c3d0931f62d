"""The search for masks: many at once, as one program (section 2.3 and appendix).

A *lane* is one attempt: a task, a seed, and settings. Its mask has a score τ in [-1, 1]
per node; a node is kept where τ > 0, and learns through a sigmoid's slope. `vmap` runs
lanes side by side, `shard_map` spreads them over devices. A device always holds the
same number of lanes, filled up with repeats: the same lanes give the same masks, bit
for bit, alone, in a batch, and on eight devices.

`honest` mixes ablations into training, pair by pair: with 0 all pairs see mean ablation
(the paper's procedure), with 1 a third of them see it, a third frozen norms too, and a
third stochastic ablation with frozen norms. Both sizes can be had, and compared.

Departure: the paper pays the same for every node. Here half of the price goes by the
edges that a node has to other kept nodes, since edges are what is counted in the end;
`edge_share` 0 is the paper's price.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sparsetx import nodes
from sparsetx.circuits.measure import ablations, edges
from sparsetx.circuits.measure.questions import Task
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes

BETA1, EPS, CLIP, WARMUP = 0.9, 1e-8, 1.0, 0.05


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Settings:
    """Of one lane, or [lane] arrays of many. Defaults are the paper's search centres,
    but for k_coef and lr, whose useful range depends on the number of nodes and on how
    short a search is, and for edge_share."""

    k_coef: Any = 2e-3  # nats per kept node
    edge_share: Any = 0.5  # of that price goes by a node's edges
    lr: Any = 1e-2
    init_bias: Any = 0.1
    init_scale: Any = 1e-2
    temperature: Any = 1.0
    weight_decay: Any = 1e-3
    beta2: Any = 0.95
    honest: Any = 0.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Lanes:
    """Which task, seed and settings each lane has: [lane] arrays."""

    task: jax.Array
    seed: jax.Array
    settings: Settings


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Mask:
    """A lane's scores and its optimiser's moments."""

    tau: Nodes
    first: Nodes
    second: Nodes


@dataclass(frozen=True)
class Plan:
    """What is compiled in: as few programs as there are plans."""

    config: ModelConfig
    pairs: int  # of a batch
    steps: int  # of one call: a search is several, with progress between them
    final: bool = False  # mask the residual before the last norm as well
    tied: bool = False  # a key channel is kept where its query channel is

    @property
    def sites(self) -> tuple[str, ...]:
        return (*nodes.NODE_SITES, nodes.FINAL) if self.final else nodes.NODE_SITES


def begin(plan: Plan, lanes: Lanes) -> Mask:
    """τ ~ N(bias, scale²), from each lane's own seed."""

    shapes = nodes.shapes(plan.config, plan.sites)

    def one(seed: jax.Array, settings: Settings) -> Mask:
        key = jax.random.fold_in(jax.random.key(0), seed)
        tau, zero = {}, {}
        for i, (site, shape) in enumerate(sorted(shapes.items())):
            noise = jax.random.normal(jax.random.fold_in(key, i), shape)
            tau[site] = settings.init_bias + settings.init_scale * noise
            zero[site] = jnp.zeros(shape)
        return Mask(ranked(plan, _clamped(tau)), zero, zero)

    found: Mask = jax.vmap(one)(lanes.seed, lanes.settings)
    return found


def advance(
    plan: Plan,
    params: Any,
    means: Nodes,
    tasks: Task,
    lanes: Lanes,
    mask: Mask,
    start: jax.Array,
    total: jax.Array,
) -> tuple[Mask, jax.Array]:
    """`plan.steps` of `total` steps of every lane, from step `start` on; and the [lane]
    task losses. The learning rate falls to zero at `total`."""

    def one(lane: Lanes, mask: Mask) -> tuple[Mask, jax.Array]:
        own = jax.tree.map(lambda x: x[lane.task], tasks)

        def step(mask: Mask, n: jax.Array) -> tuple[Mask, jax.Array]:
            key = jax.random.fold_in(jax.random.key(1), lane.seed)
            key = jax.random.fold_in(key, n)
            return _step(plan, params, means, own, lane.settings, mask, n, total, key)

        mask, losses = jax.lax.scan(step, mask, start + jnp.arange(plan.steps))
        return mask, jnp.mean(losses)

    found: tuple[Mask, jax.Array] = jax.vmap(one)(lanes, mask)
    return found


def _step(
    plan: Plan,
    params: Any,
    means: Nodes,
    task: Task,
    settings: Settings,
    mask: Mask,
    n: jax.Array,
    total: jax.Array,
    key: jax.Array,
) -> tuple[Mask, jax.Array]:
    """Gradient, AdamW clipped by norm, and back into [-1, 1]."""

    def objective(tau: Nodes) -> tuple[jax.Array, jax.Array]:
        keep = hard(ranked(plan, tau), settings.temperature)
        loss = _batch_loss(plan, params, means, task, settings.honest, keep, key)
        return loss + settings.k_coef * _price(plan, params, settings, keep), loss

    gradient, loss = jax.grad(objective, has_aux=True)(mask.tau)
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in gradient.values()))
    gradient = jax.tree.map(
        lambda g: g * jnp.minimum(1.0, CLIP / (norm + 1e-12)), gradient
    )
    t = n + 1.0
    done = t / total
    rate = settings.lr * jnp.minimum(done / WARMUP, 1.0) * jnp.maximum(1.0 - done, 0.0)

    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mask.first, gradient)
    second = jax.tree.map(
        lambda v, g: settings.beta2 * v + (1 - settings.beta2) * g * g,
        mask.second,
        gradient,
    )

    # Factors, not divisors: compilers invert a shared divisor or not as they please,
    # and one device would round otherwise than eight.
    warm, warmer = 1 / (1 - BETA1**t), 1 / (1 - settings.beta2**t)

    def moved(tau: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        push = warm * m / (jnp.sqrt(warmer * v) + EPS) + settings.weight_decay * tau
        return jnp.asarray(tau - rate * push)

    tau = _clamped(jax.tree.map(moved, mask.tau, first, second))
    return Mask(ranked(plan, tau), first, second), loss


def _price(plan: Plan, params: Any, settings: Settings, keep: Nodes) -> jax.Array:
    """The kept nodes, some dearer than others: a share of the price is by the edges
    that a node has to other kept nodes, in units of their mean."""
    count = sum(jnp.sum(x) for x in keep.values())
    joined: jax.Array = edges.joined(
        plan.config, edges.patterns(plan.config, params), keep
    )
    unit = jax.lax.stop_gradient(count / jnp.maximum(joined, 1.0)) / 2
    share = settings.edge_share
    price: jax.Array = (1 - share) * count + share * unit * joined
    return price


def ranked(plan: Plan, tau: Nodes) -> Nodes:
    """The scores by which nodes are kept: keys take those of their queries if tied."""
    return {**tau, nodes.K: tau[nodes.Q]} if plan.tied else tau


def hard(tau: Nodes, temperature: Any) -> Nodes:
    """1 where τ > 0, else 0; its slope is that of a sigmoid."""

    def one(x: jax.Array) -> jax.Array:
        soft = jax.nn.sigmoid(x / temperature)
        return soft + jax.lax.stop_gradient((x > 0).astype(jnp.float32) - soft)

    return {site: one(x) for site, x in tau.items()}


def _clamped(tau: Nodes) -> Nodes:
    return {site: jnp.clip(x, -1.0, 1.0) for site, x in tau.items()}


def _batch_loss(
    plan: Plan,
    params: Any,
    means: Nodes,
    task: Task,
    honest: jax.Array,
    keep: Nodes,
    key: jax.Array,
) -> jax.Array:
    """Over a batch of pairs, each under an ablation of its own."""
    draw, kind, amounts = jax.random.split(key, 3)
    total = task.asked.position_B.shape[0] // 2
    pair_P = jax.random.randint(draw, (plan.pairs,), 0, total)
    row_B = (2 * pair_P[:, None] + jnp.arange(2)[None]).reshape(-1)
    own = task.rows(row_B)
    u_P = jax.random.uniform(kind, (plan.pairs,))
    frozen_B = jnp.repeat(u_P < honest * 2 / 3, 2).astype(jnp.float32)
    drawn_B = jnp.repeat(u_P < honest / 3, 2).astype(jnp.float32)
    amount = ablations.drawn_amounts(keep, amounts)
    tap = ablations.by_kind(keep, means, own.scales, amount, frozen_B, drawn_B)
    loss: jax.Array = ablations.loss(plan.config, params, own.asked, tap)
    return loss
