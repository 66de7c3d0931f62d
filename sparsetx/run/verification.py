"""Verify a run's files: read all of them, and report which are damaged.

Checkpoints have a checksum for every array, so that bits flipped on a disk are found.
Circuits of the run are verified by circuits/controls/verification.py. Nothing is
changed or locked: the run may be training meanwhile, and a checkpoint that it deletes
is no error.
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
    nonzeros,
    params_hash,
    provenance,
)
from sparsetx.run.checkpoints import CHECKPOINTS, QUARANTINE
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress, Reporter, silent


@dataclass(frozen=True)
class Finding:
    """The result for one file or checkpoint: what was read, or what is wrong."""

    name: str
    told: str
    whole: bool = True


def run(path: files.PathLike, report: Reporter = silent) -> Iterator[Finding]:
    """Findings for everything in a run's folder."""
    folder = files.place(path)
    load_config(folder)  # raises a Refusal if this is not a run
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
    """Rows of metrics: of each kind, steps must increase, and none come twice."""
    path = folder / METRICS
    if not path.exists():
        return
    lines, rows = files.read_lines(path), metrics_log.read(path)
    problems = []
    if len(rows) < len(lines):
        problems.append(f"{len(lines) - len(rows)} lines are not rows")
    last: dict[str, int] = {}
    for row in rows:
        kind = json.dumps(sorted(set(row) - metrics_log.TIMES))
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
    if (folder / nonzeros.FILE).is_file():
        yield _nonzeros(folder)
    elif not steps:
        yield Finding(CHECKPOINTS, "none yet")


def _nonzeros(folder: Path) -> Finding:
    """Of an exported run; circuits hold a hash of its weights."""
    try:
        params, step = nonzeros.read(folder, load_config(folder).model)
    except Refusal as refusal:
        return Finding(nonzeros.FILE, str(refusal), False)
    return Finding(nonzeros.FILE, f"step {step:,}, weights {params_hash(params)}")
