"""Reference implementation of the pruned model in NumPy, in double precision.

Taps only see a site after AbsTopK. Writing a program also takes the values before it,
which of them it kept, and how large a value had to be to be kept; all of that is
recorded here. Prompts run one by one, without padding. It is slow; a test compares it
with the model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.circuit_arrays import Arrays
from sparsetx.model import parameters
from sparsetx.model.block import NORM_EPS

Array = npt.NDArray[np.float64]


@dataclass
class Trace:
    """All values of one prompt, {site: [layer][L, width]}."""

    before: dict[str, list[Array]] = field(default_factory=dict)  # AbsTopK
    chosen: dict[str, list[Any]] = field(default_factory=dict)  # kept by AbsTopK
    after: dict[str, list[Array]] = field(default_factory=dict)  # after ablation
    scale: dict[str, list[Array]] = field(default_factory=dict)  # 1/rms, [L]
    pattern: list[Array] = field(default_factory=list)  # [head, L, L]
    final: Array = field(default_factory=lambda: np.zeros(0))  # the last residual


def gelu(x: Array) -> Array:
    erf = np.vectorize(math.erf, otypes=[float])
    found: Array = 0.5 * x * (1 + erf(x / math.sqrt(2)))
    return found


def run(own: Arrays, tokens: Sequence[int]) -> Trace:
    """Run the circuit on one prompt."""
    trace = Trace()
    x_LD = own.embed_VD[list(tokens)].astype(np.float64)
    table = own.positions
    beside_LP = None
    if table is not None:
        position = table[: len(tokens)].astype(np.float64)
        if own.config.d_pos:
            beside_LP = position
        else:
            x_LD = x_LD + position
    for layer in range(own.config.n_layer):
        x_LD = x_LD + _attention(own, trace, layer, x_LD, beside_LP)
        x_LD = x_LD + _mlp(own, trace, layer, x_LD, beside_LP)
    if nodes.FINAL in own.keep:
        x_LD = np.where(own.keep[nodes.FINAL], x_LD, own.means[nodes.FINAL])
    trace.final = x_LD
    trace.scale.setdefault(nodes.FINAL_NORM, []).append(_scale(x_LD))
    return trace


def _scale(x: Array) -> Array:
    found: Array = 1 / np.sqrt(np.mean(np.square(x), -1) + NORM_EPS)
    return found


def _attention(
    own: Arrays, trace: Trace, layer: int, x_LD: Array, beside_LP: Array | None
) -> Array:
    c = own.config
    read = _read(own, trace, layer, nodes.ATTN_IN, x_LD, beside_LP)
    qkv = read @ _weight(own, layer, parameters.QKV) + _bias(own, layer, parameters.QKV)
    q, k, v = (
        _activate(own, trace, layer, site, part).reshape(len(read), c.n_head, c.d_head)
        for site, part in zip(
            (nodes.Q, nodes.K, nodes.V), np.split(qkv, 3, -1), strict=True
        )
    )
    score_HLL = np.einsum("lha,mha->hlm", q, k) / math.sqrt(c.d_head)
    seen = np.tril(np.ones(score_HLL.shape[1:], bool))
    weight_HLL = np.where(seen, np.exp(np.where(seen, score_HLL, 0)), 0)
    total_HL = weight_HLL.sum(-1)
    if c.sink:
        path = (parameters.BLOCKS, parameters.SINK, parameters.LOGIT)
        total_HL = total_HL + np.exp(np.float64(own.params[path][layer]))[:, None]
    pattern_HLL = weight_HLL / total_HL[..., None]
    trace.pattern.append(pattern_HLL)
    mix = np.einsum("hlm,mha->lha", pattern_HLL, v).reshape(len(read), -1)
    wrote = mix @ _weight(own, layer, parameters.O) + _bias(own, layer, parameters.O)
    return _activate(own, trace, layer, nodes.ATTN_OUT, wrote)


def _mlp(
    own: Arrays, trace: Trace, layer: int, x_LD: Array, beside_LP: Array | None
) -> Array:
    read = _read(own, trace, layer, nodes.MLP_IN, x_LD, beside_LP)
    h = read @ _weight(own, layer, parameters.FC) + _bias(own, layer, parameters.FC)
    h = gelu(h) if own.config.activation == "gelu" else np.maximum(h, 0)
    h = _activate(own, trace, layer, nodes.MLP_NEURON, h)
    wrote = h @ _weight(own, layer, parameters.PROJ)
    wrote = wrote + _bias(own, layer, parameters.PROJ)
    return _activate(own, trace, layer, nodes.MLP_OUT, wrote)


def _read(
    own: Arrays,
    trace: Trace,
    layer: int,
    site: str,
    x_LD: Array,
    beside_LP: Array | None,
) -> Array:
    norm, beside, scales = {
        nodes.ATTN_IN: (
            parameters.ATTN_NORM,
            parameters.ATTN_POSITION_NORM,
            nodes.ATTN_NORM,
        ),
        nodes.MLP_IN: (
            parameters.MLP_NORM,
            parameters.MLP_POSITION_NORM,
            nodes.MLP_NORM,
        ),
    }[site]
    scale = _scale(x_LD)
    trace.scale.setdefault(scales, []).append(scale)
    read = x_LD * scale[:, None] * _gain(own, layer, norm)
    if beside_LP is not None:
        part = beside_LP * _scale(beside_LP)[:, None] * _gain(own, layer, beside)
        read = np.concatenate([read, part], -1)
    return _activate(own, trace, layer, site, read)


def _activate(own: Arrays, trace: Trace, layer: int, site: str, x: Array) -> Array:
    """AbsTopK, then the ablation of all but the kept nodes."""
    wide = x.shape[-1]
    kept = nodes.active_count(own.config, site) or wide
    chosen = np.ones(x.shape, bool)
    if kept < wide:
        order = np.argsort(-np.abs(x), -1, kind="stable")[:, :kept]
        chosen = np.zeros(x.shape, bool)
        np.put_along_axis(chosen, order, True, -1)
    after = np.where(own.keep[site][layer], x * chosen, own.means[site][layer])
    for store, value in (
        (trace.before, x),
        (trace.chosen, chosen),
        (trace.after, after),
    ):
        store.setdefault(site, []).append(value)
    return after


def _weight(own: Arrays, layer: int, name: str) -> Array:
    found: Array = own.params[(parameters.BLOCKS, name, parameters.W)][layer]
    return found.astype(np.float64)


def _bias(own: Arrays, layer: int, name: str) -> Array:
    found: Array = own.params[(parameters.BLOCKS, name, parameters.B)][layer]
    return found.astype(np.float64)


def _gain(own: Arrays, layer: int, name: str) -> Array:
    found: Array = own.params[(parameters.BLOCKS, name, parameters.GAIN)][layer]
    return found.astype(np.float64)
