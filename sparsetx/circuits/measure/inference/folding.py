"""A circuit's own weights: what is left of its model when all else is at its mean.

An ablated node is a constant after AbsTopK, so every matrix is cut to the kept nodes
that it reads; the other inputs become a part of the bias. Two things of the whole model
stay. AbsTopK compares a kept node with every channel of its site: most are constants,
and it is enough to know the few of them near the k-th place, since only the channels
that *move* (that a kept node has a weight to) can change how many are above. And norms
and reads see the whole residual: channels to which no kept node writes depend on the
token alone (on its position too, where positions are added), so their squares, their
order and what they give to each logit are looked up in a table (`Table`), filled as
tokens come up.

Letters beside those of `model/block.py`: T tokens of all rows, one after another; N
nodes kept at a site; M channels that move; I inputs; S still channels near the k-th
place; U entries of a table.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.model.block import ATTENTION_READ, MLP_READ, NORM_EPS, Read
from sparsetx.nodes import Nodes

Array = npt.NDArray[Any]
HEAD_SITES = (nodes.Q, nodes.K, nodes.V)
ALONE = 2**18  # multiplications of a product that OpenBLAS does not divide


@dataclass(frozen=True, eq=False)
class Rank:
    """What decides whether nodes are among the `limit` largest of their site."""

    limit: int
    index_M: Array  # channels that move, ascending
    above: int  # still channels that are above those in the window
    value_S: Array  # magnitudes of the window; of a read: none, they are in the table
    index_S: Array

    def chosen(
        self, index_N: Array, own_NT: Array, size_MT: Array, value_ST: Array,
        index_ST: Array,
    ) -> Array:  # fmt: skip
        """[N, T]: whether fewer than `limit` channels come before; ties go to the
        lowest index. The nodes may be among the channels that they are held against."""
        found = np.empty(own_NT.shape, bool)
        first_N = np.searchsorted(self.index_M, index_N).tolist()
        after_N = np.searchsorted(self.index_M, index_N, "right").tolist()
        bits_ST = value_ST.view(np.int32)  # order as these magnitudes do
        before = np.empty((len(size_MT) + len(value_ST), own_NT.shape[1]), bool)
        for n, index in enumerate(index_N.tolist()):
            own_T, first, rest = own_NT[n], first_N[n], size_MT[after_N[n] :]
            others = first + len(rest)
            np.greater_equal(size_MT[:first], own_T, out=before[:first])
            np.greater(rest, own_T, out=before[first:others])
            wins_ST, end = bits_ST + (index_ST < index), others + len(bits_ST)
            np.greater(wins_ST, own_T.view(np.int32), out=before[others:end])
            found[n] = count(before[:end]) < self.limit - self.above
        return found


def count(mask_NT: Array) -> Array:
    """How many are true in each column; bytes are added, up to what they hold."""
    count_T = np.zeros(mask_NT.shape[1], np.int32)
    for start in range(0, len(mask_NT), 255):
        part = mask_NT[start : start + 255].view(np.uint8)
        count_T += np.add.reduce(part, 0, np.uint8)
    return count_T


def ranked(limit: int, moving_M: Array, still_C: Array) -> Rank:
    """`still_C`: a site's channels as if none moved. Those that rank above limit - M
    stay above however the others move; those below the limit do not matter."""
    order = by_size(np.delete(still_C, moving_M)[None])[0]
    index = np.delete(np.arange(len(still_C)), moving_M)[order]
    above = min(max(limit - len(moving_M), 0), len(index))
    window = index[above:limit]
    return Rank(limit, moving_M, above, np.abs(still_C[window]), window)


def by_size(x_UC: Array) -> Array:
    """Places by falling magnitude, ties by index."""
    return np.argsort(-np.abs(x_UC), axis=-1, kind="stable")


@dataclass(frozen=True, eq=False)
class Linear:
    """A site whose nodes are weighted sums: kept nodes from kept inputs."""

    site: str
    kept_N: Array
    weight_MI: Array
    bias_M: Array
    place_N: Array  # of the kept among the M
    rank: Rank | None  # None: AbsTopK does not act here

    @property
    def work(self) -> int:
        """Operations for each token, roughly."""
        still = 0 if self.rank is None else len(self.rank.value_S)
        compared = 0 if self.rank is None else len(self.bias_M) + still
        return self.weight_MI.size + len(self.kept_N) * compared

    def before(self, input_IT: Array) -> Array:
        """[M, T], before activation and AbsTopK."""
        x_MT = np.repeat(self.bias_M[:, None], input_IT.shape[1], 1)
        for few in portions(self.weight_MI.size, input_IT.shape[1]):
            x_MT[:, few] += self.weight_MI @ input_IT[:, few]
        return x_MT


def linear(
    config: ModelConfig,
    site: str,
    kept: Array,
    weight_IC: Array,
    bias_C: Array,
) -> Linear:
    """`weight_IC`: from kept inputs; `bias_C`: with all that ablated inputs give."""
    kept_N = np.flatnonzero(kept)
    limit = nodes.active_count(config, site)
    if limit is None or limit >= len(kept):
        moving_M, rank = kept_N, None
    else:
        moving_M = np.flatnonzero(kept | (weight_IC != 0).any(0))
        still_C = bias_C
        if site == nodes.MLP_NEURON:
            still_C = activated(config, bias_C)
        rank = ranked(limit, moving_M, still_C)
    return Linear(
        site,
        kept_N,
        np.ascontiguousarray(weight_IC[:, moving_M].T),
        bias_C[moving_M],
        np.searchsorted(moving_M, kept_N),
        rank,
    )


@dataclass(frozen=True, eq=False)
class Reading:
    """Kept reads of the normalised residual.

    Of `kept_N`, the first are channels that move (`moving_N`: which of them), then
    those that the table holds, then positions.
    """

    names: Read
    layer: int
    gain_D: Array
    moving_N: Array  # among the channels that kept nodes write
    still_N: Array  # channels of the residual
    position_N: Array  # channels of the position
    position_PL: Array | None  # normalised positions
    kept_N: Array
    order_N: Array  # of the kept, ascending, in these three parts together
    rank: Rank | None

    @property
    def limits(self) -> tuple[int, int]:
        """The part of a token's still channels, by size, that is compared with."""
        assert self.rank is not None
        return self.rank.above, self.rank.limit


