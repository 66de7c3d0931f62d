"""`sparsetx train`: stopped, resumed, refused, sharded."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from sparsetx.cli.main import main
from sparsetx.run import checkpoints, metrics_log
from sparsetx.training import loop, profile
from tests import runs


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.trained()  # its data are prepared then
    return runs.experiment(tmp_path_factory.mktemp("experiment"), runs.data())


def rows(run: Path) -> list[dict]:
    found = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    return metrics_log.untimed(found)


def sums(run: Path) -> dict:
    return checkpoints.read_facts(run, runs.STEPS)["checksums"]


def test_ctrl_c_is_130_with_the_state_saved(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Told before step 3, it ends after it: the thread needs a moment."""

    def interrupted(config: object, path: Path, step: int) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    monkeypatch.setattr(profile, "before", interrupted)
    run = tmp_path / "run"
    assert main(["train", str(experiment), "--run", str(run)]) == 130
    assert "stopped at step 3 of 12" in capsys.readouterr().out
    assert checkpoints.steps(run) == [3]


def test_what_it_says(experiment: Path, tmp_path: Path, capsys) -> None:
    run = runs.copied(tmp_path)
    assert main(["train", str(experiment), "--run", str(run)]) == 0
    out, _ = capsys.readouterr()
    assert f"{run}, going on at step 12\n" in out
    assert 'activation="gelu"' in out
    assert "blocks/qkv/w" in out
    assert "2 x 16 x 48" in out
    assert "12 steps in" in out
    assert f"next: sparsetx eval {run}" in out


def test_another_configuration_is_refused_unless_allowed(
    experiment: Path, tmp_path: Path, capsys
) -> None:
    run = runs.copied(tmp_path)
    command = ["train", str(experiment), "--run", str(run)]
    changed = [*command, "optim.lr=0.5", "seed=3", "train.log_every=1"]
    assert main(changed) == 2
    said = capsys.readouterr().err
    assert "optim.lr: 0.01 -> 0.5" in said
    assert "seed: 0 -> 3" in said
    assert "log_every" not in said
    assert main([*changed, "--allow", "optim", "--allow", "seed"]) == 0

    environment = run / "environment.json"
    facts = json.loads(environment.read_text())
    environment.write_text(json.dumps(facts | {"data": "0000"}))
    capsys.readouterr()
    assert main(changed) == 2  # the configuration is the run's own by now
    assert "the run began on" in capsys.readouterr().err
    assert main([*changed, "--allow", "data"]) == 0


def test_a_run_that_diverges_exits_with_1(
    experiment: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> None:
        raise loop.Diverged("3 steps in a row")

    monkeypatch.setattr(loop, "fit", diverge)
    command = ["train", str(experiment), "--run", str(tmp_path / "run")]
    assert main(command) == 1
    assert "sparsetx train: 3 steps in a row" in capsys.readouterr().err


def test_sharded_over_eight_devices(experiment: Path, tmp_path: Path, capsys) -> None:
    """The same run goes on under another mesh: sharded, saved, and read again."""
    run = runs.copied(tmp_path)
    shutil.rmtree(run / "checkpoints" / "12")
    command = ["train", str(experiment), "--run", str(run), "mesh.fsdp=4"]
    assert main(command) == 0
    assert "- x - x fsdp" in capsys.readouterr().out
    assert checkpoints.steps(run) == [8, 12]
    ours, theirs = (
        checkpoints.read_params(r, 12)["blocks"]["fc"]["w"]
        for r in (run, runs.trained())
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
