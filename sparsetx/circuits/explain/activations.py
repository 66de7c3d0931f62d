"""Run a circuit on prompts and collect the activations of its kept nodes.

One program serves all circuits of a model: it returns every site, for as many prompts
at a time as memory allows; the last prompt is repeated to fill up the last batch.
"""

from typing import Any

import numpy as np

from sparsetx import model, nodes, taps
from sparsetx.circuits import circuit_arrays
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.measure import ablations
from sparsetx.model import mesh
from sparsetx.run import check_ids

ROWS = 64  # prompts at a time, at most
ROOM = 2**26  # bytes for the activations of one batch of prompts


def of(
    circuit: Circuit,
    tokens_BL: Any,
    position_B: Any,
    pruned: bool = True,
    pairs: bool = True,
) -> Sample:
    """Activations in the circuit, all other nodes at their means; without `pruned`,
    in the whole model."""
    sites = sorted(circuit.keep)
    look = taps.capture([*sites, nodes.ATTN_PATTERN])
    tap = ablations.mean(circuit.keep, circuit.means) if pruned else taps.IDENTITY
    own_heads = circuit_arrays.of(circuit).heads
    values: dict[Any, list[Any]] = {node: [] for node in circuit.nodes}
    attention: dict[Any, list[Any]] = {which: [] for which in own_heads}
    count, both = len(tokens_BL), taps.compose(tap, look)
    ids_BL = check_ids(circuit.config, tokens_BL)
    wide = 4 * nodes.count(circuit.config) * ids_BL.shape[1]
    many = max(1, min(ROWS, ROOM // wide))
    for rows in mesh.portions(count, many):
        _, taken = model.trace(circuit.config, circuit.params, ids_BL[rows], both)
        found = {site: np.asarray(x) for site, x in taken.items()}
        for node, parts in values.items():
            ends = node.site in nodes.END_SITES
            x = found[node.site] if ends else found[node.site][node.layer]
            parts.append(x[..., node.index])
        for (layer, head), parts in attention.items():
            parts.append(found[nodes.ATTN_PATTERN][layer][:, head])
    return Sample(
        np.asarray(tokens_BL),
        np.asarray(position_B),
        {node: np.concatenate(parts)[:count] for node, parts in values.items()},
        {which: np.concatenate(parts)[:count] for which, parts in attention.items()},
        pairs,
    )
