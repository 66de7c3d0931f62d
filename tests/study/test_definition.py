"""Studies: their cells, selectors, and what is refused."""

import dataclasses
from pathlib import Path

import pytest

from sparsetx.cli import experiment
from sparsetx.cli.main import main
from sparsetx.config import ModelConfig, RunConfig
from sparsetx.study import Study, definition
from sparsetx.study.outlook import PRUNE, TRAIN, Outlook, Stage, costs
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress
from tests.house import ROOT

MODEL = ModelConfig(
    vocab_size=64, context=8, n_layer=1, d_model=16, n_head=1, d_head=8, d_mlp=32
)
AXES = {
    "width": {"16": [], "32": ["model.d_model=32"]},
    "density": {"1-2": [], "dense": ["sparsity.block=1"]},
    "seed": {"0": [], "1": ["seed=1"]},
}
STUDY = Study(
    RunConfig(model=MODEL), AXES, ["if_equals"], dense=["density=dense"],
    shuffled=["density=1-2,seed=0"], shuffles=(3,),
)  # fmt: skip


def test_cells_are_all_combinations_with_their_overrides() -> None:
    cells = STUDY.cells()
    assert len(cells) == len({cell.name for cell in cells}) == 8
    last = cells[-1]
    assert last.name == "width=32,density=dense,seed=1"
    config = last.config
    assert (config.model.d_model, config.sparsity.block, config.seed) == (32, 1.0, 1)
    assert [c.kind for c in cells] == ["sparse", "sparse", "dense", "dense"] * 2
    assert [c.shuffles for c in cells][:3] == [[None, 3], [None], [None]]


def test_a_selector_names_cells() -> None:
    names = [c.name for c in definition.selected(STUDY, "width=32,seed=0,seed=1")]
    assert len(names) == 4
    for cell in STUDY.cells():
        assert definition.selected(STUDY, cell.name) == [cell]
    few = dataclasses.replace(STUDY, only=[STUDY.cells()[3].values])
    assert [c.name for c in few.cells()] == ["width=16,density=dense,seed=1"]
    with pytest.raises(Refusal, match="names none"):
        definition.selected(few, "width=32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ["if_equal"]}, "did you mean if_equals"),
        ({"tasks": []}, "tasks: wanted one or more"),
        ({"kinds": ("honest",)}, "kinds: wanted plain"),
        ({"dense": ["densty=dense"]}, "did you mean density"),
        ({"shuffled": ["seed=7"]}, "no such value"),
        ({"shuffles": (-1,)}, "seeds of 0 or more"),
        ({"axes": AXES | {"width": {}}}, "width has no values"),
        ({"axes": AXES | {"width": {"a/b": []}}}, "wanted a name like"),
        ({"axes": AXES | {"width": {"1": "seed=1"}}}, "list of overrides"),
        ({"axes": AXES | {"width": {"1": ["model.width=1"]}}}, "no key 'width'"),
        ({"axes": AXES | {"width": {"1": ["model.d_model=0"]}}}, "1 or more"),
        ({"only": [{"width": "16"}]}, "wanted a value of each"),
        ({"only": [STUDY.cells()[0].values] * 2}, "named twice"),
    ],
)
def test_bad_studies_are_refused(change: dict, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        definition.check(dataclasses.replace(STUDY, **change), "it cannot be used")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("x = 1", "wanted a function study()"),
        ("def study():\n    return 3", "returned int, wanted a Study"),
        ("def study():\n    return 1 / 0", "line 2: ZeroDivisionError"),
        ("def study(:", "line 1: "),
    ],
)
def test_bad_files_are_refused(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.py"
    if text is not None:
        path.write_text(text)
    assert main(["study", str(path), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_frontier_is_the_study_of_the_paper() -> None:
    study = experiment.load_study(str(ROOT / "experiments/frontier.py"))
    cells = study.cells()
    assert [len(values) for values in study.axes.values()] == [3, 5, 2]
    assert sum(cell.kind == "dense" for cell in cells) == 6
    assert all(
        cell.config.model.afrac is None for cell in cells if cell.kind == "dense"
    )
    assert sum(len(cell.shuffles) == 2 for cell in cells) == 12


def test_the_outlook_uses_measured_rates(tmp_path: Path) -> None:
    outlook = Outlook()
    for cell in STUDY.cells():
        outlook.add(cell, {TRAIN: 1.0, PRUNE: 1.0}, tmp_path / "none")
    assert outlook.share == 0
    assert outlook.seconds_left() is None
    first = STUDY.cells()[0]
    shown: list[Progress] = []
    stage = Stage(outlook, first, TRAIN, shown.append, lambda s: f"{s:.0f}s")
    stage.left(0.5)
    stage(Progress("train", 1, 2, "steps"))
    assert "%" in str(shown[0].figures["study"])
    stage.end(tmp_path)
    assert outlook.left[first.name, TRAIN] == 0
    outlook.spent, outlook.done = {TRAIN: 10.0}, {TRAIN: 5.0}
    left = sum(outlook.left.values())
    assert outlook.seconds_left() == pytest.approx(2 * left)
    outlook.measured(PRUNE, 1.0, 7.0)
    prune = sum(costs(cell)[PRUNE] for cell in STUDY.cells())
    train = sum(costs(cell)[TRAIN] for cell in STUDY.cells()[1:])
    assert outlook.seconds_left() == pytest.approx(2 * train + 7 * prune)
