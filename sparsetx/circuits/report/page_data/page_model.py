"""The model, its tokenizer and its circuits as data that the page's engine runs.

All numbers are the exact float32 values. An array is a text in base64: dense, or where
it is shorter the nonzeros alone: each row's count (uint32), the gap before each one's
column in its row (bytes: 255 means that 255 and the next byte are added), values.
A row of the bigram table is stored as its most frequent value and the entries that
differ from it: a token that was never seen has a constant row. A table that is still
larger than the room left keeps the rows of the tokens that are asked for first; of the
others only the entries for the tasks' answers are there. So a margin is exact after any
token, and the likeliest next tokens are known after one whose row is kept.

config       the fields of ModelConfig, and the count that AbsTopK
             keeps at each site
params       {path: array}, a stacked parameter as one array with a layer axis
bigram       rows: token ids; fill: their frequent values; counts, gaps, values: what
             differs; answers: token ids; beside: [token, answer] of the whole table
tokenizer    vocabulary in the order of ids, in byte letters; merges, as pairs of ids
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.circuit import Circuit
from sparsetx.config import ModelConfig
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.model import parameters
from sparsetx.system import fields

MOST = 4 * 10**6  # characters of a model's data in the page
MOST_BIGRAM = 8 * 10**5  # of its bigram table
MOST_COLUMNS = 2**16  # that a column's number can tell apart
Array = npt.NDArray[Any]


def of(
    config: ModelConfig,
    params: Mapping[str, Any],
    tokenizer: Tokenizer,
    first: Iterable[int] = (),
    answers: Iterable[int] = (),
    most: int = MOST,
    most_bigram: int = MOST_BIGRAM,
) -> dict[str, Any]:
    """The data of a model, or {"absent": why the page cannot run it}. `first` are the
    tokens whose rows of the bigram table matter most, `answers` those whose columns are
    always there."""
    if config.compute != "float32":
        return {"absent": f"it computes in {config.compute}, the page in float32"}
    leaves = {path: np.asarray(x) for path, x in parameters.leaves(params)}
    table = leaves.pop((parameters.BIGRAM, parameters.TABLE), None)
    if max(x.shape[-1] for x in leaves.values()) > MOST_COLUMNS:
        return {"absent": f"it has an array of more than {MOST_COLUMNS:,} columns"}
    least = sum(4 * int(np.count_nonzero(x)) for x in leaves.values()) * 4 // 3
    if least > most:
        return {"absent": _large(least, most)}
    packed = {"/".join(path): array(x) for path, x in leaves.items()}
    words = _tokenizer(tokenizer)
    size = sum(map(_size, packed.values())) + sum(map(len, words["vocabulary"]))
    size += 10 * len(words["merges"])
    if size > most:
        return {"absent": _large(size, most)}
    return {
        "config": _config(config),
        "params": packed,
        "bigram": None
        if table is None
        else _bigram(
            table, first, sorted({*map(int, answers)}), min(most - size, most_bigram)
        ),
        "tokenizer": words,
    }


def circuit(found: Circuit) -> dict[str, Any]:
    """Masks, means and calibration of a circuit."""
    calibration = found.calibration
    shift = (calibration.shift or {}).items()
    return {
        "keep": {site: array(np.asarray(x)) for site, x in found.keep.items()},
        "means": {site: array(np.asarray(x)) for site, x in found.means.items()},
        "scale": float(calibration.scale),
        "shift": [[int(token), float(x)] for token, x in shift],
    }


def array(x: Array) -> dict[str, Any]:
    """An array as float32: all of it, or its nonzeros where they take less room."""
    x = np.asarray(x, np.float32)
    shape = list(x.shape)
    rows = x.reshape(-1, x.shape[-1])
    # Bits, not values: -0.0 is told from 0.0, so that what is read back is the same.
    there = rows.view(np.uint32) != 0
    count = there.sum(1)
    if 5 * int(count.sum()) + 4 * len(rows) >= 4 * x.size or x.shape[-1] > MOST_COLUMNS:
        return {"shape": shape, "dense": _text(x, "<f4")}
    return {
        "shape": shape,
        "counts": _text(count, "<u4"),
        "gaps": _gaps(there),
        "values": _text(rows[there], "<f4"),
    }


def _gaps(there: Array) -> str:
    """How many columns are left out before each that is there."""
    row, column = np.nonzero(there)
    first = np.diff(row, prepend=-1) > 0
    gaps = np.where(first, column, np.diff(column, prepend=0) - 1)
    more, rest = np.divmod(gaps, 255)
    ends = np.cumsum(more + 1)
    told = np.full(ends[-1] if len(ends) else 0, 255, np.uint8)
    told[ends - 1] = rest
    return _text(told, "u1")


def _config(config: ModelConfig) -> dict[str, Any]:
    """`kept`: how many entries AbsTopK keeps at each of its sites."""
    sites = nodes.active_sites(config)
    kept = {site: nodes.active_count(config, site) for site in sites}
    told: dict[str, Any] = fields.to_json(config)
    return told | {"kept": kept}


def _tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    vocab = tokenizer.vocab
    return {
        "vocabulary": sorted(vocab, key=vocab.__getitem__),
        "merges": [[vocab[a], vocab[b]] for a, b in tokenizer.merges],
    }


def _bigram(
    table: Array, first: Iterable[int], answers: list[int], room: int
) -> dict[str, Any]:
    """As many rows as there is room for, those of the tokens in `first` before all."""
    order = list(dict.fromkeys([*map(int, first), *range(len(table))]))
    fill = np.array([_frequent(row) for row in table], np.float32)
    odd = table.view(np.uint32) != fill.view(np.uint32)[:, None]
    cost = 8 * odd.sum(1) + 16  # characters in base64, rounded up
    room -= 6 * len(table) * len(answers)
    spent = np.cumsum(cost[order])
    rows = [token for token, sum_ in zip(order, spent, strict=True) if sum_ <= room]
    kept = odd[rows]
    return {
        "rows": rows,
        "fill": _text(fill[rows], "<f4"),
        "counts": _text(kept.sum(1), "<u4"),
        "gaps": _gaps(kept),
        "values": _text(table[rows][kept], "<f4"),
        "answers": answers,
        "beside": _text(table[:, answers], "<f4"),
    }


def _frequent(row: Array) -> Any:
    values, counts = np.unique(row, return_counts=True)
    return values[counts.argmax()]


def _text(x: Array, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(x).astype(kind).tobytes()).decode()


def _size(packed: Mapping[str, Any]) -> int:
    return sum(len(x) for x in packed.values() if isinstance(x, str))


def _large(size: int, most: int) -> str:
    return (
        f"it would take {size / 1e6:.1f} MB of this page, {most / 1e6:.1f} MB at most"
    )
