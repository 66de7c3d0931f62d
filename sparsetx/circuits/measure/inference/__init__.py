"""Logits of a circuit from its own weights (`folding.py`), at a cost that follows them.

The same as the model under mean ablation, to rounding. In NumPy, since a circuit is
small and every circuit another program, which would take longer to compile than to run
a hundred times.

`fold` has no such form of a circuit where AbsTopK acts on the residual itself (then
every channel can depend on every kept node), where values are held as bfloat16, and
where the circuit is most of its model; the tapped model serves these.
"""

from typing import Any

from sparsetx import nodes
from sparsetx.circuits.measure.inference import folding
from sparsetx.circuits.measure.inference.forward import Folded as Folded
from sparsetx.circuits.measure.inference.table import Table
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes

# An operation of NumPy on small arrays takes as long as so many of a large product.
SLOWER = 16
SMALL = 10**6  # weights; below that the tapped model takes longer to compile


def fold(
    config: ModelConfig,
    params: Any,
    keep: Nodes,
    means: Nodes,
    slower: int = SLOWER,
) -> Folded | None:
    """The circuit's own weights; None where they would not do (see above), or would
    take longer than the tapped model, if an operation takes so many times as long."""
    selected = set(nodes.active_sites(config)) & set(nodes.RESIDUAL_SITES)
    whole = set(nodes.NODE_SITES) - set(keep)
    other = set(keep) - {*nodes.NODE_SITES, nodes.FINAL}
    if selected or whole or other or config.compute != "float32":
        return None
    own = folding.weights(config, params, keep, means)
    kept = sum(int(x.sum()) for x in own.keep.values())
    if kept > 0.1 * nodes.count(config) and kept > 1000:
        return None  # to fold it would already take longer
    sublayers = tuple(own.sublayers())
    folded = Folded(own, sublayers, Table(own, sublayers))
    large = sum(x.size for x in own.params.values() if x.ndim > 1)
    return folded if slower * work(folded) <= max(large, SMALL) else None


def work(folded: Folded) -> int:
    """Operations for each token, roughly, before the unembedding."""
    return sum(_work(s.part) for s in folded.sublayers if s.part is not None)


def _work(part: folding.Attention | folding.Mlp) -> int:
    reading = part.reading
    rivals = 0 if reading.rank is None else 2 * len(reading.rank.index_M)
    found = len(reading.kept_N) * (rivals + 1) + part.write.work
    if isinstance(part, folding.Mlp):
        return found + part.neurons.work
    scores = sum(len(h.query_N) + len(h.value_N) + 8 for h in part.heads)
    return found + scores * 64 + part.q.work + part.k.work + part.v.work
