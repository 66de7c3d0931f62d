"""Plot training metrics of one or more runs as a PNG of six panels."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np

from sparsetx.run.metrics_log import Row
from sparsetx.system import files

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

# Distinguishable with red-green colour blindness.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


@dataclass(frozen=True)
class Panel:
    """One panel: columns of the metrics against the step."""

    title: str
    unit: str
    column: str
    beside: str = ""  # drawn dashed in the same colour
    log: bool = False


PANELS = (
    Panel("loss (dashed: validation)", "nats per token", "loss", "validation_loss"),
    Panel("kept fraction of a block's weights", "", "kept", log=True),
    Panel("learning rate", "", "lr"),
    Panel("throughput", "tokens per second", "tokens_per_second"),
    Panel("kurtosis of the last residual", "3: normal", "residual_kurtosis", log=True),
    Panel("gradient, root mean square", "", "gradient_rms", log=True),
)


def training(runs: Mapping[str, Sequence[Row]], path: files.PathLike) -> None:
    """Write a PNG of {name of a run: its rows}."""
    figure, axes = plt.subplots(2, 3, figsize=(15, 7.5), layout="constrained")
    for panel, axis in zip(PANELS, axes.flat, strict=True):
        for i, (name, rows) in enumerate(runs.items()):
            colour = COLOURS[i % len(COLOURS)]
            _line(axis, rows, panel.column, colour, "-", name)
            if panel.beside:
                _line(axis, rows, panel.beside, colour, "--")
        _dress(axis, panel)
    axes.flat[0].legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    files.write_bytes(path, buffer.getvalue())


def _line(
    axis: Axes,
    rows: Sequence[Row],
    column: str,
    colour: str,
    style: str,
    label: str | None = None,
) -> None:
    points = [(row["step"], row[column]) for row in rows if column in row]
    if points:
        x, y = np.array(points, float).T
        marker = "." if len(points) < 40 else ""
        axis.plot(x, y, style, color=colour, marker=marker, linewidth=1.3, label=label)


def _dress(axis: Axes, panel: Panel) -> None:
    axis.set_title(panel.title, fontsize=10, loc="left")
    axis.set_xlabel("step", fontsize=9)
    axis.set_ylabel(panel.unit, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    values = [y for line in axis.get_lines() for y in np.atleast_1d(line.get_ydata())]
    if panel.log and values and min(values) > 0:
        axis.set_yscale("log")
