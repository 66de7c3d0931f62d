"""Write and read a run's metrics.jsonl; also TensorBoard and Weights & Biases.

A row is one JSON object on one line, with its `step` and the metrics of that step.
"""

import importlib
import json
from pathlib import Path
from typing import Any

from sparsetx.system import files
from sparsetx.system.errors import Refusal

Row = dict[str, Any]
# Metrics that say how fast a run was: the only ones that differ where it is run again.
TIMES = frozenset(
    {
        "tokens_per_second",
        "step_seconds",  # mean of the steps since the last row
        "input_wait",  # share of the time in which the loop waited for batches
        "save_seconds",  # for which training stood still, to copy arrays and to wait
        "mfu",
        "mfu_nonzeros",
    }
)


class Log:
    """Writer of metrics.jsonl. Opening it at a step removes the rows after that step: a
    resumed run computes them again. On gs://, where nothing can be appended, new rows
    are kept in memory until `flush`, which is called before every checkpoint."""

    def __init__(self, path: files.PathLike, step: int):
        self.path = files.place(path)
        self.remote = files.is_remote(path)
        kept = [json.dumps(row) for row in read(self.path) if row["step"] <= step]
        files.write_text(self.path, _text(kept))
        self.lines = kept if self.remote else []
        self.waiting = False

    def __call__(self, row: Row) -> None:
        line = json.dumps(row)
        if self.remote:
            self.lines.append(line)
            self.waiting = True
        else:
            files.append_line(self.path, line)

    def flush(self) -> None:
        if self.waiting:
            files.write_text(self.path, _text(self.lines))
            self.waiting = False

    def close(self) -> None:
        """Write what is pending; no file is held open between rows."""
        self.flush()


def _text(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


class TensorBoard:
    """Writes the same rows for TensorBoard, with the package tensorboardX."""

    def __init__(self, folder: str | Path):
        module = _optional("tensorboardX", "train.tensorboard")
        self.writer = module.SummaryWriter(str(folder))

    def __call__(self, row: Row) -> None:
        for name, value in _numbers(row):
            self.writer.add_scalar(name, value, row["step"])

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class WandB:
    """Sends the same rows to Weights & Biases; a resumed run continues there."""

    def __init__(self, project: str, name: str):
        module = _optional("wandb", "train.wandb")
        self.run = module.init(project=project, name=name, id=name, resume="allow")

    def __call__(self, row: Row) -> None:
        self.run.log(dict(_numbers(row)), step=row["step"])

    def flush(self) -> None:
        """Nothing to do: wandb sends rows by itself."""

    def close(self) -> None:
        self.run.finish()


def _optional(module: str, key: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Refusal(
            f"{key} was asked for, but {module} is not installed: pip install {module}"
        ) from error


def _numbers(row: Row) -> list[tuple[str, float]]:
    return [
        (name, value)
        for name, value in row.items()
        if name != "step" and isinstance(value, int | float)
    ]


def untimed(rows: list[Row]) -> list[Row]:
    """The rows without how fast they were made."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def read(path: files.PathLike) -> list[Row]:
    """The rows of a log; lines that are incomplete are skipped."""
    rows = []
    for line in files.read_lines(path):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # not a whole row, as after two processes wrote at once
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows
