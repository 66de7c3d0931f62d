"""Pictures of several circuits together: what circuit.json and controls.json hold.

Each is written three times: PNG to look at, SVG to print, CSV with the numbers drawn.
Every circuit has a colour.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.facts import REACHED, Facts
from sparsetx.plots.training import COLOURS
from sparsetx.system import files

Row = tuple[Any, ...]
GUESS = float(np.log(2))
FEW = 4  # names that fit into the picture


@dataclass(frozen=True)
class Drawn:
    """A circuit to be drawn: what it is called, and what is known of it."""

    label: str
    facts: Facts
    controls: Mapping[str, Entry]

    def data(self, name: str) -> Mapping[str, Any]:
        """Of a control; empty if it has not been run."""
        own = self.controls.get(name)
        return {} if own is None else own.data


@dataclass(frozen=True)
class Picture:
    """`draw` draws one circuit on the axes, in a colour, and returns the rows drawn;
    none where the circuit has nothing to show. `dress` comes after all of them."""

    name: str
    columns: Sequence[str]
    draw: Callable[[Any, Drawn, str], list[Row]]
    dress: Callable[[Any, Sequence[Drawn]], None]


def pictures(circuits: Sequence[Drawn], folder: Path) -> list[Path]:
    """Draw every picture for which some circuit has data; the files written."""
    return [
        path for picture in PICTURES for path in _written(picture, circuits, folder)
    ]


def _written(picture: Picture, circuits: Sequence[Drawn], folder: Path) -> list[Path]:
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    rows: list[Row] = []
    shown = []
    for i, one in enumerate(circuits):
        found = picture.draw(axes, one, COLOURS[i % len(COLOURS)])
        rows += [(one.label, *row) for row in found]
        shown += [one] if found else []
    if not rows:
        plt.close(figure)
        return []
    picture.dress(axes, shown)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        if len(shown) > FEW:  # they would cover what is drawn
            figure.set_figheight(4 + 0.2 * len(shown))
            figure.legend(frameon=False, fontsize=8, loc="outside lower left")
        else:
            axes.legend(frameon=False, fontsize=8)
    stem = folder / picture.name
    drawings = saved(figure, stem)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [("circuit", *picture.columns), *rows]
    )
    files.write_text(stem.with_suffix(".csv"), text.getvalue())
    return [*drawings, stem.with_suffix(".csv")]


def saved(figure: Any, stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG, and close it. Same numbers, same files."""
    dateless: dict[str, Any] = {"svg": {"Date": None}}
    paths = [stem.with_suffix(f".{kind}") for kind in ("png", "svg")]
    for path in paths:
        kind, buffer = path.suffix[1:], io.BytesIO()
        with plt.rc_context({"svg.hashsalt": stem.name}):
            figure.savefig(buffer, format=kind, dpi=160, metadata=dateless.get(kind))
        files.write_bytes(path, buffer.getvalue())
    plt.close(figure)
    return paths


def _sizes(axes: Any, one: Drawn, colour: str) -> list[Row]:
    """The search's own loss along the ranking (an honest one looks at worse than mean
    ablation); and the circuit cut down from it, under mean ablation."""
    curve, size = one.facts.curve, one.facts.size
    order = np.argsort(curve.edges_plus, kind="stable")
    rows = [
        ("ranking", curve.nodes[i], curve.edges_plus[i], curve.loss[i]) for i in order
    ]
    x, y = ([row[i] for row in rows] for i in (2, 3))
    axes.plot(x, y, "-", marker=".", linewidth=1, color=colour, label=one.label)
    if one.facts.status == REACHED:
        rows.append(("circuit", size.nodes, size.edges_plus, one.facts.val.mean))
        axes.plot(*rows[-1][2:], "*", markersize=13, color=colour)
    return rows


def _dress_sizes(axes: Any, shown: Sequence[Drawn]) -> None:
    axes.set_xscale("symlog")
    axes.set(xlabel="edges and constants", ylabel="task loss, nats")
    for target in sorted({one.facts.search.target for one in shown}):
        axes.axhline(target, color="#888888", linewidth=0.8, linestyle="--")
    axes.set_title("loss searched by; star: the circuit, mean ablation", loc="left")


