"""A study under real kills, stopped by SIGTERM, and shared by real processes."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sparsetx.data.prepare import Request, prepare
from tests.faults import case, hosts
from tests.study import tiny

FILES = ("study.csv", "study.json", "frontier.csv", "frontier.json")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    prepare(Request("tinypython", 512, 80_000, str(folder / "data")))
    return tiny.file(folder, folder / "data", few=True)


def started(file: Path, out: Path) -> "subprocess.Popen[str]":
    words = [*hosts.CLI, "study", str(file), "--out", str(out)]
    return hosts.started(words, hosts.environment(1))


def done(process: "subprocess.Popen[str]") -> str:
    out, err = hosts.output(process, 200)
    assert process.returncode == 0, err
    return out


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    def made() -> bool:
        assert process.poll() is None
        return path.exists()

    case.until(made, 300)  # a loaded machine


def wait_to_train(cell: Path, process: "subprocess.Popen[str]") -> None:
    """Until the process says so: from then on it listens to signals, whatever an
    earlier one has left in the folder."""
    assert process.stderr is not None
    assert any(f"{cell.name}: training from" in line for line in process.stderr)


@pytest.fixture(scope="module")
def shared(file: Path) -> Path:
    """The folder of a study that two processes did together, undisturbed."""
    out = file.parent / "shared"
    both = [started(file, out) for _ in range(2)]
    assert all(": done" in done(process) for process in both)
    return out


def test_two_processes_share_it(shared: Path) -> None:
    for name in tiny.FEW:
        made = json.loads((shared / name / "environment.json").read_text())
        assert len(made["starts"]) == 1  # only one of them trained it
    assert not list(shared.rglob("lock"))


def test_killed_and_stopped_it_makes_the_same_tables(
    file: Path, shared: Path, tmp_path: Path
) -> None:
    """At random moments after something is there: in a training, and in a search."""
    rng = random.Random(0)
    first, second, third = (tmp_path / name for name in tiny.FEW)
    stops = (
        (first / "checkpoints/4", signal.SIGKILL, -signal.SIGKILL),
        (first / "circuits", signal.SIGKILL, -signal.SIGKILL),
        (second, signal.SIGTERM, 42),
        (third / "lock", signal.SIGKILL, -signal.SIGKILL),
        (third, signal.SIGINT, 130),
    )
    with case.case("a study, killed three times and stopped twice"):
        for made, number, code in stops:
            process = started(file, tmp_path)
            if number == signal.SIGKILL:
                wait_for(made, process)
                time.sleep(rng.uniform(0, 0.3))
            else:
                wait_to_train(made, process)
            assert process.poll() is None
            process.send_signal(number)
            hosts.output(process, 100)
            assert process.returncode == code
        assert (second / "times.json").exists()
        done(started(file, tmp_path))
        assert tables(tmp_path) == tables(shared)
        assert not list(tmp_path.rglob("lock"))
