"""Reads a run at rest, whole, and says what of it is not what was written.

Checkpoints have a checksum for every leaf: a bit that a disk has turned is found before
it is needed. Circuits inside the run are read by circuits/verification.py.
Nothing is changed, and nothing is locked: a run may be training meanwhile, and what it
removes while it is read is no damage.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparsetx.data.tokenizer import Tokenizer
from sparsetx.run import (
    ENVIRONMENT,
    METRICS,
    TOKENIZER,
    checkpoints,
    load_config,
    metrics_log,
    provenance,
)
from sparsetx.run.checkpoints import CHECKPOINTS, QUARANTINE
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress, Reporter, silent


@dataclass(frozen=True)
class Finding:
    """One thing that was read: what it is, and what is wrong with it, if anything."""

    name: str
    told: str
    whole: bool = True


def run(path: files.PathLike, report: Reporter = silent) -> Iterator[Finding]:
    """Everything in a run's folder, in the order in which it is needed."""
    folder = files.place(path)
    load_config(folder)  # without it this is no run: refused
    yield from _environment(folder)
    yield from _tokenizer(folder)
    yield from _rows(folder)
    yield from _steps(folder, report)
    aside = sorted(p.name for p in (folder / QUARANTINE).glob("*"))
    if aside:
        yield Finding(QUARANTINE, f"set aside earlier as damaged: {', '.join(aside)}")


def _environment(folder: Path) -> Iterator[Finding]:
    if (folder / ENVIRONMENT).exists():
        try:
            data = provenance.data_fingerprint(folder)
            yield Finding(ENVIRONMENT, f"data {data}", data is not None)
        except Refusal as refusal:
            yield Finding(ENVIRONMENT, str(refusal), False)


def _tokenizer(folder: Path) -> Iterator[Finding]:
    if (folder / TOKENIZER).exists():
        try:
            found = Tokenizer.load(folder / TOKENIZER)
            yield Finding(TOKENIZER, f"{found.vocab_size:,} tokens")
        except Refusal as refusal:
            yield Finding(TOKENIZER, str(refusal), False)


def _rows(folder: Path) -> Iterator[Finding]:
    """Of each kind, rows come in the order of steps, and none twice."""
    path = folder / METRICS
    if not path.exists():
        return
    lines, rows = files.read_lines(path), metrics_log.read(path)
    problems = []
    if len(rows) < len(lines):
        problems.append(f"{len(lines) - len(rows)} lines are not rows")
    last: dict[str, int] = {}
    for row in rows:
        kind = json.dumps(sorted(set(row) - {"tokens_per_second"}))
        if row["step"] <= last.get(kind, -1):
            problems.append(f"a second row for step {row['step']:,}")
        last[kind] = row["step"]
    told = "; ".join(problems) or f"{len(rows):,} rows"
    yield Finding(METRICS, told, not problems)


def _steps(folder: Path, report: Reporter) -> Iterator[Finding]:
    steps = checkpoints.steps(folder)
    for done, step in enumerate(steps):
        report(Progress("checkpoints", done, len(steps), "steps", {}))
        name = f"{CHECKPOINTS}/{step}"
        try:
            size = checkpoints.check(folder, step)
            yield Finding(name, f"{size / 1e6:,.1f} MB, every checksum is right")
        except checkpoints.Damaged as damage:
            if step in checkpoints.steps(folder):
                yield Finding(name, str(damage), False)
    if not steps:
        yield Finding(CHECKPOINTS, "none yet")
