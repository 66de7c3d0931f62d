"""malloc keeps freed memory in the process, and other C libraries are left alone."""

import subprocess
import sys

import pytest

from sparsetx.system import malloc

FAULTS = """
import sys, resource
from sparsetx.system import malloc
kept = sys.argv[1] == "kept" and malloc.keep()
for _ in range(10):
    b"x" * 64_000_000
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(how: str) -> tuple[bool, int]:
    """Whether malloc took the settings, and page faults, in a process of its own."""
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    kept, count = map(int, done.stdout.split())
    return bool(kept), count


@pytest.mark.skipif(
    not hasattr(malloc.ctypes.CDLL(None), "mallopt"), reason="not glibc"
)
def test_what_is_freed_is_not_asked_for_again() -> None:
    kept, few = faults("kept")
    assert kept
    assert few < faults("given back")[1] / 3


def test_another_libc_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())
    assert not malloc.keep()
