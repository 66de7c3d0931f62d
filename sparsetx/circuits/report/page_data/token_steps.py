"""Activations and attention of a circuit on a few pairs, token by token, for the page.

They are packed as bytes: a node's values relative to its own largest one, a head's
attention in steps of 1/255. The page only shows them as shades of colour.
"""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.explain import activations
from sparsetx.circuits.explain.node_statistics import Sample
from sparsetx.circuits.measure import questions
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.tasks.pairs import Pairs

SHOWN = 8  # pairs that can be stepped through, at most
ROOM = 90_000  # bytes of activations and attention of one circuit
BINS = 14
Array = npt.NDArray[Any]
Head = tuple[int, int]  # layer, head


@dataclass(frozen=True, eq=False)
class Trace:
    """A circuit's nodes at every token of every prompt."""

    pairs: Pairs
    nodes_NBL: Array
    pattern_HBLL: Array  # of heads with a kept node
    heads: list[Head]
    toward_BL: Array  # logit of the answer of A minus that of B
    whole_B: Array  # margins of the whole model

    def sample(self, circuit: Circuit) -> Sample:
        """The same activations in the form that descriptions are made from."""
        values = dict(zip(circuit.nodes, self.nodes_NBL, strict=True))
        attention = dict(zip(self.heads, self.pattern_HBLL, strict=True))
        return Sample(self.pairs.tokens_BL, self.pairs.position_B, values, attention)


