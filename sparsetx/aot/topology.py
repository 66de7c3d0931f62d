"""TPU slices by name: their sizes and rates, and their devices for the compiler.

The table is tpu/types.tsv, which the launching scripts read as well. A name is gcloud's
(v5litepod-16, v5p-8), the common one (v5e-16), or JAX's (v5e:4x4).
"""

import importlib.util
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal

TABLE = Path(__file__).resolve().parents[2] / "tpu" / "types.tsv"
GIB = 2**30

# Not in the table: vector units per chip. Each has 8 x 128 lanes of four ALUs, at the
# clock that the matrix units' rate implies.
_VECTOR_CORES = {"v4": 2, "v5e": 1, "v5p": 2, "v6e": 1}
# HBM of a chip that a program may use, in GiB, from the compiler's error messages.
_AVAILABLE = {"v4": 30.75, "v5e": 15.75, "v5p": 95.74, "v6e": 31.25}
_MATRIX_UNITS = {"v4": 8 * 128**2, "v5e": 4 * 128**2, "v5p": 8 * 128**2}
_MATRIX_UNITS |= {"v6e": 4 * 256**2}
# What JAX calls the chips that are attached, in this or another version.
_KINDS = {
    "TPU v4": "v4",
    "TPU v5 lite": "v5e",
    "TPU v5e": "v5e",
    "TPU v5": "v5p",
    "TPU v5p": "v5p",
    "TPU v6 lite": "v6e",
    "TPU v6e": "v6e",
}


@dataclass(frozen=True)
class Slice:
    """A TPU slice: a row of the table."""

    name: str
    generation: str
    sizes: tuple[int, ...]
    chips: int
    hosts: int
    hbm: float  # bytes of a chip
    products: float  # bfloat16 operations per second of a chip's matrix units
    hbm_rate: float  # bytes per second of a chip
    wires: float  # bytes per second that a chip can send over all its links
    jax: str
    price: float  # USD per chip and hour
    priced: str  # region and date of the price

    @property
    def vector(self) -> float:
        """float32 operations per second of a chip's vector units (an estimate)."""
        clock = self.products / (2 * _MATRIX_UNITS[self.generation])
        return clock * 4 * 8 * 128 * _VECTOR_CORES[self.generation]

    @property
    def available(self) -> float:
        """Bytes of a chip that a program may use."""
        return _AVAILABLE[self.generation] * GIB

    @property
    def cores(self) -> str:
        """JAX's chip configuration: megacore if two cores of a chip form one device."""
        return "megacore" if _VECTOR_CORES[self.generation] == 2 else "default"

    @property
    def bounds(self) -> tuple[int, int, int]:
        """Chips of a host, in x, y and z."""
        x, y, z = (*self.sizes, 1, 1, 1)[:3]
        return min(x, 2), min(y, 2), 1 if self.chips > 1 else z


def table(path: Path = TABLE) -> list[Slice]:
    """All slices in the table."""
    if not path.exists():
        raise Refusal(
            f"wanted the table of TPU slices at {path}: it is not there. It is part of "
            "the repository, not of the package: run this in a clone"
        )
    head, *lines = [line.split("\t") for line in files.read_lines(path)]
    return [_row(dict(zip(head, line, strict=True))) for line in lines if len(line) > 1]


def _row(cells: dict[str, str]) -> Slice:
    giga = {key: float(cells[key]) * 1e9 for key in ("hbm_gbps", "ici_gbps")}
    return Slice(
        cells["type"],
        cells["generation"],
        tuple(int(n) for n in cells["topology"].split("x")),
        int(cells["chips"]),
        int(cells["hosts"]),
        float(cells["hbm_gb"]) * GIB,
        float(cells["bf16_tflops"]) * 1e12,
        giga["hbm_gbps"],
        giga["ici_gbps"],
        cells["jax"],
        float(cells["usd_per_chip_hour"]),
        f"{cells['price_region']}, {cells['price_date']}",
    )


def find(name: str, path: Path = TABLE) -> Slice:
    """The slice with this name."""
    known = table(path)
    wanted = name.replace("v5e-", "v5litepod-")
    for one in known:
        if wanted == one.name or name == one.jax:
            return one
    names = [one.name.replace("v5litepod-", "v5e-") for one in known]
    raise Refusal(f"no TPU slice {name!r}: {fields.near(name, names)}")


def attached(devices: Sequence[Any]) -> Slice | None:
    """The slice of these devices; None where they are in no row of the table, as a
    CPU."""
    generation = _KINDS.get(devices[0].device_kind)
    if generation is None or not TABLE.exists():
        return None
    same = (generation, len(devices))
    return next((row for row in table() if (row.generation, row.chips) == same), None)


def host_of(one: Slice) -> Slice:
    """The slice that equals one host of this one."""
    chips = one.chips // one.hosts
    return next(
        row
        for row in table()
        if (row.generation, row.chips, row.hosts) == (one.generation, chips, 1)
    )


def short(one: Slice) -> str:
    return one.name.replace("v5litepod-", "v5e-")


def devices(one: Slice) -> Sequence[Any]:
    """The slice's devices: descriptions that can be compiled for, without hardware."""
    if importlib.util.find_spec("libtpu") is None:
        raise Refusal(
            "the TPU's compiler is not installed here: make aot-check installs it in "
            "a separate environment (.venv-aot), or: pip install 'jax[tpu]'"
        )
    quietly()
    from jax.experimental import topologies

    found: Any = topologies.get_topology_desc(
        platform="tpu",
        topology_name=one.jax,
        chip_config_name=one.cores,
        chips_per_host_bounds=one.bounds,
        num_slices=1,
    )
    assert len(found.devices) == math.prod(one.sizes), found.devices
    return list(found.devices)


def quietly() -> None:
    """Set libtpu's environment so that it does not look for a TPU or ask the metadata
    server. Call it before libtpu is loaded."""
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
