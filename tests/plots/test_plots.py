"""Plots: every panel of training has a line of every run; circuits have a star."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from sparsetx.circuits.facts import NOT_REACHED, REACHED, Curve, Facts
from sparsetx.plots import circuits, training
from sparsetx.plots.circuits import Drawn

ROWS = [
    {"step": 1, "loss": 3.0, "kept": 1.0, "lr": 0.1, "gradient_rms": 2.0},
    {"step": 2, "loss": 2.0, "kept": 0.5, "lr": 0.2, "gradient_rms": 1.0}
    | {"tokens_per_second": 5.0},
    {"step": 2, "validation_loss": 2.5, "residual_kurtosis": 4.0},
    {"step": 2, "bad_batches": [0]},
]


def test_every_panel_has_a_line_of_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(training.plt, "close", drawn.append)
    path = tmp_path / "a.png"
    training.training({"one": ROWS, "two": ROWS[:2]}, path)
    monkeypatch.undo()
    (figure,) = drawn
    training.plt.close(figure)
    assert image.imread(path).ndim == 3

    panels = {a.get_title(loc="left"): a for a in figure.axes}
    lines = {
        panel.column: [
            (line.get_linestyle(), [*map(tuple, np.transpose(line.get_data()))])
            for line in panels[panel.title].get_lines()
        ]
        for panel in training.PANELS
    }
    assert lines["loss"] == [
        ("-", [(1, 3), (2, 2)]),
        ("--", [(2, 2.5)]),
        ("-", [(1, 3), (2, 2)]),
    ]
    assert lines["kept"] == [("-", [(1, 1), (2, 0.5)])] * 2
    assert lines["lr"] == [("-", [(1, 0.1), (2, 0.2)])] * 2
    assert lines["tokens_per_second"] == [("-", [(2, 5)])] * 2
    assert lines["residual_kurtosis"] == [("-", [(2, 4)])]
    assert lines["gradient_rms"] == [("-", [(1, 2), (2, 1)])] * 2
    scales = {
        panel.column: panels[panel.title].get_yscale() for panel in training.PANELS
    }
    assert [c for c, scale in scales.items() if scale == "log"] == [
        "kept", "residual_kurtosis", "gradient_rms",
    ]  # fmt: skip
    legend = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert legend == ["one", "two"]


def test_only_a_circuit_that_was_found_has_a_star(tmp_path: Path) -> None:
    curve = Curve(nodes=(1, 5), edges_plus=(2, 9), loss=(1.5, 0.9))
    drawn = [
        Drawn(str(number), Facts(status=status, curve=curve), {})
        for number, status in enumerate([REACHED, NOT_REACHED] * 3)
    ]
    circuits.pictures(drawn, tmp_path)
    rows = (tmp_path / "loss-versus-edges.csv").read_text().splitlines()[1:]
    stars = [row.split(",")[0] for row in rows if row.split(",")[1] == "circuit"]
    assert stars == ["0", "2", "4"]
    assert len(rows) == 6 * 2 + 3
    assert image.imread(tmp_path / "loss-versus-edges.png").std() > 0