def _necessity(axes: Any, one: Drawn, colour: str) -> list[Row]:
    entry = one.controls.get(thresholds.NECESSITY)
    if entry is None or "random" not in entry.data:
        return []
    cost, others = float(entry.figure["cost"] or 0.0), entry.data["random"]
    place = len(axes.collections)
    spread = np.linspace(-0.15, 0.15, len(others))
    # The dots have the name: a second star in the legend would look like a figure.
    around = place + spread
    axes.scatter(around, others, s=14, color=colour, alpha=0.6, label=one.label)
    axes.scatter([place], [cost], s=150, marker="*", color=colour)
    return [("circuit", cost), *(("random", x) for x in others)]


def _dress_necessity(axes: Any, shown: Sequence[Drawn]) -> None:
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set_xticks([])
    axes.axhline(GUESS, color="#888888", linewidth=0.8, linestyle="--")
    axes.set_ylabel("rise of the whole model's loss, nats")
    axes.set_title("without the circuit (star), and random others", loc="left")


def _curve(axes: Any, one: Drawn, colour: str) -> list[Row]:
    data = one.data(thresholds.CURVE)
    rows = list(zip(data.get("shares", []), data.get("f", []), strict=True))
    rows = [(x, y) for x, y in rows if y is not None]
    if rows:
        x, y = np.array(rows).T
        axes.plot(100 * x, y, "-", marker=".", color=colour, label=one.label)
    return rows


def _dress_curve(axes: Any, shown: Sequence[Drawn]) -> None:
    axes.set_xscale("symlog", linthresh=0.01)
    axes.axhline(1, color="#888888", linewidth=0.8, linestyle="--")
    axes.set(xlabel="% of all edges", ylabel="f: margin, of the whole model's")
    axes.set_title("faithfulness against size", loc="left")


def _relaxation(axes: Any, one: Drawn, colour: str) -> list[Row]:
    data = one.data(thresholds.RELAXATION)
    rows = []
    for part, draws in zip(data.get("parts", []), data.get("draws", []), strict=True):
        rows += [(part, loss) for loss in draws]
    if rows:
        x, y = np.array(rows).T
        axes.scatter(100 * x, y, s=8, color=colour, alpha=0.4)
        x, y = 100 * np.array(data["parts"]), data["loss"]
        axes.plot(x, y, color=colour, label=one.label)
    return rows


def _dress_relaxation(axes: Any, shown: Sequence[Drawn]) -> None:
    axes.set(xlabel="% of the other nodes given back", ylabel="task loss, nats")
    axes.set_ylim(bottom=0)
    axes.set_title("from the circuit to the whole model", loc="left")


def _seeds(axes: Any, one: Drawn, colour: str) -> list[Row]:
    data = one.data(thresholds.SEEDS)
    sizes, alike = data.get("edges_plus", []), data.get("jaccard", [])
    if sizes:
        missed = data["not reached"]
        label = f"{one.label} ({missed} seeds found none)" if missed else one.label
        axes.hist(sizes, bins=min(20, len(sizes)), color=colour, alpha=0.5, label=label)
        axes.axvline(one.facts.size.edges_plus, color=colour, linewidth=1.5)
    return list(zip(sizes, alike, strict=True))


def _dress_seeds(axes: Any, shown: Sequence[Drawn]) -> None:
    axes.set(xlabel="edges and constants", ylabel="seeds")
    axes.set_title("circuits from other seeds (line: the circuit)", loc="left")


SIZES = ("what", "nodes", "edges_plus", "loss")
PICTURES = (
    Picture("loss-versus-edges", SIZES, _sizes, _dress_sizes),
    Picture("necessity", ("mask", "cost"), _necessity, _dress_necessity),
    Picture("mib-curve", ("share", "f"), _curve, _dress_curve),
    Picture("relaxation", ("part", "loss"), _relaxation, _dress_relaxation),
    Picture("seeds", ("edges_plus", "jaccard"), _seeds, _dress_seeds),
)  # fmt: skip
