"""Binarisation: can a circuit's nodes be replaced by two values each? (appendix)

Every kept node becomes a step with two values: the low one below their middle, else the
high one. They start as the means of its activations below and above a threshold at a
quarter, a half or three quarters of its range, whichever raises the loss least. Then
all are fitted together, while each node changes gradually from its activation x to the
step:

    t·x + (1 - t)·(low + (high - low)·sigmoid((x - middle) / (√t·width)))

where t = (1 - done)^5 falls from 1 to 0. Nodes are ranked by the loss with only this
node a step; the curve has the loss with the first nodes of that ranking as steps.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sparsetx import model, nodes, taps
from sparsetx.circuits.circuit import name_of
from sparsetx.circuits.controls.evidence import (
    Array,
    Evidence,
    loss_of,
    losses_of,
    stacked,
)
from sparsetx.circuits.measure import ablations, calibration
from sparsetx.circuits.measure.questions import Question
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap

THRESHOLDS = (0.25, 0.5, 0.75)  # of a node's range
STEPS, CALL, LR = 300, 25, 0.02
EPS = 1e-3  # slopes far below it (nats per distance of two values) have no effect
POWER = 5  # of 1 - done: t falls fast at first
SIZES = 24  # numbers of binarised nodes on the curve
WIDTH = 0.5  # of the sigmoid at t = 1, in distances between the two values
LEAST_T = 1e-3  # below it the sigmoid is replaced by a step


@dataclass(frozen=True, eq=False)
class Binarised:
    """`values` are {site: [layer, width, 2]}, low and high; `order` has the kept nodes'
    flat indices, those that raise the loss least first."""

    values: Nodes
    order: Array
    counts: Array  # how many nodes are binarised, the first of the order
    losses: Array  # with that many, in nats, on the few test prompts
    before: float
    start: float  # the loss with all binarised, before the fit
    target: float
    names: tuple[str, ...]  # in that order
    calibrated: tuple[float, float]  # losses before and after, each calibrated

    @property
    def after(self) -> float:
        return float(self.losses[-1])

    @property
    def most(self) -> int:
        """The most binarised nodes on the curve with which the target is reached."""
        fine = self.counts[self.losses <= self.target]
        return int(fine.max()) if len(fine) else 0


def binarise(evidence: Evidence, steps: int = STEPS) -> Binarised:
    seen = dataclasses.replace(evidence, test=evidence.train)
    values, order = _least_harmful(seen, _starts(seen))
    begun = _curve(evidence, values, order, np.array([len(order)]))
    fitted = _fitted(seen, values, order, steps)
    counts = np.unique(np.linspace(0, len(order), SIZES).round().astype(int))
    losses = _curve(evidence, fitted, order, counts, "binarise, curve")
    config, sites = evidence.config, evidence.sites
    names = tuple(name_of(nodes.node_at(config, int(i), sites)) for i in order)
    return Binarised(
        fitted, order, counts, losses, float(losses[0]), float(begun[0]),
        evidence.target, names, _calibrated(evidence, seen, fitted, order),
    )  # fmt: skip


def told(found: Binarised) -> dict[str, Any]:
    """The figures for controls.json."""
    return {
        "nodes": len(found.order),
        "at the target": found.most,
        "loss before": round(found.before, 6),
        "loss before the fit": round(found.start, 6),
        "loss": round(found.after, 6),
        "calibrated loss before": round(found.calibrated[0], 6),
        "calibrated loss": round(found.calibrated[1], 6),
        "curve": {
            "nodes": found.counts.tolist(),
            "loss": np.round(found.losses, 6).tolist(),
        },
        "order": list(found.names),
    }


def words(told: dict[str, Any]) -> str:
    return (
        f"With only two values for each of its {told['nodes']} nodes the loss changes "
        f"from {told['loss before']:.3f} to {told['loss']:.3f} (calibrated: "
        f"{told['calibrated loss before']:.3f} to {told['calibrated loss']:.3f}); "
        f"{told['at the target']} of them can be binarised within the target."
    )


# --- initial values -------------------------------------------------------------------


def _starts(evidence: Evidence) -> list[dict[str, Array]]:
    """Low and high values by each threshold, from activations on training prompts."""
    rows = min(len(evidence.train.asked), len(evidence.few.asked))
    few = evidence.train.rows(np.arange(rows))
    tap = taps.compose(
        ablations.mean(evidence.keep, evidence.means), taps.capture(evidence.sites)
    )
    tokens_BL = few.asked.tokens_BL
    _, taken = model.trace(evidence.config, evidence.params, tokens_BL, tap)
    place_L = np.arange(tokens_BL.shape[1])
    real_BL = place_L[None] <= np.asarray(few.asked.position_B)[:, None]
    found: list[dict[str, Array]] = [{} for _ in THRESHOLDS]
    for site, whole in taken.items():
        x = np.asarray(whole, np.float64)[..., real_BL, :]  # [layer, token, width]
        low, high = x.min(-2, keepdims=True), x.max(-2, keepdims=True)
        for tree, part in zip(found, THRESHOLDS, strict=True):
            above = x >= low + part * (high - low)
            tree[site] = np.stack(
                [_mean_where(x, ~above, low), _mean_where(x, above, high)], -1
            ).astype(np.float32)
    return found


def _mean_where(x: Array, here: Array, other: Array) -> Array:
    """Means over the tokens chosen by `here`; where there are none, `other`."""
    count = here.sum(-2)
    mean = (x * here).sum(-2) / np.maximum(count, 1)
    return np.where(count > 0, mean, other[..., 0, :])


def _least_harmful(
    evidence: Evidence, starts: list[dict[str, Array]]
) -> tuple[Nodes, Array]:
    """Each node's values by its best threshold, and the order of the nodes."""
    kept = np.flatnonzero(_flat(evidence, evidence.keep) > 0)
    cost = np.stack([_alone(evidence, values, kept) for values in starts])
    best = cost.argmin(0)
    which = np.zeros(len(_flat(evidence, evidence.keep)), np.int64)
    which[kept] = best
    tree = nodes.unflatten(evidence.config, which, evidence.sites)
    values = {
        site: np.choose(tree[site][..., None], [s[site] for s in starts])
        for site in evidence.sites
    }
    return values, kept[np.argsort(cost.min(0), kind="stable")]


