"""Saves are written while training goes on: kills and signals in the middle of one.

`python -m tests.faults.midsave` does more of it.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsetx.run import checkpoints, metrics_log
from sparsetx.system import files
from tests import runs
from tests.cli.test_train import rows
from tests.faults import bucket, hosts
from tests.faults.case import case, until

RATE = 300_000  # bytes per second of the slowed store: a save takes seconds
KILLS = 4
EVERY = 20
STEPS = 120
RUN = "gs://bucket/runs/slow"
MANY = ("train.steps=400", "train.save_every=150", "train.log_every=1")
MANY += ("train.eval_every=1000",)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.trained()
    return runs.experiment(tmp_path_factory.mktemp("saves"), runs.data())


@pytest.fixture
def slow_store() -> Iterator[None]:
    words = [sys.executable, "-m", "tests.faults.bucket", str(RATE)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as process:  # type: ignore
        added = bucket.environment(process.stdout.readline().strip())
        os.environ.update(added)
        yield
        process.communicate("")
    for name in added:
        del os.environ[name]


def in_flight(run: str | Path) -> list[int]:
    """Steps of which some is written, and not yet all."""
    folder = files.place(run) / "checkpoints"
    names = [path.name.partition(".")[0] for path in folder.glob("*")]
    whole = checkpoints.steps(run)
    return sorted({int(n) for n in names if n.isdecimal()} - {*whole})


def newest(run: Path) -> int:
    read = metrics_log.read(run / "metrics.jsonl")
    return max((row["step"] for row in read), default=0)


def test_kills_while_a_save_is_in_flight(experiment: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    more = ["model.d_model=128", "model.d_mlp=512", "train.log_every=1"]
    more += [f"train.steps={STEPS}", f"train.save_every={EVERY}"]
    seed = time.time_ns() % 10_000
    rng, lost = random.Random(seed), []
    with case(f"kill -9 in {KILLS} saves (seed {seed})") as row:
        for _ in range(KILLS):
            process = hosts.started(
                hosts.train(experiment, killed, *more), hosts.environment(1)
            )
            before = checkpoints.steps(killed)
            until(
                lambda before=before: any(
                    step > max(before, default=0) for step in in_flight(killed)
                )
            )
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
            hosts.ended(process)
            saved = max(checkpoints.steps(killed), default=0)
            lost.append(newest(killed) - saved)
            assert all(step - saved <= EVERY for step in in_flight(killed))
        assert max(lost) <= 2 * EVERY
        for run in (killed, whole):
            end = hosts.alone(hosts.train(experiment, run, *more), 1)
            assert end.code == 0, end.err
        wanted = checkpoints.read_facts(whole, STEPS)["checksums"]
        assert checkpoints.read_facts(killed, STEPS)["checksums"] == wanted
        assert checkpoints.check(killed, STEPS)
        assert rows(killed) == rows(whole)
        told = ", ".join(map(str, lost))
        row.told = f"{told} steps lost, saved every {EVERY}; hash-equal in the end"


def test_training_goes_on_while_a_slow_store_is_written(
    experiment: Path, slow_store: None
) -> None:
    with case("a store that takes seconds for a save") as row:
        process = hosts.started(
            there(hosts.train(experiment, Path("."), *MANY)), hosts.environment(1)
        )
        until(lambda: in_flight(RUN))
        began = time.monotonic()
        until(lambda: checkpoints.steps(RUN))
        took = time.monotonic() - began
        end = hosts.ended(process)[0]
        assert end.code == 0, end.err
        assert checkpoints.steps(RUN) == [300, 400]
        read = metrics_log.read(files.place(RUN) / "metrics.jsonl")
        stood = [r["save_seconds"] for r in read if "save_seconds" in r]
        assert len(stood) == 2
        assert took > 1.5
        assert stood[0] < took / 2  # it copied the arrays, and went on
        row.told = f"written in {took:.1f} s, of which training stood {stood[0]:.2f} s"


def test_sigterm_while_a_save_is_in_flight(experiment: Path, slow_store: None) -> None:
    """It is waited for, and the step at which training was stopped is saved too."""
    with case("SIGTERM while a slow store is written") as row:
        endless = (*MANY, "train.steps=1000000")
        command = there(hosts.train(experiment, Path("."), *endless))
        process = hosts.started(command, hosts.environment(1))
        until(lambda: in_flight(RUN))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        end = hosts.ended(process)[0]
        assert end.code == 42, end
        first, last = checkpoints.steps(RUN)
        assert first == 150
        assert f"stopped at step {last:,}" in end.out
        assert checkpoints.check(RUN, last)
        assert not in_flight(RUN)
        spent = time.monotonic() - began
        row.told = f"exit 42 after {spent:.1f} s, with steps {first} and {last}"


# The limit is set between fork and exec, of which JAX warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_host_that_cannot_write_its_part_says_so(
    experiment: Path, tmp_path: Path
) -> None:
    """It ends, with the reason, and does not wait for those that wait for it."""

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    run = tmp_path / "run"
    endless = ("train.steps=1000000", "train.save_every=20", "mesh.fsdp=4")
    common = {"SPARSETX_HOSTS": "2", "SPARSETX_HEARTBEAT": "10"}
    common["SPARSETX_COORDINATOR"] = f"localhost:{hosts.free_port()}"
    with case("one of two hosts has no room for its part") as row:
        began = time.monotonic()
        first, second = (
            hosts.started(
                hosts.train(experiment, run, *endless),
                hosts.environment(2, **common, SPARSETX_HOST=str(host)),
                full if host else None,
            )
            for host in range(2)
        )
        end = hosts.ended(second)[0]
        took = time.monotonic() - began
        assert end.code == 1, end
        assert "the state could not be saved" in end.err
        other = hosts.ended(first)[0]
        assert other.code != 0
        assert "another host of this run died" in other.err
        assert checkpoints.steps(run) == []
        row.told = f"exit 1 after {took:.0f} s, and says why; the other follows"


def there(command: list[str]) -> list[str]:
    command[command.index("--run") + 1] = RUN
    return command
