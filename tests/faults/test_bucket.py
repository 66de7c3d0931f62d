"""A run that lives on an object store: no rename, no append, no fsync, no flock."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sparsetx
from sparsetx.cli import experiment as cli_experiment
from sparsetx.cli.main import main
from sparsetx.run import checkpoints, metrics_log
from sparsetx.system import files, lock
from tests import runs
from tests.circuits import compiled, handmade
from tests.cli.test_prune import QUICK
from tests.cli.test_train import sums
from tests.faults import bucket, hosts
from tests.faults.case import until
from tests.pages import data_of

RUN = "gs://bucket/runs/small"


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    """The store is a process of its own: it outlives whoever is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.bucket"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    added = bucket.environment(process.stdout.readline().strip())
    os.environ.update(added)
    yield
    process.communicate("")
    for name in added:
        del os.environ[name]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.trained()
    return runs.experiment(tmp_path_factory.mktemp("bucket"), runs.data())


@pytest.fixture(scope="module")
def whole(experiment: Path) -> Path:
    """The same run on a disk, never interrupted."""
    path = experiment.parent / "whole"
    end = hosts.alone(hosts.train(experiment, path, "train.log_every=1"), 1)
    assert end.code == 0, end.err
    return path


def there(command: list[str], run: str = RUN) -> list[str]:
    command[command.index("--run") + 1] = run
    return command


def rows(run: str | Path) -> list[dict[str, object]]:
    return metrics_log.untimed(metrics_log.read(files.place(run) / "metrics.jsonl"))


def test_it_trains_is_killed_and_told_to_stop_and_is_the_same_run(
    experiment: Path, whole: Path
) -> None:
    command = there(hosts.train(experiment, Path("."), "train.log_every=1"))
    process = hosts.started(command, hosts.environment(1))
    until(lambda: 4 in checkpoints.steps(RUN))
    process.kill()
    hosts.ended(process)
    assert not [s for s in checkpoints.steps(RUN) if s not in (4, 8, 12)]

    process = hosts.started(command, hosts.environment(1))
    end = hosts.ended(process)[0]
    assert end.code == 0, end.err
    assert "going on at step" in end.out
    assert checkpoints.read_facts(RUN, runs.STEPS)["checksums"] == sums(whole)
    assert rows(RUN) == rows(whole)
    assert not (files.place(RUN) / "lock").exists()


def test_sigterm_saves_there(experiment: Path) -> None:
    run = "gs://bucket/runs/stopped"
    command = there(hosts.train(experiment, Path("."), "train.steps=100000"), run)
    process = hosts.started(command, hosts.environment(1))
    until(lambda: checkpoints.steps(run))
    process.send_signal(signal.SIGTERM)
    end = hosts.ended(process)[0]
    assert end.code == 42, end.err
    assert not (files.place(run) / "lock").exists()
    last = checkpoints.steps(run)[-1]
    assert f"stopped at step {last:,}" in end.out
    assert max(int(str(r["step"])) for r in rows(run)) == last - last % 2
    # Its own configuration is enough to go on.
    for place in (run, f"{run}/config.json"):
        assert cli_experiment.load(place).train.steps == 100_000


def test_an_analyst_reads_it(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remote, local = sparsetx.load_run(RUN), sparsetx.load_run(whole)
    tokens = np.arange(16)[None] % 500
    np.testing.assert_array_equal(remote.logits(tokens), local.logits(tokens))
    assert main(["verify", RUN]) == 0
    assert main(["inspect", RUN]) == 0
    capsys.readouterr()


def test_circuits_are_cut_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local, run = handmade.run(tmp_path), "gs://bucket/runs/handmade"
    for file in files.inside(local):
        there = files.place(run) / str(file.relative_to(local))
        there.write_bytes(file.read_bytes())
    # The step was renamed into place on the disk; here a marker says that it is whole.
    (step,) = (local / "checkpoints").iterdir()
    (files.place(run) / "checkpoints" / step.name / checkpoints.COMMITTED).write_text(
        ""
    )
    command = ["--task-file", str(handmade.task_file(tmp_path)), *QUICK]
    assert main(["prune", run, *command]) == 0
    found = sparsetx.load_circuit(f"{run}/circuits/{handmade.TASK}")
    assert set(found.nodes) == compiled.CIRCUIT
    assert main(["report", run]) == 0
    page = (files.place(run) / "report.html").read_text()
    assert handmade.TASK in data_of(page)["tasks"]
    left = {file.name for file in files.inside(f"{run}/circuits")}
    assert {n for n in left if not n.startswith("means-")} == {
        "circuit.json", "circuit.npz",
    }  # fmt: skip
    capsys.readouterr()


# Orbax's reading thread outlives the loop that a broken object ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_damaged_step_there_is_set_aside(experiment: Path, whole: Path) -> None:
    last = files.place(RUN) / "checkpoints" / str(runs.STEPS)
    big = max(files.inside(last / "state"), key=lambda p: len(p.read_bytes()))
    big.write_bytes(b"short")
    assert main(["verify", RUN]) == 1
    command = there(hosts.train(experiment, Path("."), "train.log_every=1"))
    end = hosts.alone(command, 1)
    assert end.code == 0, end.err
    assert f"step {runs.STEPS} is damaged" in end.err
    assert checkpoints.read_facts(RUN, runs.STEPS)["checksums"] == sums(whole)
    assert [p.name for p in (files.place(RUN) / "quarantine").iterdir()] == ["12-0"]


def test_tokens_are_fetched_from_there(tmp_path: Path, capsys) -> None:
    for file in files.inside(runs.data()):
        there = files.place("gs://bucket/data") / str(file.relative_to(runs.data()))
        there.write_bytes(file.read_bytes())
    copy = tmp_path / "copy"
    assert main(["data", "fetch", "gs://bucket/data", "--out", str(copy)]) == 0
    for file in copy.iterdir():
        assert file.read_bytes() == (runs.data() / file.name).read_bytes()
    capsys.readouterr()


def test_a_profile_is_copied_there(experiment: Path, tmp_path: Path) -> None:
    run = "gs://bucket/runs/profiled"
    command = hosts.train(experiment, Path("."), "train.profile_at=5")
    process = hosts.started(there(command, run), hosts.environment(1))
    end = hosts.ended(process)[0]
    assert end.code == 0, end.err
    found = files.inside(f"{run}/profile")
    assert [p.name for p in found if p.name.endswith(".xplane.pb")]


def test_two_writers_are_one_too_many(experiment: Path) -> None:
    with lock.held(RUN):
        end = hosts.alone(there(hosts.train(experiment, Path("."))), 1)
    assert end.code == 2
    assert f"process {os.getpid()} on" in end.err