def _alone(evidence: Evidence, values: Nodes, kept: Array) -> Array:
    """[N] losses with only one of the kept nodes a step."""
    masks = np.zeros((len(kept), len(_flat(evidence, evidence.keep))), np.float32)
    masks[np.arange(len(kept)), kept] = 1
    return losses_of(_margins(evidence, values, masks, "binarise, one by one"))


def _curve(
    evidence: Evidence, values: Nodes, order: Array, counts: Array, stage: str = ""
) -> Array:
    """[N] losses with the first `counts` nodes of the order as steps."""
    masks = _first(evidence, order, counts)
    return losses_of(_margins(evidence, values, masks, stage))


def _first(evidence: Evidence, order: Array, counts: Array) -> Array:
    masks = np.zeros((len(counts), len(_flat(evidence, evidence.keep))), np.float32)
    for row, count in zip(masks, counts, strict=True):
        row[order[:count]] = 1
    return masks


def _margins(evidence: Evidence, values: Nodes, masks: Array, stage: str = "") -> Array:
    config, sites = evidence.config, evidence.sites
    each = stacked([nodes.unflatten(config, row, sites) for row in masks])
    shared = evidence.keep, evidence.means, values
    return evidence.margins(_hard, shared, each, stage)


def _calibrated(
    evidence: Evidence, seen: Evidence, values: Nodes, order: Array
) -> tuple[float, float]:
    """Calibrated losses with no node a step and with all: the fit also scales margins
    up, which is not an effect of the two values."""
    masks = _first(evidence, order, np.array([0, len(order)]))
    fit = _margins(seen, values, masks)
    asked = _margins(evidence, values, masks)
    before, after = (
        loss_of(calibration.fit(seen.few.asked, one).margins(evidence.few.asked, other))
        for one, other in zip(fit, asked, strict=True)
    )
    return before, after


def _flat(evidence: Evidence, tree: Nodes) -> Array:
    return nodes.flatten(evidence.config, tree, evidence.sites)


# --- the step, and its fit ------------------------------------------------------------


def _hard(shared: tuple[Nodes, Nodes, Nodes], where: Nodes) -> Tap:
    keep, means, values = shared
    return _tap(keep, means, values, where, jnp.float32(0))


