"""What the kept nodes of a circuit do on prompts: the arrays that describe.py reads."""

from typing import Any

import numpy as np

from sparsetx import model, nodes, taps
from sparsetx.circuits import ablate, arrays
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.drive import Sample
from sparsetx.run import check_ids

ROWS = 64  # prompts at a time


def of(
    circuit: Circuit,
    tokens_BL: Any,
    position_B: Any,
    pruned: bool = True,
    pairs: bool = True,
) -> Sample:
    """In the circuit, all other nodes at their means; or, not `pruned`, in the whole
    model."""
    sites = sorted({node.site for node in circuit.nodes})
    look = taps.capture([*sites, nodes.ATTN_PATTERN])
    tap = ablate.mean(circuit.keep, circuit.means) if pruned else taps.IDENTITY
    own_heads = arrays.of(circuit).heads
    values: dict[Any, list[Any]] = {node: [] for node in circuit.nodes}
    attention: dict[Any, list[Any]] = {which: [] for which in own_heads}
    for first in range(0, len(tokens_BL), ROWS):
        ids = check_ids(circuit.config, tokens_BL[first : first + ROWS])
        both = taps.compose(tap, look)
        _, taken = model.trace(circuit.config, circuit.params, ids, both)
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
        {node: np.concatenate(parts) for node, parts in values.items()},
        {which: np.concatenate(parts) for which, parts in attention.items()},
        pairs,
    )
