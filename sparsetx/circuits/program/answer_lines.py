"""Write the last statements of a program: the calibrated logits of the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.program import python_text
from sparsetx.circuits.program.constant_folding import Array, Folded
from sparsetx.circuits.program.python_text import Terms
from sparsetx.circuits.program.statements import Body
from sparsetx.model import parameters


def write(
    body: Body, tokens: Mapping[int, str], scale: float, shift: Mapping[int, float]
) -> None:
    """Add a statement for each answer, at the last token."""
    at, folded, words = (nodes.FINAL, 0), body.folded, body.words(last=True)
    body.heading("the answers")
    rms = body.norm(at, last=True)
    unembed_DV = folded.own.unembed_DV.astype(np.float64)
    written, rest_ND = folded.written(at), folded.rest(at, words)

    def column(stem: str, values_N: Array) -> Terms:
        values = dict(zip(words, values_N.tolist(), strict=True))
        name = body.column(stem, values, last=True)
        return [] if name is None else [(1.0, name)]

    for token, text in tokens.items():
        weight_D = unembed_DV[:, token]
        read = [c for c in written if weight_D[c]]
        found = [(weight_D[c], *body.channel(at, c, last=True)) for c in read]
        terms = [(weight, name) for weight, name, _ in found if name]
        terms += column(f"towards {text}", rest_ND @ weight_D)
        value = body.digits.total(terms, float(sum(w * x for w, _, x in found)))
        several = " + " in value or " - " in value
        value = f"({value}) / {rms}" if several else f"{value} / {rms}"
        beside = column(f"bigram {text}", _bigrams(folded, words, token))
        value = body.digits.total([(1.0, value), *beside], _bias(folded, token))
        if scale != 1:
            value = f"{body.digits.number(scale)} * ({value})"
        if more := float(shift.get(token, 0.0)):
            value += f" {'-' if more < 0 else '+'} {body.digits.number(abs(more))}"
        body.lines += python_text.statement(
            f"logits[{python_text.quoted(text)}]", value
        )


def _bigrams(folded: Folded, words: Sequence[Any], token: int) -> Array:
    """What the bigram table, which bypasses the network, adds after each word."""
    table = folded.own.params.get((parameters.BIGRAM, parameters.TABLE))
    if table is None:
        return np.zeros(len(words))
    tokens = [word[1] if folded.placed else word for word in words]
    found: Array = table[tokens, token].astype(np.float64)
    return found


def _bias(folded: Folded, token: int) -> float:
    bias = folded.own.params.get((parameters.FINAL_BIAS, parameters.B))
    return 0.0 if bias is None else float(bias[token])
