"""A profile of a few steps in the run's folder, made by jax.profiler.

`train.profile_at` names the step at which it begins, `train.profile_steps` how many
steps it lasts. The profiler writes to a disk; where the run is on an object store, its
files are copied there when it ends. A profile is of the first host alone: the others do
the same work.
"""

import os
import shutil
import tempfile
from pathlib import Path

import jax

from sparsetx.config import RunConfig
from sparsetx.system import files, hosts

FOLDER = "profile"


def before(config: RunConfig, path: Path, step: int) -> None:
    """Called before a step: begin or end the profile, if it is time."""
    begin = config.train.profile_at
    if begin is None or not hosts.is_first_host():
        return
    if step == begin:
        jax.profiler.start_trace(_local(path))
    elif step == begin + config.train.profile_steps:
        _end(path)


def after(config: RunConfig, path: Path, first: int, done: int) -> None:
    """Called when training has gone from step `first` to `done`: end a profile that
    was begun, and not ended by a step."""
    begin, lasts = config.train.profile_at, config.train.profile_steps
    if begin is None or not hosts.is_first_host():
        return
    if first <= begin < done <= begin + lasts:
        _end(path)


def _end(path: Path) -> None:
    jax.profiler.stop_trace()
    local = _local(path)
    if files.is_remote(path):
        for file in files.inside(local):
            there = path / FOLDER / str(file.relative_to(local))
            files.write_bytes(there, file.read_bytes())
        shutil.rmtree(local)


def _local(path: Path) -> Path:
    """Where the profiler writes."""
    if not files.is_remote(path):
        return path / FOLDER
    return Path(tempfile.gettempdir()) / f"sparsetx-{FOLDER}-{os.getpid()}"
