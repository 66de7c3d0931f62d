"""A circuit as NumPy arrays, for drawing, describing and writing it as a program."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.measure import edges
from sparsetx.circuits.measure.edges import Edge
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.nodes import Node

HEADS = (nodes.Q, nodes.K, nodes.V)
Array = npt.NDArray[Any]
Part = parameters.Weights


@dataclass(frozen=True, eq=False)
class Arrays:
    config: ModelConfig
    params: dict[parameters.Path, Array]
    keep: dict[str, Array]  # bool
    means: dict[str, Array]
    kept: list[Node]  # in the order of computation
    edges: list[Edge]

    @property
    def embed_VD(self) -> Array:
        return self.params[(parameters.EMBED, parameters.W)]

    @property
    def unembed_DV(self) -> Array:
        """Unembedding weights multiplied by the gain of the last norm."""
        gain_D = self.params[(parameters.FINAL_NORM, parameters.GAIN)]
        found: Array = gain_D[:, None] * self.params[(parameters.UNEMBED, parameters.W)]
        return found

    @property
    def positions(self) -> Array | None:
        return self.params.get((parameters.POSITIONS, parameters.W))

    def parts(self, layer: int) -> list[tuple[Part, Array]]:
        """The six kinds of weights of a layer, each [source, target]."""
        return [
            (part, self.params[part.path][layer][:, part.columns])
            for part in parameters.edges(self.config)
        ]

    def bias(self, node: Node) -> float:
        """The bias of a node that is a weighted sum; 0 for reads, which have none."""
        for part in parameters.edges(self.config):
            if part.target == node.site:
                row = self.params[(*part.path[:-1], parameters.B)][node.layer]
                return float(row[(part.columns.start or 0) + node.index])
        return 0.0

    def mean(self, node: Node) -> float:
        row = self.means[node.site]
        row = row if node.site in nodes.END_SITES else row[node.layer]
        return float(row[node.index])

    def gain(self, node: Node) -> float:
        """The gain of the norm before a read; 1 for other nodes."""
        names = {
            nodes.ATTN_IN: (parameters.ATTN_NORM, parameters.ATTN_POSITION_NORM),
            nodes.MLP_IN: (parameters.MLP_NORM, parameters.MLP_POSITION_NORM),
        }
        if node.site not in names:
            return 1.0
        wide = self.config.d_model
        name = names[node.site][node.index >= wide]
        gain = self.params[(parameters.BLOCKS, name, parameters.GAIN)]
        return float(gain[node.layer, node.index % wide])

    def sink(self, layer: int, head: int) -> float | None:
        """The logit of a head's empty slot."""
        path = (parameters.BLOCKS, parameters.SINK, parameters.LOGIT)
        return float(self.params[path][layer, head]) if self.config.sink else None

    def head(self, node: Node) -> int | None:
        return node.index // self.config.d_head if node.site in HEADS else None

    @property
    def heads(self) -> list[tuple[int, int]]:
        """(layer, head) of the heads with a kept node."""
        wide = self.config.d_head
        return sorted(
            {(n.layer, n.index // wide) for n in self.kept if n.site in HEADS}
        )


def of(circuit: Circuit) -> Arrays:
    return Arrays(
        config=circuit.config,
        params={p: np.asarray(x) for p, x in parameters.leaves(circuit.params)},
        keep={site: np.asarray(x) > 0.5 for site, x in circuit.keep.items()},
        means={site: np.asarray(x) for site, x in circuit.means.items()},
        kept=circuit.nodes,
        edges=edges.listed(circuit.config, circuit.params, circuit.keep),
    )
