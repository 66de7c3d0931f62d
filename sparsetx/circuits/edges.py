"""How large a circuit is: one rule for each count, NumPy and JAX alike (section 2.3).

edges       nonzero weights between kept nodes, of the six kinds in parameters.edges; in
            a head with a sink that keeps a query or key channel but no value, also the
            output weights of its value channels into kept writes: the sink makes of
            them a constant that can be tuned
constants   kept nodes other than reads without such an edge into them: free biases
edges_plus  both together: what the search makes small
pairs       kept sources times kept targets, kind by kind: a size free of density
boundary    nonzero embedding weights of the prompts' tokens into kept reads, and
            unembedding weights from kept writes to the answers

A dense model has no zeros: all its weights between kept nodes count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from sparsetx import nodes, parameters
from sparsetx.config import ModelConfig
from sparsetx.nodes import Node, Nodes

READS = (nodes.ATTN_IN, nodes.MLP_IN)
WRITES = (nodes.ATTN_OUT, nodes.MLP_OUT)
SINK_EDGES = "W_o of sink heads"
Patterns = Mapping[str, Any]  # {kind: [layer, source, target]}, 1 where a weight is


class Size(NamedTuple):
    """The counts of one mask (or of many, under vmap)."""

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
    """Where weights are not zero, as numbers that can be summed."""
    kinds = matrices(config, params)
    return {name: (w != 0).astype("float32") for name, w in kinds.items()}


def size(config: ModelConfig, pattern: Patterns, keep: Nodes) -> Size:
    """All counts of a mask of zeros and ones."""
    xp = _module(keep)
    total = pairs = 0.0
    fed = dict.fromkeys(keep, 0.0)
    for part in parameters.edges(config):
        source, target = keep[part.source], keep[part.target]
        into = xp.einsum("ls,lst->lt", source, pattern[part.name]) * target
        total = total + into.sum()
        pairs = pairs + (source.sum(-1) * target.sum(-1)).sum()
        fed[part.target] = fed[part.target] + into
    if config.sink:
        free = _free_values(config, keep)
        out = keep[nodes.ATTN_OUT]
        into = xp.einsum("ls,lst->lt", free, pattern[_output(config)]) * out
        total = total + into.sum()
        fed[nodes.ATTN_OUT] = fed[nodes.ATTN_OUT] + into
    free_nodes = [
        (keep[site] * (fed[site] == 0)).sum() for site in keep if site not in READS
    ]
    count = sum(x.sum() for x in keep.values())
    return Size(count, total, sum(free_nodes), pairs)


def _free_values(config: ModelConfig, keep: Nodes) -> Any:
    """[layer, v channel]: 1 in heads that keep a query or key but no value."""
    xp = _module(keep)
    heads = (config.n_layer, config.n_head, config.d_head)
    q, k, v = (keep[s].reshape(heads).sum(-1) for s in (nodes.Q, nodes.K, nodes.V))
    free = ((q + k > 0) & (v == 0)).astype("float32")
    return xp.repeat(free, config.d_head, -1)


def listed(config: ModelConfig, params: Mapping[str, Any], keep: Nodes) -> list[Edge]:
    """The edges themselves, in the order of computation."""
    weights = {name: np.asarray(w) for name, w in matrices(config, params).items()}
    mask = {site: np.asarray(x) > 0 for site, x in keep.items()}
    ends = [
        (p.name, mask[p.source], p.source, p.target) for p in parameters.edges(config)
    ]
    if config.sink:
        free = (
            np.asarray(_free_values(config, {s: np.asarray(keep[s]) for s in keep})) > 0
        )
        ends.append((_output(config), free, nodes.V, nodes.ATTN_OUT))
    found = []
    for name, sources, source, target in ends:
        alive = (weights[name] != 0) & sources[:, :, None] & mask[target][:, None, :]
        for layer, i, j in np.argwhere(alive):
            src, dst = (
                Node(source, int(layer), int(i)),
                Node(target, int(layer), int(j)),
            )
            found.append(Edge(src, dst, float(weights[name][layer, i, j])))
    order = {site: i for i, site in enumerate(nodes.BLOCK_SITES)}
    return sorted(
        found,
        key=lambda e: (e.dst.layer, order[e.dst.site], e.dst.index, e.src.index),
    )


def boundary(params: Mapping[str, Any], keep: Nodes, tokens: Any, answers: Any) -> int:
    """Weights by which the circuit meets text: NumPy only, of one mask."""
    reads = sum(np.asarray(keep[site]).sum(0) for site in READS)
    writes = sum(np.asarray(keep[site]).sum(0) for site in WRITES)
    embed = np.asarray(params[parameters.EMBED][parameters.W])
    unembed = np.asarray(params[parameters.UNEMBED][parameters.W])
    read = np.asarray(reads)[: embed.shape[1]] > 0  # position channels embed no token
    came_in = embed[np.unique(np.asarray(tokens))][:, read]
    goes_out = unembed[np.asarray(writes) > 0][:, np.unique(np.asarray(answers))]
    return int(np.count_nonzero(came_in) + np.count_nonzero(goes_out))


def _output(config: ModelConfig) -> str:
    (name,) = [p.name for p in parameters.edges(config) if p.source == nodes.V]
    return name


def _module(keep: Nodes) -> ModuleType:
    first = next(iter(keep.values()))
    return np if isinstance(first, np.ndarray) else jnp
