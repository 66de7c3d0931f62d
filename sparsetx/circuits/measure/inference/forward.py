"""The forward pass of a folded circuit, sublayer by sublayer.

All that follows the last attention is computed at one place of each row alone where
logits are only wanted there. `visit` is called with every value on the way, as a tap is
of the whole model: with where it is and a function that computes it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure.inference import folding
from sparsetx.circuits.measure.inference.folding import Array, Linear, Reading, Weights
from sparsetx.circuits.measure.inference.table import WINDOW, Table
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.model.block import NORM_EPS


class Spot(NamedTuple):
    """A place in the forward pass."""

    sublayer: int
    site: str
    stage: int  # one of those below


# What a site's sums are over; the sums, before activation and AbsTopK; its kept nodes.
INPUT, SUMS, KEPT = range(3)
Visit = Callable[[Spot, Callable[[], Array]], Array]


def pass_by(spot: Spot, compute: Callable[[], Array]) -> Array:
    return compute()


@dataclass(frozen=True, eq=False)
class Folded:
    """A circuit, ready to run. `table` grows with the tokens that come up."""

    weights: Weights
    sublayers: tuple[folding.Sublayer, ...]
    table: Table

    @functools.cached_property
    def last(self) -> int:
        """The last sublayer that is attention; -1: there is none."""
        parts = enumerate(self.sublayers)
        attention = (i for i, s in parts if isinstance(s.part, folding.Attention))
        return max(attention, default=-1)

    def logits(self, tokens_BL: Any) -> Array:
        """[B, L, V], float32."""
        tokens_BL = np.asarray(tokens_BL)
        shape = (*tokens_BL.shape, self.weights.config.vocab_size)
        return self._run(tokens_BL, None).reshape(shape)

    def logits_at(self, tokens_BL: Any, place_B: Any) -> Array:
        """[B, V]: logits at one place of each row; later tokens are not looked at."""
        place_B = np.asarray(place_B)
        tokens_BL = np.asarray(tokens_BL)[:, : max(place_B, default=0) + 1]
        return self._run(tokens_BL, place_B)

    def _run(self, tokens_BL: Array, place_B: Array | None) -> Array:
        """[T, V]. On one thread: with rows shared out to two, they wait for each other
        at the interpreter's lock for longer than they compute."""
        if not tokens_BL.size:
            return np.zeros((0, self.weights.config.vocab_size), np.float32)
        state = begin(self, tokens_BL, place_B)
        for i in range(len(self.sublayers)):
            state = step(self, i, state, place_B)
        return unembed(self, state)


@dataclass(frozen=True, eq=False)
class State:
    """Tokens on their way: T = B·L of them, or B once only one place is followed."""

    batch: int
    x_MT: Array  # channels that kept nodes write
    key_T: Array
    position_T: Array
    token_T: Array

    def at(self, place_B: Array) -> "State":
        length = len(self.key_T) // self.batch
        where = np.arange(self.batch) * length + place_B
        return State(
            self.batch, np.ascontiguousarray(self.x_MT[:, where]), self.key_T[where],
            self.position_T[where], self.token_T[where],
        )  # fmt: skip


def begin(folded: Folded, tokens_BL: Array, place_B: Array | None) -> State:
    """Before the first sublayer."""
    batch, length = tokens_BL.shape
    key_T = folded.table.places(tokens_BL)
    x_MT = folded.table.rows[0, "moving"][key_T].T.copy()
    position_T = np.tile(np.arange(length), batch)
    state = State(batch, x_MT, key_T, position_T, tokens_BL.ravel())
    return state.at(place_B) if place_B is not None and folded.last < 0 else state


def step(
    folded: Folded, i: int, state: State, place_B: Array | None, visit: Visit = pass_by
) -> State:
    """After sublayer `i`; the last attention leaves one place of each row."""
    sublayer, own = folded.sublayers[i], folded.weights
    at = place_B if i == folded.last else None
    part, written = sublayer.part, None
    if part is not None:
        sums = functools.partial(_sums, own.config, i, visit)
        spot = Spot(i, part.reading.names.site, KEPT)
        read_NT = visit(spot, lambda: _read(folded, i, part.reading, state))
        if isinstance(part, folding.Attention):
            mixed = functools.partial(_attention, own, part, read_NT, state, at, sums)
            written = sums(part.write, mixed)
        else:
            neurons = sums(part.neurons, lambda: read_NT)
            written = sums(part.write, lambda: neurons)
    state = state if at is None else state.at(at)
    write_MT = np.zeros_like(state.x_MT) + sublayer.mean_D[own.moving_M][:, None]
    if part is not None and written is not None:
        write_MT[np.searchsorted(own.moving_M, part.write.kept_N)] = written
    write_MT += state.x_MT
    if own.config.residual == "relu":
        np.maximum(write_MT, 0, out=write_MT)
    return replace(state, x_MT=write_MT)