def traced(circuit: Circuit, pairs: Pairs) -> Trace:
    """Run the circuit, all other nodes at their means."""
    asked = questions.of(pairs, pairs.tokens_BL.shape[1])
    own = activations.taken(circuit, asked)
    whole = activations.taken(circuit, asked, pruned=False)
    size = asked.tokens_BL.shape
    heads = list(own.attention)
    sign_B = np.tile(np.array([1.0, -1.0], np.float32), len(asked) // 2)
    values = [own.values[node] for node in circuit.nodes]
    patterns = [own.attention[head] for head in heads]
    return Trace(
        pairs,
        np.stack(values) if values else np.zeros((0, *size), np.float32),
        np.stack(patterns) if patterns else np.zeros((0, *size, size[1]), np.float32),
        heads,
        own.margin_BL * sign_B[:, None],
        whole.margin_BL[np.arange(len(asked)), pairs.position_B],
    )


# --- For the page -------------------------------------------------------------------


def packed(trace: Trace, tokenizer: Tokenizer) -> dict[str, Any]:
    """The pairs that can be stepped through: the shortest without distractor first."""
    chosen = _chosen(trace)
    rows = [row for i in chosen for row in (2 * i, 2 * i + 1)]
    largest = [
        np.abs(trace.nodes_NBL[:, r, : trace.pairs.position_B[r] + 1]).max(-1)
        for r in rows
    ]
    scale_N = np.max(largest, 0) if rows else np.zeros(len(trace.nodes_NBL))
    return {
        "scale": [_round(x) for x in scale_N],
        "heads": [{"layer": layer, "head": head} for layer, head in trace.heads],
        "pairs": [
            {
                "distractor": bool(trace.pairs.distractor_P[i]),
                "asks": _asks(trace.pairs, i),
                "a": _side(trace, tokenizer, 2 * i, scale_N),
                "b": _side(trace, tokenizer, 2 * i + 1, scale_N),
            }
            for i in chosen
        ],
    }


def _asks(pairs: Pairs, i: int) -> dict[str, Any]:
    """The answers of A and B; `open`: one token's odds are asked, for A times `sign`;
    `ends`, `tokens`: the last tokens of both prompts, and all that are in them."""
    right, wrong = (int(token) for token in pairs.answers_B2[2 * i])
    rows = (2 * i, 2 * i + 1)
    prompts = [pairs.tokens_BL[row, : pairs.position_B[row] + 1] for row in rows]
    return {
        "a": right,
        "b": wrong,
        "sign": float(pairs.sign_B[2 * i]),
        "open": pairs.one_token,
        "ends": [int(prompt[-1]) for prompt in prompts],
        "tokens": np.unique(np.concatenate(prompts)).tolist(),
    }


def _chosen(trace: Trace) -> list[int]:
    """As many pairs as there is room for; the easiest to read comes first."""
    long_P = trace.pairs.position_B.reshape(-1, 2).max(1) + 1
    odd_P = trace.pairs.distractor_P
    first = min(range(len(long_P)), key=lambda i: (odd_P[i], long_P[i], i))
    order = [first, *(i for i in range(len(long_P)) if i != first)]
    kept: list[int] = []
    left = ROOM
    for i in order[:SHOWN]:
        long = int(long_P[i])
        left -= 2 * long * (len(trace.nodes_NBL) + len(trace.heads) * (long + 1) // 2)
        if kept and left < 0:
            break
        kept.append(i)
    return kept


def _side(
    trace: Trace, tokenizer: Tokenizer, row: int, scale_N: Array
) -> dict[str, Any]:
    pairs = trace.pairs
    last = int(pairs.position_B[row])
    acts_NL = trace.nodes_NBL[:, row, : last + 1]
    share_NL = acts_NL / np.maximum(scale_N, 1e-30)[:, None]
    toward_L = trace.toward_BL[row, : last + 1]
    triangle = np.tril_indices(last + 1)
    return {
        "tokens": [tokenizer.token(t) for t in pairs.tokens_BL[row, : last + 1]],
        "answer": _answer(pairs, tokenizer, row),
        "toward": [_round(x) for x in toward_L],
        "margin": _round(toward_L[-1] * (-1 if row % 2 else 1)),
        "whole": _round(trace.whole_B[row]),
        "acts": _bytes(np.clip(share_NL, -1, 1) * 127 + 128),
        "looks": [
            _bytes(np.clip(pattern_BLL[row][triangle], 0, 1) * 255)
            for pattern_BLL in trace.pattern_HBLL
        ],
    }


def _answer(pairs: Pairs, tokenizer: Tokenizer, row: int) -> str:
    token = tokenizer.token(int(pairs.answers_B2[row, 0]))
    return f"not {token}" if pairs.sign_B[row] < 0 else token


def classes(trace: Trace) -> list[dict[str, Any] | None]:
    """For each node: histograms of its value on A and on B, at the position at which
    the two differ most."""
    found: list[dict[str, Any] | None] = []
    last_B = trace.pairs.position_B
    back = np.arange(trace.nodes_NBL.shape[2])[None]
    at_BL = np.maximum(last_B[:, None] - back, 0)  # from the end: prompts may differ
    ended_NBL = np.take_along_axis(trace.nodes_NBL, at_BL[None], 2)
    real_PL = back <= np.minimum(last_B[0::2], last_B[1::2])[:, None]
    for a_PL, b_PL in zip(ended_NBL[:, 0::2], ended_NBL[:, 1::2], strict=True):
        apart_PL = np.where(real_PL, np.abs(a_PL - b_PL), -1.0)
        place_P1 = apart_PL.argmax(1)[:, None]
        a_P, b_P = (np.take_along_axis(x, place_P1, 1)[:, 0] for x in (a_PL, b_PL))
        low, high = float(min(a_P.min(), b_P.min())), float(max(a_P.max(), b_P.max()))
        if high - low < 1e-6:
            found.append(None)
            continue
        edges = np.linspace(low, high, BINS + 1)
        a, b = (np.histogram(x, edges)[0].tolist() for x in (a_P, b_P))
        where = "where the two prompts differ most"
        found.append(
            {"low": _round(low), "high": _round(high), "a": a, "b": b, "where": where}
        )
    return found


def _bytes(x: Array) -> str:
    return base64.b64encode(np.rint(x).astype(np.uint8).tobytes()).decode()


def _round(x: Any) -> float:
    """Four significant digits: more would only make the page larger."""
    return float(f"{float(x):.4g}")
