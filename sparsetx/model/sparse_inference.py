"""Logits at a cost that follows the weights that are left.

The same function as `model.apply` without a tap, for weights most of which are zero. A
matrix is stored as rows of nonzeros, one row for each output channel, padded to a few
widths; an output is the weighted sum of the few input channels that its row names.
Tokens are the last axis (letter T: positions, of one sequence or several short ones),
so that every one of these sums is over long contiguous vectors: on a CPU this takes a
tenth of the time of a product of dense matrices when a 64th of the weights is left,
and a third of that of a general sparse product. Where more than `DENSE` of a matrix is
left it is multiplied as it is. Norms, AbsTopK and attention are dense; attention has
its queries last, takes one exponential for each score, and divides after mixing.

Letters beside those of `block.py`: N groups of sequences, S sequences of a group.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from sparsetx import nodes
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.model.block import ATTENTION_READ, MLP_READ, NORM_EPS, Read, contract
from sparsetx.topk import columns

Params = Mapping[str, Any]

DENSE = 1 / 6  # part of a matrix from which on rows of nonzeros are no faster
WIDTHS = (8, 16)  # of padded rows; wider ones are multiples of PIECE
PIECE = 16  # nonzeros of a wide row that are summed at a time
QUERIES = 64  # that are answered together, from the tokens up to the last of them
TOKENS = 128  # of a group of sequences, if they are short


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rows:
    """A matrix by its outputs: all of one width together, in some order.

    index, weight: for each width [layer, row, width]; place [layer, output]: where each
    output is among the rows. Layers share shapes, so that one program serves them.
    """

    index: tuple[jax.Array, ...]
    weight: tuple[jax.Array, ...]
    place: jax.Array


Matrix = Rows | jax.Array  # an array [layer, in, out] where little of it is zero


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prepared:
    """Weights laid out for `logits`; made once for a model."""

    config: ModelConfig = dataclasses.field(metadata={"static": True})
    params: Any  # all that is not a matrix, and the embedding
    blocks: dict[str, Matrix]
    unembed: Matrix

    @property
    def products(self) -> int:
        """Multiplications by weights for each token, padding included."""
        found = jax.tree.leaves(
            [m.weight if isinstance(m, Rows) else m for m in self._matrices()]
        )
        return sum(x.size for x in found)

    def _matrices(self) -> list[Matrix]:
        return [*self.blocks.values(), self.unembed]


def prepare(config: ModelConfig, params: Params) -> Prepared:
    """The nonzeros of every matrix (not of the embedding: rows of it are looked up)."""
    stacked = params[parameters.BLOCKS]
    names = (parameters.QKV, parameters.O, parameters.FC, parameters.PROJ)
    kept: dict[str, Any] = {
        name: {leaf: x for leaf, x in part.items() if leaf != parameters.W}
        for name, part in stacked.items()
    }
    rest = {k: v for k, v in params.items() if k != parameters.UNEMBED}
    return Prepared(
        config,
        rest | {parameters.BLOCKS: kept},
        {name: _matrix(config, stacked[name][parameters.W]) for name in names},
        _matrix(config, params[parameters.UNEMBED][parameters.W][None]),
    )


def _matrix(config: ModelConfig, given_LIO: jax.Array) -> Matrix:
    w_LIO = jnp.asarray(given_LIO).astype(config.compute).astype(jnp.float32)
    array = np.asarray(w_LIO)
    if np.count_nonzero(array) > DENSE * array.size:
        return w_LIO
    return _rows(array.swapaxes(1, 2))


def _rows(w_LOI: npt.NDArray[np.float32]) -> Rows:
    layers = len(w_LOI)
    count_LO = np.count_nonzero(w_LOI, -1)
    order_LO = np.argsort(count_LO, 1, kind="stable")
    widest_O = np.take_along_axis(count_LO, order_LO, 1).max(0)
    width_O = np.array([_padded(n) for n in widest_O])
    index, weight = [], []
    for width in np.unique(width_O):
        rows_LR = order_LO[:, width_O == width]
        part = np.zeros((2, layers, rows_LR.shape[1], width), np.float32)
        for layer, rows in enumerate(rows_LR):
            row, column = np.nonzero(w_LOI[layer, rows])
            start_R = np.searchsorted(row, np.arange(len(rows)))
            at = np.arange(len(row)) - start_R[row]
            part[0, layer, row, at] = column
            part[1, layer, row, at] = w_LOI[layer, rows][row, column]
        index.append(jnp.asarray(part[0].astype(np.int32)))
        weight.append(jnp.asarray(part[1]))
    place_LO = np.argsort(order_LO, 1).astype(np.int32)
    return Rows(tuple(index), tuple(weight), jnp.asarray(place_LO))


def _padded(nonzeros: int) -> int:
    fitting = (w for w in WIDTHS if w >= nonzeros)
    return next(fitting, -(-nonzeros // PIECE) * PIECE)


def logits(prepared: Prepared, tokens_BL: jax.Array) -> jax.Array:
    """[B, L, V], float32: those of `model.apply`, to rounding."""
    found: jax.Array = _logits(prepared, jnp.asarray(tokens_BL))
    return found


@jax.jit
def _logits(prepared: Prepared, tokens_BL: jax.Array) -> jax.Array:
    config, params = prepared.config, prepared.params
    together = _together(*tokens_BL.shape)
    x_NDT, position_PT = _embed(config, params, tokens_BL, together)

    def body(x_NDT: jax.Array, layer: Any) -> tuple[jax.Array, None]:
        own, matrices = layer
        return _block(config, own, matrices, x_NDT, position_PT, together), None

    layers = params[parameters.BLOCKS], prepared.blocks
    x_NDT, _ = lax.scan(body, x_NDT, layers)
    x_NDT = _normal(x_NDT, params[parameters.FINAL_NORM][parameters.GAIN])
    last = jax.tree.map(lambda x: x[0], prepared.unembed)
    logits_NVT = _multiply(_rounded(config, x_NDT), last)
    shape = (*logits_NVT.shape[:2], together, tokens_BL.shape[1])
    logits_NSLV = logits_NVT.reshape(shape).transpose(0, 2, 3, 1)
    logits_BLV = logits_NSLV.reshape(*tokens_BL.shape, -1)
    if config.bigram != "none":
        logits_BLV += params[parameters.BIGRAM][parameters.TABLE][tokens_BL]
    if config.final_bias:
        logits_BLV += params[parameters.FINAL_BIAS][parameters.B][None, None]
    return logits_BLV


def _together(batch: int, length: int) -> int:
    """How many sequences share an axis of tokens: a divisor of the batch."""
    most = max(1, TOKENS // max(length, 1))
    return max((n for n in range(1, most + 1) if batch % n == 0), default=1)


def _embed(
    config: ModelConfig, params: Params, tokens_BL: jax.Array, together: int
) -> tuple[jax.Array, jax.Array | None]:
    tokens_NT = tokens_BL.reshape(-1, together * tokens_BL.shape[1])
    x_NDT = params[parameters.EMBED][parameters.W][tokens_NT].swapaxes(1, 2)
    if config.positions == "none":
        return x_NDT, None
    table_LP = params[parameters.POSITIONS][parameters.W][: tokens_BL.shape[1]]
    position_PT = jnp.tile(table_LP.T, (1, together))
    if config.positions == "added":
        return x_NDT + position_PT[None], None
    return x_NDT, position_PT


def _block(
    config: ModelConfig,
    params: Params,
    matrices: Mapping[str, Matrix],
    x_NDT: jax.Array,
    position_PT: jax.Array | None,
    together: int,
) -> jax.Array:
    def affine(name: str, x: jax.Array) -> jax.Array:
        b_O: jax.Array = params[name][parameters.B]
        return _multiply(x, matrices[name]) + b_O[None, :, None]

    def held(site: str, x: jax.Array) -> jax.Array:
        return _rounded(config, _select(config, site, x))

    def added(x_NDT: jax.Array, write_NDT: jax.Array, site: str) -> jax.Array:
        x_NDT = x_NDT + write_NDT
        x_NDT = jax.nn.relu(x_NDT) if config.residual == "relu" else x_NDT
        return _select(config, site, x_NDT)

    read_NRT = held(nodes.ATTN_IN, _read(params, ATTENTION_READ, x_NDT, position_PT))
    parts = jnp.split(affine(parameters.QKV, read_NRT), 3, axis=1)
    sites = zip((nodes.Q, nodes.K, nodes.V), parts, strict=True)
    q, k, v = (_select(config, site, x) for site, x in sites)
    sink_H = params[parameters.SINK][parameters.LOGIT] if config.sink else None
    mix_NCT = _attention(config, (q, k, v), sink_H, together)
    write_NDT = held(nodes.ATTN_OUT, affine(parameters.O, mix_NCT))
    x_NDT = added(x_NDT, write_NDT, nodes.RESID_POST_ATTN)
    read_NRT = held(nodes.MLP_IN, _read(params, MLP_READ, x_NDT, position_PT))
    h_NFT = affine(parameters.FC, read_NRT)
    h_NFT = held(nodes.MLP_NEURON, _activated(config, h_NFT))
    write_NDT = held(nodes.MLP_OUT, affine(parameters.PROJ, h_NFT))
    return added(x_NDT, write_NDT, nodes.RESID_POST_MLP)


def _activated(config: ModelConfig, h_NFT: jax.Array) -> jax.Array:
    if config.activation == "relu":
        return jax.nn.relu(h_NFT)
    # By erf: erfc, which keeps the digits of a tail, takes twice as long.
    return h_NFT * (0.5 + 0.5 * lax.erf(h_NFT * math.sqrt(0.5)))


def _read(
    params: Params, names: Read, x_NDT: jax.Array, position_PT: jax.Array | None
) -> jax.Array:
    read = _normal(x_NDT, params[names.norm][parameters.GAIN])
    if position_PT is None:
        return read
    gain_P = params[names.position_norm][parameters.GAIN]
    position_1PT = _normal(position_PT[None], gain_P)
    shape = (x_NDT.shape[0], *position_PT.shape)
    return jnp.concatenate([read, jnp.broadcast_to(position_1PT, shape)], 1)


def _normal(x_NDT: jax.Array, gain_D: jax.Array) -> jax.Array:
    scale = lax.rsqrt(jnp.mean(jnp.square(x_NDT), 1, keepdims=True) + NORM_EPS)
    return x_NDT * scale * gain_D[None, :, None]


def _attention(
    config: ModelConfig,
    qkv: tuple[jax.Array, jax.Array, jax.Array],
    sink_H: jax.Array | None,
    together: int,
) -> jax.Array:
    """What the heads mix, [N, C, T]. A query's weights are exp(score - largest), and
    only what they mix is divided by their sum."""
    groups, _, wide = qkv[0].shape
    length = wide // together
    apart = (groups, -1, config.d_head, together, length)

    def heads(x_NCT: jax.Array) -> jax.Array:
        x_NHASL = _rounded(config, x_NCT).reshape(apart).transpose(0, 3, 1, 2, 4)
        return x_NHASL.reshape(-1, config.n_head, config.d_head, length)

    q_BHAL, k_BHAL, v_BHAL = map(heads, qkv)
    mixes = []
    for start in range(0, length, QUERIES):
        end = min(start + QUERIES, length)
        q_BHAQ = q_BHAL[..., start:end]
        mixes.append(
            _mixed(config, q_BHAQ, k_BHAL[..., :end], v_BHAL[..., :end], sink_H)
        )
    mix_BHAL = jnp.concatenate(mixes, -1)
    mix_NSHAL = mix_BHAL.reshape(groups, together, -1, config.d_head, length)
    mix_NCT = mix_NSHAL.transpose(0, 2, 3, 1, 4).reshape(groups, -1, wide)
    return _rounded(config, mix_NCT)


def _mixed(
    config: ModelConfig,
    q_BHAQ: jax.Array,
    k_BHAL: jax.Array,
    v_BHAL: jax.Array,
    sink_H: jax.Array | None,
) -> jax.Array:
    """Of queries at the last of these tokens."""
    queries, length = q_BHAQ.shape[-1], k_BHAL.shape[-1]
    scores_BHLQ = contract("BHAL,BHAQ->BHLQ", k_BHAL, q_BHAQ / math.sqrt(config.d_head))
    place_Q = jnp.arange(length - queries, length)
    seen_LQ = jnp.arange(length)[:, None] <= place_Q[None, :]
    scores_BHLQ = scores_BHLQ + jnp.where(seen_LQ, 0.0, -jnp.inf)[None, None]
    largest_BH1Q = jnp.max(scores_BHLQ, 2, keepdims=True)
    if sink_H is not None:
        sink_1H11 = sink_H[None, :, None, None]
        largest_BH1Q = jnp.maximum(largest_BH1Q, sink_1H11)
    weights_BHLQ = jnp.exp(scores_BHLQ - largest_BH1Q)
    total_BH1Q = jnp.sum(weights_BHLQ, 2, keepdims=True)
    if sink_H is not None:
        total_BH1Q = total_BH1Q + jnp.exp(sink_1H11 - largest_BH1Q)
    if config.compute != "float32":  # the pattern is a site, which holds that type
        weights_BHLQ = _rounded(config, weights_BHLQ / total_BH1Q)
        total_BH1Q = jnp.ones_like(total_BH1Q)
    return contract("BHAL,BHLQ->BHAQ", v_BHAL, weights_BHLQ) / total_BH1Q


def _select(config: ModelConfig, site: str, x: jax.Array) -> jax.Array:
    kept = nodes.active_count(config, site)
    return x if kept is None else columns.keep_largest(x, kept)


def _rounded(config: ModelConfig, x: jax.Array) -> jax.Array:
    """To what the compute type holds."""
    return x.astype(config.compute).astype(jnp.float32)


def _multiply(x_NIT: jax.Array, matrix: Matrix) -> jax.Array:
    if isinstance(matrix, jax.Array):
        return contract("io,nit->not", matrix, x_NIT)

    def sums(x_NIT: jax.Array) -> jax.Array:
        parts = [
            _weighted_sums(x_NIT, index, weight)
            for index, weight in zip(matrix.index, matrix.weight, strict=True)
        ]
        return _channels(jnp.concatenate(parts, 1), matrix.place)

    # Both sides of a condition are programs of their own. Fused with what comes before
    # or after, sums would be computed anew for each use of an output, and a norm or an
    # activation for each nonzero; the compiler removes barriers before it fuses.
    def zeros(x_NIT: jax.Array) -> jax.Array:
        outputs = matrix.place.shape[0]
        return jnp.zeros((x_NIT.shape[0], outputs, x_NIT.shape[2]))

    found: jax.Array = lax.cond(matrix.place[0] >= 0, sums, zeros, x_NIT)
    return found


def _weighted_sums(
    x_NIT: jax.Array, index_RW: jax.Array, weight_RW: jax.Array
) -> jax.Array:
    """[N, R, T]. Written out, so that it becomes one loop which holds its sum in a
    register; in pieces where rows are wide, or it would take long to compile."""
    rows, width = index_RW.shape
    if width <= WIDTHS[-1]:
        return _written_out(x_NIT, index_RW, weight_RW)

    def pieces(x_RW: jax.Array) -> jax.Array:
        return x_RW.reshape(rows, -1, PIECE).swapaxes(0, 1)

    def add(sum_NRT: jax.Array, piece: Any) -> tuple[jax.Array, None]:
        return sum_NRT + _written_out(x_NIT, *piece), None

    first = jnp.zeros((x_NIT.shape[0], rows, x_NIT.shape[2]))
    return lax.scan(add, first, (pieces(index_RW), pieces(weight_RW)))[0]


def _written_out(
    x_NIT: jax.Array, index_RW: jax.Array, weight_RW: jax.Array
) -> jax.Array:
    terms = (
        weight_RW[None, :, j, None] * _channels(x_NIT, index_RW[:, j])
        for j in range(index_RW.shape[1])
    )
    return functools.reduce(jnp.add, terms)


def _channels(x_NIT: jax.Array, index_R: jax.Array) -> jax.Array:
    return x_NIT.at[:, index_R].get(mode="promise_in_bounds")
