"""Memory of a compiled program on one device, and the error if it does not fit."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT]?)"
_USED = re.compile(
    rf"Used {_SIZE} of {_SIZE} hbm|\({_SIZE}\) exceeds available HBM \({_SIZE}\)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Memory:
    """Bytes on one device. `reused`: of donated arguments, whose memory the compiler
    uses for results."""

    arguments: float
    results: float
    reused: float
    temporary: float
    code: float
    peak: float  # the compiler's figure for the most that is held at one time


class TooLarge(Exception):
    """A program that does not fit: bytes that it would use, and bytes available."""

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
        found.peak_memory_in_bytes,
    )


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn the compiler's out-of-memory error into a TooLarge with its numbers."""
    try:
        yield
    except Exception as error:
        used = _USED.search(str(error))
        if used is None:
            raise
        words = [word for word in used.groups() if word is not None]
        sizes = [float(words[i]) * UNITS[words[i + 1].upper()] for i in (0, 2)]
        raise TooLarge(name, *sizes) from error
