"""The table of a study: a row for each (cell, model, task, kind of circuit).

It is read from the folders of cells, in the order of the study, and holds nothing that
depends on when, where or by how many processes cells were done: its bytes do not.
"""

import contextlib
import csv
import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsetx import projection
from sparsetx.circuits import circuit
from sparsetx.circuits.facts import REACHED, CircuitKind, Facts
from sparsetx.circuits.search import batch_job
from sparsetx.run import METRICS, metrics_log, provenance
from sparsetx.study.definition import Cell
from sparsetx.study.outlook import size
from sparsetx.study.work import Place, check_record
from sparsetx.system import files, lock

Row = Mapping[str, Any]
CSV, JSON = "study.csv", "study.json"
FIGURES = (  # after the axes
    "model", "task", "circuit", "reached", "status", "validation_loss", "steps",
    "tokens", "parameters", "kept", "edges", "edges_plus", "effective_edges", "nodes",
    "pairs", "loss", "mean", "H", "F", "whole_loss", "whole_accuracy",
)  # fmt: skip


def rows(place: Place) -> list[Row]:
    """All rows of what is there. Refuses cells that were trained otherwise."""
    check_record(place)
    found: list[Row] = []
    for cell in place.study.cells():
        if place.is_trained(cell):
            provenance.check_resume(cell.config, place.folder(cell), ())
            found += _rows_of(place, cell)
    return found


def _rows_of(place: Place, cell: Cell) -> Iterator[Row]:
    trained = training(place, cell)
    for shuffle in cell.shuffles:
        model = cell.kind if shuffle is None else f"shuffled-{shuffle}"
        for task in place.study.tasks:
            for kind in place.study.kinds:
                facts = _facts(place, cell, shuffle, task, kind)
                if facts is None:
                    continue
                named = {"model": model, "task": task, "circuit": kind}
                yield dict(cell.values) | named | trained | figures(facts)


def _facts(
    place: Place, cell: Cell, shuffle: int | None, task: str, kind: CircuitKind
) -> Facts | None:
    out = place.circuits(cell, shuffle)
    folder = batch_job.folder_of(out, task, kind, place.study.kinds)
    return circuit.load_facts(folder) if (folder / circuit.JSON).is_file() else None


def training(place: Place, cell: Cell) -> dict[str, Any]:
    """What a training gives: its last validation loss, steps, tokens and weights."""
    config = cell.config
    steps = config.train.steps
    logged = metrics_log.read(place.folder(cell) / METRICS)
    losses = [r["validation_loss"] for r in logged if "validation_loss" in r]
    given_up = sum(
        (b.size - b.final) * (config.model.n_layer if b.parameter.stacked else 1)
        for b in projection.budgets(config)
    )
    count = size(config)
    return {
        "validation_loss": losses[-1] if losses else None,
        "steps": steps,
        "tokens": steps * config.train.batch * config.model.context,
        "parameters": count,
        "kept": count - given_up,
    }


def figures(facts: Facts) -> dict[str, Any]:
    """What one circuit gives; sizes only where it reached the target."""
    reached = facts.status == REACHED
    found: dict[str, Any] = {"reached": reached, "status": facts.status}
    sizes = ("edges", "edges_plus", "effective_edges", "nodes", "pairs")
    found |= {name: getattr(facts.size, name) if reached else None for name in sizes}
    test = facts.test
    found |= {
        "loss": facts.loss if reached else None,
        "mean": test.mean if reached else None,
        "H": test.H,
        "F": test.F,
    }
    return found | {
        "whole_loss": test.whole_loss, "whole_accuracy": test.whole_accuracy,
    }  # fmt: skip


def as_csv(columns: Sequence[str], table: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_word(row.get(name)) for name in columns] for row in table])
    return text.getvalue()


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def write(place: Place, table: Sequence[Row]) -> list[Path]:
    """Write study.csv and study.json; the files."""
    columns = [*place.study.axes, *FIGURES]
    csv_path, json_path = place.path / CSV, place.path / JSON
    files.write_text(csv_path, as_csv(columns, table))
    plain = [{name: _finite(row.get(name)) for name in columns} for row in table]
    files.write_json(json_path, plain)
    return [csv_path, json_path]


def _finite(value: Any) -> Any:
    """JSON has no infinity and no nan."""
    odd = isinstance(value, float) and not math.isfinite(value)
    return None if odd else value


@contextlib.contextmanager
def writing(place: Place) -> Iterator[None]:
    """While one process reads cells and writes tables, no other does: else one that has
    read less could write last."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock.held(place.path))
                break
            except lock.Held:
                time.sleep(0.2)
        yield
