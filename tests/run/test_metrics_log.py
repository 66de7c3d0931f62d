"""Rows of metrics: none lost, none twice; TensorBoard and W&B."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparsetx.run import metrics_log
from sparsetx.system.errors import Refusal

ROW = {"step": 3, "loss": 0.5, "bad_batches": [1, 2]}


def test_a_log_forgets_what_came_after_the_step_it_is_opened_at(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = metrics_log.Log(path, 0)
    for step in (1, 2, 3):
        log({"step": step})
    metrics_log.Log(path, 2)({"step": 3, "again": 1})
    assert metrics_log.read(path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": 1}]


def test_torn_and_foreign_lines_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1}\n{"step": 2\n[1]\n{"loss": 2}\n{"step": 3}\n{"step": 4'
    )
    assert metrics_log.read(path) == [{"step": 1}, {"step": 3}]
    assert metrics_log.read(tmp_path / "none") == []


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    writer = SimpleNamespace(
        add_scalar=lambda *a: calls.append(a), close=lambda: calls.append("closed")
    )
    fake = SimpleNamespace(SummaryWriter=lambda folder: calls.append(folder) or writer)
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    sink = metrics_log.TensorBoard(tmp_path)
    sink(ROW)
    sink.close()
    assert calls == [str(tmp_path), ("loss", 0.5, 3), "closed"]


def test_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    run = SimpleNamespace(
        log=lambda row, step: calls.append((row, step)),
        finish=lambda: calls.append("closed"),
    )
    fake = SimpleNamespace(init=lambda **how: calls.append(how) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    sink = metrics_log.WandB("project", "name")
    sink(ROW)
    sink.close()
    how = {"project": "project", "name": "name", "id": "name", "resume": "allow"}
    assert calls == [how, ({"loss": 0.5}, 3), "closed"]


@pytest.mark.parametrize(
    ("module", "make"),
    [
        ("tensorboardX", lambda: metrics_log.TensorBoard("x")),
        ("wandb", lambda: metrics_log.WandB("x", "y")),
    ],
)
def test_what_is_not_installed_is_named(
    module: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Refusal, match=f"pip install {module}"):
        make()
