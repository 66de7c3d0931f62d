"""The size of a circuit: how nodes, edges and others are counted (section 2.3).

nodes       kept nodes, the final read among them where a mask has one
edges       nonzero weights between kept nodes, of the six kinds in parameters.edges; in
            a head with a sink that keeps a query or key channel but no value, also the
            output weights of its value channels into kept writes: the sink makes of
            them a constant that can be tuned
constants   kept nodes, other than reads, without such an edge into them: biases
edges_plus  edges and constants together: what the search minimises
pairs       kept sources times kept targets of each kind: a size without density
boundary    nonzero embedding weights of the prompts' tokens into kept reads, and
            unembedding weights from kept writes to the answers; a weight counts once,
            however many layers read or write its channel

The same code counts NumPy and JAX arrays. A dense model has no zeros: all its weights
between kept nodes count. Leaves of a mask may have leading axes, [..., layer, width]:
each of those masks is counted by itself. Counts are integers: above 2^24 a sum of
float32 would lose ones. The fewest edges that reach the target have to be searched for:
see effective_edges.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Node, Nodes

READS = (nodes.ATTN_IN, nodes.MLP_IN)
WRITES = (nodes.ATTN_OUT, nodes.MLP_OUT)
Patterns = Mapping[str, Any]  # {kind: [layer, source, target]}, 1 where w != 0


class Size(NamedTuple):
    """The counts of one mask, or arrays with those of many."""

    nodes: Any
    edges: Any
    constants: Any
    pairs: Any

    @property
    def edges_plus(self) -> Any:
        return self.edges + self.constants


@dataclass(frozen=True, slots=True)
class Edge:
    """A weight between two kept nodes."""

    src: Node
    dst: Node
    weight: float


def matrices(config: ModelConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """{kind: weights [layer, source, target]}."""
    found = dict(parameters.leaves(params))
    return {
        part.name: found[part.path][:, :, part.columns]
        for part in parameters.edges(config)
    }


def patterns(config: ModelConfig, params: Mapping[str, Any]) -> Patterns:
    """1.0 where a weight is not zero, else 0.0."""
    kinds = matrices(config, params)
    return {name: (w != 0).astype("float32") for name, w in kinds.items()}


def size(config: ModelConfig, pattern: Patterns, keep: Nodes) -> Size:
    """Count a mask of zeros and ones, or each of many, [..., layer, width]."""
    kept = _zeros_and_ones(keep)
    edges = constants = pairs = 0
    for part in parameters.edges(config):
        source, target = kept[part.source], kept[part.target]
        senders = _senders(config, kept, part)
        fed = _sums(senders, pattern[part.name]) * target
        edges = edges + _total(fed)
        constants = constants + _total(target * (fed == 0))
        each = _count(source, -1) * _count(target, -1)
        pairs = pairs + each.sum(-1)
    count = sum(
        _count(x, -1) if site in nodes.END_SITES else _total(x)
        for site, x in kept.items()
    )
    return Size(count, edges, constants, pairs)


def joined(config: ModelConfig, pattern: Patterns, keep: Nodes) -> Any:
    """The number of edges of one mask, differentiable: the search penalises it."""
    return sum(
        jnp.einsum(
            "ls,lst,lt->", keep[part.source], pattern[part.name], keep[part.target]
        )
        for part in parameters.edges(config)
    )


def listed(config: ModelConfig, params: Mapping[str, Any], keep: Nodes) -> list[Edge]:
    """The edges of one mask, in the order of computation."""
    return ordered(edge for _, _, edge in located(config, params, keep))


def ordered(found: Iterable[Edge]) -> list[Edge]:
    """Sorted by layer, by target site and channel, and by source channel."""
    site = {name: i for i, name in enumerate(nodes.BLOCK_SITES)}

    def place(edge: Edge) -> tuple[int, ...]:
        dst = edge.dst
        return dst.layer, site[dst.site], dst.index, edge.src.index

    return sorted(found, key=place)


def located(
    config: ModelConfig, params: Mapping[str, Any], keep: Nodes
) -> Iterator[tuple[parameters.Path, tuple[int, int, int], Edge]]:
    """(parameter, [layer, row, column] in it, edge) of every edge of one mask."""
    kept = _zeros_and_ones({site: np.asarray(x) for site, x in keep.items()})
    whole = dict(parameters.leaves(params))
    for part in parameters.edges(config):
        senders = _senders(config, kept, part) > 0
        for layer in range(config.n_layer):
            rows = np.flatnonzero(senders[layer])
            columns = np.flatnonzero(kept[part.target][layer])
            first = part.columns.start or 0
            w = np.asarray(whole[part.path][layer])[np.ix_(rows, first + columns)]
            for i, j in np.argwhere(w):
                row, column = int(rows[i]), int(columns[j])
                src = Node(part.source, layer, row)
                dst = Node(part.target, layer, column)
                place = (layer, row, first + column)
                yield part.path, place, Edge(src, dst, float(w[i, j]))


def boundary(params: Mapping[str, Any], keep: Nodes, tokens: Any, answers: Any) -> Any:
    """The boundary count (see above) of one mask, or of many."""
    embed = params[parameters.EMBED][parameters.W]
    unembed = params[parameters.UNEMBED][parameters.W]
    kept = _zeros_and_ones(keep)
    wide = embed.shape[1]  # position channels, read beside it, embed no token
    reads = sum(kept[site][..., :wide].sum(-2) for site in READS) > 0
    writes = sum(kept[site].sum(-2) for site in WRITES) > 0
    ins = embed[np.unique(np.asarray(tokens))] != 0
    outs = unembed[:, np.unique(np.asarray(answers))] != 0
    return (_against(reads, ins.sum(0)) * reads).sum(-1) + (
        _against(writes, outs.sum(1)) * writes
    ).sum(-1)


def _senders(config: ModelConfig, kept: Nodes, part: parameters.Weights) -> Any:
    """[..., layer, source]: 1 where a source's weights of this kind may count."""
    source = kept[part.source]
    if not config.sink or part.source != nodes.V:
        return source
    heads = (*source.shape[:-1], config.n_head, config.d_head)
    q, k, v = (
        kept[site].reshape(heads).sum(-1) for site in (nodes.Q, nodes.K, nodes.V)
    )
    free = ((q + k > 0) & (v == 0)).astype("float32")
    return source + _module(source).repeat(free, config.d_head, -1)


def _sums(senders: Any, pattern: Any) -> Any:
    """[..., layer, target]: from how many senders each target has an edge."""
    xp = _module(senders)
    many = xp.moveaxis(senders.reshape(-1, *senders.shape[-2:]), 1, 0)
    sums = xp.moveaxis(xp.matmul(many, pattern), 0, 1)
    return sums.reshape(*senders.shape[:-1], pattern.shape[-1])


def _count(x: Any, axis: Any) -> Any:
    return x.astype("int32").sum(axis)


def _total(x: Any) -> Any:
    return _count(x, (-2, -1))


def _zeros_and_ones(keep: Nodes) -> dict[str, Any]:
    """Rounded: a mask that passes gradients is 0 and 1 only up to rounding."""
    return {site: (x > 0.5).astype("float32") for site, x in keep.items()}


def _against(x: Any, counts_D: Any) -> Any:
    return counts_D.reshape((1,) * (x.ndim - 1) + counts_D.shape)


def _module(x: Any) -> ModuleType:
    return np if isinstance(x, np.ndarray) else jnp
