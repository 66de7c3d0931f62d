"""Loading an experiment: errors of the user's file, with their lines."""

import json
from pathlib import Path

import pytest

from sparsetx.cli import experiment
from sparsetx.cli import main as cli
from sparsetx.config import RunConfig
from sparsetx.system import fields
from sparsetx.system.errors import Refusal
from tests.house import ROOT

TINY = str(ROOT / "experiments" / "tiny.py")


def write(folder: Path, text: str) -> str:
    path = folder / "experiment.py"
    path.write_text(text)
    return str(path)


def test_a_file_a_config_and_a_run_folder(tmp_path: Path) -> None:
    run = experiment.load(TINY)
    (tmp_path / "config.json").write_text(json.dumps(fields.to_json(run)))
    assert experiment.load(str(tmp_path)) == run
    assert experiment.load(str(tmp_path / "config.json")) == run
    assert experiment.load(TINY, ["seed=4"]).seed == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def config(:\n", r"experiment.py, line 1: "),
        ("x = 1\n", r"wanted a function config\(\) in .*: it has none"),
        ("import nothing_like_it\n", "experiment.py, line 1: ModuleNotFoundError"),
        ("def config():\n    return {}['a']\n", "experiment.py, line 2: KeyError"),
        (
            "def config():\n    return 3\n",
            r"config\(\) returned int, wanted a RunConfig",
        ),
        (
            "from sparsetx.config import *\n"
            "def config():\n    return RunConfig(seed=-1)\n",
            "seed = -1: wanted 0 or more",
        ),
    ],
)
def test_refused_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        experiment.load(write(tmp_path, text))


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(Refusal, match=r"x\.txt: not a \.py file"):
        experiment.load(str(tmp_path / "x.txt"))
    with pytest.raises(Refusal, match="No such file"):
        experiment.load(str(tmp_path))
    (tmp_path / "config.json").write_text('{"modle": {}}')
    with pytest.raises(
        Refusal, match="modle: there is no such key; did you mean model"
    ):
        experiment.load(str(tmp_path))


def test_config_prints_json_that_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", TINY, "model.n_layer=3"]) == 0
    found = json.loads(capsys.readouterr().out)
    run = fields.from_json(RunConfig, found, "x")
    assert run == experiment.load(TINY, ["model.n_layer=3"])


def test_config_diff_and_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", TINY, "seed=3", "--diff", TINY]) == 0
    assert capsys.readouterr().out == "seed: 3 -> 0\n"
    assert cli.main(["config", TINY, "--diff", TINY]) == 0
    assert "are equal" in capsys.readouterr().out
    assert cli.main(["config", TINY, "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(fields.leaves(RunConfig())))
    assert any(line.startswith("model.vocab_size = 512") for line in lines)