@dataclass(frozen=True, eq=False)
class Head:
    """A head whose attention matters: scores from `channels` of which some are kept."""

    head: int
    query_N: Array  # among the kept queries of the layer; -1: at its mean
    key_N: Array
    query_mean_N: Array
    key_mean_N: Array
    score: float  # of all other channels
    value_N: Array  # among the kept values of the layer
    sink: float | None


@dataclass(frozen=True, eq=False)
class Attention:
    reading: Reading
    q: Linear
    k: Linear
    v: Linear
    heads: tuple[Head, ...]
    write: Linear  # its inputs: values of the heads in order, then the heads' sums


@dataclass(frozen=True, eq=False)
class Mlp:
    reading: Reading
    neurons: Linear
    write: Linear


@dataclass(frozen=True, eq=False)
class Sublayer:
    """What one of the 2·layers writes does to the residual."""

    mean_D: Array  # 0 where a node is kept
    part: Attention | Mlp | None  # None: no node of it is kept


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of a model and the mask, as NumPy arrays."""

    config: ModelConfig
    params: Mapping[parameters.Path, Array]
    keep: Mapping[str, Array]
    means: Mapping[str, Array]

    def block(self, name: str, leaf: str, layer: int) -> Array:
        found: Array = self.params[(parameters.BLOCKS, name, leaf)][layer]
        return found

    @functools.cached_property
    def moving_M(self) -> Array:
        """Channels of the residual to which a kept node writes."""
        writes = self.keep[nodes.ATTN_OUT] | self.keep[nodes.MLP_OUT]
        return np.flatnonzero(writes.any(0))

    def sublayers(self) -> Iterator[Sublayer]:
        for layer in range(self.config.n_layer):
            for site in (nodes.ATTN_OUT, nodes.MLP_OUT):
                kept = self.keep[site][layer]
                part: Attention | Mlp | None = None
                if kept.any():
                    build = _attention if site == nodes.ATTN_OUT else _mlp
                    part = build(self, layer)
                mean_D = np.where(kept, 0, self.means[site][layer])
                yield Sublayer(mean_D.astype(np.float32), part)


def weights(config: ModelConfig, params: Any, keep: Nodes, means: Nodes) -> Weights:
    return Weights(
        config,
        {path: np.asarray(x) for path, x in parameters.leaves(params)},
        {site: np.asarray(x) > 0.5 for site, x in keep.items()},
        {site: np.asarray(x, np.float32) for site, x in means.items()},
    )


def _folded(own: Weights, layer: int, site: str, w_IC: Array, b_C: Array) -> Any:
    """The rows of a matrix from kept inputs, and the bias with those of the others."""
    kept = own.keep[site][layer]
    mean = np.where(kept, 0, own.means[site][layer]).astype(np.float32)
    return w_IC[kept], b_C + mean @ w_IC


def _mlp(own: Weights, layer: int) -> Mlp:
    found = []
    for name, source, site in (
        (parameters.FC, nodes.MLP_IN, nodes.MLP_NEURON),
        (parameters.PROJ, nodes.MLP_NEURON, nodes.MLP_OUT),
    ):
        matrix = own.block(name, parameters.W, layer)
        bias = own.block(name, parameters.B, layer)
        folded = _folded(own, layer, source, matrix, bias)
        found.append(linear(own.config, site, own.keep[site][layer], *folded))
    return Mlp(reading(own, MLP_READ, layer), *found)


def _attention(own: Weights, layer: int) -> Attention:
    config = own.config
    matrix = own.block(parameters.QKV, parameters.W, layer)
    bias = own.block(parameters.QKV, parameters.B, layer)
    parts = np.split(matrix, 3, 1), np.split(bias, 3)
    q, k, v = (
        linear(
            config, site, own.keep[site][layer],
            *_folded(own, layer, nodes.ATTN_IN, w_RC, b_C),
        )
        for site, w_RC, b_C in zip(HEAD_SITES, *parts, strict=True)
    )  # fmt: skip
    heads = tuple(_heads(own, layer, q, k, v))
    w_CD = own.block(parameters.O, parameters.W, layer)
    mean_C = np.where(own.keep[nodes.V][layer], 0, own.means[nodes.V][layer])
    mean_C = mean_C.astype(np.float32)
    inputs = [w_CD[:0], *(w_CD[v.kept_N[head.value_N]] for head in heads)]
    bias_D = own.block(parameters.O, parameters.B, layer)
    if config.sink:  # a head's constants are multiplied by what the sink leaves
        by_head = mean_C[:, None] * w_CD
        by_head = by_head.reshape(config.n_head, config.d_head, -1).sum(1)
        inputs += [by_head[[head.head for head in heads]]]
    else:
        bias_D = bias_D + mean_C @ w_CD
    kept = own.keep[nodes.ATTN_OUT][layer]
    write = linear(config, nodes.ATTN_OUT, kept, np.concatenate(inputs), bias_D)
    return Attention(reading(own, ATTENTION_READ, layer), q, k, v, heads, write)


def _heads(own: Weights, layer: int, q: Linear, k: Linear, v: Linear) -> Iterator[Head]:
    """Those that have a kept value; with a sink, all."""
    wide = own.config.d_head
    mean_q, mean_k = (own.means[site][layer] for site in (nodes.Q, nodes.K))
    moves = own.keep[nodes.Q][layer] | own.keep[nodes.K][layer]
    for head in range(own.config.n_head):
        value_N = np.flatnonzero(v.kept_N // wide == head)
        if not len(value_N) and not own.config.sink:
            continue
        inside = np.arange(head * wide, (head + 1) * wide)
        channels, others = inside[moves[inside]], inside[~moves[inside]]
        yield Head(
            head,
            _where(q.kept_N, channels),
            _where(k.kept_N, channels),
            mean_q[channels],
            mean_k[channels],
            float(mean_q[others] @ mean_k[others]),
            value_N,
            float(own.block(parameters.SINK, parameters.LOGIT, layer)[head])
            if own.config.sink
            else None,
        )


def _where(kept_N: Array, channels: Array) -> Array:
    """The place of each channel among the kept; -1 if it is not kept."""
    place = np.searchsorted(kept_N, channels)
    found = place < len(kept_N)
    found[found] = kept_N[place[found]] == channels[found]
    return np.where(found, place, -1)


def reading(own: Weights, names: Read, layer: int) -> Reading:
    config = own.config
    kept_N = np.flatnonzero(own.keep[names.site][layer])
    moving_N = _where(own.moving_M, kept_N)
    inside = kept_N < config.d_model
    parts = moving_N >= 0, inside & (moving_N < 0), ~inside
    order_N = np.argsort(np.concatenate([kept_N[part] for part in parts]))
    limit = nodes.active_count(config, names.site)
    rank = None
    if limit is not None and limit < config.d_read:
        beside = np.arange(config.d_model, config.d_read)
        rivals = np.concatenate([own.moving_M, beside])
        still = config.d_model - len(own.moving_M)
        above = min(max(limit - len(rivals) - 1, 0), still)  # a read may be still
        nothing = np.zeros(0, np.float32)
        rank = Rank(limit, rivals, above, nothing, nothing)
    return Reading(
        names, layer, own.block(names.norm, parameters.GAIN, layer),
        moving_N[parts[0]], kept_N[parts[1]], kept_N[parts[2]] - config.d_model,
        _positions(own, names, layer), kept_N, order_N, rank,
    )  # fmt: skip


def _positions(own: Weights, names: Read, layer: int) -> Array | None:
    if own.config.positions != "concatenated":
        return None
    table_LP = own.params[(parameters.POSITIONS, parameters.W)]
    gain_P = own.block(names.position_norm, parameters.GAIN, layer)
    scale_L1 = 1 / np.sqrt(np.mean(table_LP**2, 1, keepdims=True) + NORM_EPS)
    normal_PL: Array = (table_LP * scale_L1 * gain_P).T
    return normal_PL


def portions(weights: int, tokens: int) -> Iterator[slice]:
    """Parts of the tokens whose products with so many weights NumPy's BLAS computes on
    one thread: for such small ones it takes longer to wake another, which on a busy
    machine may not come for milliseconds. What is added up stays in the cache."""
    each = max(ALONE // max(weights, 1), 1)
    return (slice(start, start + each) for start in range(0, tokens, each))


def activated(config: ModelConfig, x: Array) -> Array:
    if config.activation == "relu":
        return np.maximum(x, 0)
    return x * (0.5 + 0.5 * erf(x * np.float32(0.5**0.5)))


# erf(x) = x · P(x²) / Q(x²) to rounding in float32; it is 1 from ENDS on.
ENDS = 3.8325069
P = (2.2905065e-4, 3.4082910e-3, 5.0955695e-2, 0.18520832, 1.1283791)
Q = (-1.1791603e-7, 2.3547966e-5, 1.0179626e-3, 1.4070470e-2, 0.11098505, 0.49746925, 1)


def erf(x: Array) -> Array:
    x = np.clip(x, -ENDS, ENDS).astype(np.float32)
    square = x * x
    return x * _polynomial(P, square) / _polynomial(Q, square)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    found = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        found *= x
        found += np.float32(c)
    return found