def _read(folded: Folded, i: int, read: Reading, state: State) -> Array:
    """Kept reads, [N, T]: the scale of the norm is common to all that it is compared
    with, except positions; so those are divided by it."""
    own, rows = folded.weights, folded.table.rows
    square_T = rows[i, "square"][state.key_T, 0] + np.square(state.x_MT).sum(0)
    scale_T = 1 / np.sqrt(square_T / own.config.d_model + np.float32(NORM_EPS))
    gain_M1 = read.gain_D[own.moving_M][:, None]
    moving_NT = state.x_MT[read.moving_N] * gain_M1[read.moving_N]
    still_NT = rows[i, "value"][state.key_T].T * read.gain_D[read.still_N][:, None]
    parts, beside_PT = [moving_NT, still_NT], None
    if read.position_PL is not None:
        beside_PT = read.position_PL[:, state.position_T] / scale_T
        parts.append(beside_PT[read.position_N])
    value_NT: Array = np.concatenate(parts)[read.order_N]
    if read.rank is not None and len(value_NT):
        rivals = [state.x_MT * gain_M1]
        rivals += [] if beside_PT is None else [beside_PT]
        window = (np.ascontiguousarray(rows[i, x][state.key_T].T) for x in WINDOW)
        sizes = np.abs(value_NT), np.abs(np.concatenate(rivals))
        chosen_NT = read.rank.chosen(read.kept_N, *sizes, *window)
        value_NT = np.where(chosen_NT, value_NT, 0)
    scaled: Array = value_NT * scale_T
    return scaled


def _sums(
    config: ModelConfig, i: int, visit: Visit, part: Linear, inputs: Callable[[], Array]
) -> Array:
    """The kept nodes of a site, [N, T], after AbsTopK."""
    input_IT = visit(Spot(i, part.site, INPUT), inputs)
    x_MT = visit(Spot(i, part.site, SUMS), lambda: part.before(input_IT))
    return visit(Spot(i, part.site, KEPT), lambda: _kept(config, part, x_MT))


def _kept(config: ModelConfig, part: Linear, x_MT: Array) -> Array:
    if part.site == nodes.MLP_NEURON:
        x_MT = folding.activated(config, x_MT)
    kept_NT: Array = x_MT[part.place_N]
    if part.rank is None or not len(kept_NT):
        return kept_NT
    sizes = np.abs(kept_NT), np.abs(x_MT)
    window = part.rank.value_S[:, None], part.rank.index_S[:, None]
    chosen_NT = part.rank.chosen(part.kept_N, *sizes, *window)
    chosen: Array = np.where(chosen_NT, kept_NT, 0)
    return chosen


