"""Commands that read a run: eval, generate, plot."""

from pathlib import Path

import pytest
from matplotlib import image

from sparsetx.cli.main import main
from sparsetx.plots import training
from sparsetx.run import metrics_log
from tests import runs


def test_eval(capsys: pytest.CaptureFixture[str]) -> None:
    run = str(runs.trained())
    arguments = ["--tasks", "set_or_string,for_while", "--pairs", "8"]
    assert main(["eval", run, *arguments]) == 0
    said = capsys.readouterr().out
    logged = metrics_log.read(runs.trained() / "metrics.jsonl")
    last = [r["validation_loss"] for r in logged if "validation_loss" in r][-1]
    assert f"validation loss: {last:.4f} nats per token" in said
    assert "not with this tokenizer and context: " in said
    assert "0 of 2 tasks at a loss of 0.1 or less" in said
    assert main(["eval", run, "--tasks", "for_whil"]) == 2
    assert "for_while" in capsys.readouterr().err


def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["generate", str(runs.trained()), "--prompt", "def add(", "--tokens=4"])
        == 0
    )
    assert capsys.readouterr().out.startswith("def add(")


def test_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = str(runs.trained()), tmp_path / "a.png"
    assert main(["plot", run, "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert image.imread(out).shape[:2] == (825, 1650)
    (tmp_path / "none").mkdir()
    assert main(["plot", run, str(tmp_path / "none")]) == 2
    assert "none: no rows in metrics.jsonl" in capsys.readouterr().err


def test_every_panel_shows_its_column() -> None:
    """A run logs all that is drawn."""
    logged = {
        name for r in metrics_log.read(runs.trained() / "metrics.jsonl") for name in r
    }
    drawn = {p.column for p in training.PANELS} | {
        p.beside for p in training.PANELS
    } - {""}
    assert drawn <= logged
