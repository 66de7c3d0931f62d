"""malloc keeps freed memory in the process, and other C libraries are left alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparsetx.system.cpu import malloc

FAULTS = """
import sys, resource
from sparsetx.system.cpu import malloc
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


LARGE = """
from pathlib import Path
from sparsetx.system.cpu import malloc
malloc.keep()
kept = b"x" * 64_000_000
for region in Path("/proc/self/smaps").read_text().split("VmFlags:")[:-1]:
    if "[heap]" in region:
        print(next(x for x in region.splitlines() if x.startswith("Rss")))
flags = [x for x in Path("/proc/self/smaps").read_text().splitlines() if "VmFlags" in x]
print(sum(" hg" in x for x in flags))
"""


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="no large pages"
)
def test_the_heap_is_asked_for_in_large_pages_and_not_taken() -> None:
    command = [sys.executable, "-c", LARGE]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    *heap, asked = done.stdout.splitlines()
    assert int(asked) >= 1
    kilobytes = [int(line.split()[1]) for line in heap]
    assert 62_000 < sum(kilobytes) < 500_000


def test_where_less_may_be_had_less_is_asked_for() -> None:
    """And nothing where the system has no such call, or next to no memory."""

    class Small:
        def __init__(self, most: int, answer: int = 0) -> None:
            self.malloc = Call(lambda size: 2**21 if size <= most else None)
            self.free = Call(lambda block: None)
            self.madvise = Call(lambda start, size, advice: answer)

    class Call:
        def __init__(self, f: Any) -> None:
            self.f = f

        def __call__(self, *args: int) -> Any:
            return self.f(*args)

    found = malloc.ask_for_large_pages(Small(2**31))
    assert 2**30 <= found <= 2**31
    assert malloc.ask_for_large_pages(Small(2**29)) == 0
    assert malloc.ask_for_large_pages(Small(2**31, -1)) == 0
    assert malloc.ask_for_large_pages(object()) == 0
