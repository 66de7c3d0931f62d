"""`sparsetx decompile` on a circuit in its run: writes a program, or refuses."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparsetx
from sparsetx import nodes
from sparsetx.circuits import circuit, facts
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.measure import ablations
from sparsetx.cli.main import main
from sparsetx.run import params_hash
from tests import runs
from tests.circuits import compiled, handmade


def make(folder: Path) -> None:
    """Save the known circuit in the folder of a run that was made by hand."""
    path = handmade.run(folder)
    handmade.task_file(folder)
    run = sparsetx.load_run(path)
    keep = {site: np.asarray(x) for site, x in compiled.mask().items()}
    rng = np.random.default_rng(0)
    tokens_NBL = rng.integers(0, handmade.CONFIG.vocab_size, (2, 16, 32))
    means = ablations.means(handmade.CONFIG, run.params, tokens_NBL)
    kept = sorted(compiled.CIRCUIT, key=lambda n: nodes.flat_index(handmade.CONFIG, n))
    told = facts.Facts(
        task=handmade.TASK,
        status=facts.REACHED,
        model=facts.Model(
            handmade.CONFIG,
            params_hash(run.params),
            run.tokenizer.fingerprint,
            run=str(path),
        ),
        search=facts.Search(length=32),
        nodes=tuple(map(circuit.name_of, kept)),
    )
    arrays = {site: np.asarray(x) for site, x in means.items()}
    own = Circuit(told, run.params, keep, arrays)
    circuit.save(own, path / "circuits" / handmade.TASK)


@pytest.fixture(scope="module")
def folder() -> Path:
    return runs.once("decompiled", make)


def ask(folder: Path, *more: str) -> list[str]:
    place = folder / "run" / "circuits" / handmade.TASK
    file = str(folder / f"{handmade.TASK}.jsonl")
    return ["decompile", str(place), "--task-file", file, *more]


def test_a_program_is_written_and_runs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "quotes.py"
    assert main(ask(folder, "-o", str(out))) == 0
    said = capsys.readouterr().out
    assert f"{out} is written: " in said
    assert "for 11 nodes and 9 edges" in said
    assert "right on 100.0% of" in said
    space: dict[str, Any] = {"__name__": "quotes"}
    exec(out.read_text(), space)
    double, single = (
        space["answer_logits"](["print", quote, "red"]) for quote in ('("', "('")
    )
    assert double['")\n'] > double["')\n"]
    assert single['")\n'] < single["')\n"]


def test_a_program_goes_beside_its_circuit_by_default(folder: Path) -> None:
    assert main(ask(folder)) == 0
    assert (folder / "run" / "circuits" / handmade.TASK / "circuit.py").is_file()


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    assert main(arguments) == 2
    return capsys.readouterr().err


def test_bad_input_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "never.py")]
    assert "wanted a circuit at" in refused(capsys, ["decompile", str(tmp_path)])
    place = ask(folder)[1]
    told = refused(capsys, ["decompile", place, *out])
    assert "quotes is a task of a file: name it with --task-file" in told
    assert "more than 5" in refused(capsys, ask(folder, "--lines", "5", *out))
    assert not (tmp_path / "never.py").exists()


def test_a_circuit_without_its_tokenizer_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = sparsetx.load_circuit(ask(folder)[1])
    file = ask(folder)[3]
    for name, run, said in (
        ("lost", tmp_path / "gone", "wanted the tokenizer of the run"),
        ("other", folder / "run", "is not the tokenizer of the circuit at"),
    ):
        model = dataclasses.replace(
            own.facts.model, run=str(run), tokenizer="of another run"
        )
        circuit.save(
            dataclasses.replace(own, facts=dataclasses.replace(own.facts, model=model)),
            tmp_path / name,
        )
        where = ["decompile", str(tmp_path / name), "--task-file", file]
        assert said in refused(capsys, where)
