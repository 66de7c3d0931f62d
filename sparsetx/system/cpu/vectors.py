"""Vector registers of 512 bits, where the CPU has them; XLA would use 256.

A step of a search then takes a tenth less time, one of training a twentieth, on a CPU
of 2023. How sums are rounded depends on it, as it does on the machine.
"""

import os
from pathlib import Path

CPUS = Path("/proc/cpuinfo")
FLAGS, OPTION = "XLA_FLAGS", "--xla_cpu_prefer_vector_width"


def widen(cpus: Path = CPUS) -> bool:
    """Set XLA's option, unless the user has; call it before JAX starts. False if it was
    not set."""
    given = os.environ.get(FLAGS, "")
    if OPTION in given or not _has_wide(cpus):
        return False
    os.environ[FLAGS] = f"{given} {OPTION}=512".strip()
    return True


def _has_wide(cpus: Path) -> bool:
    try:
        lines = cpus.read_text().splitlines()
    except OSError:  # not a Linux
        return False
    flags = (line for line in lines if line.startswith("flags"))
    return "avx512f" in next(flags, "").split()
