"""The table of cases: what was done to a program, and what became of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ROWS: list[tuple[str, str, float]] = []


@dataclass
class Case:
    """One row while it is made; `told` is what happened, in few words."""

    name: str
    told: str = "as it should"
    began: float = field(default_factory=time.monotonic)


@contextmanager
def case(name: str) -> Iterator[Case]:
    """A row of the table; it says so if the block fails."""
    found = Case(name)
    try:
        yield found
    except BaseException:
        found.told = "FAILED"
        raise
    finally:
        ROWS.append((found.name, found.told, time.monotonic() - found.began))


def table() -> Iterator[str]:
    """Lines to print at the end of a session."""
    wide = max((len(name) for name, _, _ in ROWS), default=0)
    for name, told, seconds in ROWS:
        yield f"{name:<{wide}}  {seconds:6.1f} s  {told}"


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that another process does; in short turns, so that a machine
    that stands still for a while does not use up the time."""
    for _ in range(round(seconds / 0.02)):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come")
