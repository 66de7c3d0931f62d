"""SIGTERM at every stage: the exit code, and how long the end took."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from sparsetx.run import checkpoints, metrics_log
from tests import runs
from tests.circuits import handmade
from tests.faults import hosts
from tests.faults.case import case, until

SOON = 5.0  # seconds, outside a save


def stopped(
    process: "subprocess.Popen[str]", number: int = signal.SIGTERM
) -> tuple[hosts.Ended, float]:
    began = time.monotonic()
    process.send_signal(number)
    return hosts.ended(process)[0], time.monotonic() - began


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.trained()
    return runs.experiment(tmp_path_factory.mktemp("signals"), runs.data())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 42), (signal.SIGINT, 130)]
)
def test_while_data_are_prepared(number: int, code: int, tmp_path: Path) -> None:
    out = tmp_path / "data"
    words = ["data", "prepare", "tinypython", "--vocab", "2048", "--out", str(out)]
    name = signal.Signals(number).name
    with case(f"{name} while data are prepared") as row:
        process = hosts.started([*hosts.CLI, *words], hosts.environment(1))
        until(lambda: (out / "tokenizer.json").exists())
        end, seconds = stopped(process, number)
        assert (end.code, seconds < SOON) == (code, True), end
        assert "nothing is lost" in end.err
        assert not [p for p in out.iterdir() if p.name.startswith(".")]
        assert not (out / "meta.json").exists()
        row.told = f"exit {end.code} after {seconds:.1f} s, no half file"


COMPILING = """
import sys, threading
import jax
from sparsetx.training import loop
from sparsetx.cli import main
inner = loop.step_function
def told(run):
    print('compiling', flush=True)
    return inner(run)
loop.step_function = told
sys.exit(main.main(sys.argv[1:]))
"""


def test_in_the_first_compile(experiment: Path, tmp_path: Path) -> None:
    """Ten layers unrolled would not help: XLA is quick on a CPU. The signal comes right
    after the loop asks for its step, while that is traced and compiled."""
    run = tmp_path / "run"
    command = hosts.train(experiment, run, "model.d_model=512", "model.d_mlp=4096")
    with case("SIGTERM in the first compile") as row:
        process = hosts.started(["-c", COMPILING, *command[2:]], hosts.environment(1))
        assert process.stdout is not None
        while process.stdout.readline() != "compiling\n":
            assert process.poll() is None, process.communicate()
        time.sleep(0.3)
        end, seconds = stopped(process)
        assert (end.code, seconds < SOON) == (42, True), end
        assert checkpoints.steps(run) == []
        assert not (run / "lock").exists()
        row.told = f"exit 42 after {seconds:.1f} s, nothing to save, lock given back"


def test_while_it_trains(experiment: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ("train.steps=1000000", "train.save_every=500000", "train.log_every=1")
    with case("SIGTERM while it trains") as row:
        process = hosts.started(
            hosts.train(experiment, run, *more), hosts.environment(1)
        )
        until(lambda: len(metrics_log.read(run / "metrics.jsonl")) > 5)
        end, seconds = stopped(process)
        assert (end.code, seconds < SOON) == (42, True), end
        (step,) = checkpoints.steps(run)
        assert f"stopped at step {step:,}" in end.out
        row.told = f"exit 42 after {seconds:.1f} s, saved at step {step}"


SLOWLY = """
import sys, time
from sparsetx.training import launch
from sparsetx.cli import main
def slow(inner):
    def made(config):
        one = inner(config)
        def batch(*args):
            print('evaluating', flush=True)
            time.sleep(1.5)
            return one(*args)
        return batch
    return made
launch.eval_function = slow(launch.eval_function)
main.run()
"""


def heard(process: "subprocess.Popen[str]", line: str, times: int) -> None:
    """Until the process has said this so often."""
    assert process.stdout is not None
    while times:
        told = process.stdout.readline()
        assert told or process.poll() is None, process.communicate()
        times -= told == line


def test_while_it_evaluates(experiment: Path, tmp_path: Path) -> None:
    """A slow evaluation is cut short after a batch, and made up for."""
    run = tmp_path / "run"
    many = ("train.eval_every=3", "train.log_every=1")
    with case("SIGTERM in an evaluation while it trains") as row:
        command = hosts.train(experiment, run, *many)
        process = hosts.started(["-c", SLOWLY, *command[2:]], hosts.environment(1))
        heard(process, "evaluating\n", 2)  # the first is for the compiler
        end, seconds = stopped(process)
        assert (end.code, seconds < SOON) == (42, True), end
        assert checkpoints.steps(run) == [3]
        again = hosts.alone(
            hosts.train(experiment, run, "train.eval_every=3", "train.log_every=1"), 1
        )
        assert again.code == 0, again.err
        rows = metrics_log.read(run / "metrics.jsonl")
        evaluated = [r["step"] for r in rows if "validation_loss" in r]
        assert evaluated == [3, 6, 9, 12]
        row.told = f"exit 42 after {seconds:.1f} s; the evaluation is made up for"


def test_while_a_run_is_evaluated() -> None:
    with case("SIGTERM in sparsetx eval") as row:
        words = ["eval", str(runs.trained())]
        process = hosts.started(["-c", SLOWLY, *words], hosts.environment(1))
        heard(process, "evaluating\n", 1)
        end, seconds = stopped(process)
        assert (end.code, seconds < SOON) == (42, True), end
        row.told = f"exit 42 after {seconds:.1f} s"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 42), (signal.SIGINT, 130)]
)
def test_while_circuits_are_cut(number: int, code: int, tmp_path: Path) -> None:
    run, file = handmade.run(tmp_path), handmade.task_file(tmp_path)
    words = ["prune", str(run), "--task-file", str(file), "--rounds", "8x100000"]
    with case(f"{signal.Signals(number).name} in sparsetx prune") as row:
        process = hosts.started([*hosts.CLI, *words], hosts.environment(1))
        until(lambda: (run / "circuits" / handmade.TASK / "lock").exists())
        time.sleep(8)
        end, seconds = stopped(process, number)
        assert (end.code, seconds < SOON) == (code, True), end
        left = [p.name for p in (run / "circuits").rglob("*") if p.is_file()]
        assert all(name.startswith("means-") for name in left), left
        row.told = f"exit {code} after {seconds:.1f} s, no half circuit, no lock"
