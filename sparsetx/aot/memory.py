"""What a program holds in a device's memory, and what the compiler says if it is more
than there is."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_USED = re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm", re.IGNORECASE)


@dataclass(frozen=True)
class Memory:
    """Bytes of one device. What is given away by the caller is reused for what comes
    out (`reused`), if the compiler honours it."""

    arguments: float
    results: float
    reused: float
    temporary: float
    code: float

    @property
    def peak(self) -> float:
        return self.arguments + self.results - self.reused + self.temporary + self.code


class TooLarge(Exception):
    """A program that does not fit: what it would use, and what there is (bytes)."""

    def __init__(self, name: str, used: float, limit: float) -> None:
        super().__init__(f"{name}: {used / 2**30:.2f} GiB of {limit / 2**30:.2f} GiB")
        self.name, self.used, self.limit = name, used, limit


def of(compiled: Any) -> Memory:
    found = compiled.memory_analysis()
    return Memory(
        found.argument_size_in_bytes,
        found.output_size_in_bytes,
        found.alias_size_in_bytes,
        found.temp_size_in_bytes,
        found.generated_code_size_in_bytes,
    )


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """The compiler's own refusal as numbers."""
    try:
        yield
    except Exception as error:
        used = _USED.search(str(error))
        if used is None:
            raise
        sizes = [float(used[i]) * UNITS[used[i + 1].upper()] for i in (1, 3)]
        raise TooLarge(name, *sizes) from error
