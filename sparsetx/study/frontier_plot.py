"""The picture of the frontier, its points as CSV, and its slopes as JSON.

One panel for each kind of circuit: pretraining loss against the geometric mean of edges
over tasks, a line for each width, a marker for each density. Open markers are points
that are not compared, since they reach too few tasks.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from sparsetx.plots.circuits import saved
from sparsetx.plots.training import COLOURS
from sparsetx.study.definition import DENSE, SPARSE
from sparsetx.study.frontier import Panel, Placed, Slope
from sparsetx.study.table import as_csv
from sparsetx.system import files

MARKERS = "osD^vP*X<>hp"
STYLES = {SPARSE: "-", DENSE: "", "shuffled": ":"}
COLUMNS = (
    "circuit", "model", "line", "marker", "seeds", "compared", "loss", "edges", "low",
    "high", "tasks", "circuits", "not_reached",
)  # fmt: skip


def write(panels: Sequence[Panel], folder: Path) -> list[Path]:
    """Write frontier.png, .svg, .csv and .json; the files."""
    if not panels:
        return []
    stem = folder / "frontier"
    table = [row for panel in panels for row in _rows(panel)]
    files.write_text(stem.with_suffix(".csv"), as_csv(COLUMNS, table))
    files.write_json(stem.with_suffix(".json"), [_summary(p) for p in panels])
    return [
        *saved(drawn(panels), stem),
        stem.with_suffix(".csv"),
        stem.with_suffix(".json"),
    ]


def drawn(panels: Sequence[Panel]) -> Any:
    figure, axes = plt.subplots(
        1, len(panels), figsize=(1 + 4.6 * len(panels), 5.4), layout="constrained",
        sharey=True, squeeze=False,
    )  # fmt: skip
    placed = [one for panel in panels for one in panel.placed]
    lines = list(dict.fromkeys(one.point.line for one in placed))
    colours = {line: COLOURS[i % len(COLOURS)] for i, line in enumerate(lines)}
    names = list(dict.fromkeys(one.point.marker for one in placed))
    markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(names)}
    for axis, panel in zip(axes.flat, panels, strict=True):
        _draw(axis, panel, colours, markers)
    axes.flat[0].set_ylabel("edges, geometric mean over tasks")
    handles = [
        *(axes.flat[0].plot([], [], "-", color=c, label=n)[0]
          for n, c in colours.items()),
        *(axes.flat[0].plot([], [], m, color="#555555", label=n)[0]
          for n, m in markers.items()),
        axes.flat[0].plot([], [], ":", color="#555555", label="shuffled")[0],
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _draw(axis: Any, panel: Panel, colours: Any, markers: Any) -> None:
    axis.set_yscale("log")
    curves: dict[tuple[str, str], list[Placed]] = {}
    for one in panel.placed:
        if one.size is None:
            place = axis.get_xaxis_transform()  # no size: at the upper edge
            axis.plot(
                one.point.mean_loss, 0.98, markers[one.point.marker], transform=place,
                color=colours[one.point.line], markerfacecolor="none", clip_on=False,
            )  # fmt: skip
            continue
        filled = colours[one.point.line] if one.compared else "none"
        x, y = one.point.mean_loss, one.size
        axis.errorbar(
            x, y.value, [[max(0.0, y.value - y.low)], [max(0.0, y.high - y.value)]],
            fmt=markers[one.point.marker], color=colours[one.point.line],
            markerfacecolor=filled, elinewidth=0.7,
        )  # fmt: skip
        if one.compared:
            curves.setdefault((one.point.model, one.point.line), []).append(one)
    for (model, line), own in curves.items():
        style = STYLES.get(model, STYLES["shuffled"])
        if style:
            own = sorted(own, key=lambda p: p.point.mean_loss)
            losses = [one.point.mean_loss for one in own]
            sizes = [one.size.value for one in own if one.size]
            axis.plot(losses, sizes, style, color=colours[line], linewidth=1.2)
    axis.set_title(panel.kind, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    text = "\n".join(textwrap.fill(line, 62) for line in caption(panel))
    axis.set_xlabel(f"pretraining loss, nats per token\n\n{text}", fontsize=8)


def caption(panel: Panel) -> Iterator[str]:
    """What must be known to read a panel."""
    tasks = ", ".join(panel.tasks) or "none"
    yield f"means over tasks that all compared models reach: {tasks}"
    if any(p.point.model not in STYLES for p in panel.placed):
        yield f"of shuffled models: {', '.join(panel.shuffled_tasks) or 'none'}"
    apart = sum(not one.compared for one in panel.placed)
    yield (
        f"{panel.failures} of {panel.circuits} circuits do not reach the target; open: "
        f"{apart} of {len(panel.placed)} points, over the tasks that they reach (at "
        "the upper edge: none)"
    )
    for slope in panel.slopes:
        yield told(slope)


def told(slope: Slope) -> str:
    return (
        f"{slope.name}: d log(edges)/d loss = {slope.value:.2f} "
        f"[{slope.low:.2f}, {slope.high:.2f}], {slope.points} points"
    )


def _rows(panel: Panel) -> Iterator[dict[str, Any]]:
    for one in panel.placed:
        point, size = one.point, one.size
        yield {
            "circuit": panel.kind, "model": point.model, "line": point.line,
            "marker": point.marker, "seeds": " ".join(point.seeds),
            "compared": one.compared, "loss": point.mean_loss,
            "edges": size and size.value, "low": size and size.low,
            "high": size and size.high, "tasks": " ".join(one.tasks),
            "circuits": len(point.edges), "not_reached": point.failures,
        }  # fmt: skip


def _summary(panel: Panel) -> dict[str, Any]:
    return {
        "circuit": panel.kind,
        "tasks": list(panel.tasks),
        "shuffled_tasks": list(panel.shuffled_tasks),
        "circuits": panel.circuits,
        "not_reached": panel.failures,
        "slopes": [asdict(slope) for slope in panel.slopes],
    }
