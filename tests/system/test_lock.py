"""One writer at a time; the lock of a dead holder is taken over."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsetx.system import lock, signals
from sparsetx.system.errors import Refusal

HOLD = (
    "import sys, time\nfrom sparsetx.system import lock\n"
    "with lock.held(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)"
)


def holder(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_refused_and_a_killed_one_replaced(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with (
            pytest.raises(Refusal, match=rf"process {process.pid} on .* does"),
            lock.held(tmp_path),
        ):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock.held(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize(
    "written",
    [
        '{"host": "HERE", "pid": 1, "began": "never"}',  # its pid, used again
        "torn by a power c",
    ],
)
def test_a_lock_left_behind_is_nobodys(tmp_path: Path, written: str) -> None:
    (tmp_path / "lock").write_text(written.replace("HERE", socket.gethostname()))
    with lock.held(tmp_path, patient=False):
        pass


ELSEWHERE = '{"host": "elsewhere", "pid": 1, "began": "1", "beats": %d}'


def test_a_holder_elsewhere_is_watched_before_it_counts_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE", 0.5)
    (tmp_path / "lock").write_text(ELSEWHERE % 3)
    refused = pytest.raises(Refusal, match="process 1 on elsewhere does")
    with refused, lock.held(tmp_path, patient=False):
        pass
    assert (tmp_path / "lock").read_text() == ELSEWHERE % 3
    began = time.monotonic()
    with lock.held(tmp_path):
        assert time.monotonic() - began >= 0.5
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_holder_elsewhere_that_gives_a_sign_of_life_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE", 20.0)
    (tmp_path / "lock").write_text(ELSEWHERE % 3)
    sleep = time.sleep

    def beat(seconds: float) -> None:
        sleep(0.01)
        (tmp_path / "lock").write_text(ELSEWHERE % 4)

    monkeypatch.setattr(time, "sleep", beat)
    with pytest.raises(Refusal, match="elsewhere"), lock.held(tmp_path):
        pass


def test_one_that_is_given_back_meanwhile_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").write_text(ELSEWHERE % 3)
    monkeypatch.setattr(
        time, "sleep", lambda s: (tmp_path / "lock").unlink(missing_ok=True)
    )
    with lock.held(tmp_path):
        pass


def test_the_holder_gives_signs_of_life_and_ends_where_it_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(lock, "BEAT", 0.02)
    monkeypatch.setattr(signals, "end", lambda code, why: ended.append(why))

    def until(true: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not true():
            assert time.monotonic() < end
            time.sleep(0.01)

    with lock.held(tmp_path):
        until(lambda: json.loads((tmp_path / "lock").read_text())["beats"] > 1)
        other = tmp_path / "other"
        other.write_text(ELSEWHERE % 0)
        os.replace(other, tmp_path / "lock")
        until(lambda: bool(ended))
    assert "is no longer ours" in ended[0]
    assert (tmp_path / "lock").read_text() == ELSEWHERE % 0


def test_it_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.held(tmp_path / "new"):
        raise ZeroDivisionError
    assert not (tmp_path / "new" / "lock").exists()
