"""The search for masks by gradient, many at once (section 2.3 and appendix).

A lane is one attempt: a task, a seed, and settings. Its mask has a score τ in [-1, 1]
per node; a node is kept where τ > 0, and gradients pass through a sigmoid. `vmap` runs
lanes in parallel, `shard_map` spreads them over devices. A device always has the same
number of lanes, padded with repeats: a lane gives the same mask, bit for bit, alone,
among others, and on eight devices.

`honest` sets the ablations of the pairs of a batch: with 0, all have mean ablation (the
paper's procedure); with 1, a third have mean ablation, a third also frozen norms, and a
third stochastic ablation with frozen norms. `faithful` is the share by which three
quarters of the pairs are resampled instead: nodes outside the mask take their values
from other prompts, half all from one, half each from its own.

Departure from the paper, whose penalty is the same for every node: here half of the
penalty depends on the edges that a node has to other kept nodes, since edges are what
is reported; `edge_share` 0 gives the paper's.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from sparsetx import nodes
from sparsetx.circuits.measure import ablations, donors, edges
from sparsetx.circuits.measure.questions import Task
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes

BETA1, EPS, CLIP, WARMUP = 0.9, 1e-8, 1.0, 0.05
MOVED = 0.75  # share of the pairs that are resampled
APART = 0.5  # of these, each node from a prompt of its own
OUTSIDE = 0.05  # below zero: where nodes begin that a mask does not keep
DEAREST = 1.4  # nats: at first all nodes together cost no more
# Hard-concrete gates (Louizos et al. 2018): the temperature, the ends of the interval
# to which a sigmoid is stretched, and the log-odds of τ = 1.
SOFT, LOW, HIGH, LOG_ODDS = 2 / 3, -0.1, 1.1, 10.0
Gates = Literal["step", "hard-concrete"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Settings:
    """Settings of one lane, or [lane] arrays of many. Defaults are the centres of the
    paper's search, except for edge_share, and for k_coef and lr, whose useful range
    depends on the number of nodes and of steps."""

    k_coef: Any = 2e-3  # nats per kept node, at first
    follows: Any = 0.0  # 1: k_coef follows the judge's loss; 0: it stays
    edge_share: Any = 0.5  # of that penalty, the part by a node's edges
    lr: Any = 1e-2
    init_bias: Any = 0.1
    init_scale: Any = 1e-2
    temperature: Any = 1.0
    weight_decay: Any = 1e-3
    beta2: Any = 0.95
    honest: Any = 0.0
    faithful: Any = 0.0


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
    """A lane's scores, its optimiser's moments, and by how much log k_coef has changed
    since the start."""

    tau: Nodes
    first: Nodes
    second: Nodes
    log_k: jax.Array


@dataclass(frozen=True)
class Plan:
    """What a program is compiled for: each plan has one."""

    config: ModelConfig
    pairs: int  # in a batch
    steps: int  # in one call: a search makes several, and reports progress between
    final: bool = False  # mask the residual before the last norm as well
    tied: bool = False  # keep a key channel where its query channel is kept
    gates: Gates = "step"

    @property
    def sites(self) -> tuple[str, ...]:
        return (*nodes.NODE_SITES, nodes.FINAL) if self.final else nodes.NODE_SITES


def first_price(means: Nodes) -> float:
    """k_coef at the start where it follows the judge (lanes.Price): low where there are
    many nodes, for what a mask has lost at once comes back slowly."""
    return float(min(Settings.k_coef, DEAREST / sum(x.size for x in means.values())))


def begin(plan: Plan, lanes: Lanes, kept: Nodes | None = None) -> Mask:
    """Initial masks: τ ~ N(bias, scale²), from each lane's seed. Nodes that [lane]
    masks `kept` leave out begin below zero, but for the noise."""
    shapes = nodes.shapes(plan.config, plan.sites)
    count = lanes.seed.shape[0]
    kept = kept or {site: jnp.ones((count, *own)) for site, own in shapes.items()}

    def one(seed: jax.Array, settings: Settings, kept: Nodes) -> Mask:
        key = jax.random.fold_in(jax.random.key(0), seed)
        tau, zero = {}, {}
        for i, (site, shape) in enumerate(sorted(shapes.items())):
            noise = jax.random.normal(jax.random.fold_in(key, i), shape)
            bias = jnp.where(kept[site] > 0, settings.init_bias, -OUTSIDE)
            tau[site] = bias + settings.init_scale * noise
            zero[site] = jnp.zeros(shape)
        scores = ranked(plan, _clamped(tau))
        return Mask(scores, zero, zero, jnp.float32(0))

    found: Mask = jax.vmap(one)(lanes.seed, lanes.settings, kept)
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
    """Do `plan.steps` of `total` steps of every lane, from step `start` on. Masks, and
    [lane] task losses. The learning rate falls to zero at `total`."""

    def one(lane: Lanes, mask: Mask) -> tuple[Mask, jax.Array]:
        own = jax.tree.map(lambda x: x[lane.task], tasks)
        if own.donors is not None:  # new partners apart at every call
            key = jax.random.fold_in(jax.random.key(2), lane.seed)
            mixed = donors.both(own.donors, jax.random.fold_in(key, start))
            own = dataclasses.replace(own, donors=mixed)

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
    """One step of AdamW with the gradient clipped by norm; τ is clipped to [-1, 1]."""
    gradient, loss = _gradient(plan, params, means, task, settings, mask, key)
    t = n + 1.0
    done = t / total
    rate = settings.lr * jnp.minimum(done / WARMUP, 1.0) * jnp.maximum(1.0 - done, 0.0)

    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mask.first, gradient)
    second = jax.tree.map(
        lambda v, g: settings.beta2 * v + (1 - settings.beta2) * g * g,
        mask.second,
        gradient,
    )

    # Factors, not divisors: compilers may or may not invert a shared divisor, and one
    # device would round differently from eight.
    warm, warmer = 1 / (1 - BETA1**t), 1 / (1 - settings.beta2**t)

    def moved(tau: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        push = warm * m / (jnp.sqrt(warmer * v) + EPS) + settings.weight_decay * tau
        return jnp.asarray(tau - rate * push)

    tau = _clamped(jax.tree.map(moved, mask.tau, first, second))
    return Mask(ranked(plan, tau), first, second, mask.log_k), loss


def _gradient(
    plan: Plan,
    params: Any,
    means: Nodes,
    task: Task,
    settings: Settings,
    mask: Mask,
    key: jax.Array,
) -> tuple[Nodes, jax.Array]:
    """Of the loss on a batch and the penalty, clipped by norm; and the loss."""

    def objective(tau: Nodes) -> tuple[jax.Array, jax.Array]:
        keep, counted = _gates(plan, settings, ranked(plan, tau), key)
        loss = _batch_loss(plan, params, means, task, settings, keep, key)
        k_coef = settings.k_coef * jnp.exp(mask.log_k)
        return loss + k_coef * _penalty(plan, params, settings, counted), loss

    gradient, loss = jax.grad(objective, has_aux=True)(mask.tau)
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in gradient.values()))
    factor = jnp.minimum(1.0, CLIP / (norm + 1e-12))
    return jax.tree.map(lambda g: g * factor, gradient), loss


def _penalty(plan: Plan, params: Any, settings: Settings, keep: Nodes) -> jax.Array:
    """The number of kept nodes, of which a part is weighted by the edges that a node
    has to other kept nodes, divided by their mean."""
    count = sum(jnp.sum(x) for x in keep.values())
    joined: jax.Array = edges.joined(
        plan.config, edges.patterns(plan.config, params), keep
    )
    unit = jax.lax.stop_gradient(count / jnp.maximum(joined, 1.0)) / 2
    share = settings.edge_share
    penalty: jax.Array = (1 - share) * count + share * unit * joined
    return penalty


def ranked(plan: Plan, tau: Nodes) -> Nodes:
    """The scores that decide: if tied, keys have those of their queries."""
    return {**tau, nodes.K: tau[nodes.Q]} if plan.tied else tau


def _gates(
    plan: Plan, settings: Settings, tau: Nodes, key: jax.Array
) -> tuple[Nodes, Nodes]:
    """What nodes are multiplied by, and how much each counts in the penalty."""
    if plan.gates == "step":
        keep = hard(tau, settings.temperature)
        return keep, keep
    return hard_concrete(tau, jax.random.fold_in(key, 4))


def hard_concrete(tau: Nodes, key: jax.Array) -> tuple[Nodes, Nodes]:
    """The peer that our step is compared with: gates drawn from a stretched sigmoid
    that is cut to [0, 1], and their probability of not being 0."""
    drawn, likely = {}, {}
    for i, (site, x) in enumerate(sorted(tau.items())):
        noise = jax.random.logistic(jax.random.fold_in(key, i), x.shape)
        soft = jax.nn.sigmoid((LOG_ODDS * x + noise) / SOFT)
        drawn[site] = jnp.clip(LOW + (HIGH - LOW) * soft, 0.0, 1.0)
        likely[site] = jax.nn.sigmoid(LOG_ODDS * x - SOFT * math.log(-LOW / HIGH))
    return drawn, likely


def hard(tau: Nodes, temperature: Any) -> Nodes:
    """1 where τ > 0, else 0; the gradient is that of a sigmoid."""

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
    settings: Settings,
    keep: Nodes,
    key: jax.Array,
) -> jax.Array:
    """The loss of a random batch of pairs, each under its own kind of ablation."""
    draw, kind, amounts = jax.random.split(key, 3)
    honest = settings.honest
    total = task.asked.position_B.shape[0] // 2
    pair_P = jax.random.randint(draw, (plan.pairs,), 0, total)
    row_B = (2 * pair_P[:, None] + jnp.arange(2)[None]).reshape(-1)
    own = task.rows(row_B)
    u_P = jax.random.uniform(kind, (plan.pairs,))
    frozen_B = jnp.repeat(u_P < honest * 2 / 3, 2).astype(jnp.float32)
    drawn_B = jnp.repeat(u_P < honest / 3, 2).astype(jnp.float32)
    amount = ablations.drawn_amounts(keep, amounts)
    resampled = None
    if own.donors is not None:
        moved_B, donor_B = _resampled(plan, settings, own.donors, key)
        frozen_B, drawn_B = frozen_B * (1 - moved_B), drawn_B * (1 - moved_B)
        resampled = moved_B, donors.given(own.donors, donor_B)
    tap = ablations.by_kind(
        keep, means, own.scales, amount, frozen_B, drawn_B, resampled
    )
    loss: jax.Array = ablations.loss(plan.config, params, own.asked, tap)
    return loss


def _resampled(
    plan: Plan, settings: Settings, given: Nodes, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Which rows of a batch are resampled, and from which donors."""
    kind, which = jax.random.split(jax.random.fold_in(key, 3))
    u_P = jax.random.uniform(kind, (plan.pairs,))
    many = donors.size(given) // 2  # as they are; behind them as many apart
    moved_B = jnp.repeat(u_P < MOVED * settings.faithful, 2).astype(jnp.float32)
    apart_B = jnp.repeat(u_P < APART * MOVED * settings.faithful, 2).astype(jnp.int32)
    donor_B = jax.random.randint(which, (2 * plan.pairs,), 0, many)
    return moved_B, donor_B + many * apart_B
