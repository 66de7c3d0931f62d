"""A thread handles signals, whatever the main thread does."""

import contextlib
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsetx.system import signals
from sparsetx.system.signals import Stop

# The main thread is inside one long C call, as it
# is inside a compiler: no Python handler would run.
BUSY = """
    import hashlib, sys
    from pathlib import Path
    from sparsetx.system import files, lock, signals
    folder = Path(sys.argv[1])
    with signals.listening("sparsetx test") as stop, lock.held(folder):
        with files.writer(folder / "half") as file:
            file.write(b"half")
            print("busy", flush=True)
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)
"""
SAVING = """
    import sys, time
    from sparsetx.system import signals
    with signals.listening("sparsetx test") as stop:
        stop.unsaved = True
        print("busy", flush=True)
        while not stop:
            time.sleep(0.01)
        print("saving", flush=True)
        time.sleep(float(sys.argv[1]))
        print("saved")
        sys.exit(stop.code)
"""


@contextlib.contextmanager
def started(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has started; it is killed when the test ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGTERM, 42, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")],
)
def test_with_nothing_unsaved_it_ends_at_once_and_tidily(
    number: int, code: int, name: str, tmp_path: Path
) -> None:
    with started(BUSY, str(tmp_path)) as process:
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert process.returncode == code
    assert f"sparsetx test: stopped by {name}, nothing is lost" in err
    assert list(tmp_path.iterdir()) == []  # neither lock nor half a file


def test_what_is_unsaved_is_saved_first(tmp_path: Path) -> None:
    with started(SAVING, "0.3") as process:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (42, "saving\nsaved\n")


def test_a_repeated_sigterm_lets_it_save_and_a_second_ctrl_c_does_not() -> None:
    with started(SAVING, "1") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "saving\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (42, "saved\n")

    with started(SAVING, "60") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "saving\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "asked twice: unsaved work is lost" in err


def test_handlers_are_given_back_and_the_loop_is_told(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = [signal.getsignal(s) for s in signals.CODES]
    passed: list[bool] = []
    with signals.listening("here") as stop:
        stop.unsaved, stop.pass_on = True, lambda: passed.append(True)
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        until = time.monotonic() + 5
        while not passed and time.monotonic() < until:
            time.sleep(0.01)
        assert stop.code == 42
    assert passed == [True]
    assert [signal.getsignal(s) for s in signals.CODES] == before
    assert capfd.readouterr().err == ""


def test_chained_to_a_handler_in_c_it_passes_signals_on() -> None:
    """The C library's own raise(SIGALRM) stands for what JAX installs."""
    import ctypes

    called: list[int] = []
    theirs = ctypes.CFUNCTYPE(None, ctypes.c_int)(called.append)
    before = signal.getsignal(signal.SIGTERM)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGTERM, ctypes.cast(theirs, ctypes.c_void_p))
    try:
        stop = Stop()
        stop.unsaved = True
        signals.chain(stop)
        stop.ask(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
    assert (called, stop.code) == ([15], 42)
