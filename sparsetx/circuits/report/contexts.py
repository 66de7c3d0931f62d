"""Running text on which a node is large, middling and small, packed for a page.

Text that the model was trained on, where the run's tokens are still there: nothing is
prepared for it. Rows of tokens are written
once; a context is a place in one of them, and the node's values around it.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import provenance
from sparsetx.circuits import watch
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.drive import Sample
from sparsetx.data import stream
from sparsetx.data.feed import EMBEDDED
from sparsetx.data.loader import Loader
from sparsetx.data.prepare import Request
from sparsetx.errors import Refusal
from sparsetx.run import load_config
from sparsetx.tokenizer import Tokenizer

ROWS = 96  # of text
BEFORE, AFTER = 12, 4  # tokens around the place that is shown
EACH = 3  # contexts of a group, from different rows
PLACES = 2000  # of all nodes of a circuit: of many, each has fewer
GROUPS = (
    ("largest", 1.0), ("99th percentile", 0.99), ("90th percentile", 0.9),
    ("median", 0.5), ("smallest", 0.0),
)  # fmt: skip
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Text:
    tokens_BL: Array

    def to_json(self, tokenizer: Tokenizer) -> dict[str, Any]:
        rows = [[tokenizer.token(int(t)) for t in row] for row in self.tokens_BL]
        return {"rows": rows, "before": BEFORE, "after": AFTER}


def of_run(run: Path) -> Text | None:
    """The run's own text; None where it is not on this machine."""
    try:
        config = load_config(run)
        vocab, wanted = config.model.vocab_size, config.data
        tokens = wanted.tokens if wanted.name == EMBEDDED else None
        asked = Request(wanted.name, vocab=vocab, tokens=tokens, out=wanted.path)
        mark = provenance.data_fingerprint(run)
        data = stream.open_prepared(asked.folder, asked.command, vocab, mark)
        rows = Loader(data.split("train"), config.model.context, ROWS, 0)
        return Text(rows.rows(0)[:, :-1])
    except Refusal:
        return None


def sample(circuit: Circuit, text: Text) -> Sample:
    """What the nodes do there in the whole model, where every text makes sense."""
    many, long = text.tokens_BL.shape
    last_B = np.full(many, long - 1)
    return watch.of(circuit, text.tokens_BL, last_B, pruned=False, pairs=False)


def each_of(count: int) -> int:
    """Contexts of a group, where there are so many nodes."""
    return max(1, min(EACH, PLACES // (len(GROUPS) * max(1, count))))


def of_node(value_BL: Array, each: int = EACH) -> list[dict[str, Any]]:
    """Groups of places, from the largest value to the smallest; the other way round
    where the node says more by being far below zero."""
    most = float(np.abs(value_BL).max())
    if most <= 0:
        return []
    flat = value_BL.ravel()
    found: list[dict[str, Any]] = []
    told: list[float] = []
    for name, share in GROUPS:
        value = float(np.quantile(flat, share))
        if any(abs(value - other) < 1e-3 * most for other in told):
            continue  # a sparse node is 0 at most places: one group of them is enough
        told.append(value)
        places = _nearest(value_BL, value, each)
        packed = np.concatenate([_window(value_BL, *place) for place in places])
        share_N = np.rint(packed / most * 127 + 128).astype(np.uint8)
        found.append(
            {
                "name": f"{name}, {value:.3g}",
                "places": places,
                "values": base64.b64encode(share_N.tobytes()).decode(),
            }
        )
    return found[::-1] if -flat.min() > flat.max() else found


def _nearest(value_BL: Array, value: float, each: int) -> list[list[int]]:
    """Places that are nearest to a value, each in another row."""
    away_BL = np.abs(value_BL - value)
    at_B = away_BL.argmin(1)
    rows = np.argsort(away_BL[np.arange(len(at_B)), at_B], kind="stable")[:each]
    return [[int(row), int(at_B[row])] for row in rows]


def _window(value_BL: Array, row: int, at: int) -> Array:
    found: Array = value_BL[row, max(0, at - BEFORE) : at + AFTER + 1]
    return found
