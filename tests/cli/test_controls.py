"""`sparsetx controls` and `sparsetx plot` on a known circuit."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from sparsetx.circuits import circuit
from sparsetx.circuits.controls import controls_file, evidence_files, thresholds
from sparsetx.cli.main import main
from sparsetx.system.progress import silent
from tests import runs
from tests.circuits import handmade
from tests.cli.test_prune import cut

ONLY = ["--only", "frozen_norms,necessity,relaxation,mib_curve"]


@pytest.fixture(scope="module")
def done() -> Path:
    """A run with its circuit, made once for all workers."""
    return runs.once("handmade", cut) / "run"


@pytest.fixture
def own(done: Path, tmp_path: Path) -> Path:
    """A copy of the circuit in a copy of its run, without the checkpoint."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(done / name, run)
    folder = run / "circuits" / handmade.TASK
    shutil.copytree(done / "circuits" / handmade.TASK, folder)
    return folder


def ask(done: Path, folder: Path, *more: str) -> list[str]:
    file = done.parent / f"{handmade.TASK}.jsonl"
    return ["controls", str(folder), "--task-file", str(file), *more]


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "controls.json").read_text())
    return found


@pytest.mark.slow
def test_controls_in_two_parts_and_their_plots(
    done: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ask(done, own, *ONLY)) == 0
    out = capsys.readouterr().out
    assert "frozen_norms    pass" in out
    first = told(own)
    assert [entry["name"] for entry in first["controls"]] == list(thresholds.NAMES)
    verdicts = {entry["name"]: entry["verdict"] for entry in first["controls"]}
    assert verdicts[thresholds.NECESSITY] == "pass"
    assert verdicts[thresholds.ROLES] == verdicts[thresholds.SEEDS] == "not run"
    assert set(first["bars"]) == set(thresholds.BARS)
    assert not list(own.rglob("lock"))

    assert main(ask(done, own, "--only", "roles,necessity", "--binarise")) == 0
    out = capsys.readouterr().out
    assert "roles           pass" in out
    assert "necessity       pass  " not in out.split("control")[0]  # it existed
    assert "of its 11 nodes" in out
    second = told(own)
    assert second["binarised"]["at the target"] == 11
    by_name = {entry["name"]: entry for entry in second["controls"]}
    assert by_name[thresholds.NECESSITY] == first["controls"][4]
    assert by_name[thresholds.ROLES]["verdict"] == "pass"

    assert main(["plot", str(own)]) == 0
    drawn = {Path(line) for line in capsys.readouterr().out.splitlines()}
    names = {"loss-versus-edges", "necessity", "mib-curve", "relaxation"}
    assert {path.name for path in drawn} == {
        f"{name}.{kind}" for name in names for kind in ("png", "svg", "csv")
    }  # none of seeds, which has not run
    rows = list(csv.reader((own / "plots" / "necessity.csv").read_text().splitlines()))
    assert rows[0] == ["circuit", "mask", "cost"]
    assert len(rows) == 1 + 1 + 20
    assert image.imread(own / "plots" / "mib-curve.png").std() > 0
    assert "<svg" in (own / "plots" / "relaxation.svg").read_text()


