"""Work of several processes: in order, and nothing is left where one fails."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sparsetx.system import signals
from sparsetx.system.cpu import processes
from sparsetx.system.errors import Refusal


def squared(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def refused(number: int) -> int:
    if number == 3:
        raise Refusal("wanted anything but 3")
    return number


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def asleep(seconds: float) -> float:
    os.write(1, f"asleep {os.getpid()}\n".encode())  # at once, of two processes
    time.sleep(seconds)
    return seconds


def test_what_is_found_comes_in_order_whoever_finds_it() -> None:
    told: list[int] = []
    found = processes.each(squared, range(7), 2, told.append)
    assert [square for square, _ in found] == [n**2 for n in range(7)]
    by = {who for _, who in found}
    assert len(by) == 2
    assert os.getpid() not in by
    assert told == sorted(told)
    assert told[0] == 0


def test_one_that_has_nothing_left_to_do_waits_for_the_others() -> None:
    assert processes.each(asleep, [1.0, 0.0, 0.0], 3) == [1.0, 0.0, 0.0]


def test_one_process_is_this_one() -> None:
    told: list[int] = []
    found = processes.each(squared, range(3), 1, told.append)
    assert {who for _, who in found} == {os.getpid()}
    assert told == [0, 1, 2]
    assert processes.each(squared, [5], 8)[0] == (25, os.getpid())
    assert processes.each(squared, [], 8) == []


def test_a_refusal_comes_back_as_it_is() -> None:
    with pytest.raises(Refusal, match="anything but 3"):
        processes.each(refused, range(6), 2)


def test_a_process_that_is_killed_is_missed() -> None:
    with pytest.raises(ChildProcessError, match="before its work was done"):
        processes.each(killed, range(6), 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_first(number: signal.Signals) -> None:
    code = (
        "from sparsetx.system import signals\n"
        "from sparsetx.system.cpu import processes\n"
        "from tests.system.test_processes import asleep\n"
        "with signals.listening('test'):\n"
        "    processes.each(asleep, [60.0, 60.0], 2)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as first:  # fmt: skip
        assert first.stdout is not None
        pids = [int(first.stdout.readline().split()[1]) for _ in range(2)]
        first.send_signal(number)
        _, errors = first.communicate(timeout=60)
    assert "stopped by" in errors
    assert "Traceback" not in errors
    deadline = time.monotonic() + 60
    while any(map(_alive, pids)):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.05)


def test_ctrl_c_is_told_once_however_early_it_comes() -> None:
    """A terminal sends it to all processes, also to those that are still starting."""
    code = (
        "from sparsetx.system import signals\n"
        "from sparsetx.system.cpu import processes\n"
        "from tests.system.test_processes import asleep\n"
        "with signals.listening('test'):\n"
        "    print('begun', flush=True)\n"
        "    processes.each(asleep, [60.0, 60.0], 2)\n"
    )
    for wait in (0.05, 0.2, 0.5):
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as first:  # fmt: skip
            assert first.stdout is not None
            assert first.stdout.readline() == "begun\n"
            time.sleep(wait)
            os.killpg(first.pid, signal.SIGINT)
            _, errors = first.communicate(timeout=60)
        assert first.returncode == signals.INTERRUPTED
        assert errors.count("stopped by Ctrl-C") == 1
        assert "KeyboardInterrupt" not in errors


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_cores_are_those_of_the_process_or_what_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NPROC", "3")
    assert processes.cores() == 3
    monkeypatch.delenv("NPROC")
    assert processes.cores() == len(os.sched_getaffinity(0))
