"""A circuit as one layered drawing: reads on the left of each sublayer, writes on its
right, time from left to right. Edges are as wide as their weights and coloured by sign;
thin grey lines carry a written channel to where it is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.edges import Edge
from sparsetx.nodes import Node

COLUMN, ROW, TOP, LEFT = 96, 15, 54, 60
STEPS = ((nodes.ATTN_IN,), (nodes.Q, nodes.K, nodes.V), (nodes.ATTN_OUT,),
         (nodes.MLP_IN,), (nodes.MLP_NEURON,), (nodes.MLP_OUT,))  # fmt: skip
TITLES = ("reads", "q · k · v", "writes", "reads", "neurons", "writes")


@dataclass(frozen=True)
class Layout:
    place: dict[Node, tuple[float, float]]
    columns: int
    height: float

    @property
    def width(self) -> float:
        return LEFT * 2 + COLUMN * (self.columns - 1)


def layout(circuit: Circuit) -> Layout:
    """Columns by sublayer; in a column nodes by site and channel."""
    columns: list[list[Node]] = [[] for _ in range(6 * circuit.config.n_layer)]
    for node in circuit.nodes:
        for step, sites in enumerate(STEPS):
            if node.site in sites:
                columns[6 * node.layer + step].append(node)
    tallest = max(map(len, columns), default=1)
    place: dict[Node, tuple[float, float]] = {}
    for x, column in enumerate(columns):
        order = sorted(column, key=lambda n: (nodes.NODE_SITES.index(n.site), n.index))
        first = (tallest - len(order)) / 2
        for y, node in enumerate(order):
            place[node] = LEFT + COLUMN * x, TOP + ROW * (first + y + 0.5)
    return Layout(place, len(columns), TOP + ROW * tallest + 12)


def svg(circuit: Circuit) -> str:
    where = layout(circuit)
    parts = [
        f'<svg class="circuit" viewBox="0 0 {where.width:.0f} {where.height:.0f}" '
        f'style="min-width:{where.width * 0.7:.0f}px" role="img" '
        f'aria-label="the circuit of {escape(circuit.task)}">',
        *_headings(circuit, where),
        *_carried(circuit, where),
        *_edges(circuit, where),
        *_dots(circuit, where),
        "</svg>",
    ]
    return "\n".join(parts)


def _headings(circuit: Circuit, where: Layout) -> Iterator[str]:
    for layer in range(circuit.config.n_layer):
        for half, name in enumerate(("attention", "MLP")):
            x = LEFT + COLUMN * (6 * layer + 3 * half + 1)
            yield f'<text x="{x}" y="16" class="layer">layer {layer} {name}</text>'
        for step, title in enumerate(TITLES):
            x = LEFT + COLUMN * (6 * layer + step)
            yield f'<text x="{x}" y="34" class="title">{title}</text>'


def _carried(circuit: Circuit, where: Layout) -> Iterator[str]:
    """From a write to every later read of its channel."""
    writes = [n for n in where.place if n.site in (nodes.ATTN_OUT, nodes.MLP_OUT)]
    reads = [n for n in where.place if n.site in (nodes.ATTN_IN, nodes.MLP_IN)]
    for write in writes:
        for read in reads:
            (x0, y0), (x1, y1) = where.place[write], where.place[read]
            if read.index == write.index and x1 > x0:
                bend = (x0 + x1) / 2
                yield (
                    f'<path class="carried" d="M{x0:.0f} {y0:.1f} C{bend:.0f} {y0:.1f} '
                    f'{bend:.0f} {y1:.1f} {x1:.0f} {y1:.1f}"/>'
                )


def _edges(circuit: Circuit, where: Layout) -> Iterator[str]:
    drawn = [e for e in circuit.edges if e.src in where.place and e.dst in where.place]
    largest = max((abs(e.weight) for e in drawn), default=1.0)
    for edge in sorted(drawn, key=lambda e: abs(e.weight)):
        (x0, y0), (x1, y1) = where.place[edge.src], where.place[edge.dst]
        sign = "up" if edge.weight > 0 else "down"
        wide = 0.4 + 2.6 * abs(edge.weight) / largest
        yield (
            f'<line class="{sign}" x1="{x0:.0f}" y1="{y0:.1f}" x2="{x1:.0f}" '
            f'y2="{y1:.1f}" stroke-width="{wide:.2f}"><title>{_said(edge)}</title>'
            "</line>"
        )


def _dots(circuit: Circuit, where: Layout) -> Iterator[str]:
    fed = {edge.dst for edge in circuit.edges}
    reads = (nodes.ATTN_IN, nodes.MLP_IN)
    for node, (x, y) in where.place.items():
        constant = node not in fed and node.site not in reads
        kind = " constant" if constant else ""
        told = f"{node.site} {node.index}, layer {node.layer}"
        told += ", a constant" if constant else ""
        yield (
            f'<circle class="{node.site}{kind}" cx="{x:.0f}" cy="{y:.1f}" r="4.2">'
            f"<title>{told}</title></circle>"
        )


def _said(edge: Edge) -> str:
    weight = np.format_float_positional(edge.weight, 3, fractional=False)
    return (
        f"{edge.src.site} {edge.src.index} to {edge.dst.site} {edge.dst.index}, "
        f"layer {edge.dst.layer}: {weight}"
    )
