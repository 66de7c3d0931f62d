"""A folded circuit with one change at a time: a node held at other values, or an edge
set to its mean.

What a change does not reach is as it was: it is taken from one run that is recorded,
so that a change costs only what comes after it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure.edges import Edge
from sparsetx.circuits.measure.inference import folding, forward
from sparsetx.circuits.measure.inference.folding import Array, Linear
from sparsetx.circuits.measure.inference.forward import (
    INPUT,
    KEPT,
    SUMS,
    Folded,
    Spot,
)
from sparsetx.nodes import Node

# The order within a sublayer; sites of one number do not read each other.
ORDER = {
    nodes.ATTN_IN: 0, nodes.Q: 1, nodes.K: 1, nodes.V: 1, nodes.ATTN_OUT: 2,
    nodes.MLP_IN: 0, nodes.MLP_NEURON: 1, nodes.MLP_OUT: 2,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Change:
    """Other values of one row."""

    spot: Spot
    row: int
    value_T: Array

    def reaches(self, spot: Spot) -> bool:
        """Whether what is computed there may depend on it."""
        own = self.spot
        if spot.sublayer != own.sublayer:
            return spot.sublayer > own.sublayer
        if spot.site == own.site:
            return spot.stage > own.stage
        return ORDER[spot.site] > ORDER[own.site]


class Recorded:
    """A run of a circuit on some prompts, for logits at one place of each."""

    def __init__(self, folded: Folded, tokens_BL: Any, place_B: Any) -> None:
        self.folded, self.place_B = folded, np.asarray(place_B)
        self.tokens_BL = np.asarray(tokens_BL)[:, : self.place_B.max() + 1]
        self.seen: dict[Spot, Array] = {}
        self.states = [forward.begin(folded, self.tokens_BL, self.place_B)]
        for i in range(len(folded.sublayers)):
            self.states.append(
                forward.step(folded, i, self.states[-1], self.place_B, self._note)
            )

    def _note(self, spot: Spot, compute: Callable[[], Array]) -> Array:
        found = self.seen[spot] = compute()
        return found

    def logits(self, change: Change | None = None) -> Array:
        """[B, V]: as they were, or with a change."""
        state, folded = self.states[-1], self.folded
        if change is not None:
            visit = functools.partial(self._again, change)
            state = self.states[change.spot.sublayer]
            for i in range(change.spot.sublayer, len(folded.sublayers)):
                state = forward.step(folded, i, state, self.place_B, visit)
        return forward.unembed(folded, state)

    def _again(self, change: Change, spot: Spot, compute: Callable[[], Array]) -> Array:
        if change.reaches(spot):
            return compute()
        found = self.seen[spot]
        if spot == change.spot:
            found = found.copy()
            found[change.row] = change.value_T
        return found

    def held(self, node: Node, value_BL: Array) -> Change | None:
        """A kept node at other values; None if its sublayer writes nothing."""
        spot = _spot(node, KEPT)
        if spot not in self.seen:
            return None
        row = int(np.searchsorted(self._kept(spot), node.index))
        value_BL = value_BL[:, : self.tokens_BL.shape[1]]
        if self.seen[spot].shape[1] < value_BL.size:  # only the last place is followed
            value_BL = value_BL[np.arange(len(value_BL)), self.place_B]
        return Change(spot, row, value_BL.ravel())

    def without(self, edge: Edge) -> Change | None:
        """What an edge carries at its mean."""
        spot = _spot(edge.dst, SUMS)
        if spot not in self.seen:
            return None
        target = self._linear(spot)
        row = int(target.place_N[np.searchsorted(target.kept_N, edge.dst.index)])
        mean = self.folded.weights.means[edge.src.site][edge.src.layer, edge.src.index]
        more_T = edge.weight * (mean - self._carried(edge, mean))
        return Change(spot, row, self.seen[spot][row] + more_T)

    def _carried(self, edge: Edge, mean: Any) -> Array:
        """[T]: what its weight is multiplied by."""
        spot = _spot(edge.dst, INPUT)
        input_IT, src = self.seen[spot], edge.src
        if src.site != nodes.V:
            kept_N = self._kept(_spot(src, KEPT))
            source_T: Array = input_IT[np.searchsorted(kept_N, src.index)]
            return source_T
        part = self.folded.sublayers[spot.sublayer].part
        assert isinstance(part, folding.Attention)
        place = int(np.searchsorted(part.v.kept_N, src.index))
        if place < len(part.v.kept_N) and part.v.kept_N[place] == src.index:
            mixed_T: Array = input_IT[place]
            return mixed_T
        # A value at its mean in a head with a sink, of which it gets a varying part.
        wide, values = self.folded.weights.config.d_head, len(part.v.kept_N)
        own = [head.head for head in part.heads].index(src.index // wide)
        scaled_T: Array = mean * input_IT[values + own]
        return scaled_T

    def _kept(self, spot: Spot) -> Array:
        """Indices of the kept nodes of a site."""
        part = self.folded.sublayers[spot.sublayer].part
        assert part is not None
        if ORDER[spot.site] == 0:
            return part.reading.kept_N
        return self._linear(spot).kept_N

    def _linear(self, spot: Spot) -> Linear:
        part = self.folded.sublayers[spot.sublayer].part
        if isinstance(part, folding.Attention):
            sites = {nodes.Q: part.q, nodes.K: part.k, nodes.V: part.v}
            return sites.get(spot.site, part.write)
        assert part is not None
        return part.neurons if spot.site == nodes.MLP_NEURON else part.write


def _spot(node: Node, stage: int) -> Spot:
    """Sublayers are numbered through all layers, each layer's attention first."""
    mlp = node.site in (nodes.MLP_IN, nodes.MLP_NEURON, nodes.MLP_OUT)
    return Spot(2 * node.layer + mlp, node.site, stage)
