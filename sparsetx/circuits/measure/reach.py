"""Which nodes of a circuit are connected to an answer by a path of its own nodes.

A write is connected to later reads of its channel, and to answers for which its
unembedding weights are not zero. A neuron, a value or a read is connected to the nodes
that it has an edge to. Queries and keys are connected to what their head's values are;
with a sink, whose part of the attention varies, also to the head's writes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure import edges
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Nodes


def joined(
    config: ModelConfig,
    params: Mapping[str, Any],
    pattern: edges.Patterns,
    keep: Nodes,
    answers: Sequence[int],
) -> dict[str, np.ndarray]:
    """The mask without the nodes that are not connected to an answer."""
    found = {site: np.array(x) > 0.5 for site, x in keep.items()}
    kinds = {part.name: part for part in parameters.edges(config)}
    unembed_DV = np.asarray(params[parameters.UNEMBED][parameters.W])
    answered_D = (unembed_DV[:, list(answers)] != 0).any(1)
    if nodes.FINAL in found:
        found[nodes.FINAL] &= answered_D
        answered_D = found[nodes.FINAL]
    for layer in reversed(range(config.n_layer)):
        for write, middle, read in (
            (nodes.MLP_OUT, (nodes.MLP_NEURON,), nodes.MLP_IN),
            (nodes.ATTN_OUT, (nodes.V, nodes.Q, nodes.K), nodes.ATTN_IN),
        ):
            found[write][layer] &= answered_D
            for site in middle:
                if site in (nodes.Q, nodes.K):
                    own = _of_heads(config, found, pattern, layer)
                else:
                    own = _to(kinds, pattern, found, layer, site, write)
                found[site][layer] &= own
            to_any = [_to(kinds, pattern, found, layer, read, site) for site in middle]
            found[read][layer] &= np.any(to_any, axis=0)
            answered_D = answered_D | found[read][layer][: config.d_model]
    return {site: x.astype(np.float32) for site, x in found.items()}


def _to(
    kinds: Mapping[str, parameters.Weights],
    pattern: edges.Patterns,
    found: Mapping[str, np.ndarray],
    layer: int,
    source: str,
    target: str,
) -> np.ndarray:
    """Which channels of `source` have a weight to a kept channel of `target`."""
    (name,) = [n for n, p in kinds.items() if (p.source, p.target) == (source, target)]
    weight = np.asarray(pattern[name][layer])
    reached: np.ndarray = weight @ found[target][layer].astype(np.float32) > 0
    return reached


def _of_heads(
    config: ModelConfig,
    found: Mapping[str, np.ndarray],
    pattern: edges.Patterns,
    layer: int,
) -> np.ndarray:
    """Channels of heads whose attention has an effect: a value is kept, or there is a
    sink and constant values have weights to kept writes."""
    shape = (config.n_head, config.d_head)
    matters = found[nodes.V][layer].reshape(shape).any(1)
    if config.sink:
        kinds = {part.name: part for part in parameters.edges(config)}
        out = _to(kinds, pattern, found, layer, nodes.V, nodes.ATTN_OUT)
        matters |= out.reshape(shape).any(1)
    return np.repeat(matters, config.d_head)
