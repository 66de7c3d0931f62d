"""Contestants that run PyTorch, each in a process of its own that serves its turns.

PyTorch is not in the environment of sparsetx: it is looked for beside the sources, in
.venv-torch, or else in this interpreter.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

import sparsetx
from sparsetx.bench import timing
from sparsetx.bench.timing import Took, Withdrawn
from sparsetx.system.cpu import processes

ROOT = Path(sparsetx.__file__).resolve().parents[1]
MAKE = "make .venv-torch/installed"
# Threads that wait give their core away. PyTorch's default is to wait in a loop; where
# other work wants the core too, that makes it ten times slower.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


def python() -> Path | None:
    """An interpreter that has PyTorch; None if there is none."""
    beside = ROOT / ".venv-torch" / "bin" / "python"
    if beside.exists():
        return beside
    return Path(sys.executable) if importlib.util.find_spec("torch") else None


def missing() -> str | None:
    """Why PyTorch takes no part, and what to do about it; None if it does."""
    if python() is None:
        return f"without PyTorch, which is not installed: {MAKE}"
    if jax.default_backend() != "cpu":
        return f"without PyTorch, which would not run on {jax.default_backend()}"
    return None


def can_compile() -> bool:
    """Whether torch.compile finds a compiler of C++."""
    return any(map(shutil.which, ("g++", "clang++")))


def environment() -> dict[str, str]:
    """Of PyTorch's processes: as it comes, if the machine is quiet."""
    return {**os.environ, **(PATIENT if timing.others() > timing.BUSY else {})}


class Opponent:
    """One contestant; a call is a turn. Its process starts with the first."""

    def __init__(self, kind: str, settings: Mapping[str, Any]):
        asked = {"kind": kind, "threads": processes.cores(), **settings}
        server = "sparsetx.bench.pytorch.server"
        self.command = [str(python()), "-m", server, json.dumps(asked)]
        self.process: subprocess.Popen[str] | None = None
        self.errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115
        self.memory = 0.0  # bytes, at most, by now

    def __call__(self) -> Took:
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self.errors, text=True, cwd=ROOT, env=environment(),
            )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("turn\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            said = self.errors.read().split("\n")
            raise Withdrawn(f"did not run: {next(filter(None, said[::-1]), '')[:200]}")
        answer = json.loads(line)
        self.memory = float(answer["memory"])
        return Took(float(answer["seconds"]))

    def close(self) -> None:
        self.errors.close()
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.communicate(timeout=60)  # no more requests: it ends


@contextlib.contextmanager
def opponents(
    asked: Mapping[str, tuple[str, Mapping[str, Any]]],
) -> Iterator[dict[str, Opponent]]:
    """{name: (kind, settings)} as contestants; none of them without PyTorch. Their
    processes end with the block."""
    found = {} if missing() else asked
    started = {name: Opponent(*what) for name, what in found.items()}
    try:
        yield started
    finally:
        for one in started.values():
            one.close()
