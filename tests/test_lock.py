"""One writer at a time, and a dead one is nobody."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sparsetx import lock
from sparsetx.errors import Refusal

HOLD = (
    "import sys, time\nfrom sparsetx import lock\n"
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
    ("written", "refused"),
    [
        ('{"host": "HERE", "pid": 1, "began": "never"}', False),  # its pid, reused
        ('{"host": "elsewhere", "pid": 1, "began": "1"}', True),
        ("torn by a power c", False),
    ],
)
def test_what_a_lock_left_behind_means(
    tmp_path: Path, written: str, refused: bool
) -> None:
    text = written.replace("HERE", socket.gethostname())
    (tmp_path / "lock").write_text(text)
    if refused:
        with pytest.raises(Refusal, match="remove the file"), lock.held(tmp_path):
            pass
        assert (tmp_path / "lock").read_text() == text
    else:
        with lock.held(tmp_path):
            pass


def test_it_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.held(tmp_path / "new"):
        raise ZeroDivisionError
    assert not (tmp_path / "new" / "lock").exists()
