"""The fewest edges with which a circuit reaches the target (section 2.3).

This size is fair to dense models, which have a weight between any two nodes, most of
them with little effect. Single weights are ablated to their mean: with e = 1 for edges
that stay and 0 for others, W becomes W·e, and what the ablated edges contribute on
average, μ·W·(1 - e), is added to the bias.

The search is the same in every model. Edges are ranked by |e·dL/de|, averaged over a
few points between all edges and few; as few of the first as reach the target are kept;
this is repeated until none is removed. Then those with the least slope are ablated one
by one, and those with the least ablation cost are removed. The result is an upper
bound; none of the edges tried last can be removed from it.

Departure from the paper: a weight that reads values through attention is ablated to the
mean of the value; a sink takes a part of the attention, so the true mean is smaller.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx.circuits.measure import ablations, edges
from sparsetx.circuits.measure.edges import Edge
from sparsetx.circuits.measure.questions import Question, Scales
from sparsetx.config import ModelConfig
from sparsetx.model import mesh, parameters
from sparsetx.nodes import Nodes

WAY = (1.0, 0.75, 0.5, 0.25)  # factors on all edges at which slopes are taken
TRIED = 24  # numbers of edges tried at once
SINGLES = 64  # edges ablated one by one: those with the least slope
ROUNDS = 40
CHUNK = 8  # edge sets that a device evaluates in one call, always as many
SMALLEST = 2048  # programs are compiled for 2048, 4096, 8192, … edges
Alive = npt.NDArray[np.bool_]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Places:
    """The place of each edge: matrix (in the order of `_paths`), layer, row, column.
    Lists are padded with layers that do not exist, where nothing is written."""

    which_E: jax.Array
    layer_E: jax.Array
    row_E: jax.Array
    column_E: jax.Array


@dataclass(frozen=True)
class Fewest:
    """The edges that stay, in the order of computation, and the loss with them."""

    edges: list[Edge]
    loss: float


def places(config: ModelConfig, found: list[Any]) -> Places:
    """The places of edges as `edges.located` gives them."""
    length = max(SMALLEST, 1 << (len(found) - 1).bit_length())
    order = list(_paths(config))
    rows = np.full((4, length), config.n_layer, np.int32)
    for i, (path, place, _) in enumerate(found):
        rows[:, i] = order.index(path), *place
    return Places(*map(jnp.asarray, rows))


def keep_only(
    config: ModelConfig, params: Any, means: Nodes, where: Places, alive_E: jax.Array
) -> Any:
    """Parameters with each edge multiplied by `alive_E`; what is removed of it is
    replaced by its mean contribution, in the bias."""
    whole = dict(parameters.leaves(params))
    new = {}
    for number, (path, source) in enumerate(_paths(config).items()):
        w = jnp.asarray(whole[path])
        bias = (*path[:-1], parameters.B)
        layer_E = jnp.where(where.which_E == number, where.layer_E, config.n_layer)
        gone = jnp.zeros_like(w)
        gone = gone.at[layer_E, where.row_E, where.column_E].set(
            1 - alive_E, mode="drop"
        )
        new[path] = w * (1 - gone)
        new[bias] = whole[bias] + jnp.sum(means[source][:, :, None] * w * gone, 1)
    return parameters.replaced(params, new)


@dataclass(frozen=True)
class Bench:
    """A circuit whose edges can be ablated one by one."""

    config: ModelConfig
    params: Any
    means: Nodes
    asked: Question
    keep: Nodes
    scales: Scales | None
    where: Places

    def losses(self, alive: Alive) -> npt.NDArray[np.float32]:
        """[N] losses with only these edges left, [N, edge]."""
        devices = tuple(jax.local_devices())
        program, many = _losses(self.config, devices), CHUNK * len(devices)
        found = []
        for rows in mesh.portions(len(alive), many):
            wide = np.zeros((many, len(self.where.row_E)), np.float32)
            wide[:, : alive.shape[1]] = alive[rows]
            found.append(np.asarray(program(self._rest, wide)))
        return np.concatenate(found)[: len(alive)]

    def slopes(self, alive: Alive) -> npt.NDArray[np.float32]:
        """[edge]: the size of the loss's slope in each edge that is left."""
        wide = np.zeros(len(self.where.row_E), np.float32)
        wide[: len(alive)] = alive
        return np.asarray(_slopes(self.config, self._rest, wide))[: len(alive)]

    @property
    def _rest(self) -> tuple[Any, ...]:
        return (
            self.params, self.means, self.asked, self.keep, self.scales, self.where
        )  # fmt: skip


