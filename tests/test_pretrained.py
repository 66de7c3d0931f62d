"""The pretrained run of the repository: whole, exact, and its circuits as recorded."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sparsetx
from sparsetx.circuits.controls import verification
from sparsetx.circuits.facts import REACHED
from sparsetx.cli.main import main
from sparsetx.run import verification as of_run
from tests.house import ROOT

PRETRAINED = sorted((ROOT / "experiments" / "pretrained").glob("*/config.json"))
MOST = 10 * 2**20  # bytes


def test_there_is_one() -> None:
    assert PRETRAINED


@pytest.mark.parametrize("config", PRETRAINED, ids=lambda p: p.parent.name)
def test_it_is_whole_and_small(config: Path) -> None:
    run = config.parent
    for found in of_run.run(run):
        assert found.whole, found
    size = sum(p.stat().st_size for p in run.rglob("*") if p.is_file())
    assert size <= MOST


@pytest.mark.parametrize("config", PRETRAINED, ids=lambda p: p.parent.name)
def test_its_circuits_score_as_recorded(config: Path) -> None:
    """Every circuit, on its test prompts drawn again."""
    findings = list(verification.circuits(config.parent, rescore=True))
    assert findings
    for found in findings:
        assert found.whole, found


@pytest.mark.slow  # of a model of this size, compiling the sparse program takes long
@pytest.mark.parametrize("config", PRETRAINED, ids=lambda p: p.parent.name)
def test_the_sparse_logits_are_the_dense_ones(config: Path) -> None:
    run = sparsetx.load_run(config.parent)
    pairs = sparsetx.task_pairs("single_double_quote", run.tokenizer, n=16)
    dense = run.logits(pairs.tokens_BL)
    np.testing.assert_allclose(
        run.logits(pairs.tokens_BL, sparse=True), dense, atol=1e-4
    )


def test_a_circuit_that_scores_otherwise_is_reported(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(PRETRAINED[0].parent, run)
    reached = (f.name for f in verification.circuits(run) if f.told == REACHED)
    name, _, *others = reached
    for other in others:  # two are enough
        (run / other / "circuit.json").unlink()
    file = run / name / "circuit.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps(facts | {"loss": facts["loss"] + 0.01}))
    told = {f.name: f.whole for f in verification.circuits(run, rescore=True)}
    assert not told.pop(name)
    assert all(told.values())
    assert main(["verify", str(run), "--rescore"]) == 1