def _attention(
    own: Weights,
    part: folding.Attention,
    read_NT: Array,
    state: State,
    at: Array | None,
    sums: Callable[..., Array],
) -> Array:
    """What the heads mix, [I, T], of queries at one place of each row if `at`."""
    query_NT, query_T = read_NT, state.position_T
    if at is not None:
        picked = np.arange(state.batch) * (len(query_T) // state.batch) + at
        query_NT, query_T = read_NT[:, picked], query_T[picked]

    def rows(site: Linear, read_NT: Array) -> Array:
        length = read_NT.shape[1] // state.batch
        shape = (len(site.kept_N), state.batch, length)
        return sums(site, lambda: read_NT).reshape(shape)

    q_NBQ, k_NBL = rows(part.q, query_NT), rows(part.k, read_NT)
    v_NBL = rows(part.v, read_NT)
    place_BQ = query_T.reshape(state.batch, -1)
    mixes, totals = [], []
    for head in part.heads:
        value_NBL = v_NBL[head.value_N]
        if not len(head.query_N):
            mix_NBQ, sum_BQ = _evenly(own.config, head, value_NBL, place_BQ)
        else:
            scores = _scores(own.config, head, q_NBQ, k_NBL)
            mix_NBQ, sum_BQ = _mixed(head, scores, value_NBL, place_BQ)
        mixes.append(mix_NBQ.reshape(len(value_NBL), query_T.size))
        totals.append(sum_BQ.reshape(1, -1))
    if own.config.sink:
        mixes += totals
    return np.concatenate([*mixes, np.zeros((0, query_NT.shape[1]), np.float32)])


def _scores(
    config: ModelConfig, head: folding.Head, q_NBQ: Array, k_NBL: Array
) -> Array:
    """[B, Q, L]"""
    sides = []
    for x_NBL, place_N, mean_N in (
        (q_NBQ, head.query_N, head.query_mean_N),
        (k_NBL, head.key_N, head.key_mean_N),
    ):
        side = np.empty((len(place_N), *x_NBL.shape[1:]), np.float32)
        side[:] = mean_N[:, None, None]
        side[place_N >= 0] = x_NBL[place_N[place_N >= 0]]
        sides.append(side)
    root = np.float32(config.d_head**-0.5)
    found: Array = np.matmul(
        sides[0].transpose(1, 2, 0) * root, sides[1].swapaxes(0, 1)
    )
    return found if head.sink is None else found + head.score * root


def _mixed(
    head: folding.Head, scores_BQL: Array, value_NBL: Array, place_BQ: Array
) -> tuple[Array, Array]:
    """Softmax over the tokens up to the query's place; with a sink its sum is < 1."""
    later = np.arange(scores_BQL.shape[2]) > place_BQ[..., None]
    np.copyto(scores_BQL, -np.inf, where=later)
    largest_BQ1 = scores_BQL.max(-1, keepdims=True)
    if head.sink is not None:
        largest_BQ1 = np.maximum(largest_BQ1, np.float32(head.sink))
    scores_BQL -= largest_BQ1
    weight_BQL = np.exp(scores_BQL, out=scores_BQL)
    sum_BQ = weight_BQL.sum(-1)
    total_BQ = sum_BQ
    if head.sink is not None:
        total_BQ = sum_BQ + np.exp(np.float32(head.sink) - largest_BQ1[..., 0])
    mix_BQN = np.matmul(weight_BQL, value_NBL.transpose(1, 2, 0))
    return mix_BQN.transpose(2, 0, 1) / total_BQ, sum_BQ / total_BQ


def _evenly(
    config: ModelConfig, head: folding.Head, value_NBL: Array, place_BQ: Array
) -> tuple[Array, Array]:
    """Where no query or key is kept, a head attends to all tokens alike."""
    many_BQ = (place_BQ + 1).astype(np.float32)
    each_BQ = 1 / many_BQ
    if head.sink is not None:
        above = np.exp(np.float32(head.sink - head.score * config.d_head**-0.5))
        each_BQ = 1 / (many_BQ + above)
    sums_NBL = np.cumsum(value_NBL, -1)
    where_NBQ = np.broadcast_to(place_BQ, (len(value_NBL), *place_BQ.shape))
    mix_NBQ = np.take_along_axis(sums_NBL, where_NBQ, -1) * each_BQ
    return mix_NBQ, many_BQ * each_BQ


def unembed(folded: Folded, state: State) -> Array:
    """[T, V]"""
    own, rows, end = folded.weights, folded.table.rows, len(folded.sublayers)
    moving_M = own.moving_M
    kept_M = np.ones(len(moving_M), bool)
    if nodes.FINAL in own.keep:
        kept_M = own.keep[nodes.FINAL][moving_M]
    x_MT, moving_M = state.x_MT[kept_M], moving_M[kept_M]
    square_T = rows[end, "square"][state.key_T, 0] + np.square(x_MT).sum(0)
    scale_T = 1 / np.sqrt(square_T / own.config.d_model + np.float32(NORM_EPS))
    gain_M = own.params[(parameters.FINAL_NORM, parameters.GAIN)][moving_M]
    w_MV = own.params[(parameters.UNEMBED, parameters.W)][moving_M] * gain_M[:, None]
    logits_TV: Array = rows[end, "logits"][state.key_T]
    for part in folding.portions(w_MV.size, len(logits_TV)):
        logits_TV[part] += x_MT[:, part].T @ w_MV
        logits_TV[part] *= scale_T[part, None]
    if own.config.bigram != "none":
        logits_TV += own.params[(parameters.BIGRAM, parameters.TABLE)][state.token_T]
    if own.config.final_bias:
        logits_TV += own.params[(parameters.FINAL_BIAS, parameters.B)]
    return logits_TV
