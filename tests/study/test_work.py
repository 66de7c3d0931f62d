"""A tiny study from its file to its table, in this process."""

import csv
import json
from pathlib import Path

import pytest

from sparsetx.cli.main import main
from sparsetx.run import checkpoints
from tests import runs
from tests.study import tiny

pytestmark = pytest.mark.slow  # six trainings and searches, as short as they are


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("study")
    path = tiny.file(folder, folder / "data")  # which the study prepares
    return ["study", str(path), "--out", str(folder / "out")]


def table(asked: list[str]) -> list[dict[str, str]]:
    text = (Path(asked[-1]) / "study.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def test_it_runs_in_parts_and_lists_what_is_there(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*asked, "--list"]) == 0
    before = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in before] == tiny.CELLS
    assert "trained 0%, 0/2 cut" in before[0]
    assert "trained 0%, 0/1 cut" in before[1]

    assert main([*asked, "--only", "seed=0,width=16"]) == 0
    assert f"{tiny.CELLS[0]}: done" in capsys.readouterr().out
    assert main([*asked, "--list", "--only", "seed=0"]) == 0
    states = [x.split(maxsplit=2)[2] for x in capsys.readouterr().out.splitlines()]
    assert states == ["done", "trained 0%, 0/1 cut"]
    assert {row["model"] for row in table(asked)} == {"sparse", "shuffled-0"}

    assert main(asked) == 0
    assert capsys.readouterr().out.count(": done") == 3
    out = Path(asked[-1])
    times = json.loads((out / tiny.CELLS[1] / "times.json").read_text())
    assert times.keys() == {"train", "prune"}
    assert all(one["cost"] > 0 for one in times.values())
    for name in tiny.CELLS:
        assert checkpoints.steps(out / name)[-1] == runs.STEPS
    assert not list(out.rglob("lock"))


def test_its_table_has_a_row_for_each_circuit(asked: list[str]) -> None:
    found = table(asked)
    places = [(r["width"], r["seed"], r["model"], r["circuit"]) for r in found]
    wanted = [
        (w, s, model, kind)
        for w in ("16", "24")
        for s in ("0", "1")
        for model in ("sparse", "shuffled-0")
        for kind in ("plain",)
        if model == "sparse" or (w, s) == ("16", "0")
    ]
    assert places == wanted
    assert {r["steps"] for r in found} == {"12"}
    assert {r["tokens"] for r in found} == {str(12 * 8 * 48)}
    rows = json.loads((Path(asked[-1]) / "study.json").read_text())
    losses = [(r["width"], r["seed"], r["validation_loss"]) for r in rows]
    assert len(set(losses)) == 4
    for row in rows:
        assert row["reached"] == (row["edges"] is not None)
        assert row["kept"] < row["parameters"]


def test_the_table_alone_is_made_again_with_the_same_bytes(asked: list[str]) -> None:
    out = Path(asked[-1])
    made = [*out.glob("study.*"), *out.glob("frontier.*")]
    assert len(made) == 6
    before = {path: path.read_bytes() for path in made}
    for path in made:
        path.unlink()
    assert main([*asked, "--table"]) == 0
    assert {path: path.read_bytes() for path in made} == before


def test_a_changed_study_is_refused(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(asked[1]).read_text()
    path = tmp_path / "tiny.py"
    path.write_text(text.replace("Sizes(16, 8", "Sizes(16, 16"))
    assert main(["study", str(path), "--out", asked[-1]]) == 2
    assert "sizes: was" in capsys.readouterr().err
    path.write_text(text.replace("seed=1", "seed=2"))
    for more in ([], ["--table"]):
        assert main(["study", str(path), "--out", asked[-1], *more]) == 2
        assert "seed: 1 -> 2" in capsys.readouterr().err
