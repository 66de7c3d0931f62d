"""What malloc is told before anything is computed."""

import subprocess
import sys

import pytest

from sparsetx import heap

FAULTS = """
import sys, resource
from sparsetx import heap
if sys.argv[1] == "kept":
    assert heap.keep()
for _ in range(10):
    b"x" * 64_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_what_is_freed_is_not_asked_for_again() -> None:
    if not heap.keep():
        pytest.skip("not glibc")
    assert faults("kept") < faults("given back") / 3


def test_another_libc_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert not heap.keep()
