"""Contexts in running text where a node is large, medium and small, packed for a page.

The text is training data of the run, if its token files still exist; none are prepared
for it. Rows of tokens are written once; a context is a position in one of them, and the
node's values around it.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain import activations
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.data import token_files
from sparsetx.data.loader import Loader
from sparsetx.data.prepare import GENERATED, Request
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.run import load_config, provenance
from sparsetx.system.errors import Refusal

ROWS = 96  # of text
BEFORE, AFTER = 12, 4  # tokens that are shown around a position
EACH = 3  # contexts of a group, from different rows
PLACES = 2000  # contexts of all nodes of a circuit together, at most
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
        tokens = wanted.tokens if wanted.name in GENERATED else None
        asked = Request(wanted.name, vocab=vocab, tokens=tokens, out=wanted.path)
        mark = provenance.data_fingerprint(run)
        data = token_files.open_prepared(asked.folder, asked.command, vocab, mark)
        rows = Loader(data.split("train"), config.model.context, ROWS, 0)
        return Text(rows.rows(0)[:, :-1])
    except Refusal:
        return None


def sample(circuit: Circuit, text: Text) -> Sample:
    """Activations there in the whole model: a circuit only makes sense on its task."""
    many, long = text.tokens_BL.shape
    last_B = np.full(many, long - 1)
    return activations.of(circuit, text.tokens_BL, last_B, pruned=False, pairs=False)


def each_of(count: int) -> int:
    """How many contexts a group has in a circuit of this many nodes."""
    return max(1, min(EACH, PLACES // (len(GROUPS) * max(1, count))))


def of_node(value_BL: Array, each: int = EACH) -> list[dict[str, Any]]:
    """Groups of contexts, from the largest value to the smallest; in reverse order if
    the smallest value is larger in size."""
    most = float(np.abs(value_BL).max())
    if most <= 0:
        return []
    values = np.quantile(value_BL, [share for _, share in GROUPS]).tolist()
    found: list[dict[str, Any]] = []
    told: list[float] = []
    for (name, _), value in zip(GROUPS, values, strict=True):
        if any(abs(value - other) < 1e-3 * most for other in told):
            continue  # a sparse node is 0 nearly everywhere: one group of 0 is enough
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
    return found[::-1] if -value_BL.min() > value_BL.max() else found


def _nearest(value_BL: Array, value: float, each: int) -> list[list[int]]:
    """The positions whose values are nearest to a value, each in a different row."""
    away_BL = np.abs(value_BL - value)
    at_B = away_BL.argmin(1)
    rows = np.argsort(away_BL[np.arange(len(at_B)), at_B], kind="stable")[:each]
    return [[int(row), int(at_B[row])] for row in rows]


def _window(value_BL: Array, row: int, at: int) -> Array:
    found: Array = value_BL[row, max(0, at - BEFORE) : at + AFTER + 1]
    return found
