"""Running lanes on devices, always the same number in a call.

Rounding differs between a program of 16 lanes and one of 2, and a mask's step function
amplifies the difference into another circuit. So every call has `Deck.per_device` lanes
on each device; where fewer are left, the last is repeated. The same lane then gives the
same mask, bit for bit, alone, among others, and on eight devices.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.measure.questions import Task
from sparsetx.circuits.search import mask_search
from sparsetx.circuits.search.mask_search import Lanes, Mask, Plan, Settings
from sparsetx.model import mesh
from sparsetx.nodes import Nodes

COPIES = 6  # of each site's activations in memory, right within a factor of two
CPU_LANES = 1  # on a CPU, lanes in parallel take longer than one after another
BRING, GAIN, MOST = 0.7, 0.7, 1.5  # see Price


@dataclass(frozen=True)
class Price:
    """Lets k_coef, the price of nodes, follow a loss that another pool has, given a
    lane's number and scores: after every call the logarithm changes in proportion to
    that by which the loss is away from a part of the target. The loss of training says
    little where prompts on which other nodes mislead are few; with this one a search
    ends near its target, whatever the task."""

    target: float
    loss: Callable[[int, Nodes], float]

    def change(self, lane: int, tau: Nodes) -> float:
        away = np.log(BRING * self.target / max(self.loss(lane, tau), 1e-9))
        return GAIN * float(np.clip(away, -MOST, MOST))


@dataclass(frozen=True)
class Deck:
    """A plan, and how many lanes its program runs at once, on which devices."""

    plan: Plan
    per_device: int
    devices: tuple[jax.Device, ...]

    @property
    def lanes(self) -> int:
        return self.per_device * len(self.devices)


def deck(
    plan: Plan,
    length: int,
    memory: float,
    settings: int,
    devices: Sequence[jax.Device] | None = None,
) -> Deck:
    """As many lanes on each device as fit into `memory` bytes in total, but no more
    than one task has settings: the number of tasks must not change any mask."""
    devices = tuple(jax.local_devices() if devices is None else devices)
    fit = int(memory / len(devices) / lane_bytes(plan, length))
    if devices[0].platform == "cpu":
        fit = min(fit, CPU_LANES)
    return Deck(plan, max(1, min(fit, settings)), devices)


def lane_bytes(plan: Plan, length: int) -> int:
    """An estimate of the bytes that a step of one lane needs: its activations and
    attention; with remat, those of one layer, and the inputs of all layers."""
    config, rows = plan.config, 2 * plan.pairs
    wide = sum(nodes.width(config, site) for site in nodes.NODE_SITES)
    wide += 2 * config.n_head * length + 4 * config.d_model
    layers = COPIES * wide * (1 if config.remat else config.n_layer)
    begun = config.n_layer * config.d_model if config.remat else 0
    return 4 * rows * length * (layers + begun)


def run(
    deck: Deck,
    params: Any,
    means: Nodes,
    tasks: Task,
    lanes: Lanes,
    total: int,
    tell: Callable[[int], None] = lambda steps: None,
    price: Price | None = None,
    kept: Nodes | None = None,
) -> tuple[Nodes, Any]:
    """{site: [lane, layer, width]} scores and [lane] losses, after `total` steps that
    begin from masks of the same shape, or from all nodes.

    `tell` is called with the number of lane-steps done since its last call.
    """
    count = len(lanes.seed)
    found = []
    for place in mesh.portions(count, deck.lanes):
        own, begun = jax.tree.map(
            lambda x, place=place: jnp.asarray(x)[place], (lanes, kept)
        )
        mask = mask_search.begin(deck.plan, own, begun)
        loss = jnp.zeros(deck.lanes)
        for start in range(0, total, deck.plan.steps):
            times = jnp.full(deck.lanes, start), jnp.full(deck.lanes, float(total))
            mask, loss = program(deck)(params, means, tasks, own, mask, *times)
            jax.block_until_ready(loss)
            tell(deck.plan.steps * len(np.unique(place)))
            if price and start + deck.plan.steps < total:
                mask = _priced(mask, place, price, lanes.settings.follows)
        found.append((_numpy(mask.tau), np.asarray(loss)))
    whole = jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *found)
    tau, losses = whole
    return tau, losses


def _priced(
    mask: Mask, place: npt.NDArray[np.integer], price: Price, follows: Any
) -> Mask:
    """With the price of those lanes changed that follow the judge's loss."""
    tau = _numpy(mask.tau)
    each = {
        int(lane): price.change(int(lane), {site: x[row] for site, x in tau.items()})
        for row, lane in enumerate(place)
        if follows[lane] and lane not in place[:row]  # padded with repeats
    }
    change = np.array([each.get(int(lane), 0.0) for lane in place], np.float32)
    return dataclasses.replace(mask, log_k=mask.log_k + change)


def stacked(which: Sequence[tuple[int, int, Settings]]) -> Lanes:
    """Lanes of (task, seed, settings)."""
    settings = jax.tree.map(lambda *x: np.array(x, np.float32), *[w[2] for w in which])
    task, seed = np.array([w[:2] for w in which], np.int32).T
    return Lanes(task, seed, settings)


@functools.cache
def program(deck: Deck) -> mesh.OverLanes:
    """The program of one call: `plan.steps` steps of every lane."""

    def advance(
        params: Any, means: Nodes, tasks: Task, lanes: Lanes, mask: Mask, *times: Any
    ) -> tuple[Mask, jax.Array]:
        start, total = times[0][0], times[1][0]
        return mask_search.advance(
            deck.plan, params, means, tasks, lanes, mask, start, total
        )

    return mesh.OverLanes(advance, deck.devices, whole=3)


def _numpy(tree: Nodes) -> dict[str, np.ndarray]:
    return {site: np.asarray(x) for site, x in tree.items()}


def memory_here() -> float:
    """Half of the memory of this process's devices, in bytes."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(stats):
        return float(sum(s["bytes_limit"] for s in stats) / 2)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
