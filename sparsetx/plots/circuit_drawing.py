"""Draws a circuit as a graph, from the tokens of one prompt to the answers.

Lines are weights: as wide as the weight is large, coloured by its sign. The area of a
node is its ablation cost, its fill its interchange effect; a node without an edge is
faded. Dotted lines are no edges: they join a write to later reads of its channel, and
a query to the key that it is multiplied by.
"""

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib import pyplot as plt
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.path import Path as Curve

from sparsetx import nodes
from sparsetx.circuits.circuit import Circuit, name_of
from sparsetx.circuits.explain.explanation import Explanation
from sparsetx.circuits.explain.graph_parts import GraphNode
from sparsetx.circuits.explain.text_ends import Prompts
from sparsetx.circuits.facts import Facts
from sparsetx.plots import circuit_layout
from sparsetx.plots.circuit_layout import ANSWER, COLUMN, TOKEN, Layout, Line
from sparsetx.plots.circuits import saved
from sparsetx.plots.training import COLOURS

POSITIVE, NEGATIVE, GREY, INK = COLOURS[0], COLOURS[1], "#777777", "#222222"
FADED = "#bbbbbb"
CARRIED = LinearSegmentedColormap.from_list("carried", ["#ffffff", COLOURS[2]])
HEADINGS = {
    TOKEN: "prompt",
    nodes.ATTN_IN: "attn_in\nreads",
    nodes.Q: "q, k, v\nof heads",
    nodes.ATTN_OUT: "attn_out\nwrites",
    nodes.MLP_IN: "mlp_in\nreads",
    nodes.MLP_NEURON: "mlp_neuron\nneurons",
    nodes.MLP_OUT: "mlp_out\nwrites",
    nodes.FINAL: "final\nlast reads",
    ANSWER: "answers",
}
MUCH = 0.3  # the interchange effect that is drawn in full colour
TITLED = 24  # nodes that are named by what they do: those that matter most
LEFT, BELOW = 1.0, 0.6  # inches beside and under the columns
NARROW, WIDE = 9.8, 11.0  # inches: of the title; of the legend in one row
HALO = [patheffects.withStroke(linewidth=2, foreground="white")]


def draw(
    circuit: Circuit,
    explained: Explanation,
    pair: Prompts,
    token: Callable[[int], str],
    stem: Path,
) -> list[Path]:
    """Write a circuit as PNG and SVG, with the first prompt of `pair`; the files.
    `token`: the text of an id."""
    layout = circuit_layout.of(circuit, explained.graph, pair, token)
    titles = {name_of(node): told.title for node, told in explained.told.items()}
    own = {node.name: node for node in explained.graph.nodes}
    return saved(figure_of(layout, own, titles, title(circuit.facts)), stem)


def title(facts: Facts) -> tuple[str, str]:
    """What it is a circuit of, and its figures."""
    size, test = facts.size, facts.test
    worst = "" if test.H is None else f" (H, the worst of the ablations: {test.H:.3f})"
    return f"A circuit of {facts.task}, {facts.search.kind}", (
        f"{size.nodes:,} nodes, {size.edges:,} edges; on unseen prompts the loss is "
        f"{test.mean:.3f} nats{worst}, and {test.accuracy:.1%} of answers are right"
    )


def figure_of(
    layout: Layout,
    own: Mapping[str, GraphNode],
    titles: Mapping[str, str],
    heading: tuple[str, str],
) -> Any:
    """The figure of a layout. `own` and `titles`: by the name of a node."""
    right = max(COLUMN * (len(layout.columns) - 0.45), NARROW - LEFT)
    top = layout.tall + 1.4
    figure = plt.figure(figsize=(right + LEFT, top + BELOW))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-LEFT, right)
    axes.set_ylim(-BELOW, top)
    axes.axis("off")
    name, figures = heading
    _write(axes, 0.1 - LEFT, top - 0.26, name, size=13, weight="bold")
    _write(axes, 0.1 - LEFT, top - 0.49, figures, size=10)
    for draw_part in (_layers, _heads, _lines):
        draw_part(axes, layout)
    _nodes(axes, layout, own)
    _labels(axes, layout, own, titles)
    _ends(axes, layout)
    _legend(axes, own)
    return figure


