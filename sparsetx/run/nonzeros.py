"""A run to give away: its weights as nonzeros, without checkpoints or optimiser state.

`export RUN DIR` copies what reading a run needs (configuration, tokenizer, provenance,
circuits), and writes the weights of one step into a single file: of each array the
places and values that are not zero, deflated, or all of it where little is zero. Bits
are kept: the hash of the parameters is that of the run.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.run import checkpoints, metrics_log
from sparsetx.system import files
from sparsetx.system.errors import Refusal

FILE = "nonzeros.npz"
READ = ("config.json", "environment.json", "tokenizer.json")  # beside the weights
METRICS, VALIDATION = "metrics.jsonl", "validation_loss"
STEP = "step"
PLACE, VALUE = "place:", "value:"  # of the entries that are not zero
GAPS = 0xFFFF  # a gap between two of them is one number; longer ones are several

Array = npt.NDArray[Any]


def export(run: Path, params: Mapping[str, Any], step: int, folder: Path) -> int:
    """Write all that reading the run needs, without its circuits; returns the size of
    the weights in bytes."""
    if (folder / checkpoints.CHECKPOINTS).exists():
        raise Refusal(f"wanted a folder to write a run to, got {folder}, a trained run")
    for name in READ:
        if (run / name).is_file():
            files.write_bytes(folder / name, (run / name).read_bytes())
    rows = [row for row in metrics_log.read(run / METRICS) if VALIDATION in row]
    lines = [json.dumps(row, sort_keys=True) for row in rows]
    if lines:
        files.write_text(folder / METRICS, "\n".join(lines) + "\n")
    return write(folder, params, step)


def write(folder: files.PathLike, params: Mapping[str, Any], step: int) -> int:
    """Write the weights; returns the size of the file in bytes."""
    arrays: dict[str, Array] = {STEP: np.array(step)}
    for where, leaf in parameters.leaves(params):
        arrays |= _packed("/".join(where), np.asarray(leaf))
    path = files.place(folder) / FILE
    files.write_arrays(path, arrays)
    return int(path.stat().st_size)


def read(folder: files.PathLike, config: ModelConfig) -> tuple[dict[str, Any], int]:
    """The parameters and their step."""
    path = files.place(folder) / FILE
    found = files.read_arrays(path, "a run's nonzeros", _most(config))
    tree: dict[str, Any] = {}
    for parameter in parameters.table(config):
        shape = parameters.full_shape(config, parameter)
        inner = tree
        for key in parameter.path[:-1]:
            inner = inner.setdefault(key, {})
        name = "/".join(parameter.path)
        inner[parameter.path[-1]] = _unpacked(found, name, shape, path)
    step = found.get(STEP)
    if step is None or step.shape or not np.issubdtype(step.dtype, np.integer):
        raise Refusal(f"{path} cannot be used: wanted a step, got none")
    return tree, int(step)


def _packed(name: str, x: Array) -> dict[str, Array]:
    bits = x.reshape(-1).view(np.uint32)  # -0.0 is not a zero here
    place = np.flatnonzero(bits)
    if 2 * len(place) > x.size:
        return {VALUE + name: _planes(bits)}
    return {PLACE + name: _gaps(place), VALUE + name: _planes(bits[place])}


def _unpacked(
    found: Mapping[str, Array], name: str, shape: tuple[int, ...], path: Path
) -> Array:
    value, gaps = found.get(VALUE + name), found.get(PLACE + name)
    size = int(np.prod(shape))
    bits = np.zeros(size, np.uint32)
    kinds = [(value, np.uint8), (gaps, np.uint16)]
    sound = value is not None and all(
        x is None or (x.dtype == kind and x.ndim == 1) for x, kind in kinds
    )
    if sound and value is not None and value.size % 4 == 0:
        place = np.arange(size) if gaps is None else _places(gaps)
        if 4 * len(place) == value.size and (not len(place) or place[-1] < size):
            bits[place] = value.reshape(4, -1).T.copy().view(np.uint32)[:, 0]
            return bits.view(np.float32).reshape(shape)
    raise Refusal(
        f"{path} cannot be used: {name} is not the nonzeros of {list(shape)} floats"
    )


def _planes(bits: Array) -> Array:
    """The first bytes of all values, then the second, …: the high bytes of weights are
    much alike, and deflate better side by side."""
    as_bytes = np.ascontiguousarray(bits).view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(as_bytes.T).reshape(-1)


def _gaps(place: Array) -> Array:
    """Ascending places as the distances between them, 16 bits each: `GAPS` means go on
    that far, and there is no entry here."""
    distance = np.diff(place, prepend=-1) - 1
    whole = distance // GAPS
    gaps = np.full(len(place) + int(whole.sum()), GAPS, np.uint16)
    gaps[np.arange(len(place)) + np.cumsum(whole)] = distance % GAPS
    return gaps


def _places(gaps: Array) -> Array:
    ends = gaps != GAPS
    forward = np.where(ends, gaps.astype(np.int64) + 1, GAPS)
    place: Array = (np.cumsum(forward) - 1)[ends]
    return place


def _most(config: ModelConfig) -> int:
    """The most bytes that the arrays of such a model take."""
    sizes = [
        int(np.prod(parameters.full_shape(config, p))) for p in parameters.table(config)
    ]
    return 6 * sum(sizes) + 100_000
