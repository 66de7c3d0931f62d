"""`sparsetx bench`: what it prints, and what it writes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sparsetx.bench import data, opponent, results
from sparsetx.bench.timing import Asked
from sparsetx.cli.main import main
from tests.bench.test_results import FACTS, ROWS


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """What a group is asked for; it answers with rows that nobody measured."""
    heard: list[Asked] = []

    def run(asked: Asked) -> list[Any]:
        heard.append(asked)
        return ROWS

    monkeypatch.setattr(data, "run", run)
    monkeypatch.setattr(results, "facts", lambda: FACTS)
    monkeypatch.setattr(opponent, "python", lambda: None)
    return heard


def test_it_prints_tables(
    asked: list[Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "data", "--rounds", "4", "--quick"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines.count("rows") == lines.count("step") == 1
    assert "2 ns/element" in said.out
    assert lines[-1].endswith("hm")
    assert "make .venv-torch/installed" in said.err
    assert (asked[0].rounds, asked[0].quick) == (4, True)


def test_it_writes_what_is_asked_for(
    asked: list[Asked], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"--json": "r.json", "--markdown": "r.md", "--plots": "pictures"}
    options = [x for k, v in names.items() for x in (k, str(tmp_path / v))]
    assert main(["bench", "data", *options]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["facts"] == FACTS
    assert "**step**" in (tmp_path / "r.md").read_text()
    assert [p.name for p in (tmp_path / "pictures").iterdir()] == ["rows-float32.png"]
    assert "wrote " in capsys.readouterr().err


def test_several_groups_run_apart_and_are_joined(
    asked: list[Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> Any:
        commands.append(command)
        results.write_json(command[-1], FACTS, ROWS)
        failed = "topk" in command
        return subprocess.CompletedProcess(command, int(failed))

    monkeypatch.setattr(subprocess, "run", run)
    path = tmp_path / "r.json"
    assert main(["bench", "data", "topk", "--rounds", "2", "--json", str(path)]) == 1
    assert [c[4] for c in commands] == ["data", "topk"]
    assert all("--rounds 2" in " ".join(c) for c in commands)
    assert results.read_json(path)[1] == ROWS
    assert "failed: topk" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(
    ("words", "said"),
    [(["dta"], "no such benchmark"), (["data", "--rounds", "0"], "wanted 1 or more")],
)
def test_bad_input_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    assert said in capsys.readouterr().err
