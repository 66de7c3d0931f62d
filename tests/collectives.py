"""What a compiled program exchanges between devices: every collective, in bytes."""

import re
from typing import Any

import numpy as np

KINDS = (
    "all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute",
    "collective-broadcast", "ragged-all-to-all",
)  # fmt: skip
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2}
_BYTES |= {"s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")


def collectives(compiled: Any) -> list[tuple[str, int]]:
    """(kind, bytes of its result) of each. Names alone are no test: a compiler may
    write a gather as an all-reduce."""
    found = []
    for line in compiled.as_text().splitlines():
        for kind in KINDS:
            head, called, _ = line.partition(f" {kind}(")
            if not called:
                head, called, _ = line.partition(f" {kind}-start(")
            if called and " = " in head:
                result = head.partition(" = ")[2]
                size = sum(
                    _BYTES[t] * int(np.prod([int(n) for n in dims.split(",") if n]))
                    for t, dims in _ARRAY.findall(result)
                )
                found.append((kind, size))
    return found
