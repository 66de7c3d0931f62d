"""The script of the results page: tables and a picture of what circuits hold under."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sparsetx.circuits import circuit
from sparsetx.circuits.facts import KINDS, Facts
from tests import runs
from tests.circuits import known
from tests.house import ROOT


@pytest.fixture(scope="module")
def ladders() -> ModuleType:
    path = ROOT / "experiments/results/ladders.py"
    spec = importlib.util.spec_from_file_location("ladders", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_and_picture(
    ladders: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.once("known-kinds", known.made_of_two_kinds) / "run", run)
    files = sorted((run / "circuits").rglob("circuit.json"))
    for path in files:
        told = json.loads(path.read_text())
        told["test"]["F"] = 0.321
        path.write_text(json.dumps(told))
    picture = tmp_path / "ladders.png"
    words = ["ladders.py", str(run), str(run), "--picture", str(picture)]
    monkeypatch.setattr(sys, "argv", words)
    assert ladders.main() == 0
    out = capsys.readouterr().out
    cuts = [circuit.load_facts(path.parent) for path in files]
    assert len(cuts) == 2
    for facts in cuts:
        assert out.count(row_of(facts)) == 2  # once for each model
        size = f"{facts.size.edges:,}, 0.321"
        assert f"| {facts.task} | {size} | {size} | 1.0 | 1.0 |" in out
    assert picture.stat().st_size > 5000
    assert "trainings" not in out
    monkeypatch.setattr(sys, "argv", ["ladders.py", *[str(run)] * 4])
    assert ladders.main() == 0
    last = capsys.readouterr().out.splitlines()[-len(KINDS) :]
    kinds = {facts.search.kind for facts in cuts}
    same = "1.0 [1.0, 1.0]"
    for kind, line in zip(KINDS, last, strict=True):
        nothing = ladders.written(None)
        found = (2, same, same) if kind in kinds else (0, nothing, nothing)
        assert line == f"| {kind} | {' | '.join(map(str, found))} |"


def test_an_odd_number_of_runs_is_refused(
    ladders: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["ladders.py", "one", "two", "three"])
    with pytest.raises(SystemExit) as raised:
        ladders.main()
    assert raised.value.code == 2


def row_of(facts: Facts) -> str:
    return f"| {facts.task} | {facts.search.kind} | {facts.size.edges:,} |"


def test_without_an_f_there_is_no_picture(
    ladders: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = str(runs.once("known-kinds", known.made_of_two_kinds) / "run")
    words = ["ladders.py", run, run, "--picture", str(tmp_path / "x.png")]
    monkeypatch.setattr(sys, "argv", words)
    assert ladders.main() == 2
    assert "wanted a circuit with an F" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_told(
    ladders: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def unwritable(_: object, path: Path) -> None:
        path.write_text("")

    monkeypatch.setattr(ladders, "picture", unwritable)
    run = str(runs.once("known-kinds", known.made_of_two_kinds) / "run")
    words = ["ladders.py", run, run, "--picture", str(tmp_path / "no" / "x.png")]
    monkeypatch.setattr(sys, "argv", words)
    assert ladders.main() == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_what_is_no_run_is_refused(
    ladders: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["ladders.py", str(tmp_path), str(tmp_path)])
    assert ladders.main() == 2
    assert "wanted a run or a circuit" in capsys.readouterr().err