def test_stored_searches_are_used(
    done: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = circuit.load_facts(own)
    one = {"reached": True, "nodes": 30, "edges": 90, "edges_plus": 90, "kept": [1, 2]}
    kept = {"random_weights/0": one, "seeds/10001": one}
    (own / "controls").mkdir()
    (own / "controls" / "searches.json").write_text(
        json.dumps({"circuit": controls_file.fingerprint(facts), "found": kept})
    )
    more = ["--only", "random_weights,seeds", "--seeds", "1", "--redraws", "1"]
    assert main(ask(done, own, *more)) == 0
    found = {entry["name"]: entry for entry in told(own)["controls"]}
    assert found[thresholds.RANDOM_WEIGHTS]["verdict"] == "pass"
    assert found[thresholds.RANDOM_WEIGHTS]["figure"]["ratio"] == 0.1
    assert found[thresholds.SEEDS]["verdict"] == "fail"  # not a node in common
    assert found[thresholds.SEEDS]["asked"] == 1
    capsys.readouterr()
    assert main(ask(done, own, *more)) == 0
    assert "[1]" in capsys.readouterr().out
    assert main(["plot", str(own), "-o", str(own / "here")]) == 0
    rows = (own / "here" / "seeds.csv").read_text().splitlines()
    assert rows == ["circuit,edges_plus,jaccard", '"run: quotes, honest",90,0.0']


def test_means_of_other_weights_are_over_the_runs_text(done: Path, own: Path) -> None:
    file = str(done.parent / f"{handmade.TASK}.jsonl")
    evidence = evidence_files.of_circuit(own, silent, file)
    assert evidence.remeasure is not None
    same = evidence.remeasure(evidence.params)
    for site, x in evidence.means.items():
        np.testing.assert_allclose(same[site], x, atol=1e-6)
    assert list((own / "controls").glob("means-*.npz"))


def change(folder: Path, path: list[str], value: Any) -> None:
    file = folder / circuit.JSON
    whole = json.loads(file.read_text())
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["search", "pools"], "x", "(the task has changed): cut it again"),
        (["search", "pools"], "", "(an older sparsetx cut it): cut it again"),
        (["model", "tokenizer"], "x", "was cut with another tokenizer"),
    ],
)
def test_a_circuit_found_with_other_prompts_is_refused(
    done: Path,
    own: Path,
    path: list[str],
    value: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(own, path, value)
    assert main(ask(done, own, *ONLY)) == 2
    assert message in capsys.readouterr().err


def test_bad_input(done: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, message in (
        (["--only", "rolls"], "'rolls': did you mean roles?"),
        (["--seeds", "0"], "--seeds 0: wanted more than 0"),
        (["--redraws", "-1"], "--redraws -1: wanted more than 0"),
        (["--memory", "nan"], "--memory nan: wanted more than 0"),
    ):
        assert main(ask(done, own, *more)) == 2
        assert message in capsys.readouterr().err
    assert main(["controls", str(own)]) == 2
    assert "a task of your own, quotes: name its file" in capsys.readouterr().err


def test_a_search_that_found_nothing(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(own, ["status"], "not reached")
    assert main(["controls", str(own)]) == 0
    assert "there is nothing to test" in capsys.readouterr().out


def test_entries_of_another_circuit_are_not_used(
    done: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ["--only", "frozen_norms"]
    assert main(ask(done, own, *only)) == 0
    capsys.readouterr()
    assert main(ask(done, own, *only)) == 0
    assert "frozen_norms    pass         It" not in capsys.readouterr().out
    whole = told(own)
    reworded = {name: bar | {"why": "so"} for name, bar in whole["bars"].items()}
    (own / "controls.json").write_text(json.dumps(whole | {"bars": reworded}))
    assert main(ask(done, own, *only)) == 0
    assert "frozen_norms    pass         It" not in capsys.readouterr().out
    for damaged in (
        json.dumps(whole | {"circuit": "another"}),
        json.dumps(whole | {"bars": {}}),
        "{",
    ):
        (own / "controls.json").write_text(damaged)
        assert main(ask(done, own, *only)) == 0
        assert "frozen_norms    pass         It" in capsys.readouterr().out
    assert main(ask(done, own, *only, "--again")) == 0
    assert "frozen_norms    pass         It" in capsys.readouterr().out
    assert np.isfinite(told(own)["controls"][1]["seconds"])


def test_prompts_padded_for_a_shared_program_decide_alike(
    done: Path, own: Path
) -> None:
    file = str(done.parent / f"{handmade.TASK}.jsonl")
    alone = evidence_files.of_circuit(own, silent, file)
    length = evidence_files.length_of([own, own / "plain"], file)
    assert length >= alone.test.asked.tokens_BL.shape[1]
    shared = evidence_files.of_circuit(own, silent, file, length + 8)
    assert shared.test.asked.tokens_BL.shape[1] == length + 8
    np.testing.assert_allclose(shared.cut, alone.cut, rtol=1e-5, atol=1e-5)
