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
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return out


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(file: Path) -> dict[str, bytes]:
    """The tables of a study that was left alone."""
    said = done(started(file, file.parent / "whole"))
    assert said.count(": done") == len(tiny.FEW)
    return tables(file.parent / "whole")


def test_killed_three_times_it_makes_the_same_tables(
    file: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """At random moments after something is there: in a training, and in a search."""
    rng = random.Random(0)
    first, second, third = (tmp_path / name for name in tiny.FEW)
    with case.case("a study, killed three times"):
        for made in (first / "checkpoints/4", first / "circuits", third / "lock"):
            process = started(file, tmp_path)
            wait_for(made, process)
            time.sleep(rng.uniform(0, 0.3))
            assert process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert (second / "times.json").exists()
        done(started(file, tmp_path))
        assert tables(tmp_path) == whole
        assert not list(tmp_path.rglob("lock"))


def test_told_to_stop_it_saves_and_goes_on(
    file: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    for number, code in ((signal.SIGTERM, 42), (signal.SIGINT, 130)):
        process = started(file, tmp_path)
        cell = tiny.FEW[0 if number == signal.SIGTERM else 1]
        wait_for(tmp_path / cell / "checkpoints", process)
        process.send_signal(number)
        process.communicate(timeout=100)
        assert process.returncode == code
        assert not list(tmp_path.rglob("lock"))
    done(started(file, tmp_path))
    assert tables(tmp_path) == whole


def test_two_processes_share_it(
    file: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    both = [started(file, tmp_path) for _ in range(2)]
    said = [done(process) for process in both]
    assert all(": done" in out for out in said)
    assert tables(tmp_path) == whole
    for name in tiny.FEW:
        made = json.loads((tmp_path / name / "environment.json").read_text())
        assert len(made["starts"]) == 1  # only one of them trained it