def _layers(axes: Any, layout: Layout) -> None:
    """Headings of the columns, and a band behind each layer."""
    layers: dict[int, list[float]] = {}
    for i, (layer, site) in enumerate(layout.columns):
        heading = HEADINGS[site]
        _write(axes, i * COLUMN, layout.tall + 0.24, heading, ha="center", color=GREY)
        if site not in (TOKEN, ANSWER, nodes.FINAL):
            layers.setdefault(layer, []).append(i * COLUMN)
    for layer, places in layers.items():
        left, right = min(places) - 0.47 * COLUMN, max(places) + 0.47 * COLUMN
        _box(axes, left, -0.12, right - left, layout.tall + 0.92, "#f5f5f5", -3)
        _write(
            axes, left + 0.07, layout.tall + 0.6, f"layer {layer}", weight="bold",
            size=9,
        )  # fmt: skip


def _heads(axes: Any, layout: Layout) -> None:
    for (_, head), names in layout.heads.items():
        x = layout.places[names[0]][0]
        heights = [layout.places[name][1] for name in names]
        low, high = min(heights) - 0.16, max(heights) + 0.16
        _box(axes, x - 0.2, low, 0.92 * COLUMN - 0.2, high - low, "#e6e6e6", -2)
        _write(
            axes, x + 0.92 * COLUMN - 0.42, high + 0.05, f"head {head}", color=GREY,
            weight="bold", ha="right",
        )  # fmt: skip


def _lines(axes: Any, layout: Layout) -> None:
    """The large weights last, above the small ones."""
    weights = [abs(x.weight) for x in layout.lines if x.edge and x.weight]
    scale = float(np.quantile(weights, 0.98)) if weights else 1.0
    many = min(1.0, (400 / max(len(weights), 1)) ** 0.5)
    order = sorted(layout.lines, key=lambda x: (x.edge, abs(x.weight or 0)))
    curves, widths, colours = [], [], []
    styles: list[tuple[int, tuple[int, int] | None]] = []
    for line in order:
        size = min(abs(line.weight or 0) / scale, 1.0) ** 1.3
        curves.append(_curve(layout, line))
        if line.weight is None:
            widths.append(0.8)
            colours.append(to_rgba(GREY, 0.55))
            styles.append((0, (1, 2)))
            continue
        colour = POSITIVE if line.weight > 0 else NEGATIVE
        widths.append(many * ((0.3 + 2.6 * size) if line.edge else 0.6))
        opacity = (0.15 + 0.6 * size) if line.edge else 0.22
        colours.append(to_rgba(colour, opacity))
        styles.append((0, None))
    axes.add_collection(
        PathCollection(
            curves, facecolors="none", edgecolors=colours, linewidths=widths,
            linestyles=styles, zorder=1, capstyle="round",
        )
    )  # fmt: skip


def _curve(layout: Layout, line: Line) -> Curve:
    (x0, y0), (x1, y1) = layout.places[line.src], layout.places[line.dst]
    if line.src.startswith(TOKEN):
        x0 += 0.1  # the text ends there
    bend = 0.45 * (x1 - x0) if x0 != x1 else -0.3
    points = [(x0, y0), (x0 + bend, y0)]
    points += [(x1 - bend if x0 != x1 else x1 + bend, y1), (x1, y1)]
    return Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])


def _area(node: GraphNode, most: float) -> float:
    return 12 + 130 * max(node.cost or 0, 0) / most


def _nodes(axes: Any, layout: Layout, own: Mapping[str, GraphNode]) -> None:
    names, most = [name for name in layout.places if name in own], _most(own)
    effects = [max(own[name].interchange or 0, 0) for name in names]
    axes.scatter(
        *np.array([layout.places[n] for n in names]).reshape(-1, 2).T,
        s=[_area(own[n], most) for n in names],
        c=[CARRIED(min(effect / MUCH, 1.0)) for effect in effects],
        edgecolors=[to_rgba(INK, 1.0 if n in layout.joined else 0.25) for n in names],
        linewidths=0.8,
        zorder=3,
    )


def _most(own: Mapping[str, GraphNode]) -> float:
    """The largest ablation cost; 1 where none was measured."""
    return max((node.cost or 0 for node in own.values()), default=0) or 1.0


