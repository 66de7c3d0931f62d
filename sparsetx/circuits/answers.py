"""The end of a written-down circuit: the calibrated logits of its answers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsetx import nodes, parameters
from sparsetx.circuits import prose
from sparsetx.circuits.fold import Array, Folded, Place
from sparsetx.circuits.statements import Body


def write(
    body: Body, tokens: Mapping[int, str], scale: float, shift: Mapping[int, float]
) -> None:
    """A statement for each answer, at the last token."""
    at, folded, words = (nodes.FINAL, 0), body.folded, body.words(last=True)
    body.heading("the answers")
    rms = body.norm(at, last=True)
    unembed_DV = folded.own.unembed_DV.astype(np.float64)
    written = folded.written(at)
    for token, text in tokens.items():
        weight_D = unembed_DV[:, token]
        heard = [c for c in written if weight_D[c]]
        found = [(weight_D[c], *body.channel(at, c, last=True)) for c in heard]
        parts = [(weight, name) for weight, name, _ in found if name]
        constant = float(sum(weight * x for weight, _, x in found))
        rest = {word: _rest(folded, at, word, weight_D) for word in words}
        if (direct := body.column(f"towards {text}", rest, last=True)) is not None:
            parts.append((1.0, direct))
        value = body.digits.total(parts, constant)
        several = " + " in value or " - " in value
        value = f"({value}) / {rms}" if several else f"{value} / {rms}"
        skip = {word: _skips(folded, word, token) for word in words}
        if (beside := body.column(f"bigram {text}", skip, last=True)) is not None:
            value = f"{value} + {beside}"
        if scale != 1:
            value = f"{body.digits.number(scale)} * ({value})"
        if more := float(shift.get(token, 0.0)):
            value += f" {'-' if more < 0 else '+'} {body.digits.number(abs(more))}"
        body.lines += prose.statement(f"logits[{prose.quoted(text)}]", value)


def _rest(folded: Folded, at: Place, word: Any, weight_D: Array) -> float:
    """What channels that no kept node wrote say."""
    x_D = folded.base(word) + folded.constant(at)
    x_D[list(folded.written(at))] = 0
    return float(x_D @ weight_D)


def _skips(folded: Folded, word: Any, token: int) -> float:
    """What the tables that skip the network say."""
    own, here = folded.own, word[1] if folded.placed else word
    total = 0.0
    table = own.params.get((parameters.BIGRAM, parameters.TABLE))
    if table is not None:
        total += float(table[here, token])
    bias = own.params.get((parameters.FINAL_BIAS, parameters.B))
    return total + (float(bias[token]) if bias is not None else 0.0)
