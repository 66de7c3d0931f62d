"""From scores to a circuit: how many nodes to keep, and which can go (section 2.3).

Nodes are ranked by τ; of those that tie, the ones that the task's loss leans on most
come first. The loss is not monotone in the number kept, so many numbers are tried at
once, and more below the smallest that reaches the target. Then nodes are removed while
the target holds, those first that cost least per edge they save.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits import ablate, edges
from sparsetx.circuits.search import Task
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes

CHUNK = 8  # masks evaluated side by side: a fixed shape, whatever their number
DRAWS = 8  # of stochastic ablation, where honesty is part of the target
SCAN, REFINE = 40, 16  # numbers of nodes tried
PASSES = 6  # rounds of removals
Mask = npt.NDArray[np.bool_]  # flat, in the order of nodes.flatten


@dataclass(frozen=True)
class Judge:
    """The loss that must reach the target: plain, or the worst of the honest three."""

    config: ModelConfig
    params: Any
    means: Nodes
    task: Task
    honest: bool
    seed: int = 0

    def __call__(self, masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """[N] losses of [N, node] masks."""
        found = []
        for start in range(0, len(masks), CHUNK):
            part = masks[start : start + CHUNK]
            short = CHUNK - len(part)
            whole = np.concatenate([part, np.repeat(part[-1:], short, 0)])
            tree = jax.vmap(functools.partial(as_tree, self.config))(jnp.asarray(whole))
            losses = _judged(
                self.config, self.honest, self.params, self.means, self.task,
                tree, jax.random.key(self.seed),
            )  # fmt: skip
            found.append(np.asarray(losses)[: len(part)])
        return np.concatenate(found)


def as_tree(config: ModelConfig, flat: jax.Array) -> Nodes:
    """A flat mask as a Nodes tree of zeros and ones, inside a program."""
    inside = [site for site in nodes.BLOCK_SITES if site in nodes.NODE_SITES]
    widths = [nodes.width(config, site) for site in inside]
    whole = flat.astype(jnp.float32).reshape(config.n_layer, sum(widths))
    parts = jnp.split(whole, np.cumsum(widths)[:-1], axis=1)
    return dict(zip(inside, parts, strict=True))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _judged(
    config: ModelConfig,
    honest: bool,
    params: Any,
    means: Nodes,
    task: Task,
    masks: Nodes,
    key: jax.Array,
) -> jax.Array:
    def one(keep: Nodes) -> jax.Array:
        if not honest:
            tap = ablate.mean(keep, means)
            return ablate.loss(config, params, task.asked, tap)
        keys = jax.random.split(key, DRAWS)
        figures = ablate.honest_losses(
            config, params, task.asked, keep, means, task.scales, keys
        )
        worst: jax.Array = ablate.honest_loss(figures)
        return worst

    losses: jax.Array = jax.lax.map(one, masks)
    return losses


@functools.partial(jax.jit, static_argnums=0)
def leaning(
    config: ModelConfig, params: Any, means: Nodes, task: Task, keep: Nodes
) -> Nodes:
    """|d loss / d mask| of every node, with the mask as it is."""

    def loss(keep: Nodes) -> jax.Array:
        tap = ablate.mean(keep, means)
        return ablate.loss(config, params, task.asked, tap)

    found: Nodes = jax.tree.map(jnp.abs, jax.grad(loss)(keep))
    return found


@dataclass(frozen=True)
class Chosen:
    """The circuit of one lane: its mask, what it costs, and the curve it came from."""

    mask: Mask
    loss: float
    curve: list[tuple[int, float]]  # (nodes kept by rank, loss)

    @property
    def reached(self) -> bool:
        return bool(self.mask.any())


def choose(judge: Judge, pattern: edges.Patterns, tau: Nodes, target: float) -> Chosen:
    """The smallest circuit found along the ranking, cleaned up."""
    config = judge.config
    keep = {site: jnp.float32(np.asarray(x) > 0) for site, x in tau.items()}
    lean = leaning(config, judge.params, judge.means, judge.task, keep)
    flat = nodes.flatten(config, {s: np.asarray(x) for s, x in tau.items()})
    tie = nodes.flatten(config, {s: np.asarray(x) for s, x in lean.items()})
    order = np.lexsort((-tie, -flat))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))

    def first(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = place[None, :] < counts[:, None]
        return found

    curve: dict[int, float] = {}

    def scan(counts: npt.NDArray[np.integer]) -> None:
        new = np.array(sorted({int(c) for c in counts} - curve.keys()))
        if len(new):
            curve.update(zip(new.tolist(), judge(first(new)).tolist(), strict=True))

    top = int(np.sum(flat > 0))
    scan(_spaced(4, max(8, min(len(flat), int(1.25 * top))), SCAN))
    passing = [k for k, loss in curve.items() if loss <= target]
    if passing:
        best = min(passing)
        below = max([k for k in curve if k < best], default=1)
        scan(np.linspace(below, best, REFINE + 2).astype(int)[1:-1])
        best = min(k for k, loss in curve.items() if loss <= target)
        mask, loss = clean(judge, pattern, first(np.array([best]))[0], target)
    else:
        mask, loss = np.zeros(len(flat), bool), min(curve.values())
    return Chosen(mask, loss, sorted(curve.items()))


def _spaced(low: int, high: int, count: int) -> npt.NDArray[np.integer]:
    return np.unique(np.geomspace(low, high, count).round().astype(int))


def clean(
    judge: Judge, pattern: edges.Patterns, mask: Mask, target: float
) -> tuple[Mask, float]:
    """Remove nodes while the target holds, the cheapest per edge saved first."""
    loss = float(judge(mask[None])[0])
    for _ in range(PASSES):
        kept = np.flatnonzero(mask)
        if len(kept) <= 1:
            break
        without = np.repeat(mask[None], len(kept), 0)
        without[np.arange(len(kept)), kept] = False
        cost = judge(without) - loss
        saved = size_of(judge.config, pattern, mask) - sizes_of(
            judge.config, pattern, without
        )
        order = kept[np.argsort(cost / np.maximum(saved, 0.5), kind="stable")]
        counts = [n for n in _prefixes(len(kept)) if n < len(kept)]
        tried = np.repeat(mask[None], len(counts), 0)
        for row, n in enumerate(counts):
            tried[row, order[:n]] = False
        losses = judge(tried)
        fine = [row for row in range(len(counts)) if losses[row] <= target]
        if not fine:
            break
        mask, loss = tried[fine[-1]], float(losses[fine[-1]])
    return mask, loss


def _prefixes(count: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, …: how many to remove at once."""
    return sorted({int(x) for x in np.geomspace(1, count, 24).round()})


def sizes_of(
    config: ModelConfig, pattern: edges.Patterns, masks: npt.NDArray[np.bool_]
) -> npt.NDArray[np.floating]:
    """[N] edges_plus of [N, node] masks."""
    return np.array([size_of(config, pattern, mask) for mask in masks])


def size_of(config: ModelConfig, pattern: edges.Patterns, mask: Mask) -> float:
    tree = nodes.unflatten(config, mask.astype(np.float32))
    return float(edges.size(config, pattern, tree).edges_plus)