def _tap(keep: Nodes, means: Nodes, values: Nodes, where: Nodes, t: jax.Array) -> Tap:
    """Mean ablation, and steps for the nodes that are 1 in `where`."""
    own = {}
    for site, x in keep.items():
        wide = jnp.broadcast_to(t, jnp.shape(x))
        own[site] = jnp.asarray(values[site]), jnp.asarray(where[site]), wide
    return taps.compose(ablations.mean(keep, means), taps.at_sites(_step, own))


def _step(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
    """Replace nodes of a site by steps; t is 1 before and 0 after the change."""
    if site not in here:
        return x, None
    values, where, t = here[site]
    lead = (1,) * (x.ndim - 1)
    low, high = (values[:, i].reshape(*lead, -1) for i in (0, 1))
    where, t = where.reshape(*lead, -1), t.reshape(*lead, -1)
    middle = (low + high) / 2
    width = jnp.maximum(WIDTH * jnp.sqrt(t) * jnp.abs(high - low), 1e-6)
    soft = jax.nn.sigmoid((x - middle) / width)
    up = jnp.where(t > LEAST_T, soft, (x >= middle).astype(x.dtype))
    stepped = t * x + (1 - t) * (low + (high - low) * up)
    return jnp.where(where > 0, stepped, x), None


def _fitted(evidence: Evidence, values: Nodes, order: Array, steps: int) -> Nodes:
    """Fit all values together on training prompts. Returns those with the least loss as
    steps, of all calls: a fit to something smoother may overshoot."""
    asked, every = evidence.train.asked, np.array([len(order)])
    start = {site: jnp.asarray(x) for site, x in values.items()}
    scale = {site: _scale(x) for site, x in start.items()}
    moved = jax.tree.map(jnp.zeros_like, start)
    state = optax.adam(LR, eps=EPS).init(moved)
    best, least = values, _curve(evidence, values, order, every)[0]
    for first in range(0, steps, CALL):
        evidence.tell("binarise, fit", first, steps, "steps")
        moved, state = _advance(
            evidence.config, evidence.params, asked, evidence.keep, evidence.means,
            start, scale, moved, state, jnp.float32(first), jnp.float32(steps),
        )  # fmt: skip
        now = {s: np.asarray(x + moved[s] * scale[s]) for s, x in start.items()}
        loss = _curve(evidence, now, order, every)[0]
        if loss < least:
            best, least = now, loss
    evidence.tell("binarise, fit", steps, steps, "steps")
    return best


def _scale(values: jax.Array) -> jax.Array:
    """The unit in which values are moved: the distance between a node's two."""
    gap = jnp.abs(values[..., 1:] - values[..., :1])
    return jnp.broadcast_to(jnp.maximum(gap, 1e-3), values.shape)


@functools.partial(jax.jit, static_argnums=0)
def _advance(
    config: ModelConfig,
    params: Any,
    asked: Question,
    keep: Nodes,
    means: Nodes,
    start: Nodes,
    scale: Nodes,
    moved: Nodes,
    state: Any,
    first: jax.Array,
    total: jax.Array,
) -> tuple[Nodes, Any]:
    pairs = asked.tokens_BL.shape[0] // 2

    def loss(moved: Nodes, t: jax.Array, key: jax.Array) -> jax.Array:
        values = {site: x + moved[site] * scale[site] for site, x in start.items()}
        pair_P = jax.random.randint(key, (min(32, pairs),), 0, pairs)
        row_B = (2 * pair_P[:, None] + jnp.arange(2)[None]).reshape(-1)
        tap = _tap(keep, means, values, keep, t)
        return ablations.loss(config, params, asked.rows(row_B), tap)

    def step(carry: tuple[Nodes, Any], n: jax.Array) -> tuple[Any, None]:
        moved, state = carry
        done = n / total
        key = jax.random.fold_in(jax.random.key(0), n.astype(jnp.int32))
        slope = jax.grad(loss)(moved, (1 - done) ** POWER, key)
        updates, state = optax.adam(LR, eps=EPS).update(slope, state)
        slower = jax.tree.map(lambda u: u * (1 - done), updates)
        return (optax.apply_updates(moved, slower), state), None

    (moved, state), _ = jax.lax.scan(
        step, (moved, state), first + jnp.arange(CALL, dtype=jnp.float32)
    )
    return moved, state
