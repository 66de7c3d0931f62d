"""The batch job under real kills, and shared by real processes."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsetx.circuits import circuit
from tests.circuits import handmade
from tests.faults import hosts
from tests.faults.case import until

QUICK = ["--rounds", "2x100", "--pairs", "8", "--finalists", "1", "--no-effective"]
NAMES = ("quotes", "again", "more")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    path = handmade.run(folder)
    first = handmade.task_file(folder).read_text()
    for name in NAMES[1:]:
        (folder / f"{name}.jsonl").write_text(first)
    return path


def command(run: Path, name: str, out: Path) -> list[str]:
    file = run.parent / f"{name}.jsonl"
    return [
        sys.executable, "-m", "sparsetx", "prune", str(run), "--task-file", str(file),
        "--out", str(out), *QUICK,
    ]  # fmt: skip


def started(run: Path, name: str, out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(run, name, out),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=hosts.environment(2),
    )


def sums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("circuit.*"))
    }


def wait_for(path: Path, process: "subprocess.Popen[str]") -> float:
    """The moment at which the process has made a file."""

    def made() -> bool:
        assert process.poll() is None
        return path.exists()

    until(made, 120)
    return time.monotonic()


def test_killed_twice_it_makes_the_same_files(run: Path, tmp_path: Path) -> None:
    """In the middle of the plain search, and again in that of the honest one."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    process = started(run, "quotes", whole)
    began = wait_for(whole / "quotes" / "lock", process)
    out, _ = hosts.output(process, 200)
    took = time.monotonic() - began
    assert "quotes, honest: 9 edges" in out
    for made, later in (("lock", took / 4), (f"plain/{circuit.JSON}", took / 20)):
        process = started(run, "quotes", torn)
        wait_for(torn / "quotes" / made, process)
        time.sleep(later)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (torn / "quotes" / circuit.JSON).exists()
    assert (torn / "quotes" / "plain" / circuit.JSON).exists()
    out, _ = hosts.output(started(run, "quotes", torn), 200)
    assert "quotes, honest: 9 edges" in out
    assert sums(torn) == sums(whole)
    assert len(sums(whole)) == 4
    assert not list(torn.rglob("lock"))


def test_two_processes_do_not_do_the_same_twice(run: Path, tmp_path: Path) -> None:
    """The second finds the task taken, says so, and leaves it."""
    first = started(run, "more", tmp_path)
    wait_for(tmp_path / "more" / "lock", first)
    out, _ = hosts.output(started(run, "more", tmp_path), 200)
    assert "searched by other processes: more" in out
    out, _ = hosts.output(first, 200)
    assert "more, honest: 9 edges" in out
