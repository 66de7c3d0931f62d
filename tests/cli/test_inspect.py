"""`sparsetx inspect` on a run, and on a circuit."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from sparsetx.circuits import circuit
from sparsetx.cli import inspect
from sparsetx.cli.main import main
from tests import runs
from tests.circuits import handmade
from tests.cli.test_decompile import make


@pytest.fixture(scope="module")
def folder() -> Path:
    return runs.once("decompiled", make)


def ask(folder: Path, *more: str) -> list[str]:
    place = folder / "run" / "circuits" / handmade.TASK
    file = str(folder / f"{handmade.TASK}.jsonl")
    return ["inspect", str(place), "--task-file", file, *more]


def test_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(runs.trained())]) == 0
    said = capsys.readouterr().out
    assert f"step {runs.STEPS} (saved: 8, 12)" in said
    assert re.search(r"started: +\S+ at step 0 on 8 x cpu, 1 host", said)
    row = re.search(r"blocks/fc/w +1 +(\d+) +0\.2500 +(\d+) .* 0\n", said)
    assert row is not None
    assert (int(row[1]), int(row[2]) >= 2) == (16 * 32 // 4, True)


def test_a_circuit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ask(folder, "--nodes", "3")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1. The two prompts of a pair differ in one token" in said
    assert "5. The answers are read from the attention of layer 1 in" in said
    assert "The 3 nodes of 11 with the largest ablation costs" in said
    assert re.search(r"attn_out/1/5 \+\S+ \+\S+ 100% quote type at the end: ", said)
    for more, message in (
        (["--nodes", "-1"], "--nodes -1: wanted 0 or more"),
        (["--step", "3"], "quotes is a circuit"),
    ):
        assert main(ask(folder, *more)) == 2
        assert message in capsys.readouterr().err
    assert main(["inspect", str(folder)]) == 2
    assert f"wanted a run or a circuit at {folder}" in capsys.readouterr().err


def test_where_no_circuit_was_found(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(
        (folder / "run" / "circuits" / handmade.TASK / circuit.JSON).read_text()
    )
    (tmp_path / circuit.JSON).write_text(json.dumps(told | {"status": "not reached"}))
    assert main(["inspect", str(tmp_path / circuit.JSON)]) == 0
    assert "there is no circuit to show" in capsys.readouterr().out


def test_f_of_templates_is_told_where_it_was_measured(folder: Path) -> None:
    found = circuit.load_circuit(folder / "run" / "circuits" / handmade.TASK)
    test = dataclasses.replace(found.facts.test, templates=(0.1623, 0.2))
    told = dataclasses.replace(found.facts, test=test)
    said = inspect.figures(dataclasses.replace(found, facts=told))
    assert said.endswith("\n  F on each template: 0.162, 0.200")
    none = dataclasses.replace(told, test=dataclasses.replace(test, templates=()))
    said = inspect.figures(dataclasses.replace(found, facts=none))
    assert "template" not in said
