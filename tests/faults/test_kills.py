"""Killed at random moments, a sharded run ends as one that was left alone."""

import random
import time
from pathlib import Path

import pytest

from sparsetx.run import checkpoints, metrics_log
from tests import runs
from tests.cli.test_train import rows
from tests.faults import hosts
from tests.faults.case import case, until

STEPS = 300
KILLS = 6


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.trained()
    return runs.experiment(tmp_path_factory.mktemp("kills"), runs.data())


def command(experiment: Path, run: Path) -> list[str]:
    slow = ["train.save_every=20", "train.eval_every=100", "mesh.fsdp=2"]
    return hosts.train(experiment, run, f"train.steps={STEPS}", *slow)


def last(run: Path) -> int:
    """The newest step that a run has told of."""
    return max((r["step"] for r in metrics_log.read(run / "metrics.jsonl")), default=0)


def test_six_kills_leave_no_trace(experiment: Path, tmp_path: Path) -> None:
    seed = time.time_ns() % 10_000
    rng = random.Random(seed)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with case(f"kill -9, {KILLS} times at random, 4 devices (seed {seed})") as row:
        end = hosts.alone(command(experiment, whole))
        assert end.code == 0, end.err
        at = []
        for _ in range(KILLS):
            process = hosts.started(command(experiment, killed), hosts.environment(4))
            # While it starts, or some seconds into its training.
            if rng.random() < 0.2:
                time.sleep(rng.uniform(0.5, 4.0))
            else:
                before = last(killed)
                until(lambda before=before: last(killed) > before)
                time.sleep(rng.uniform(0.0, 1.5))
            process.kill()
            hosts.ended(process)
            at.append(last(killed))
        end = hosts.alone(command(experiment, killed))
        assert end.code == 0, end.err
        assert checkpoints.steps(killed) == checkpoints.steps(whole)
        wanted = checkpoints.read_facts(whole, STEPS)["checksums"]
        assert checkpoints.read_facts(killed, STEPS)["checksums"] == wanted
        assert rows(killed) == rows(whole)
        steps = ", ".join(map(str, at))
        row.told = f"at steps {steps}; parameters, optimiser, rows hash-equal"
