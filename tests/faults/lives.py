"""A small run that is started hundreds of times, and killed: its lives.

Each is forked from a process that has everything imported and nothing begun, so that
one takes a second or two.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

from sparsetx.cli import main as cli
from sparsetx.data.prepare import Request, prepare
from sparsetx.run import checkpoints, metrics_log
from sparsetx.system import fields, files
from tests import runs

Row = dict[str, object]


@dataclass(frozen=True)
class Nursery:
    """The folder of an experiment and of its runs, and the log of all lives."""

    folder: Path

    @classmethod
    def of(cls, folder: Path, changes: Sequence[str]) -> "Nursery":
        """Prepare the data and the experiment: tests' small run, with changes."""
        jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        prepare(Request("tinypython", 512, 20_000, str(folder / "data")))
        config = fields.override(runs.config(folder / "data"), changes, "it")
        files.write_json(folder / "small.json", fields.to_json(config))
        return cls(folder)

    def life(self, run: str) -> int:
        """The pid of a process that trains."""
        pid = os.fork()
        if pid == 0:
            quiet = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            sys.argv = ["sparsetx"]
            experiment = str(self.folder / "small.json")
            os._exit(cli.main(["train", experiment, "--run", str(self.folder / run)]))
        return pid

    def ended(self, pid: int) -> None:
        """Wait until a life ends, which must be well."""
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == 0, f"exit {code}: {self.folder / 'log'}"

    def seen(self, run: str) -> int:
        """The newest step that a run has told of."""
        rows = metrics_log.read(self.folder / run / "metrics.jsonl")
        return max((row["step"] for row in rows), default=0)

    def saved(self, run: str) -> int:
        return max(checkpoints.steps(self.folder / run), default=0)

    def in_flight(self, run: str) -> int | None:
        """The step that is being written, if one is."""
        folder = self.folder / run / checkpoints.CHECKPOINTS
        found = [p.name.partition(".") for p in folder.glob("*.orbax-checkpoint-tmp*")]
        return max((int(step) for step, _, _ in found), default=None)

    def equal(self, one: str, other: str, step: int) -> tuple[bool, bool]:
        """Whether two runs have the same state at a step, and the same rows."""
        paths = [self.folder / run for run in (one, other)]
        sums = [checkpoints.read_facts(path, step)["checksums"] for path in paths]
        rows = [
            metrics_log.untimed(metrics_log.read(path / "metrics.jsonl"))
            for path in paths
        ]
        for path in paths:
            checkpoints.check(path, step)
        return sums[0] == sums[1], rows[0] == rows[1]