def _labels(
    axes: Any,
    layout: Layout,
    own: Mapping[str, GraphNode],
    titles: Mapping[str, str],
) -> None:
    """The index of each node for which there is room, those that matter first; and
    what these do."""
    most = _most(own)

    def matters(name: str) -> float:
        node = own[name]
        return max(node.cost or 0, 0) / most + max(node.interchange or 0, 0)

    best = [n for n in sorted(own, key=lambda n: -matters(n))[:TITLED] if matters(n)]
    for column in layout.columns.values():
        free = [layout.places[name][1] for name in column]
        taken: list[float] = []
        for name in sorted(
            column, key=lambda n: best.index(n) if n in best else TITLED
        ):
            if name not in own:
                continue
            x, y = layout.places[name]
            told = textwrap.wrap(titles.get(name, ""), 11) if name in best else []
            near = [abs(y - other) for other in free if other != y]
            if min(near, default=1.0) < 0.11 * len(told):
                told = []  # no room
            if all(abs(y - other) > 0.1 for other in taken):
                taken.append(y)
                radius = (_area(own[name], most) / np.pi) ** 0.5 / 72
                joined = name in layout.joined
                _label(axes, x + radius + 0.04, y, own[name], told, joined)


def _label(
    axes: Any, x: float, y: float, node: GraphNode, told: list[str], joined: bool
) -> None:
    text = f"{node.site if node.head is not None else ''}{node.index}"
    style: dict[str, Any] = {"va": "center", "size": 7, "halo": True}
    _write(axes, x, y, text, color=INK if joined else FADED, **style)
    if told:
        beside = x + 0.064 * len(text) + 0.04
        words = "\n".join(told)
        _write(axes, beside, y, words, weight="bold", linespacing=0.95, **style)


def _ends(axes: Any, layout: Layout) -> None:
    """The tokens of the prompt, and the two answers."""
    for name, text in layout.texts.items():
        x, y = layout.places[name]
        first = name.startswith(TOKEN)
        strong = name in layout.emphasised
        _write(
            axes, x + 0.08 if first else x + 0.06, y, text, va="center",
            ha="right" if first else "left", size=9, family="monospace",
            weight="bold" if strong else "normal", color=INK if strong else GREY,
        )  # fmt: skip


def _legend(axes: Any, own: Mapping[str, GraphNode]) -> None:
    def dot(size: float, fill: Any, edge: Any = INK) -> Line2D:
        return Line2D(
            [], [], linestyle="", marker="o", markersize=size, markerfacecolor=fill,
            markeredgecolor=edge, markeredgewidth=0.8,
        )  # fmt: skip

    most = _most(own)
    shown = {
        "positive weight": Line2D([], [], color=POSITIVE, linewidth=2),
        "negative weight": Line2D([], [], color=NEGATIVE, linewidth=2),
        "no weight: same channel, or query and key": Line2D(
            [], [], color=GREY, linestyle=":"
        ),
        f"ablation cost {most:.2f} nats": dot((12 + 130) ** 0.5, "white"),
        "0": dot(12**0.5, "white"),
        f"interchange effect {100 * MUCH:.0f} %": dot(7, CARRIED(1.0)),
        "no edges": dot(4, "white", to_rgba(INK, 0.25)),
    }
    one_row = axes.figure.get_figwidth() > WIDE
    axes.legend(
        shown.values(), shown.keys(), loc="lower center",
        ncols=len(shown) if one_row else 4,
        frameon=False, fontsize=8, columnspacing=1.4, handletextpad=0.5,
    )  # fmt: skip


def _box(
    axes: Any, x: float, y: float, wide: float, tall: float, fill: str, zorder: int
) -> None:
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch(
            (x, y), wide, tall, boxstyle=style, facecolor=fill, edgecolor="none",
            zorder=zorder,
        )
    )  # fmt: skip


def _write(
    axes: Any, x: float, y: float, text: str, halo: bool = False, **style: Any
) -> None:
    """Never as mathematics: tokens may hold dollar signs."""
    style = {"size": 8, "color": INK} | style
    drawn = axes.text(x, y, text, parse_math=False, zorder=4, **style)
    if halo:
        drawn.set_path_effects(HALO)
