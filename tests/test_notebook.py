"""The analyst's notebook runs from its first cell to its last."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests import runs
from tests.circuits import handmade
from tests.cli.test_prune import cut
from tests.house import ROOT

NOTEBOOK = ROOT / "experiments" / "analysis.ipynb"


def cells(kind: str) -> list[dict[str, Any]]:
    whole = json.loads(NOTEBOOK.read_text())
    return [cell for cell in whole["cells"] if cell["cell_type"] == kind]


@pytest.mark.slow  # `make coverage` runs it
def test_it_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a run whose circuit is known, in place of the demo's."""
    done = runs.once("handmade", cut)
    drawn: list[Any] = []
    monkeypatch.setattr(plt, "show", lambda: drawn.append(plt.gcf()))
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    space: dict[str, Any] = {}
    for cell in cells("code"):
        source = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", []):
            file = done / f"{handmade.TASK}.jsonl"
            source = f"RUN, TASK, FILE = {str(done / 'run')!r}, 'quotes', {str(file)!r}"
        exec(compile(source, str(NOTEBOOK), "exec"), space)
    plt.close("all")
    matplotlib.use(before)
    said = capsys.readouterr().out
    assert "11 nodes, 9 edges; on unseen prompts 100.0% right" in said
    assert "here: 100.0% right" in said
    assert "none yet: sparsetx controls" in said
    assert len(drawn) == 5
    assert min(space["lost"]) >= 0  # no node of the known circuit is in the way
    assert np.count_nonzero(space["costs"]) == 1  # it has one head


def test_what_it_shows_was_computed() -> None:
    """It is kept with its figures, without an error, and small."""
    outputs = [cell["outputs"] for cell in cells("code")]
    kinds = {output["output_type"] for cell in outputs for output in cell}
    assert kinds <= {"stream", "display_data"}
    pictures = [o for cell in outputs for o in cell if "image/png" in o.get("data", {})]
    assert len(pictures) == 5
    assert NOTEBOOK.stat().st_size < 500_000
    assert str(Path.home()) not in NOTEBOOK.read_text()
