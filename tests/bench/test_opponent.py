"""PyTorch's contestants: looked for, left out, started, and heard when they fail.

The server itself is played by a few lines of Python here; it runs with PyTorch in
tests/torch.
"""

import sys
from pathlib import Path

import jax
import pytest

from sparsetx.bench import opponent, results
from sparsetx.bench.opponent import Opponent
from sparsetx.bench.timing import Took, race

ANSWERS = """
import json, sys
for _ in sys.stdin:
    print(json.dumps({"seconds": 0.5, "memory": 7, "asked": sys.argv[1]}), flush=True)
"""


def test_it_is_looked_for_beside_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opponent, "ROOT", tmp_path)
    beside = tmp_path / ".venv-torch" / "bin" / "python"
    beside.parent.mkdir(parents=True)
    beside.touch()
    assert opponent.python() == beside
    assert opponent.missing() is None


def test_without_it_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opponent, "python", lambda: None)
    assert opponent.missing() == (
        "without PyTorch, which is not installed: make .venv-torch/installed"
    )
    with opponent.opponents({"PyTorch": ("rows", {})}) as found:
        assert found == {}


def test_it_does_not_race_against_an_accelerator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opponent, "python", lambda: Path(sys.executable))
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert opponent.missing() == "without PyTorch, which would not run on tpu"


def test_a_turn_is_asked_for_and_timed_there() -> None:
    one = Opponent("rows", {"k": 3})
    one.command = [sys.executable, "-c", ANSWERS, one.command[-1]]
    assert one() == one() == Took(0.5)
    assert one.memory == 7
    one.close()
    assert one.process is not None
    assert one.process.returncode == 0


def test_what_it_says_when_it_fails_is_passed_on() -> None:
    one = Opponent("rows", {})
    one.command = [sys.executable, "-c", "raise SystemExit('no such kind')"]
    rows = race("rows", {"ours": lambda: Took(1.0), "PyTorch": one}, rounds=1)
    assert (rows[0].name, rows[0].seconds) == ("ours", 1.0)
    assert (rows[1].seconds, rows[1].note) == (0, "did not run: no such kind")
    assert results.cells(rows[1])[1:7] == [""] * 6
    one.close()