def fewest(
    config: ModelConfig,
    params: Any,
    means: Nodes,
    asked: Question,
    keep: Nodes,
    target: float,
    scales: Scales | None = None,
) -> Fewest:
    """The fewest edges with which a circuit reaches the target under mean ablation, or
    with `scales` under frozen norms. All edges, where all do not reach it."""
    found = list(edges.located(config, params, keep))
    where = places(config, found)
    bench = Bench(config, params, means, asked, keep, scales, where)
    alive = np.ones(len(found), bool)
    loss = float(bench.losses(alive[None])[0])
    if loss <= target:
        for smaller in (_by_slope, _one_by_one):
            for _ in range(ROUNDS):
                better = smaller(bench, alive, target)
                if better is None:
                    break
                alive, loss = better
    kept = [edge for (_, _, edge), stays in zip(found, alive, strict=True) if stays]
    return Fewest(edges.ordered(kept), loss)


def _by_slope(bench: Bench, alive: Alive, target: float) -> tuple[Alive, float] | None:
    """The edges with the largest slopes, as few as reach the target."""
    order = np.argsort(-bench.slopes(alive), kind="stable")
    counts = _counts(int(alive.sum()) - 1)
    if not counts:
        return None
    tried = np.zeros((len(counts), len(alive)), bool)
    for row, count in enumerate(counts):
        tried[row, order[:count]] = True
    losses = bench.losses(tried)
    fine = np.flatnonzero(losses <= target)
    return (tried[fine[0]], float(losses[fine[0]])) if len(fine) else None


def _one_by_one(
    bench: Bench, alive: Alive, target: float
) -> tuple[Alive, float] | None:
    """Without the edges of least ablation cost: as many as the target allows."""
    slope = np.where(alive, bench.slopes(alive), np.inf)
    least = np.argsort(slope, kind="stable")[: min(SINGLES, int(alive.sum()))]
    if not len(least):
        return None
    without = np.repeat(alive[None], len(least), 0)
    without[np.arange(len(least)), least] = False
    order = least[np.argsort(bench.losses(without), kind="stable")]
    counts = _counts(len(order))
    tried = np.repeat(alive[None], len(counts), 0)
    for row, count in enumerate(counts):
        tried[row, order[:count]] = False
    losses = bench.losses(tried)
    fine = np.flatnonzero(losses <= target)
    return (tried[fine[-1]], float(losses[fine[-1]])) if len(fine) else None


def _counts(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, …, most."""
    if most < 1:
        return []
    return sorted({int(x) for x in np.geomspace(1, most, TRIED).round()})


def _loss(config: ModelConfig, rest: tuple[Any, ...], alive_E: jax.Array) -> jax.Array:
    params, means, asked, keep, scales, where = rest
    fewer = keep_only(config, params, means, where, alive_E)
    return ablations.loss(config, fewer, asked, ablations.mean(keep, means), scales)


@functools.cache
def _losses(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    def all_of(rest: tuple[Any, ...], alive_NE: jax.Array) -> jax.Array:
        found: jax.Array = jax.lax.map(functools.partial(_loss, config, rest), alive_NE)
        return found

    return mesh.OverLanes(all_of, devices, whole=1)


@functools.partial(jax.jit, static_argnums=0)
def _slopes(
    config: ModelConfig, rest: tuple[Any, ...], alive_E: jax.Array
) -> jax.Array:
    def at(part: jax.Array) -> jax.Array:
        slope_E: jax.Array = jax.grad(functools.partial(_loss, config, rest))(
            part * alive_E
        )
        return slope_E

    slope_WE = jax.lax.map(at, jnp.array(WAY))
    return jnp.abs(jnp.mean(slope_WE, 0)) * alive_E


def _paths(config: ModelConfig) -> dict[parameters.Path, str]:
    """{matrix that holds edges: the site it reads}."""
    return {part.path: part.source for part in parameters.edges(config)}
